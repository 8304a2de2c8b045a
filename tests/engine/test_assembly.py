"""What is made of a reply that is not an answer, or not quite: told apart, in words that help, with what did arrive."""

import asyncio
import gzip
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minimal import DONE, Chat, document, event
from played import Played
from scripted import chunked, sized

from aisb._errors import AttemptFailed, ServiceError
from aisb._types import Failure, Request
from aisb_engine._http.assembly import ask, stream_once
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._spec import Timeouts

REQUEST = Request("17", repeat=1, turn=2, text="6 x 7?")


def whole(*pieces, content_type="text/event-stream", headers=(), **options):
    """Return a transport that gives these pieces of a body, one after another."""
    return Played(
        enumerate(pieces, start=2), headers={"content-type": content_type, **dict(headers)}, **options
    )


async def answer(*pieces, backend=None, **options):
    return await ask(backend or Chat(), whole(*pieces, **options), REQUEST, attempts=3)


async def failure(*pieces, **options):
    prediction = await answer(*pieces, **options)
    assert prediction.failure is not None
    return prediction.failure


async def test_a_prediction_carries_the_key_of_its_request_and_the_number_of_the_attempt():
    prediction = await answer(event("42", finish="stop"))
    assert (prediction.key, prediction.attempts, prediction.failure) == (("17", 1, 2), 3, None)


async def test_a_streamed_request_answered_by_one_document_is_one_chunk():
    prediction = await answer(document("42", reasoning="6*7"), content_type="application/json")
    assert (prediction.text, prediction.reasoning, prediction.finish_reason) == ("42", "6*7", "stop")
    assert (list(prediction.timing.chunk_ns), prediction.timing.chunk_kinds) == ([2], ("content",))
    assert prediction.timing.streamed is False


@pytest.mark.parametrize("content_type", ["text/event-stream", "application/json", "text/plain", ""])
async def test_what_a_reply_is_shows_in_its_bytes_when_its_type_is_wrong(content_type):
    assert (await answer(document("42"), content_type=content_type)).text == "42"
    assert (await answer(event("42", finish="stop"), content_type=content_type)).text == "42"


async def test_a_document_in_a_list_of_one_is_read():
    assert (await answer(b"[" + document("42") + b"]", content_type="application/json")).text == "42"


async def test_a_stream_that_ends_by_closing_is_whole_only_where_the_backend_says_so():
    class Closing(Chat):
        stream_end = "close"

    assert (await answer(event("42"), backend=Closing())).failure is None
    assert await failure(event("42")) == Failure(
        "cut", "the stream ended without a finish reason or [DONE]", 200
    )


async def test_done_ends_a_stream_without_a_finish_reason():
    assert (await answer(event("42"), DONE)).failure is None


async def test_a_connection_cut_after_done_is_no_failure_and_before_it_is():
    cut = Failure("cut", "gone", 200)
    assert (await answer(event("42"), DONE, failure=cut)).failure is None
    prediction = await answer(event("4"), event("2")[:20], failure=cut)
    assert (prediction.text, prediction.failure) == ("4", cut)


async def test_a_stream_that_closes_in_the_middle_of_an_event_is_cut_and_shows_where():
    found = await failure(event("4"), b'data: {"choices": [{"del')
    assert found.kind == "cut"
    assert found.message == """the stream ends in the middle of an event: '{"choices": [{"del'"""


@pytest.mark.parametrize("body", [b"", b"  \n"])
async def test_an_empty_reply_is_a_failure(body):
    assert await failure(body, content_type="application/json") == Failure(
        "protocol", "the reply is empty", 200
    )


async def test_a_stream_of_comments_and_done_is_empty():
    found = await failure(b": ping\n\n", DONE)
    assert found.message == "the reply is empty: the stream has no events with data"


async def test_a_web_page_in_place_of_json_asks_about_the_url():
    found = await failure(b"<!DOCTYPE html><html><title>Login</title>", content_type="text/html")
    assert found.kind == "protocol"
    assert found.message == (
        "the reply is a web page instead of JSON: '<!DOCTYPE html><html><title>Login</title>'; "
        "is url the address of the service?"
    )


async def test_what_is_not_json_is_shown_with_its_first_80_characters():
    found = await failure(b"nonsense " * 100, content_type="text/plain")
    assert found.message == f"the reply is not JSON: {('nonsense ' * 100)[:80]!r}"
    found = await failure(event("4"), b"data: not json\n\n", event(finish="stop"))
    assert (found.kind, found.message) == ("protocol", "the reply is not JSON: 'not json'")
    found = await failure(b"data: 17\n\n")
    assert found.message == "the reply is JSON, but not an object: '17'"


async def test_text_that_is_not_utf8_is_a_failure_and_not_a_guess():
    found = await failure('{"choices": "é"}'.encode("latin-1"), content_type="application/json")
    assert found.message.startswith('the reply is not UTF-8: \'{"choices"')


async def test_nan_in_an_event_is_read():
    prediction = await answer(event("42", finish="stop").replace(b'"id"', b'"logprob":NaN,"id"'))
    assert (prediction.text, prediction.failure) == ("42", None)


async def test_an_error_inside_a_successful_reply_is_a_failure_that_keeps_the_text_so_far():
    error = b'data: {"error": {"message": "out of memory", "code": 503}}\n\n'
    prediction = await answer(event("4"), error, event("2"), event(finish="stop"))
    assert prediction.text == "4"
    assert prediction.failure == Failure(
        "status", "the service reports an error inside its reply: out of memory", 503
    )
    found = await failure(b'{"error": "overloaded"}', content_type="application/json")
    assert found == Failure("protocol", "the service reports an error inside its reply: overloaded", 200)


async def test_an_event_that_the_backend_trips_over_is_named():
    found = await failure(b'data: {"choice": 1}\n\n')
    assert found.kind == "protocol"
    assert found.message == """the backend cannot read '{"choice": 1}' (KeyError: 'choices')"""


@pytest.mark.parametrize(
    ("status", "advice"),
    [
        (401, "; give the right key with --api-key-env"),
        (403, "; the service does not allow it: check what the key may use, or give one with --api-key-env"),
        (404, "; check url, path and the name of the model"),
        (500, ""),
        (529, ""),
    ],
)
async def test_a_status_that_is_no_success_gives_the_services_own_words_and_what_to_do(status, advice):
    body = orjson.dumps({"error": {"message": f"no, because of {status}"}})
    found = await failure(body, status=status, content_type="application/json")
    assert found == Failure("status", f"HTTP {status}: no, because of {status}{advice}", status)


async def test_a_status_with_a_web_page_or_nothing_is_still_told():
    page = b"<html><head><style>x</style></head><h1>502 Bad Gateway</h1></html>"
    assert (await failure(page, status=502)).message == "HTTP 502: 502 Bad Gateway"
    assert (await failure(b"", status=502)).message == "HTTP 502"


async def test_a_status_tells_more_than_a_connection_cut_during_its_body():
    found = await failure(b"{", status=503, failure=Failure("cut", "gone", 503))
    assert (found.kind, found.status) == ("status", 503)


async def test_retry_after_is_read_as_seconds_and_as_a_date():
    async def pause(value):
        return (await failure(b"{}", status=429, headers={"retry-after": value}.items())).retry_after

    later = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
    assert await pause("7") == 7.0
    assert 3500 < await pause(later) <= 3600
    assert await pause("Wed, 21 Oct 2015 07:28:00 GMT") == 0.0
    assert await pause("soon") is None


async def test_a_redirect_names_its_target():
    found = await failure(b"", status=307, headers={"location": "https://other/v1"}.items())
    assert found == Failure(
        "status", "HTTP 307: the service redirects to https://other/v1; set url to that", 307
    )


async def test_a_tool_call_without_an_index_is_put_together_by_its_id():
    def calls(**call):
        return event(tool_calls=[{"function": {"name": None, "arguments": ""}, **call}])

    prediction = await answer(
        calls(id="a", function={"name": "add", "arguments": "{"}),
        calls(function={"arguments": "}"}),
        calls(id="b", function={"name": "sub", "arguments": "[]"}),
        event(finish="tool_calls"),
    )
    assert prediction.tool_calls == (
        {"id": "a", "name": "add", "arguments": "{}"},
        {"id": "b", "name": "sub", "arguments": "[]"},
    )


async def test_an_error_of_the_backend_before_anything_is_sent_is_a_failure():
    class Missing(Chat):
        def auth_headers(self):
            raise ServiceError("the API key is not set")

    assert await failure(backend=Missing()) == Failure("refused", "the API key is not set")
    bad = Chat(headers={"X-Team": "a\r\nEvil: 1"})
    assert await failure(backend=bad) == Failure(
        "refused", "headers.X-Team: a header is one line of ASCII characters"
    )


async def test_url_headers_and_key_make_the_request(monkeypatch):
    monkeypatch.setenv("THE_KEY", "secret")
    backend = Chat(
        url="http://user:pa%20ss@[::1]:8000/pre/fix/", headers={"X-Team": "a"}, api_key_env="THE_KEY"
    )
    transport = whole(event("42", finish="stop"))
    await ask(backend, transport, REQUEST)
    (request,) = transport.requests
    headers = dict(request.headers)
    assert (request.method, request.target) == ("POST", "/pre/fix/v1/chat/completions")
    assert (headers["host"], headers["x-team"], headers["authorization"]) == (
        "[::1]:8000",
        "a",
        "Bearer secret",
    )
    assert headers["accept-encoding"] == "identity"


async def test_what_a_service_refuses_is_left_out_and_told_once(serve):
    refusal = sized(b'{"message": "unknown field stream_options"}', status=b"400 Bad Request")
    server = await serve([[refusal], [0.05, refusal], chunked(event("42", finish="stop"))])
    backend, notes = Chat(url=server.url), []
    transport = open_transport(backend, TransportSettings(timeouts=Timeouts(), clock=lambda: 0, limit=2))
    try:
        first = ask(backend, transport, REQUEST, note=notes.append)
        second = ask(backend, transport, REQUEST, note=notes.append)
        predictions = await asyncio.gather(first, second)
    finally:
        await transport.aclose()
    assert [prediction.failure for prediction in predictions] == [None, None]
    assert notes == ["the service does not take stream_options: usage is not asked for any longer"]
    assert sorted("stream_options" in orjson.loads(body) for body in server.bodies) == [
        False,
        False,
        True,
        True,
    ]


async def test_a_refusal_that_nothing_can_be_done_about_is_sent_once(serve):
    server = await serve([[sized(b'{"message": "too long"}', status=b"422 Unprocessable")]])
    backend = Chat(url=server.url)
    transport = open_transport(backend, TransportSettings(timeouts=Timeouts(), clock=lambda: 0, limit=2))
    prediction = await ask(backend, transport, REQUEST)
    await transport.aclose()
    assert prediction.failure == Failure("status", "HTTP 422: too long", 422)
    assert len(server.requests) == 1


async def test_a_single_request_gives_chunks_as_they_come_and_raises_at_the_end(serve):
    server = await serve(
        [chunked(event("4"), 0.05, event("2", finish="stop")), [*chunked(event("4"), end=False), "close"]]
    )
    backend = Chat(url=server.url)
    assert [chunk.text async for chunk in stream_once(backend, REQUEST)] == ["4", "2"]
    stream = stream_once(backend, REQUEST)
    assert (await anext(stream)).text == "4"
    with pytest.raises(AttemptFailed, match="the connection was closed in the middle of the reply"):
        await anext(stream)


async def test_leaving_a_single_request_early_closes_its_connection(serve):
    server = await serve([[*chunked(event("4"), end=False), "silence"]])
    stream = stream_once(Chat(url=server.url), REQUEST)
    assert (await anext(stream)).text == "4"
    await stream.aclose()
    await server.left_alone()


async def test_compressed_replies_are_read_although_identity_was_asked_for(serve):
    packed = gzip.compress(event("42", finish="stop"))
    server = await serve([chunked(packed[:15], 0.01, packed[15:], more=b"Content-Encoding: gzip\r\n")])
    assert [chunk.text async for chunk in stream_once(Chat(url=server.url), REQUEST)] == ["42"]


streams = st.lists(
    st.one_of(
        st.text(min_size=1, max_size=8).map(lambda text: event(text)),
        st.text(min_size=1, max_size=8).map(lambda text: event(reasoning=text)),
        st.sampled_from([b": ping\n\n", event("", role="assistant"), event("a", token_ids=[1, 2])]),
    ),
    max_size=8,
).map(lambda events: b"".join([*events, event(finish="stop", usage=(5, 7)), DONE]))


class Plain(Chat):
    """The same service, whose every event is parsed."""

    copies_text = False


@given(stream=streams, crlf=st.booleans(), data=st.data())
@settings(max_examples=80, deadline=None)
async def test_any_split_of_any_stream_gives_the_same_prediction(stream, crlf, data):
    wanted = await answer(stream, backend=Plain())
    if crlf:
        stream = stream.replace(b"\n", b"\r\n")
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    transport = whole(*(stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)))
    split = await ask(Chat(), transport, REQUEST, attempts=3)
    assert split.failure is None
    for name in ("text", "reasoning", "finish_reason", "usage"):
        assert getattr(split, name) == getattr(wanted, name)
    assert split.timing.chunk_kinds == wanted.timing.chunk_kinds
    assert split.timing.chunk_tokens == wanted.timing.chunk_tokens
    assert list(split.timing.chunk_ns) == sorted(split.timing.chunk_ns)

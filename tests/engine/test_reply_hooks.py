"""What a reply can be beside a stream of events: JSON by lines, texts that repeat, and backends that settle it."""

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
from minimal import Chat
from scripted import chunked, sized

from aisb._backend import HttpBackend, HttpCall, error_text
from aisb._errors import UsageError
from aisb._types import Chunk, Request
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._spec import Timeouts

REQUEST = Request("17", text="6 x 7?")


@dataclass(kw_only=True, eq=False)
class Repeating(HttpBackend):
    """A service that repeats all of its text, prompt included, in each JSON line."""

    prompt_form: ClassVar = "text"
    stream_format: ClassVar = "json"
    stream_end: ClassVar = "close"
    error_statuses: ClassVar = {"overloaded": 429}

    def encode(self, request):
        return HttpCall("/generate", {"prompt": request.text})

    def decode(self, event):
        return Chunk("content", whole=event["text"][0])

    def finalize(self, prediction, request):
        if prediction.text == "raise":
            raise LookupError("no such thing")
        return replace(prediction, text=prediction.text.removeprefix(request.text))


async def answer(serve, script):
    server = await serve([script])
    backend = Repeating(url=server.url)
    ticks = iter(range(1, 1 << 40))
    transport = open_transport(
        backend, TransportSettings(timeouts=Timeouts(), clock=lambda: next(ticks), limit=1)
    )
    try:
        return await ask(backend, transport, REQUEST)
    finally:
        await transport.aclose()


async def test_texts_that_repeat_are_not_doubled_and_the_backend_takes_the_prompt_away(serve):
    lines = [b'{"text": ["6 x 7?%s"]}\0' % said for said in (b" It", b" It is", b" It is 42")]
    made = await answer(serve, chunked(*lines, content_type=b"text/plain"))
    assert (made.text, made.failure) == (" It is 42", None)
    assert made.timing.chunk_kinds == ("content",) * 3
    assert made.timing.streamed


async def test_a_whole_document_is_told_from_a_stream_of_json_by_its_type(serve):
    made = await answer(serve, [sized(b'{\n "text": [\n  "6 x 7? 42"]\n}')])
    assert (made.text, made.timing.streamed) == (" 42", False)


async def test_a_json_stream_that_ends_inside_a_value_is_cut(serve):
    made = await answer(serve, chunked(b'{"text": ["a"]}\n{"te', content_type=b"text/plain"))
    assert (made.text, made.failure.kind) == ("a", "cut")
    assert made.failure.message == "the stream ends in the middle of an event: '{\"te'"


async def test_the_type_of_an_error_inside_a_reply_says_whether_to_try_again(serve):
    made = await answer(serve, [sized(b'{"error": "Model is overloaded", "error_type": "overloaded"}')])
    assert (made.failure.kind, made.failure.status) == ("status", 429)
    made = await answer(serve, [sized(b'{"error": "?", "error_type": "other"}')])
    assert made.failure.kind == "protocol"


async def test_a_backend_that_cannot_settle_a_reply_fails_that_request_alone(serve):
    made = await answer(serve, [sized(b'{"text": ["raise"]}')])
    assert made.failure.message == "the backend cannot finalize the reply (LookupError: no such thing)"


def test_a_map_of_adapters_names_the_one_for_each_sample(tmp_path):
    file = tmp_path / "lora.json"
    file.write_text('{"17": "sql", "18": 2}')
    backend = Chat(lora_map=str(file))
    assert [backend.adapter(Request(sample)) for sample in ("17", "18", "19")] == ["sql", "2", None]
    assert Chat().adapter(REQUEST) is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, "cannot be read: No such file or directory"),
        ("{", "is not JSON: Expecting property name"),
        ("[1]", 'must hold one JSON object, sample id to adapter: {"0": "sql", "1": "chat"}'),
    ],
)
def test_a_map_of_adapters_that_is_none_says_what_it_should_be(tmp_path, text, words):
    file = tmp_path / "lora.json"
    if text:
        file.write_text(text)
    with pytest.raises(UsageError) as caught:
        Chat(lora_map=str(file))
    assert str(caught.value).startswith(f"lora_map = {str(file)!r} ")
    assert words in str(caught.value)


def test_a_backend_without_log_probabilities_says_so_before_anything_is_sent():
    with pytest.raises(UsageError, match="Chat returns no log-probabilities of a prompt, which this task"):
        Chat().encode_logprob("a text")


async def test_a_stream_without_events_is_an_empty_answer_where_only_its_close_ends_it(serve):
    made = await answer(serve, chunked(content_type=b"text/event-stream"))
    assert (made.text, made.failure) == ("", None)
    made = await answer(serve, [sized(b"")])
    assert made.failure.message == "the reply is empty"


def test_an_error_that_stands_in_an_event_is_said_without_it():
    body = b'data: {"error":"Traceback (most recent call last):\\n  x\\nRuntimeError: out of memory"}\n\n'
    assert error_text(body) == "RuntimeError: out of memory"

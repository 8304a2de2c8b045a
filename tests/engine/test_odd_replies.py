"""Replies whose values are of no type that anyone expects: one request's failure, or a fact that is not known."""

import json
import time

import pytest
from scripted import chunked, sized

from aisb import Request
from aisb_backend_mindie import MindIEStream
from aisb_backend_openai import OpenAIChat, OpenAICompletions
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._record.log import decode, encode, extents
from aisb_engine._spec import Timeouts


async def asked(serve, factory, script, **timeouts):
    server = await serve([script])
    backend = factory(url=server.url, model="m")
    transport = open_transport(
        backend, TransportSettings(timeouts=Timeouts(**timeouts), clock=time.monotonic_ns, limit=1)
    )
    try:
        made = await ask(backend, transport, Request("17", text="6 x 7?"))
    finally:
        await transport.aclose()
    data = encode(made, final=True, session=0)
    ((start, end),) = extents(data)
    assert decode(memoryview(data)[start:end]).prediction.text == made.text  # the log keeps it
    return made


def stream(*choices, usage=None):
    events = [{"choices": [choice]} for choice in choices]
    events[-1] |= {"usage": usage} if usage else {}
    return chunked(*(b"data: %s\n\n" % json.dumps(event).encode() for event in events))


@pytest.mark.parametrize("text", [5, ["a"], {"a": 1}, True])
async def test_a_text_that_is_none_fails_its_request_and_keeps_what_had_come(serve, text):
    made = await asked(
        serve, OpenAICompletions, stream({"text": "It"}, {"text": text, "finish_reason": None})
    )
    assert made.text == "It"
    assert made.failure.kind == "protocol"
    assert f"(TypeError: {text!r} is not a string)" in made.failure.message


async def test_half_a_character_in_a_finish_reason_is_no_end_of_the_run(serve):
    event = b'data: {"token":{"id":[0],"text":"\\ud800"},"generated_text":"42","details":{"finish_reason":"\\ud800"}}\n\n'
    made = await asked(serve, MindIEStream, chunked(event))
    assert (made.text, made.finish_reason, made.failure) == ("42", "\ufffd", None)


@pytest.mark.parametrize("count", [-1, "7", 1.5, True, [7], 10**30])
async def test_a_count_that_is_none_is_not_known(serve, count):
    usage = {"prompt_tokens": count, "completion_tokens": 2}
    made = await asked(serve, OpenAICompletions, stream({"text": "42", "finish_reason": "stop"}, usage=usage))
    assert (made.usage.input_tokens, made.usage.output_tokens) == (None, 2)


async def test_half_a_character_and_line_ends_in_an_error_become_one_line(serve):
    body = b'{"error": {"message": "no\\n\\ud800 memory"}}'
    made = await asked(serve, OpenAICompletions, [sized(body, status=b"500 X")])
    assert made.failure.message == "HTTP 500: no \ufffd memory"


@pytest.mark.timeout(60)  # looking for each tag's end would take hours
async def test_a_large_error_page_with_nothing_closed_is_read_at_once(serve):
    page = b"<html>" + b"<script" * 300_000
    made = await asked(serve, OpenAICompletions, [sized(page, b"text/html", b"502 X")])
    assert made.failure.status == 502


async def test_an_event_that_the_backend_makes_nothing_of_counts_as_the_first_byte(serve):
    filtered = b'data: {"choices": [], "prompt_filter_results": []}\n\n'
    answer = b'data: {"choices": [{"text": "42", "finish_reason": "stop"}]}\n\n'
    made = await asked(serve, OpenAICompletions, chunked(filtered, 0.8, answer), first_byte=0.4)
    assert (made.text, made.failure) == ("42", None)


@pytest.mark.parametrize(
    "message",
    [
        '{"message":{"content":""},"finish_reason":"stop"}',
        '{"message":{"content":null,"refusal":"I will not."}}',
        '{"message":{"content":null,"reasoning_content":"hm"}}',
        '{"message":{"content":null,"tool_calls":[{"id":"1","function":{"name":"f","arguments":"{}"}}]}}',
    ],
)
async def test_a_reply_that_says_why_it_has_no_text_is_an_answer(serve, message):
    made = await asked(serve, OpenAIChat, [sized(f'{{"choices":[{message}]}}'.encode())])
    assert made.failure is None

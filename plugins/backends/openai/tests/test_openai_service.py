"""The translation over a real socket, where a service answers by what it is sent."""

import asyncio

import pytest

from aisb import AttemptFailed, Chunk, Failure, Request, Usage
from aisb_backend_openai import OpenAIChat, OpenAICompletions
from aisb_engine._http.assembly import stream_once

ROLE = 'data: {"choices": [{"index": 0, "delta": {"role": "assistant"}}]}\n\n'
ONE = 'data: {"choices": [{"index": 0, "delta": {"content": "4"}, "finish_reason": "stop"}]}\n\n'
USAGE = 'data: {"choices": [], "usage": {"prompt_tokens": 3, "completion_tokens": 1}}\n\n'
STREAM = {"content-type": "text/event-stream"}


async def ask(backend, **params):
    request = Request("0", text="2 + 2 =", params=params)
    return [chunk async for chunk in stream_once(backend, request)]


async def test_a_streamed_chat_comes_with_its_usage(answering):
    service = answering({"/v1/chat/completions": (200, ROLE + ONE + USAGE + "data: [DONE]\n\n", STREAM)})
    assert await ask(OpenAIChat(url=service.url)) == [
        Chunk("role"),
        Chunk("content", "4", finish_reason="stop"),
        Chunk("usage", usage=Usage(3, 1)),
    ]


async def test_a_streamed_request_may_be_answered_whole(answering):
    whole = {"choices": [{"message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}]}
    service = answering({"/v1/chat/completions": (200, whole)})
    assert await ask(OpenAIChat(url=service.url)) == [Chunk("content", "4", finish_reason="stop")]


async def test_a_service_without_stream_options_answers_all_who_asked_at_once(answering):
    def answer(body):
        if "stream_options" in body:
            return 422, {"detail": "Unexpected fields in the request: {'stream_options'}"}
        return 200, ONE, STREAM

    service = answering({"/v1/chat/completions": answer})
    backend = OpenAIChat(url=service.url)
    replies = await asyncio.gather(*(ask(backend) for _ in range(4)))
    assert replies == [[Chunk("content", "4", finish_reason="stop")]] * 4


async def test_a_service_that_knows_max_completion_tokens_alone_is_answered_in_its_words(answering):
    def answer(body):
        if "max_tokens" in body:
            words = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."
            return 400, {"error": {"message": words, "code": "unsupported_parameter"}}
        return 200, {"choices": [{"text": str(body["max_completion_tokens"]), "finish_reason": "length"}]}

    service = answering({"/v1/completions": answer})
    backend = OpenAICompletions(url=service.url, stream=False)
    assert await ask(backend, max_tokens=7) == [Chunk("content", "7", finish_reason="length")]


async def test_a_prompt_that_is_too_long_fails_with_the_services_words(answering):
    words = "'max_tokens' or 'max_completion_tokens' is too large: 9999. This model's maximum context length is 2048"
    service = answering({"/v1/chat/completions": (400, {"error": {"message": words, "code": 400}})})
    with pytest.raises(AttemptFailed) as raised:
        await ask(OpenAIChat(url=service.url), max_tokens=9999)
    assert raised.value.failure == Failure("status", f"HTTP 400: {words}", 400)
    assert len(service.asked) == 1

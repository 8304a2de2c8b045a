"""Every form in which services report a failure inside a reply that began as a success, and what is none.

The forms are those of the table in docs/servers.md.
"""

import orjson
import pytest
from played import Played

from aisb import Backend, Chunk
from aisb._types import Message, Request
from aisb_backend_mindie import MindIEStream
from aisb_backend_openai import OpenAIChat, OpenAICompletions
from aisb_backend_tgi import TGI, TGIStream
from aisb_backend_triton import Triton, TritonStream
from aisb_backend_vllm import VLLMChat, VLLMGenerate
from aisb_engine._http.assembly import ask
from aisb_engine._load.attempts import is_retryable
from aisb_engine._load.direct import ask_directly
from aisb_engine._stream.failures import failed_finish

DONE = b"data: [DONE]\n\n"


def data(event):
    return b"data: " + orjson.dumps(event) + b"\n\n"


def named(name, event):
    return (
        b"event: "
        + name
        + b"\n"
        + (b"data: " + orjson.dumps(event) + b"\n\n" if event is not None else b"\n")
    )


def said(text="4", **choice):
    return {"id": "c", "choices": [{"index": 0, "delta": {"content": text}, "finish_reason": None, **choice}]}


def wrote(text="4", **choice):
    return {"id": "c", "choices": [{"index": 0, "text": text, "finish_reason": None, **choice}]}


def ended(reason, **more):
    return {"id": "c", "choices": [{"index": 0, "delta": {}, "finish_reason": reason, **more}]}


OPENAI = {"message": "boom", "type": "InternalServerError", "param": None, "code": 500}
USAGE = data({"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 3}})
STREAM = data(said()) * 3
TGI_TOKENS = data({"index": 1, "token": {"id": 1, "text": "4", "special": False}, "generated_text": None}) * 3

CHAT = {
    # vLLM
    "vLLM": (data({"error": OPENAI}) + DONE, "status", 500),
    "vLLM, a bad request": (data({"error": OPENAI | {"code": 400}}) + DONE, "status", 400),
    "vLLM before 0.10": (data({"object": "error", **OPENAI}) + DONE, "status", 500),
    "vLLM, the engine aborts": (data(ended("abort")) + USAGE + DONE, "cut", 200),
    "vLLM, a block that could not be loaded": (data(ended("error")) + DONE, "protocol", 200),
    # SGLang
    "SGLang": (data({"error": {"object": "error", **OPENAI, "code": 503}}) + DONE, "status", 503),
    "SGLang, aborted": (data(ended("abort", matched_stop=None)) + DONE, "cut", 200),
    "SGLang, an exception": (data({"error": {"message": "boom"}}) + DONE, "protocol", 200),
    # TGI, by its chat API
    "TGI": (data({"error": {"message": "boom", "http_status_code": 422}}), "status", 422),
    "TGI, with its name": (named(b"error", {"error": "boom", "error_type": "generation"}), "protocol", 200),
    # TensorRT-LLM
    "TensorRT-LLM, cancelled": (data(ended("cancelled")) + DONE, "cut", 200),
    "TensorRT-LLM, timed out": (data(ended("timeout")) + DONE, "timeout", 200),
    "TensorRT-LLM, not finished": (data(ended("not_finished")) + DONE, "cut", 200),
    # llama.cpp
    "llama.cpp": (data({"error": {"code": 500, "message": "boom", "type": "server_error"}}), "status", 500),
    "llama.cpp, its own field": (b'error: {"code":503,"message":"boom","type":"unavailable_error"}\n\n', "status", 503),
    "llama.cpp, by type": (data({"error": {"message": "boom", "type": "exceed_context_size_error"}}), "status", 400),
    # Gateways
    "OpenRouter": (
        data(ended("error", native_finish_reason=None) | {"error": {"code": 502, "message": "boom"}}) + DONE,
        "status", 502,
    ),
    "OpenRouter, no finish": (data(said("") | {"error": {"code": 502, "message": "boom"}}) + DONE, "status", 502),
    "OpenRouter, by name": (
        data(ended("error") | {"error": {"code": "server_error", "message": "boom"}}) + DONE, "status", 500
    ),
    "an error in the choice": (data(ended("error", error={"code": 502, "message": "boom"})) + DONE, "status", 502),
    "an error in the choice, no finish": (data(said("", error={"message": "boom"})) + DONE, "protocol", 200),
    "an error in the delta": (data(ended(None, delta={"error": "boom"})) + DONE, "protocol", 200),
    "Groq": (data(ended("stop") | {"x_groq": {"id": "r", "error": "boom"}}) + DONE, "protocol", 200),
    "LiteLLM": (data({"error": {"message": "boom", "type": None, "param": None, "code": "429"}}) + DONE, "status", 429),
    "one-api": (data({"error": {"message": "boom", "type": "upstream_error", "code": "bad_response"}}), "status", 502),
    "Anthropic behind a gateway": (
        named(b"error", {"type": "error", "error": {"type": "overloaded_error", "message": "boom"}}), "status", 503
    ),
    "an event named error": (named(b"error", {"message": "boom", "status": 500}) + DONE, "status", 500),
    "an event named error, of text": (b"event: error\ndata: boom\n\n" + DONE, "protocol", 200),
    "an event named exception": (named(b"exception", {"detail": "boom"}) + DONE, "protocol", 200),
    "an event named response.failed": (named(b"response.failed", {"message": "boom"}) + DONE, "protocol", 200),
    "Dynamo": (b"event: error\n: boom\n\n", "protocol", 200),
    "DashScope": (
        b'id:1\nevent:error\n:HTTP_STATUS/429\ndata:{"code":"Throttling.RateQuota","message":"boom"}\n\n',
        "status", 429,
    ),
    "DashScope, without the event's name": (
        data({"code": "InvalidParameter", "message": "boom", "request_id": "r"}) + DONE, "status", 400
    ),
    "DeepSeek": (data(ended("insufficient_system_resource")) + USAGE + DONE, "status", 503),
    "Zhipu": (data(ended("network_error")) + DONE, "protocol", 200),
    "Mistral": (data(ended("error")) + DONE, "protocol", 200),
    "MiniMax": (data({"base_resp": {"status_code": 1002, "status_msg": "boom"}}) + DONE, "protocol", 200),
    "Qianfan": (data({"error_code": 336100, "error_msg": "boom"}) + DONE, "protocol", 200),
    "Gemini": (data({"error": {"code": 429, "message": "boom", "status": "RESOURCE_EXHAUSTED"}}), "status", 429),
    "gRPC behind a gateway": (data({"error": {"message": "boom", "status": "UNAVAILABLE"}}), "status", 503),
    "FastAPI": (data({"detail": "boom"}) + DONE, "protocol", 200),
    "RFC 9457": (data({"type": "about:blank", "title": "boom", "status": 503}) + DONE, "status", 503),
    "a status alone": (data({"id": "boom", "code": "502"}) + DONE, "status", 502),
    "no success": (data({"success": False, "message": "boom"}) + DONE, "protocol", 200),
    "FastChat": (data({"text": "boom", "error_code": 50001}) + DONE, "protocol", 200),
    "a finish reason with its message": (data(ended("error: boom")) + DONE, "protocol", 200),
    "an exception": (data({"exception": "boom"}) + DONE, "protocol", 200),
    "a short name": (data({"err": "boom", "code": 500}) + DONE, "status", 500),
    "a text": (data({"error": "boom"}) + DONE, "protocol", 200),
    "a list": (data({"errors": [{"message": "boom", "code": 7003}], "success": False}) + DONE, "protocol", 200),
    "in a bare line": (b'{"error": {"code": 500, "message": "boom"}}\n\n', "status", 500),
    "a word for a code": (data({"error": {"message": "boom", "code": "rate_limit_exceeded"}}) + DONE, "status", 429),
}  # fmt: skip


def prompt(backend):
    if backend.prompt_form == "chat":
        return Request("17", messages=(Message("user", "6 x 7?"),))
    return Request("17", text="6 x 7?")


async def answer(backend, body, content_type="text/event-stream"):
    return await ask(
        backend, Played([(10 + at, piece) for at, piece in enumerate(body)], headers={"content-type": content_type}),
        prompt(backend),
    )  # fmt: skip


def check(made, kind, status):
    assert made.failure is not None
    assert (made.failure.kind, made.failure.status) == (kind, status)
    assert is_retryable(made.failure) == (kind != "status" or status >= 429)


@pytest.mark.parametrize("backend", [VLLMChat, OpenAIChat])
@pytest.mark.parametrize("name", CHAT)
async def test_a_failed_chat_stream_is_a_failure_of_the_right_kind(name, backend):
    events, kind, status = CHAT[name]
    made = await answer(backend(url="http://h", model="m"), [STREAM, events])
    check(made, kind, status)
    assert made.text == "444"
    if b"boom" in events:
        assert "boom" in made.failure.message
    first = await answer(backend(url="http://h", model="m"), [events])
    check(first, kind, status)


@pytest.mark.parametrize("name", [name for name in CHAT if b'"choices"' in CHAT[name][0]])
async def test_a_failed_completion_is_one_too_streamed_and_whole(name):
    events, kind, status = CHAT[name]
    whole = events.partition(b"data: ")[2].partition(b"\n")[0]
    made = await answer(OpenAICompletions(url="http://h", model="m"), [data(wrote()), events])
    check(made, kind, status)
    backend = OpenAIChat(url="http://h", model="m", stream=False)
    check(await answer(backend, [whole], "application/json"), kind, status)


OTHERS = {
    "TGI": (TGIStream, TGI_TOKENS + data({"error": "boom", "error_type": "generation"}), "status", 500),
    "TGI, overloaded": (TGIStream, data({"error": "boom", "error_type": "overloaded"}), "status", 429),
    "TGI, named": (TGIStream, TGI_TOKENS + named(b"error", {"error": "boom", "error_type": "generation"}), "status", 500),
    "TGI, flat": (TGIStream, TGI_TOKENS + data({"message": "boom", "code": 503}), "status", 503),
    "TGI, in the details": (
        TGIStream, TGI_TOKENS + data({"token": None, "generated_text": "444", "details": {"finish_reason": "error"}}),
        "protocol", 200,
    ),
    "TGI, whole": (TGI, b'{"generated_text": "", "details": {"finish_reason": "abort"}}', "cut", 200),
    "MindIE": (MindIEStream, data({"error": "boom", "error_type": "incomplete_generation"}), "status", 500),
    "Triton": (TritonStream, data({"text_output": "4"}) + data({"error": "boom"}), "protocol", 200),
    "Triton, beside a text": (TritonStream, data({"text_output": "", "error": "boom"}), "protocol", 200),
    "Triton, in the details": (
        TritonStream, data({"text_output": "4", "details": {"finish_reason": "timeout"}}), "timeout", 200
    ),
    "Triton, whole": (Triton, b'{"error": "boom"}', "protocol", 200),
    "vLLM, /generate": (VLLMGenerate, b'{"error": {"code": 500, "message": "boom"}}', "status", 500),
    "SGLang, /generate": (
        VLLMGenerate,
        b'{"text": "4", "meta_info": {"finish_reason": {"type": "abort", "message": "boom", "status_code": 503}}}',
        "status", 503,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", OTHERS)
async def test_a_failure_inside_a_reply_of_another_api_is_one(name):
    factory, body, kind, status = OTHERS[name]
    streamed = body.startswith((b"data", b"event"))
    made = await answer(
        factory(url="http://h", model="m"), [body], "text/event-stream" if streamed else "application/json"
    )
    check(made, kind, status)


FINE = {
    "nothing under error": said() | {"error": None},
    "an empty error": said() | {"error": {}},
    "an error that says there is none": said() | {"error": {"code": 0, "message": "success"}},
    "FastDeploy": said() | {"error_code": 200, "error_msg": "Success"},
    "MiniMax": said() | {"base_resp": {"status_code": 0, "status_msg": ""}},
    "a text about errors": said('{"error": {"code": 500}}'),
    "the arguments of a call": said(
        "4", delta={"content": "4", "tool_calls": [
            {"index": 0, "function": {"name": "raise", "arguments": {"error": "boom"}}}]}
    ),
    "Azure's filter could not run": said(
        content_filter_result={"error": {"code": "content_filter_error", "message": "The contents are not filtered"}}
    ),
    "log-probabilities": said(logprobs={"content": [{"token": "error", "logprob": -1, "top_logprobs": []}]}),
    "a ping": {"type": "ping"},
    "OpenRouter tells its provider": said() | {"provider": "Error Corp", "error_rate": 0.5},
    "a code of its own": said() | {"code": 429, "message": "ok"},
    "an event that says nothing": {"id": "c", "status": "queued"},
}  # fmt: skip


@pytest.mark.parametrize("name", FINE)
async def test_what_is_no_failure_stays_an_answer(name):
    body = [STREAM, data(FINE[name]), data(ended("stop")), DONE]
    made = await answer(OpenAIChat(url="http://h", model="m"), body)
    assert made.failure is None
    assert made.text.startswith("444")


@pytest.mark.parametrize("name", [b"message", b"completion", b"chunk", b"ping", b"terror"])
async def test_an_event_of_another_name_is_none(name):
    made = await answer(
        OpenAIChat(url="http://h", model="m"), [named(name, said()), data(ended("stop")), DONE]
    )
    assert (made.text, made.failure) == ("4", None)


@pytest.mark.parametrize(
    ("reason", "read"),
    [
        ("stop", "stop"), ("length", "length"), ("repetition", "repetition"), ("eos", "eos"),
        ("content_filter", "content_filter"), ("sensitive", "content_filter"), ("model_length", "length"),
        ("model_context_window_exceeded", "length"), ("tool_calls", "tool_calls"), ("recover_stop", "recover_stop"),
    ],
)  # fmt: skip
async def test_a_reason_that_ends_an_answer_is_no_failure(reason, read):
    made = await answer(OpenAIChat(url="http://h", model="m"), [data(said()), data(ended(reason)), DONE])
    assert (made.finish_reason, made.failure) == (read, None)


def test_the_reasons_of_failures_are_read_however_they_are_written():
    for reason in ("ABORT", "Error", "timed out", "user-cancel", "server_error", "ERROR_LIMIT", "preempt"):
        assert failed_finish(reason) is not None
    for reason in (None, "", "stop", "END_TURN", "terror", "errorless"):
        assert failed_finish(reason) is None


class Local(Backend):
    """A model of this process, whose engine aborts."""

    stream = True

    async def generate(self, request):
        yield Chunk("content", "4", tokens=1)
        yield Chunk("finish", finish_reason="abort")


async def test_a_local_model_whose_engine_aborts_fails_too():
    made = await ask_directly(Local(), Request("17", text="?"), clock=iter(range(99)).__next__)
    assert (made.failure.kind, made.text) == ("cut", "4")

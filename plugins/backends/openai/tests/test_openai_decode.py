import pytest

from aisb import AttemptFailed, Chunk, Failure, Usage
from aisb_backend_openai import OpenAIChat, OpenAICompletions

chat = OpenAIChat().decode
completion = OpenAICompletions().decode


def event(delta, finish=None, **more):
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": delta, "finish_reason": finish}],
        **more,
    }


def reply(message, finish="stop", usage=None):
    return {
        "object": "chat.completion",
        "choices": [{"index": 0, "message": {"role": "assistant", **message}, "finish_reason": finish}],
        "usage": usage,
    }


def text_event(text, finish=None, **more):
    return {
        "object": "text_completion",
        "choices": [{"index": 0, "text": text, "logprobs": None, "finish_reason": finish}],
        **more,
    }


def decoded(decode, *events):
    return [decode(event) for event in events]


def test_a_chat_stream_of_llama_cpp():
    usage = {
        "completion_tokens": 2,
        "prompt_tokens": 32,
        "total_tokens": 34,
        "prompt_tokens_details": {"cached_tokens": 31},
    }
    assert decoded(
        chat,
        event({"role": "assistant", "content": None}),
        event({"content": "I"}),
        event({"content": "'m"}),
        event({}, "length"),
        {
            "choices": [],
            "object": "chat.completion.chunk",
            "usage": usage,
            "timings": {"prompt_n": 1, "predicted_n": 2},
        },
    ) == [
        Chunk("role"),
        Chunk("content", "I"),
        Chunk("content", "'m"),
        Chunk("finish", finish_reason="length"),
        Chunk("usage", usage=Usage(32, 2, cached_tokens=31)),
    ]


def test_a_chat_stream_of_vllm():
    assert decoded(
        chat,
        event({"role": "assistant", "content": ""}, prompt_token_ids=None),
        event({"content": "Four"}),
        event({"content": ""}, "stop", usage=None),
        {
            "choices": [],
            "usage": {
                "prompt_tokens": 9,
                "total_tokens": 10,
                "completion_tokens": 1,
                "prompt_tokens_details": None,
            },
        },
    ) == [
        Chunk("role"),
        Chunk("content", "Four"),
        Chunk("finish", finish_reason="stop"),
        Chunk("usage", usage=Usage(9, 1)),
    ]


def test_the_last_token_may_come_with_the_finish_reason():
    assert chat(event({"content": " end"}, "length")) == Chunk("content", " end", finish_reason="length")


def test_the_streams_of_transformers_serve_leave_out_what_is_null():
    def bare(**choice):
        return {"choices": [{"index": 0, **choice}], "model": "m@main", "system_fingerprint": ""}

    usage = {"completion_tokens": 1, "prompt_tokens": 32, "total_tokens": 33}
    finish = Chunk("finish", finish_reason="length", usage=Usage(32, 1))
    assert decoded(
        chat,
        bare(delta={"role": "assistant"}),
        bare(delta={"content": "I"}),
        bare(delta={}, finish_reason="length") | {"usage": usage},
    ) == [Chunk("role"), Chunk("content", "I"), finish]
    assert decoded(
        completion, bare(text=" Paris"), bare(text="", finish_reason="length") | {"usage": usage}
    ) == [Chunk("content", " Paris"), finish]


def test_usage_that_runs_along_leaves_the_kinds_as_they_are():
    usage = {"prompt_tokens": 5, "completion_tokens": 1, "total_tokens": 6}
    assert decoded(
        chat, event({"role": "assistant", "content": ""}, usage=usage), event({"content": "a"}, usage=usage)
    ) == [Chunk("role", usage=Usage(5, 1)), Chunk("content", "a", usage=Usage(5, 1))]


@pytest.mark.parametrize("name", ["reasoning_content", "reasoning"])
def test_reasoning_goes_by_two_names(name):
    assert decoded(chat, event({name: "Hm"}), event({name: " end", "content": "4"})) == [
        Chunk("reasoning", reasoning="Hm"),
        Chunk("content", "4", " end"),
    ]


def test_reasoning_cut_by_length():
    assert chat(event({"reasoning_content": "Hm"}, "length")) == Chunk(
        "reasoning", reasoning="Hm", finish_reason="length"
    )


def test_content_in_parts_as_mistral_sends_it():
    thinking = {"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}
    assert decoded(
        chat, event({"content": [thinking]}), event({"content": [{"type": "text", "text": "4"}]})
    ) == [
        Chunk("reasoning", reasoning="Hm"),
        Chunk("content", "4"),
    ]


def test_an_empty_chunk_is_no_token():
    assert decoded(
        chat, event({"content": ""}), event({"role": "assistant", "content": "", "refusal": None})
    ) == [
        Chunk("role"),
        Chunk("role"),
    ]


def test_log_probabilities_and_token_ids_say_how_many_tokens_a_chunk_holds():
    with_logprobs = event({"content": "abc"})
    with_logprobs["choices"][0]["logprobs"] = {
        "content": [{"token": "ab", "logprob": -1}, {"token": "c", "logprob": -1}]
    }
    with_ids = event({"content": "abc"})
    with_ids["choices"][0]["token_ids"] = [7, 8, 9]
    assert [chunk.tokens for chunk in decoded(chat, with_logprobs, with_ids)] == [2, 3]


def test_a_refusal_of_openai_ends_as_content_filter():
    assert decoded(chat, event({"refusal": "I can"}), event({"refusal": "not."})) == [
        Chunk("content", "I can", finish_reason="content_filter"),
        Chunk("content", "not.", finish_reason="content_filter"),
    ]
    assert chat(reply({"content": None, "refusal": "I cannot."})) == Chunk(
        "content", "I cannot.", finish_reason="content_filter"
    )


def test_streamed_tool_calls_are_deltas():
    first = {
        "index": 0,
        "id": "call_1",
        "type": "function",
        "function": {"name": "get_weather", "arguments": ""},
    }
    more = {"index": 0, "function": {"arguments": '{"city":'}}
    assert decoded(
        chat,
        event({"role": "assistant", "content": None, "tool_calls": [first]}),
        event({"tool_calls": [more]}),
        event({}, "tool_calls"),
    ) == [
        Chunk("tool", tool_calls=({"index": 0, "id": "call_1", "name": "get_weather", "arguments": ""},)),
        Chunk("tool", tool_calls=({"index": 0, "arguments": '{"city":'},)),
        Chunk("finish", finish_reason="tool_calls"),
    ]


def test_a_function_call_of_the_older_form_is_a_tool_call():
    assert decoded(
        chat,
        event({"role": "assistant", "content": None, "function_call": {"name": "f", "arguments": ""}}),
        event({"function_call": {"arguments": '{"x":'}}),
        event({"content": "a", "function_call": None}),
        event({}, "function_call"),
    ) == [
        Chunk("tool", tool_calls=({"index": 0, "name": "f", "arguments": ""},)),
        Chunk("tool", tool_calls=({"index": 0, "arguments": '{"x":'},)),
        Chunk("content", "a"),
        Chunk("finish", finish_reason="tool_calls"),
    ]
    call = {"name": "f", "arguments": '{"x": 1}'}
    assert chat(reply({"content": None, "function_call": call}, "function_call")) == Chunk(
        "tool", finish_reason="tool_calls", tool_calls=({"index": 0, "name": "f", "arguments": '{"x": 1}'},)
    )


@pytest.mark.parametrize("decode", [chat, completion])
def test_the_usage_of_groq_is_inside_an_object_of_its_own(decode):
    usage = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7, "queue_time": 0.1}
    groq = {"id": "req_1", "usage": usage}
    assert decode(event({}, "stop", x_groq=groq)) == Chunk("finish", finish_reason="stop", usage=Usage(5, 2))
    assert decode({"choices": [], "x_groq": groq}) == Chunk("usage", usage=Usage(5, 2))
    for other in ({"id": "req_1"}, {"usage": "none"}, None):
        assert decode({"choices": [], "x_groq": other}) is None
    assert chat(event({"content": "a"}, x_groq={"id": "req_1"})) == Chunk("content", "a")


def test_whole_tool_calls_are_numbered_in_their_order():
    calls = [
        {"id": "a", "type": "function", "function": {"name": "f", "arguments": '{"x": 1}'}},
        {"id": "b", "type": "function", "function": {"name": "g", "arguments": {"y": "é"}}},
    ]
    assert chat(reply({"content": None, "tool_calls": calls}, "tool_calls")) == Chunk(
        "tool",
        finish_reason="tool_calls",
        tool_calls=(
            {"index": 0, "id": "a", "name": "f", "arguments": '{"x": 1}'},
            {"index": 1, "id": "b", "name": "g", "arguments": '{"y": "é"}'},
        ),
    )


def test_a_whole_reply_of_a_reasoning_model_of_openai():
    usage = {
        "prompt_tokens": 11,
        "completion_tokens": 80,
        "total_tokens": 91,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 64, "accepted_prediction_tokens": 0},
    }
    assert chat(reply({"content": "4", "refusal": None, "annotations": []}, usage=usage)) == Chunk(
        "content", "4", finish_reason="stop", usage=Usage(11, 80, 0, 64)
    )


def test_a_whole_reply_may_hold_reasoning_and_content():
    whole = reply(
        {"content": "4", "reasoning_content": "2 + 2", "tool_calls": []},
        usage={"prompt_tokens": 3, "completion_tokens": 4},
    )
    assert chat(whole) == Chunk("content", "4", "2 + 2", finish_reason="stop", usage=Usage(3, 4))


def test_a_whole_reply_without_content_is_an_empty_answer():
    assert chat(reply({"content": None}, "length")) == Chunk("finish", finish_reason="length")


def test_what_an_azure_gateway_sends_first_says_nothing():
    assert chat({"id": "", "model": "", "choices": [], "prompt_filter_results": []}) is None


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        ("stop", "stop"),
        ("function_call", "tool_calls"),
        ("eos_token", "stop"),
        ("stop_sequence", "stop"),
        ("abort", "abort"),
    ],
)
def test_finish_reasons_come_in_one_vocabulary(theirs, ours):
    assert chat(event({}, theirs)).finish_reason == ours


def test_a_completions_stream_of_llama_cpp():
    usage = {
        "completion_tokens": 1,
        "prompt_tokens": 5,
        "total_tokens": 6,
        "prompt_tokens_details": {"cached_tokens": 0},
    }
    assert decoded(
        completion,
        text_event(" Paris"),
        text_event(""),
        text_event("", "length", usage=usage, timings={"predicted_n": 1}),
    ) == [
        Chunk("content", " Paris"),
        Chunk("role"),
        Chunk("finish", finish_reason="length", usage=Usage(5, 1, 0)),
    ]


def test_a_completions_stream_of_vllm():
    usage = {"prompt_tokens": 5, "total_tokens": 7, "completion_tokens": 2}
    assert decoded(
        completion,
        text_event(" Paris", usage=None),
        text_event(".", "stop", stop_reason=None),
        {"object": "text_completion", "choices": [], "usage": usage},
    ) == [
        Chunk("content", " Paris"),
        Chunk("content", ".", finish_reason="stop"),
        Chunk("usage", usage=Usage(5, 2)),
    ]


def test_a_whole_completion():
    usage = {"prompt_tokens": 5, "total_tokens": 7, "completion_tokens": 2}
    assert completion(text_event(" Paris.", "stop", usage=usage)) == Chunk(
        "content", " Paris.", finish_reason="stop", usage=Usage(5, 2)
    )


@pytest.mark.parametrize(
    "logprobs",
    [{"tokens": [" a", " b"], "token_logprobs": [-1, -2]}, {"content": [{"token": " a"}, {"token": " b"}]}],
)
def test_log_probabilities_of_completions_come_in_two_shapes(logprobs):
    one = text_event(" a b")
    one["choices"][0]["logprobs"] = logprobs
    assert completion(one) == Chunk("content", " a b", tokens=2)


@pytest.mark.parametrize("decode", [chat, completion])
@pytest.mark.parametrize(
    ("said", "failure"),
    [
        ({"error": {"message": "out of memory", "type": "server_error", "code": 500}}, Failure("status", "out of memory", 500)),
        ({"error": {"message": "slow down", "code": "429"}}, Failure("status", "slow down", 429)),
        ({"error": {"message": "no", "code": "model_not_found"}}, Failure("protocol", "no")),
        ({"error": "timed out"}, Failure("protocol", "timed out")),
        ({"error": {"reason": "?"}}, Failure("protocol", "{'reason': '?'}")),
        ({"object": "error", "message": "too long", "type": "BadRequestError", "code": 400}, Failure("status", "too long", 400)),
        (event({"content": ""}, "error", error={"code": 502, "message": "the provider is gone"}), Failure("status", "the provider is gone", 502)),
    ],
)  # fmt: skip
def test_an_error_inside_a_successful_reply_is_a_failure(decode, said, failure):
    with pytest.raises(AttemptFailed) as raised:
        decode(said)
    assert raised.value.failure == failure


def test_a_whole_reply_of_another_api_is_a_failure():
    with pytest.raises(AttemptFailed) as raised:
        OpenAIChat(stream=False).decode({"generated_text": "Hi"})
    assert raised.value.failure == Failure(
        "protocol", "the reply has no choices, so it is not of this API: {'generated_text': 'Hi'}"
    )

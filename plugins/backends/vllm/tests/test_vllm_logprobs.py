"""Log-probabilities of prompts, as vLLM gives them and as an echo gives them."""

import json

import pytest

from aisb import AttemptFailed, Message, TokenScores, UsageError
from aisb_backend_vllm import VLLMChat, VLLMCompletions
from aisb_engine._http.likelihood import continuation
from aisb_mock import MockOptions, start_mock

# What vLLM answers to {"prompt": "The sky is blue", "prompt_logprobs": 1}: the prompt's own token first, and
# the likeliest one next to it where it is another.
POSITIONS = {
    "choices": [
        {
            "text": ".",
            "prompt_logprobs": [
                None,
                {
                    "6013": {"logprob": -8.5, "rank": 301, "decoded_token": " sky"},
                    "198": {"logprob": -1.25, "rank": 1, "decoded_token": "\n"},
                },
                {"314": {"logprob": -0.5, "rank": 1, "decoded_token": " is"}},
                {"3892": {"logprob": -2.0, "rank": 1, "decoded_token": " blue"}},
            ],
        }
    ]
}
ECHO = {
    "choices": [
        {
            "text": "The sky is blue!",
            "logprobs": {
                "tokens": ["The", " sky", " is", " blue", "!"],
                "token_logprobs": [None, -8.5, -0.5, -2.0, -3.0],
                "top_logprobs": [None, {"\n": -1.25}, {" is": -0.5}, {" blue": -2.0}, {".": -1.0}],
            },
        }
    ],
    "usage": {"prompt_tokens": 4, "completion_tokens": 1},
}


def test_vllm_is_asked_for_the_likeliest_token_beside_each():
    call = VLLMCompletions(model="m").encode_logprob("The sky")
    assert call.path == "/v1/completions"
    assert call.body == {
        "model": "m", "prompt": "The sky", "temperature": 0, "stream": False, "prompt_logprobs": 1, "max_tokens": 1
    }  # fmt: skip


def test_an_echo_generates_nothing():
    body = VLLMCompletions(model="m", prompt_scores="echo").encode_logprob("The sky").body
    assert {name: body[name] for name in ("echo", "logprobs", "max_tokens")} == {
        "echo": True, "logprobs": 1, "max_tokens": 0
    }  # fmt: skip


def test_the_prompts_own_tokens_are_taken_out_of_their_positions():
    assert VLLMCompletions().decode_logprob(POSITIONS) == TokenScores(
        (None, 6013, 314, 3892), (None, -8.5, -0.5, -2.0), (False, False, True, True)
    )


def test_an_echo_is_read_without_what_was_generated_unasked():
    assert VLLMCompletions().decode_logprob(ECHO) == TokenScores(
        ("The", " sky", " is", " blue"), (None, -8.5, -0.5, -2.0), (False, False, True, True)
    )


@pytest.mark.parametrize("reply", [POSITIONS, ECHO])
def test_a_continuation_is_scored_from_either_form(reply):
    whole = VLLMCompletions().decode_logprob(reply)
    context = TokenScores(whole.tokens[:2], whole.logprobs[:2], whole.greedy[:2])
    scored = continuation(context, whole)
    assert (scored.total, scored.tokens, scored.greedy, scored.merged) == (-2.5, 2, True, 0)


def test_a_service_that_ignores_the_request_is_said_and_not_asked_again():
    with pytest.raises(
        AttemptFailed, match="the service ignored the request for log-probabilities"
    ) as caught:
        VLLMCompletions().decode_logprob({"choices": [{"text": "."}]})
    assert caught.value.failure.kind == "refused"


def test_a_chat_api_is_asked_with_an_option_as_the_beginning_of_the_assistants_turn():
    call = VLLMChat(model="m").encode_logprob([Message("user", "Which?"), Message("assistant", " blue")])
    assert call.path == "/v1/chat/completions"
    assert call.body == {
        "model": "m",
        "messages": [{"role": "user", "content": "Which?"}, {"role": "assistant", "content": " blue"}],
        "prompt_logprobs": 1,
        "max_tokens": 1,
        "temperature": 0,
        "stream": False,
        "continue_final_message": True,
        "add_generation_prompt": False,
    }
    alone = VLLMChat(model="m").encode_logprob("Which?").body
    assert "add_generation_prompt" not in alone  # the assistant's turn begins where the option will stand


def test_a_completions_api_is_asked_of_texts():
    with pytest.raises(UsageError, match="of a text, not of messages"):
        VLLMCompletions(model="m").encode_logprob([Message("user", "Which?")])


@pytest.mark.parametrize("form", ["prompt_logprobs", "echo"])
async def test_the_right_continuation_is_the_likelier_one_over_a_socket(tmp_path, form):
    answers = tmp_path / "answers.jsonl"
    answers.write_text('{"question": "What colour is a clear sky?", "answer": "blue"}\n')
    context = "What colour is a clear sky? It is"
    scored = []
    with start_mock(MockOptions(answers=str(answers))) as mock:
        backend = VLLMCompletions(url=mock.url, model="mock", prompt_scores=form)
        for text in (context, f"{context} blue", f"{context} green"):
            call = backend.encode_logprob(text)
            answer = await backend.fetch(call.path, body=call.body)
            scored.append(backend.decode_logprob(json.loads(answer.body)))
    blue, green = (continuation(scored[0], whole) for whole in scored[1:])
    assert (blue.tokens, blue.greedy, blue.merged) == (1, True, 0)
    assert blue.total > green.total

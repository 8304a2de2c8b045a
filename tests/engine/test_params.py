"""Names and values of generation parameters: no false alarm for what services really take."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar, Literal

import pytest

from aisb import Backend, Chunk, ConfigError, Request
from aisb_engine._resolve.params import KNOWN_PARAMS, check_values, misspellings, unknown_to

OF_SERVICES = (
    *(
        "n",
        "best_of",
        "echo",
        "suffix",
        "user",
        "store",
        "metadata",
        "service_tier",
        "modalities",
        "prediction",
    ),
    *("parallel_tool_calls", "stream_options", "prompt_cache_key", "verbosity", "web_search_options"),
    *("use_beam_search", "length_penalty", "include_stop_str_in_output", "spaces_between_special_tokens"),
    *(
        "truncate_prompt_tokens",
        "prompt_logprobs",
        "guided_json",
        "guided_regex",
        "guided_choice",
        "priority",
    ),
    *("bad_words", "allowed_token_ids", "add_generation_prompt", "continue_final_message", "documents"),
    *("return_tokens_as_token_ids", "vllm_xargs", "kv_transfer_params", "structured_outputs", "thinking"),
    *("regex", "ebnf", "json_schema", "no_stop_trim", "separate_reasoning", "stream_reasoning", "lora_path"),
    *("n_predict", "n_keep", "tfs_z", "mirostat", "mirostat_tau", "mirostat_eta", "grammar", "cache_prompt"),
    *(
        "repeat_penalty",
        "repeat_last_n",
        "dynatemp_range",
        "samplers",
        "min_keep",
        "n_probs",
        "dry_multiplier",
    ),
    *("decoder_input_details", "details", "return_full_text", "top_n_tokens", "truncate", "watermark"),
    *("grammar_type", "priority", "timeout", "batch_size", "stop_words", "random_seed", "beam_width"),
    *("end_id", "pad_id", "len_penalty", "return_log_probs", "embedding_bias_words", "num_beams"),
    *("eos_token_id", "pad_token_id", "no_repeat_ngram_size", "max_length", "min_length", "min_new_tokens"),
    *("max_output_tokens", "max_tokens_to_sample", "system", "tool_config", "safety_settings", "top_a"),
)


class Passing(Backend):
    """Passes everything through."""

    params: ClassVar[frozenset[str] | Literal["any"]] = "any"

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        yield Chunk("content", request.sample_id)


class Choosy(Passing):
    """Sends one parameter."""

    params: ClassVar[frozenset[str] | Literal["any"]] = frozenset({"seed"})


def test_no_name_that_a_service_knows_looks_misspelt() -> None:
    assert misspellings(Passing(), (*OF_SERVICES, *KNOWN_PARAMS)) == []


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("temprature", "temperature"),
        ("Temperature", "temperature"),
        ("max_token", "max_tokens"),
        ("max-tokens", "max_tokens"),
        ("topp", "top_p"),
        ("top-k", "top_k"),
        ("repetion_penalty", "repetition_penalty"),
        ("presence_penality", "presence_penalty"),
        ("stops", "stop"),
        ("seeed", "seed"),
        ("ignore_eso", "ignore_eos"),
    ],
)
def test_a_name_nearly_right_is_pointed_out_where_names_pass_through(name: str, near: str) -> None:
    assert misspellings(Passing(), [name]) == [f"params.{name} is sent unchanged; did you mean {near!r}?"]
    assert misspellings(Choosy(), [name]) == []


def test_the_number_of_repeats_is_never_a_backends_matter() -> None:
    assert unknown_to(Choosy(), ["seed", "num_return_sequences", "temperature"]) == ["temperature"]
    assert unknown_to(Passing(), ["anything"]) == []


def test_values_that_services_take_are_let_through() -> None:
    check_values({name: known.example for name, known in KNOWN_PARAMS.items()})
    check_values(dict.fromkeys(KNOWN_PARAMS))
    check_values(
        {"temperature": 0, "top_p": 1, "top_k": -1, "min_p": 0.0, "seed": -1, "stop": "x", "logprobs": True}
    )
    check_values(
        {"logit_bias": [[15043, False]], "ignore_eos": 1, "tool_choice": {"type": "function"}, "other": "x"}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("temperature", True),
        ("temperature", float("nan")),
        ("temperature", "0.7"),
        ("top_k", 1.5),
        ("min_p", -0.1),
        ("stop", [1]),
        ("stop_token_ids", "2"),
        ("tools", "search"),
        ("response_format", "json"),
        ("chat_template_kwargs", [1]),
        ("logit_bias", 3),
    ],
)
def test_values_that_no_service_takes_are_refused(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"params.{name}: must be "):
        check_values({name: value})

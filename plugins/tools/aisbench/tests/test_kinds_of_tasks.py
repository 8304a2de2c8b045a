"""Tasks of other kinds than the usual ones: likelihoods, token ids, conversations, prompts of one's own."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from aisb_mock import MockProcess


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a byte-level tokenizer that knows a few words."""
    folder = tmp_path_factory.mktemp("model")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(vocab_size=300, initial_alphabet=alphabet, show_progress=False)
    made.train_from_iterator(["over the hills and far away"], trainer)
    made.save(str(folder / "tokenizer.json"))
    return folder


def sent(pattern: str = "*") -> list[str]:
    """Return the user turns that were sent, by the log of the run."""
    (path,) = Path().glob(f"outputs/default/{pattern}/aisb/predictions/*/*.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [line["origin_prompt"][0]["content"] for line in lines]


def test_likelihoods_are_compared_on_a_chat_service(ais_bench, work: Path, service: MockProcess) -> None:
    Path("datasets/ARC/ARC-c").mkdir(parents=True)
    choices = [{"label": label, "text": text} for label, text in zip("ABCD", "wxyz", strict=True)]
    row = {"id": "1", "question": {"stem": "Which?", "choices": choices}, "answerKey": "B"}
    Path("datasets/ARC/ARC-c/ARC-Challenge-Test.jsonl").write_text(json.dumps(row) + "\n", encoding="utf-8")
    words = ("--models", "vllm_api_general_chat", "--datasets", "ARC_c_ppl_0_shot_str")
    ended = ais_bench(*words, "--url", service.url)
    assert " ppl " in ended.out
    (path,) = Path().glob("outputs/default/*/predictions/vllm-api-general-chat/ARC-c.jsonl")
    entry = json.loads(path.read_text(encoding="utf-8"))
    assert [one["label"] for one in entry["ppl_list"]] == list("ABCD")
    assert entry["prediction"] == min(entry["ppl_list"], key=lambda one: one["ppl"])["label"]


def test_token_ids_are_sent_to_a_chat_service_as_their_text(
    ais_bench, work: Path, service: MockProcess, tokenizer: Path
) -> None:
    words = ("--models", "vllm_api_stream_chat", "--datasets", "synthetic_gen_tokenid", "--url", service.url)
    ais_bench(*words, "--set", f"model.tokenizer={tokenizer}", "--num-prompts", "3", "--mode", "infer")
    assert len(sent()) == 3
    assert all(text and not text.startswith("[") for text in sent())


def test_token_ids_without_a_tokenizer_are_refused_and_leave_no_folder(
    ais_bench, work: Path, service: MockProcess
) -> None:
    words = ("--models", "vllm_api_stream_chat", "--datasets", "synthetic_gen_tokenid", "--url", service.url)
    said = ais_bench(*words, "--set", "task.dataset.vocabulary=1000", "--mode", "perf", code=2)
    assert "a task of token ids needs a text (completions) endpoint, without a system text; or" in said.err
    assert "failed" not in said.err
    assert not list(Path().glob("outputs/default/*"))


@pytest.mark.parametrize(
    ("mode", "tokens"),
    [
        ("every", [1, "more"]),  # "One?", then with the model's answer and "Two?"
        ("every_with_gt", [1, 3]),  # "One?", then with "Yes." and "Two?"
        ("last", [3]),
    ],
)
def test_conversations_are_asked_in_the_three_modes(
    ais_bench, work: Path, service: MockProcess, mode: str, tokens: list[int | str]
) -> None:
    said = [("human", "One?"), ("gpt", "Yes."), ("human", "Two?"), ("gpt", "No.")]
    talk = {"id": "a", "conversations": [{"from": who, "value": text} for who, text in said]}
    Path("datasets/sharegpt").mkdir()
    Path("datasets/sharegpt/ShareGPT_V3_unfiltered_cleaned_split.json").write_text(json.dumps([talk]))
    Path("configs/datasets").mkdir(parents=True)
    Path("configs/datasets/talks.py").write_text(
        "from mmengine.config import read_base\n"
        "with read_base():\n    from .sharegpt_gen import sharegpt_datasets\n"
        f"sharegpt_datasets[0]['infer_cfg']['inferencer'].update(infer_mode={mode!r})\n",
        encoding="utf-8",
    )
    words = ("--models", "vllm_api_stream_chat_multiturn", "--datasets", "talks", "--url", service.url)
    ais_bench(*words, "--mode", "infer")
    (path,) = Path().glob("outputs/default/*/aisb/predictions/*/*.jsonl")
    lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    asked = [line["usage"]["input_tokens"] for line in lines]
    assert [count if count < 9 else "more" for count in asked] == tokens


def test_a_changed_prompt_of_an_included_config_has_its_fields(
    ais_bench, work: Path, service: MockProcess
) -> None:
    def ask(prompt: str, code: int = 0) -> Any:
        Path("configs/datasets").mkdir(parents=True, exist_ok=True)
        Path("configs/datasets/changed.py").write_text(
            "from mmengine import read_base\n"
            "with read_base():\n    from .gsm8k_gen_0_shot_cot_chat_prompt import gsm8k_datasets\n"
            "gsm8k_datasets[0]['infer_cfg']['prompt_template'] = dict(template=dict(round=[dict(role='HUMAN', "
            f"prompt={prompt!r})]))\n",
            encoding="utf-8",
        )
        words = ("--models", "vllm_api_general_chat", "--datasets", "changed", "--num-prompts", "1")
        return ais_bench(*words, "--url", service.url, code=code)

    ask("Work out: {question}")
    (path,) = Path().glob("outputs/default/*/predictions/*/gsm8k.json")
    assert json.loads(path.read_bytes())["0"]["origin_prompt"][0]["prompt"] == "Work out: What is 1 + 1?"
    said = ask("Work out: {query}", code=2).err
    assert "task.prompt.user" in said
    assert "query" in said
    assert len(list(Path().glob("outputs/default/*"))) == 1  # nothing was sent

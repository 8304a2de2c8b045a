"""Prompts, compared with the config files of AISBench where a copy of its repository is at hand.

`AISB_REFERENCE` names the copy, and `AISB_DATA` the data; what has no data here is passed over. A config file is read,
not run: what its templates say around their fields must stand in the prompt of aisb, in order, once for each example,
from the first character to the last, turn by turn.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from itertools import takewhile
from pathlib import Path
from typing import Any

import pytest

from aisb import AisbError, Request, Sample, UnknownName
from aisb_cli.index import explain_name
from aisb_compat_aisbench._abbrs import group_of
from aisb_compat_aisbench._files import data_sets, find_config, read_config
from aisb_compat_aisbench._known import known_datasets
from aisb_engine import Catalog, DataFolders, Plugins, Resolver, RunInput, Selection
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer

CONFIGS = "ais_bench/benchmark/configs"
TASKS_PAGE = Path(__file__).parents[4] / "docs/tasks.md"
LISTED = (
    "sanitized_mbpp_passk_gen_3_shot_chat_prompt", "mbpp_passk_gen_3_shot_chat_prompt",
    "demo_gsm8k_gen_4_shot_cot_chat_prompt", "needlebench_v2_*", "race_gen", "atc_0shot_nocot_2_power_en",
    "longbench_qasper_gen*", "longbench_multi_news_gen*", "longbenchv2_gen*",
)  # fmt: skip
"""Names whose prompts differ, as docs/tasks.md says."""


class Comparison:
    """Compares the prompts of the tasks that are installed with the templates of config files."""

    def __init__(self, reference: Path, data: Path) -> None:
        self.configs = reference / CONFIGS
        self.folders = DataFolders([data])
        self.plugins = Plugins.load(explain=explain_name)
        self.catalog = Catalog(self.plugins)
        self.resolver = Resolver(self.plugins, self.catalog, RunInput())
        self.compared: list[str] = []

    def differences(self) -> dict[str, str]:
        """Return what each config says that the prompt of its task does not; those without data are passed over."""
        return {name: found for name in known_datasets()["datasets"] if (found := self.difference(name))}

    def difference(self, name: str) -> str | None:
        """Return the first words of a config's templates that are not in the prompt of its task."""
        path = find_config("datasets", name, [self.configs])
        if path is None or any(fnmatch(name, pattern) for pattern in LISTED):
            return None
        try:
            self.catalog.find("task", Selection.parse(name))
        except UnknownName:  # not offered
            return None
        try:
            configs = data_sets(read_config(path, [self.configs]))
        except AisbError as error:
            return f"the config file is not read: {error}"
        try:
            prompts = [*self._prompts(name, [str(config["abbr"]) for config in configs])]
        except AisbError:  # no data here
            return None
        for config, prompt in zip(configs, prompts, strict=True):
            if prompt is not None:
                self.compared.append(str(config["abbr"]))
                if words := first_difference(template_of(config), prompt):
                    return f"{config['abbr']}: {words}"
        return None

    def _prompts(self, name: str, abbrs: list[str]) -> Iterator[str | None]:
        """Yield the prompt of the first sample of each data set of a config, None without a sample of it."""
        task = self.resolver.show(name)
        loaded = load_samples(task, self.plugins, self.folders)
        renderer = Renderer(task, self.plugins, self.folders, files=loaded.files)
        first: dict[str | None, Sample] = {}
        for sample in loaded:
            first.setdefault(sample.group, sample)
            first.setdefault(None, sample)
        for abbr in abbrs:
            found = first.get(group_of(task.name, abbr))
            yield text_of(renderer.request(found)) if found is not None else None


FIELD, TURN = "\x00", "\x01"
"""What stands for a field in the text of a template, and between two messages."""


def first_difference(template: str, prompt: str) -> str | None:
    """Return what a template says between two of its fields that is not in a prompt, in order; None if all is."""
    first, *others = template.split(FIELD)
    if not prompt.startswith(first):
        return f"{first!r} is not the beginning of {prompt[:400]!r}"
    place = len(first)
    for words in filter(None, others):
        found = prompt.find(words, place)
        if found < 0:
            return f"{words!r} is not in {prompt[place : place + 400]!r}"
        place = found + len(words)
    if others and others[-1] and not prompt.endswith(others[-1]):
        return f"{others[-1]!r} is not the end of {prompt[-400:]!r}"
    return None


def text_of(request: Request) -> str:
    """Return all that a request says, with the first option of one that compares likelihoods."""
    if request.text is not None:
        return request.text + "".join(request.continuations[:1])
    texts = []
    for message in request.messages or ():
        content = message.content
        texts.append(content if isinstance(content, str) else "".join(part.value for part in content))
    return TURN.join([*texts, *request.continuations[:1]])


def template_of(config: Mapping[str, Any]) -> str:
    """Return the text that a config's templates make, examples before the question, with marks for its fields."""
    infer, reader = config["infer_cfg"], config.get("reader_cfg") or {}
    columns = reader.get("input_columns") or []
    inputs = [columns] if isinstance(columns, str) else [*columns]
    output = str(reader.get("output_column") or "")
    retriever = infer.get("retriever") or {}
    compares = str(getattr(infer["inferencer"].get("type"), "path", "")).endswith("PPLInferencer")
    mark = re.compile("|".join(rf"\{{{re.escape(name)}\}}" for name in [*inputs, output] if name) or "(?!)")
    example = (infer.get("ice_template") or {}).get("template")
    asked = (infer.get("prompt_template") or infer.get("ice_template") or {}).get("template")
    shown = [example] * len(retriever.get("fix_id_list") or ())
    if isinstance(_first_option(asked), str):
        examples = "\n".join(_shared(template) for template in shown) + "\n" if shown else ""
        return mark.sub(FIELD, str(_first_option(asked)).replace("</E>", examples))
    turns = [*_turns(_first_option(asked).get("begin"))]
    turns += [turn for template in shown for turn in _shared_turns(template)]
    turns += _turns(_first_option(asked)["round"])
    if not compares and turns[-1][0] == "BOT":  # the model's own turn is not sent
        turns.pop()
    merged: list[tuple[str, str]] = []
    for role, text in turns:
        if merged and merged[-1][0] == role:
            merged[-1] = (role, f"{merged[-1][1]}\n{text}")
        else:
            merged.append((role, text))
    return mark.sub(FIELD, TURN.join(text for _, text in merged))


def _first_option(template: Any) -> Any:
    """Return a template, or that of the first option of one by option."""
    if isinstance(template, Mapping) and not {"begin", "round"} & template.keys():
        return next(iter(template.values()))
    return template


def _shared(template: Any) -> str:
    """Return the text of an example, with a field for what differs between options."""
    texts = [template] if isinstance(template, str) else [str(text) for text in template.values()]
    texts = [text.replace("</E>", "") for text in texts]
    if len(set(texts)) == 1:
        return texts[0]
    begin = _shared_beginning(texts)
    end = _shared_beginning([text[len(begin) :][::-1] for text in texts])[::-1]
    return f"{begin}{FIELD}{end}"


def _shared_beginning(texts: list[str]) -> str:
    return "".join(
        signs[0] for signs in takewhile(lambda signs: len(set(signs)) == 1, zip(*texts, strict=False))
    )


def _shared_turns(template: Mapping[str, Any]) -> list[tuple[str, str]]:
    if "round" in template:
        return _turns(template["round"])
    by_option = [_turns(option["round"]) for option in template.values()]
    return [
        (parts[0][0], _shared({str(place): text for place, (_, text) in enumerate(parts)}))
        for parts in zip(*by_option, strict=True)
    ]


def _turns(given: Any) -> list[tuple[str, str]]:
    """Return the turns of a section, each with its role; a mark for the examples is none."""
    parts = [given] if isinstance(given, (str, Mapping)) else given or []
    return [(str(part["role"]), _said(part)) for part in parts if isinstance(part, Mapping)]


def _said(part: Mapping[str, Any]) -> str:
    return str((part.get("prompt_mm") or {}).get("text", {}).get("text", "") or part.get("prompt", ""))


@pytest.mark.skipif(
    "AISB_REFERENCE" not in os.environ, reason="AISB_REFERENCE names no copy of the repository of AISBench"
)
@pytest.mark.data
def test_all_prompts_are_those_of_the_config_files() -> None:
    comparison = Comparison(Path(os.environ["AISB_REFERENCE"]), Path(os.environ.get("AISB_DATA", "datasets")))
    differences = comparison.differences()
    assert comparison.compared, "no config file has its data here: set AISB_DATA"
    assert differences == {}


def test_every_prompt_that_differs_is_listed() -> None:
    page = TASKS_PAGE.read_text("utf-8")
    for pattern in LISTED:
        assert f"`{pattern.replace('*', '…')}`" in page


CONFIG = """\
from ais_bench.benchmark.openicl.icl_prompt_template import PromptTemplate
from ais_bench.benchmark.openicl.icl_retriever import {retriever}
from ais_bench.benchmark.openicl.icl_inferencer import GenInferencer
from ais_bench.benchmark.datasets import GSM8KDataset

gsm8k_datasets = [dict(
    abbr='gsm8k', type=GSM8KDataset, path='ais_bench/datasets/gsm8k',
    reader_cfg=dict(input_columns=['question'], output_column='answer'),
    infer_cfg=dict({infer}, inferencer=dict(type=GenInferencer)),
)]
"""
CHAT = (
    "prompt_template=dict(type=PromptTemplate, template=dict(round=["
    "dict(role='HUMAN', prompt='Answer the following question.The last line of the response should follow this format: "
    '"answer:$ANSWER" (without quotes), where ANSWER is a number. {words}\\n\\nQuestion: {{question}}\'),'
    "dict(role='BOT', prompt='')])), retriever=dict(type=ZeroRetriever)"
)
EXAMPLES = (
    "ice_template=dict(type=PromptTemplate, template='Question: {{question}}\\nLet\\'s think step by step\\nAnswer:\\n{{answer}}\\n'),"
    "prompt_template=dict(type=PromptTemplate, template='</E>Question: {{question}}\\nLet\\'s think step by step\\n{words}\\n',"
    " ice_token='</E>'), retriever=dict(type=FixKRetriever, fix_id_list=[0, 4, 5, 8])"
)


def compare(work: Path, name: str, retriever: str, infer: str) -> str | None:
    path = work / "reference" / CONFIGS / f"datasets/gsm8k/{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONFIG.format(retriever=retriever, infer=infer), encoding="utf-8")
    comparison = Comparison(work / "reference", work / "datasets")
    difference = comparison.difference(name)
    assert comparison.compared == ["gsm8k"]
    return difference


@pytest.mark.parametrize(
    ("name", "retriever", "infer", "same", "other"),
    [
        ("gsm8k_gen_0_shot_cot_chat_prompt", "ZeroRetriever", CHAT, "Let\\'s think step by step.", "Think."),
        ("gsm8k_gen_4_shot_cot_str", "FixKRetriever", EXAMPLES, "Answer:", "Reply:"),
    ],
)
def test_a_prompt_that_differs_is_found(
    work: Path, name: str, retriever: str, infer: str, same: str, other: str
) -> None:
    assert compare(work, name, retriever, infer.format(words=same)) is None
    difference = compare(work, name, retriever, infer.format(words=other))
    assert difference is not None
    assert other in difference


def test_a_config_without_data_is_passed_over(work: Path) -> None:
    (work / "datasets/gsm8k/test.jsonl").write_text(json.dumps({}) + "\n", encoding="utf-8")
    path = work / "reference" / CONFIGS / "datasets/gsm8k/gsm8k_gen_4_shot_cot_str.py"
    path.parent.mkdir(parents=True)
    path.write_text(
        CONFIG.format(retriever="FixKRetriever", infer=EXAMPLES.format(words="x")), encoding="utf-8"
    )
    comparison = Comparison(work / "reference", work / "nothing")
    assert (comparison.differences(), comparison.compared) == ({}, [])

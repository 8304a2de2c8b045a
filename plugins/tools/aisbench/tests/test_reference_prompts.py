"""Prompts, compared with the config files of AISBench where a copy of its repository is at hand.

`AISB_REFERENCE` names the copy, and `AISB_DATA` the data; what has no data here is passed over. A config file is read,
not run: what its templates say around their fields must stand in the prompt of aisb, in order, once for each example.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest

from aisb import AisbError, Request, UnknownName
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
    "sanitized_mbpp_passk_gen_3_shot_chat_prompt", "mbpp_passk_gen_3_shot_chat_prompt", "leval_code_u_gen",
    "leval_topic_retrieval_gen", "needlebench_v2_*", "atc_*",
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
            config = data_sets(read_config(path, [self.configs]))[0]
        except (AisbError, IndexError) as error:
            return f"the config file is not read: {error}"
        try:
            request = self._request(name, str(config["abbr"]))
        except AisbError:  # no data here
            return None
        self.compared.append(name)
        prompt = text_of(request)
        place = 0
        for words in said_around_fields(config):
            found = prompt.find(words, place)
            if found < 0:
                return f"{words!r} is not in {prompt[place : place + 400]!r}"
            place = found + len(words)
        return None

    def _request(self, name: str, abbr: str) -> Request:
        task = self.resolver.show(name)
        loaded = load_samples(task, self.plugins, self.folders)
        group = group_of(task.name, abbr)
        samples = [sample for sample in loaded if group is None or sample.group == group]
        renderer = Renderer(task, self.plugins, self.folders, files=loaded.files)
        return renderer.request(samples[0])


def text_of(request: Request) -> str:
    """Return all that a request says, with the first option of one that compares likelihoods."""
    texts = [request.text or ""]
    for message in request.messages or ():
        content = message.content
        texts.append(content if isinstance(content, str) else "".join(part.value for part in content))
    return "\n".join(filter(None, texts)) + "".join(request.continuations[:1])


def said_around_fields(config: Mapping[str, Any]) -> Iterator[str]:
    """Yield what templates say between their fields: those of the examples, then that of the question."""
    infer, reader = config["infer_cfg"], config.get("reader_cfg") or {}
    columns = reader.get("input_columns") or []
    names = [*([columns] if isinstance(columns, str) else columns), reader.get("output_column") or ""]
    fields = re.compile("|".join([*(rf"\{{{re.escape(name)}\}}" for name in names if name), "</E>"]))
    examples = (infer.get("retriever") or {}).get("fix_id_list") or ()
    asked = infer.get("prompt_template") or {}
    example = infer.get("ice_template") or asked
    begin = [*_texts({"begin": _template(asked).get("begin")})] if isinstance(_template(asked), dict) else []
    for text in begin:
        yield from _between(fields, text)
    for _ in examples:
        for text in _texts(_without_begin(_template(example))):
            yield from _between(fields, text)
    if infer.get("prompt_template") is not None:
        for text in _texts(_without_begin(_template(asked))):
            yield from _between(fields, text)


def _template(table: Any) -> Any:
    template = table.get("template") if isinstance(table, Mapping) else table
    if isinstance(template, Mapping) and not {"begin", "round"} & template.keys():
        return next(iter(template.values()), "")  # by option: that of the first
    return template


def _without_begin(template: Any) -> Any:
    if isinstance(template, Mapping):
        return {key: value for key, value in template.items() if key != "begin"}
    return template


def _texts(template: Any) -> Iterator[str]:
    if isinstance(template, str):
        yield template
    elif isinstance(template, Mapping):
        for part in (template.get("begin"), template.get("round"), template.get("prompt")):
            yield from _texts(part)
    elif isinstance(template, (list, tuple)):
        for part in template:
            yield from _texts(part)


def _between(fields: re.Pattern[str], text: str) -> Iterator[str]:
    yield from (words for words in fields.split(text) if words.strip())


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
        if pattern != "atc_*":
            assert f"`{pattern.replace('*', '…')}`" in page


CONFIG = """\
from ais_bench.benchmark.openicl.icl_prompt_template import PromptTemplate
from ais_bench.benchmark.openicl.icl_retriever import {retriever}
from ais_bench.benchmark.datasets import GSM8KDataset

gsm8k_datasets = [dict(
    abbr='gsm8k', type=GSM8KDataset, path='ais_bench/datasets/gsm8k',
    reader_cfg=dict(input_columns=['question'], output_column='answer'),
    infer_cfg=dict({infer}),
)]
"""
CHAT = (
    "prompt_template=dict(type=PromptTemplate, template=dict(round=["
    "dict(role='HUMAN', prompt='Answer the following question.The last line of the response should follow this format: "
    '"answer:$ANSWER" (without quotes), where ANSWER is a number. {words}\\n\\nQuestion: {{question}}\'),'
    "dict(role='BOT', prompt='')])), retriever=dict(type=ZeroRetriever)"
)
EXAMPLES = (
    "ice_template=dict(type=PromptTemplate, template='Question: {{question}}\\nLet\\'s think step by step\\nAnswer:\\n{{answer}}'),"
    "prompt_template=dict(type=PromptTemplate, template='</E>Question: {{question}}\\nLet\\'s think step by step\\n{words}',"
    " ice_token='</E>'), retriever=dict(type=FixKRetriever, fix_id_list=[0, 4, 5, 8])"
)


def compare(work: Path, name: str, retriever: str, infer: str) -> str | None:
    path = work / "reference" / CONFIGS / f"datasets/gsm8k/{name}.py"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(CONFIG.format(retriever=retriever, infer=infer), encoding="utf-8")
    comparison = Comparison(work / "reference", work / "datasets")
    difference = comparison.difference(name)
    assert comparison.compared == [name]
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

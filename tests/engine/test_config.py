"""Names, files, flags and --set become one resolved run, in the order of the layers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import tomli_w

from aisb._errors import ConfigError, UnknownName, UsageError
from aisb._plugins import Plugins
from aisb_engine._resolve.config import RunInput, resolve
from aisb_engine._resolve.names import safe_name
from aisb_engine._resolve.tables import Setting, overlay
from aisb_engine._spec import RunSpec


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.load()


def write(path: Path, table: dict[str, Any]) -> Path:
    path.write_text(tomli_w.dumps(table))
    return path


def run(plugins: Plugins, models: str = "sim", datasets: str = "demo_gsm8k", **asked: Any) -> RunSpec:
    return resolve(plugins, RunInput(models=[models], datasets=[datasets], **asked))


def test_names_are_separated_by_commas_spaces_and_flags(plugins: Plugins) -> None:
    spec = resolve(
        plugins,
        RunInput(models=["vllm_api_general_chat,vllm_api_stream_chat", "sim"], datasets=["demo_gsm8k gsm8k"]),
    )
    assert list(spec.models) == ["vllm-api-general-chat", "vllm-api-stream-chat", "sim"]
    assert list(spec.tasks) == ["demo_gsm8k", "gsm8k"]
    assert len(spec.subtasks) == 6


def test_the_reference_systems_names_work(plugins: Plugins) -> None:
    spec = run(plugins, "vllm_api_general_stream", "gsm8k_gen_4_shot_cot_str")
    assert spec.models["vllm-api-general-stream"].backend == "vllm-completions"
    assert spec.tasks["gsm8k"].prompt.shots == 4
    assert spec.tasks["gsm8k"].prompt.style == "text"


def test_two_selections_of_one_task_are_named_apart_by_their_variants(plugins: Plugins) -> None:
    spec = run(plugins, datasets="gsm8k:zero-shot gsm8k:text gsm8k:text")
    assert list(spec.tasks) == ["gsm8k-zero-shot", "gsm8k-text"]


def test_layers_stand_above_each_other_from_file_to_set(plugins: Plugins, tmp_path: Path) -> None:
    own = write(
        tmp_path / "aisb.toml",
        {
            "models": {"sim": {"params": {"top_p": 0.5, "temperature": 0.2, "top_k": 3}}},
            "tasks": {"demo_gsm8k": {"params": {"top_p": 0.1}, "prompt": {"shots": 1}}},
            "load": {"concurrency": 3, "retries": 7},
        },
    )
    spec = run(
        plugins,
        file=own,
        params={"max_tokens": 100},
        load={"concurrency": 9},
        sets=["params.temperature=0.9", "tasks.demo_gsm8k.params.stop=['x']", "models.sim.params.min_p=0.1"],
    )
    (subtask,) = spec.subtasks
    assert subtask.merged == {
        "max_tokens": 100,
        "top_p": 0.5,
        "top_k": 3,
        "temperature": 0.9,
        "stop": ["x"],
        "min_p": 0.1,
    }
    assert subtask.forced == {"max_tokens": 100, "temperature": 0.9, "stop": ["x"], "min_p": 0.1}
    assert (subtask.load.concurrency, subtask.load.retries) == (9, 7)
    assert spec.tasks["demo_gsm8k"].prompt.shots == 1


def test_an_empty_value_unsets_a_key(plugins: Plugins) -> None:
    assert run(plugins, sets=["params.max_tokens="]).subtasks[0].merged == {}
    assert run(plugins, sets=["task.prompt.shots="]).tasks["demo_gsm8k"].prompt.shots == 0


def test_a_list_is_replaced_whole(plugins: Plugins) -> None:
    spec = run(plugins, sets=['task.postprocess=[{use="last-number"}]'])
    assert [step.use for step in spec.tasks["demo_gsm8k"].postprocess] == ["last-number"]


def test_words_of_the_reference_system_are_taken_in_model_files(plugins: Plugins, tmp_path: Path) -> None:
    own = write(
        tmp_path / "aisb.toml",
        {
            "models": {
                "mine": {
                    "backend": "sim",
                    "max_out_len": 77,
                    "generation_kwargs": {"temperature": 0.6},
                    "batch_size": 5,
                    "accuracy": 0.5,
                }
            }
        },
    )
    spec = run(plugins, "mine", file=own)
    assert spec.models["mine"].options == {"accuracy": 0.5}
    assert spec.subtasks[0].merged == {"max_tokens": 77, "temperature": 0.6}
    assert spec.subtasks[0].load.concurrency == 5


def test_a_model_of_ones_own_begins_with_an_installed_one(plugins: Plugins, tmp_path: Path) -> None:
    own = write(
        tmp_path / "aisb.toml",
        {
            "models": {
                "qwen.7b": {"base": "vllm_api_stream_chat", "url": "http://127.0.0.1:9", "model": "qwen"}
            }
        },
    )
    model = run(plugins, "qwen.7b", file=own).models["qwen.7b"]
    assert (model.backend, model.options["url"], model.options["model"]) == (
        "vllm-chat",
        "http://127.0.0.1:9",
        "qwen",
    )


def test_a_resolved_run_resolves_to_itself(plugins: Plugins, tmp_path: Path) -> None:
    from aisb_engine._run_config import resolved

    first = run(
        plugins,
        "vllm_api_stream_chat sim",
        "demo_gsm8k gsm8k:zero-shot",
        params={"max_tokens": 9},
        sets=["task.prompt.shots="],
        load={"num_prompts": 3},
    )
    own = write(tmp_path / "resolved.toml", resolved(first))
    again = resolve(plugins, RunInput(file=own))
    assert resolved(again) == resolved(first)
    assert again.subtasks == first.subtasks


@pytest.mark.parametrize(
    ("asked", "error", "text"),
    [
        ({"models": "vllm_api_stream_cha"}, UnknownName, "no model named 'vllm_api_stream_cha'; did you mean 'vllm_api_stream_chat'?"),
        ({"datasets": "demo_gsm8"}, UnknownName, "no task named 'demo_gsm8'; did you mean 'demo_gsm8k'?"),
        ({"datasets": "gsm8k:zero"}, UnknownName, "no variant of gsm8k named 'zero'"),
        ({"datasets": "gsm8k:a:b"}, ConfigError, "a selection is NAME[:variant][:field=value+value]"),
        ({"models": "", "datasets": ""}, UsageError, "names); --url URL takes a service"),
        ({"sets": ["task.promt.shots=0"]}, ConfigError, "tasks.demo_gsm8k.promt: there is no such key; did you mean 'prompt'?"),
        ({"sets": ["task.prompt.shot_count=0"]}, ConfigError, "tasks.demo_gsm8k.prompt.shot_count: there is no such key; did you mean"),
        ({"sets": ["task.prompt.shots=-1"]}, ConfigError, "tasks.demo_gsm8k.prompt.shots: input should be greater than or equal to 0 (it is -1)"),
        ({"sets": ["task.prompt.shot=1"]}, ConfigError, "tasks.demo_gsm8k.prompt.shot: input should be a valid string (it is 1); did you mean 'shots'?"),
        ({"sets": ["modle.url=x"]}, ConfigError, "modle.url: a path begins with model., task., load., params., run., judge., launcher., models.NAME. or tasks.NAME.; did you mean 'model'?"),
        ({"sets": ["task=1"]}, ConfigError, "task: is a whole table; name a key in it"),
        ({"sets": ["tasks.gsm8k.prompt.shots=1"]}, ConfigError, "'gsm8k' is not selected; did you mean 'demo_gsm8k'?"),
        ({"sets": ["nonsense"]}, ConfigError, "--set nonsense: is not PATH=VALUE"),
        ({"sets": ["a b.c=1"]}, ConfigError, "a b.c: is not a path of keys with dots between them"),
        ({"sets": ["task.prompt.user.x=1"]}, ConfigError, "prompt.user is a value, not a table"),
        ({"sets": ["model.acuracy=0.5"]}, ConfigError, "models.sim.options.acuracy"),
        ({"sets": ["load.concurrency=0"]}, ConfigError, "load.concurrency: input should be greater than or equal to 1 (it is 0)"),
        ({"sets": ["params.n=4"]}, ConfigError, "sim/demo_gsm8k: params.n: 4: several answers in one reply cannot be timed or resumed; write num_return_sequences = 4, which sends a request for each"),
        ({"sets": ["params.best_of=2"]}, ConfigError, "params.best_of: 2: several answers in one reply"),
        ({"sets": ["params.stream=false"]}, ConfigError, "params.stream: whether replies are streamed is an option of the model, not a parameter; write stream = true or false under [options]"),
        ({"sets": ["params.max_tokens=0"]}, ConfigError, "params.max_tokens: must be a whole number of at least 1 (it is 0)"),
        ({"sets": ["model.api_key='sk-1'"]}, ConfigError, "an API key does not belong in a configuration"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_with_its_path(
    plugins: Plugins, asked: dict[str, Any], error: type[UsageError], text: str
) -> None:
    with pytest.raises(error) as caught:
        run(plugins, **asked)
    assert text in str(caught.value)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[run\n", "is not a TOML file"),
        ("[modles.x]\n", "modles: there is no such table; did you mean 'models'?"),
        ("[models.x]\nabbr = 'x'\n", "models.x.backend: this key is required"),
        ("[run]\nmodel = ['sim']\n", "run.model: there is no such key; did you mean 'models'?"),
    ],
)
def test_a_wrong_file_is_named_with_what_is_wrong(
    plugins: Plugins, tmp_path: Path, text: str, words: str
) -> None:
    file = tmp_path / "aisb.toml"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        resolve(plugins, RunInput(models=["x"], datasets=["demo_gsm8k"], file=file))
    assert words in str(caught.value)


def test_a_missing_file_is_named(plugins: Plugins, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"absent\.toml: cannot be read: No such file or directory"):
        run(plugins, file=tmp_path / "absent.toml")


@pytest.mark.parametrize(
    ("name", "safe"),
    [("../../etc", "etc"), ("a/b", "a-b"), (".hidden", "hidden"), ("模型", "模型"), ("a\x00\n", "a"), ("", "unnamed"), ("..", "unnamed")],
)  # fmt: skip
def test_a_name_that_would_leave_its_folder_is_made_safe(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_values_are_read_as_toml_and_else_as_strings() -> None:
    assert Setting.parse("params.stop=[1, 'a']").value == [1, "a"]
    assert Setting.parse("model.url=http://h:1/v1").value == "http://h:1/v1"
    assert Setting.parse("params.x=true").value is True
    assert Setting.parse('models."qwen2.5".url=x').path == ("models", "qwen2.5", "url")


def test_tables_merge_and_all_else_is_replaced() -> None:
    assert overlay({"a": {"b": 1, "c": [1]}}, {"a": {"c": [2]}, "d": 3}) == {"a": {"b": 1, "c": [2]}, "d": 3}


def test_a_log_likelihood_task_needs_options_to_compare(plugins: Plugins, tmp_path: Path) -> None:
    task = {
        "summary": "Endings",
        "mode": "logprob",
        "dataset": {"path": "a.jsonl"},
        "sample": {"choices": "{endings}", "target_index": "{label}"},
        "logprob": {"continuation": " {choice}", "normalise": "bytes"},
    }
    file = write(tmp_path / "aisb.toml", {"tasks": {"endings": task}})
    assert run(plugins, datasets="endings", file=file).tasks["endings"].logprob.normalise == "bytes"
    del task["sample"]
    write(file, {"tasks": {"endings": task}})
    with pytest.raises(ConfigError, match=r"mode is 'logprob', but sample.choices .* is not set"):
        run(plugins, datasets="endings", file=file)

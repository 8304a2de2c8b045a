"""What a backend does not send is refused where a user sets it, and said where a task does.

Every test runs the real command with an installed plugin, and looks at what the service received.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from forked import run_forked
from unpacked import install

from aisb_testing._fixtures import Answering

PLUGIN = Path(__file__).parents[1] / "distributions" / "sends"
SAYS = {"/say": (200, {"say": "It has 4 letters."})}
CHAT = {"choices": [{"index": 0, "message": {"role": "assistant", "content": "4"}, "finish_reason": "stop"}]}


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder where the plugin of these tests is installed."""
    return install(tmp_path_factory.mktemp("installed"), PLUGIN)


@pytest.fixture
def service(answering: Callable[..., Answering]) -> Answering:
    """A service that the parrots speak to."""
    return answering(SAYS)


@pytest.fixture
def aisb(plugin: Path, service: Answering, tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run `aisb run` with a model and a task of the plugin; the last words stand above the first."""

    def run(model: str, task: str, *words: str) -> subprocess.CompletedProcess[str]:
        command = ["--models", model, "--datasets", task, "--url", service.url, *words]
        return run_forked(
            [sys.executable, "-m", "aisb_cli.main", "run", *command],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
            env={**os.environ, "PYTHONPATH": str(plugin), "AISB_BLOCK": "", "NO_COLOR": "1"},
        )

    return run


def only(folder: Path, pattern: str) -> Path:
    """Return the one file of a pattern in the one run of a folder."""
    (file,) = folder.glob(f"outputs/default/2*/{pattern}")
    return file


def sent(service: Answering) -> list[Any]:
    """Return the parameters of each request that the service received."""
    return [body["params"] for body in service.bodies]


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("params.temperature=0.3", "params.temperature: the backend parrot does not send it"),
        ("params.nonsense=3", "params.nonsense: the backend parrot does not send it"),
        ("model.params.seed=7", "params.seed: the backend parrot does not send it"),
        ("tasks.letters.params.seed=7", "params.seed: the backend parrot does not send it"),
        ("model.options.path=/no/such/path", "models.parrot.options.path: no such option"),
        ("model.options.lora_map=x.json", "models.parrot.options.lora_map: no such option"),
        ("model.options.model=gpt-9", "models.parrot.options.model: no such option"),
    ],
)
def test_what_a_backend_does_not_have_is_refused_before_the_first_request(
    aisb: Callable[..., Any], service: Answering, tmp_path: Path, setting: str, words: str
) -> None:
    ended = aisb("parrot", "letters", "--set", setting)
    assert ended.returncode == 2
    assert words in ended.stderr
    if "params" in setting:
        assert f"it was set by --set {setting.partition('=')[0]}\n" in ended.stderr
    assert service.asked == []
    assert not list(tmp_path.glob("outputs/default/2*"))


def test_the_error_names_the_nearest_parameter_and_all_that_is_sent(aisb: Callable[..., Any]) -> None:
    ended = aisb("tuned-parrot", "letters", "--set", "params.temprature=0.3")
    assert ended.returncode == 2
    assert ended.stderr == (
        "error: tuned-parrot/letters: params.temprature: the backend tuned-parrot does not send it; "
        "did you mean 'temperature'?\n"
        "  it sends max_tokens, temperature\n"
        "  it was set by --set params.temprature\n"
    )


@pytest.mark.parametrize(
    ("own", "words", "place"),
    [
        ("", ["parrot", "letters", "--max-out-len", "9"], "a flag such as --max-out-len"),
        ("", ["hot_parrot", "letters"], "hot_parrot.toml"),
        ("[params]\ntop_p = 0.5\n", ["parrot", "letters"], "[params] in aisb.toml"),
        (
            "[tasks.letters.params]\nmax_tokens = 5\n",
            ["parrot", "letters"],
            "[tasks.letters.params] in aisb.toml",
        ),
        (
            '[models.mine]\nbackend = "parrot"\nmax_out_len = 5\n',
            ["mine", "letters"],
            "[models.mine.params] in aisb.toml",
        ),
    ],
)
def test_the_error_says_where_the_parameter_was_set(
    aisb: Callable[..., Any], service: Answering, tmp_path: Path, own: str, words: list[str], place: str
) -> None:
    (tmp_path / "aisb.toml").write_text(own)
    ended = aisb(*words)
    assert ended.returncode == 2, ended.stderr
    assert "the backend parrot does not send it\n  it sends no generation parameters\n" in ended.stderr
    assert "it was set by " in ended.stderr
    assert ended.stderr.rstrip().endswith(place)
    assert service.asked == []


def test_a_dry_run_refuses_the_same(aisb: Callable[..., Any]) -> None:
    ended = aisb("parrot", "letters", "--dry-run", "--set", "params.nonsense=3")
    assert ended.returncode == 2
    assert "params.nonsense: the backend parrot does not send it" in ended.stderr


@pytest.mark.parametrize("task", ["letters", "row_limits"])
def test_what_a_task_or_row_sets_is_left_out_and_said_once(
    aisb: Callable[..., Any], service: Answering, tmp_path: Path, task: str
) -> None:
    ended = aisb("parrot", task)
    line = f"{task} · parrot: not sent, as the backend parrot does not send it: max_tokens"
    assert ended.returncode == 0, ended.stderr
    assert (ended.stdout + ended.stderr).count(line) == 1
    assert "100.00" in ended.stdout
    assert sent(service) == [{}, {}]
    manifest = json.loads(only(tmp_path, "configs/manifest.json").read_text())
    assert manifest["not_sent"] == {f"parrot/{task}": {"params": ["max_tokens"]}}
    assert "params.max_tokens" not in only(tmp_path, f"log/parrot/{task}/identity.json").read_text()
    assert "sending 2 requests, {}" in only(tmp_path, f"logs/infer/parrot/{task}.out").read_text()
    config = tomllib.loads(next(tmp_path.glob("outputs/default/2*/configs/*.toml")).read_text())
    assert config["subtasks"][0]["params"] == {}


@pytest.mark.parametrize("words", [("--reuse",), ("-c", "again.toml")])
def test_a_run_with_parameters_left_out_is_resumed_and_repeated(
    aisb: Callable[..., Any], service: Answering, tmp_path: Path, words: tuple[str, ...]
) -> None:
    aisb("parrot", "letters")
    config = next(tmp_path.glob("outputs/default/2*/configs/*.toml"))
    (tmp_path / "again.toml").write_text(config.read_text())
    ended = aisb("parrot", "letters", *words)
    assert ended.returncode == 0, ended.stderr
    assert "100.00" in ended.stdout
    assert sent(service) == [{}] * (2 if words == ("--reuse",) else 4)


def test_what_is_declared_is_sent_from_task_row_and_user(
    aisb: Callable[..., Any], service: Answering
) -> None:
    ended = aisb("tuned-parrot", "row_limits", "--set", "params.temperature=0.3", "--concurrency", "1")
    assert ended.returncode == 0, ended.stderr
    assert sent(service) == [{"temperature": 0.3, "max_tokens": 5}, {"temperature": 0.3, "max_tokens": 6}]
    assert "not sent" not in ended.stdout + ended.stderr


@pytest.mark.parametrize(
    ("task", "name", "remedy"),
    [
        ("calls", "tools", "use a backend that sends it\n"),
        (
            "endless",
            "ignore_eos",
            "use a backend that sends it, or unset it with --set params.ignore_eos=\n",
        ),
        ("greedy", "top_k", "use a backend that sends it, or unset it with --set params.top_k=\n"),
    ],
)
def test_what_a_task_requires_must_be_sent(
    aisb: Callable[..., Any], service: Answering, task: str, name: str, remedy: str
) -> None:
    ended = aisb("tuned-parrot", task)
    assert ended.returncode == 2
    assert (
        f"params.{name}: the task requires it, and the backend tuned-parrot does not send it" in ended.stderr
    )
    assert ended.stderr.endswith(remedy)
    assert service.asked == []
    if name != "tools":
        ended = aisb("tuned-parrot", task, "--set", f"params.{name}=")
        assert sent(service) == [{}, {}]


def test_repeats_go_without_a_seed_that_is_not_sent(aisb: Callable[..., Any], service: Answering) -> None:
    ended = aisb("parrot", "letters", "--set", "params.num_return_sequences=2")
    assert ended.returncode == 0, ended.stderr
    assert sent(service) == [{}] * 4
    said = ended.stdout + ended.stderr
    assert said.count("the backend parrot does not send seed: repeats differ only if") == 1


def test_a_name_that_is_passed_through_and_looks_misspelt_is_sent_with_a_warning(
    aisb: Callable[..., Any], service: Answering
) -> None:
    ended = aisb("open-parrot", "letters row_limits", "--set", "params.temprature=0.3")
    assert ended.returncode == 0, ended.stderr
    line = "open-parrot: params.temprature is sent unchanged; did you mean 'temperature'?"
    assert (ended.stdout + ended.stderr).count(line) == 1
    assert all(params["temprature"] == 0.3 for params in sent(service))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("temperature=hot", "params.temperature: must be a number of at least 0 (it is 'hot')"),
        ("temperature=-1", "params.temperature: must be a number of at least 0 (it is -1)"),
        ("max_completion_tokens=many", "params.max_completion_tokens: must be a whole number (it is 'many')"),
        ("max_tokens=many", "params.max_tokens: must be a whole number of at least 1 (it is 'many')"),
        ("top_p=2", "params.top_p: must be a number from 0 to 1 (it is 2)"),
        ("stop=3", "params.stop: must be a text or a list of texts (it is 3)"),
        ("ignore_eos=perhaps", "params.ignore_eos: must be true or false (it is 'perhaps')"),
        ("seed=1.5", "params.seed: must be a whole number (it is 1.5)"),
    ],
)
def test_a_value_that_cannot_be_meant_is_refused_before_the_first_request(
    aisb: Callable[..., Any], service: Answering, setting: str, words: str
) -> None:
    ended = aisb("open-parrot", "letters", "--set", f"params.{setting}")
    assert ended.returncode == 2
    assert f"error: open-parrot/letters: {words}\n" in ended.stderr
    assert service.asked == []


JUDGED = """
[tasks.judged]
base = "letters"
[[tasks.judged.evaluate]]
use = "judge"
prompt = "Right: {target}. Given: {prediction}. {verdicts}"
"""


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("params.top_k=1", "judge.params.top_k: the backend parrot does not send it"),
        ("params.temperature=hot", "judge.params.temperature: must be a number of at least 0 (it is 'hot')"),
        ("params.n=3", "judge.params.n: 3: several answers in one reply"),
    ],
)
def test_parameters_of_the_judge_are_checked_before_the_first_request(
    aisb: Callable[..., Any], service: Answering, tmp_path: Path, setting: str, words: str
) -> None:
    (tmp_path / "aisb.toml").write_text(JUDGED)
    judge = ["--judge", "parrot", "--judge-url", service.url, "--set", f"judge.{setting}"]
    ended = aisb("parrot", "judged", *judge)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert service.asked == []


def test_what_an_evaluator_sets_and_the_judge_does_not_send_is_said(
    aisb: Callable[..., Any], service: Answering, tmp_path: Path
) -> None:
    (tmp_path / "aisb.toml").write_text(JUDGED)
    ended = aisb("parrot", "judged", "--judge", "parrot", "--judge-url", service.url)
    assert "its backend does not send temperature" in ended.stdout + ended.stderr
    assert len(service.bodies) > 2
    assert all(params == {} for params in sent(service))


def test_the_contract_suite_finds_a_model_file_that_sets_what_its_backend_does_not_send(plugin: Path) -> None:
    ended = subprocess.run(
        [sys.executable, "-c", "from aisb_testing import check_plugin; check_plugin('aisb-test-sends')"],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PYTHONPATH": str(plugin), "AISB_BLOCK": ""},
    )
    assert "hot_parrot.toml sets temperature, which its backend does not send" in ended.stderr

"""`aisb doctor`: this machine, and services of several kinds and faults, through the command."""

from __future__ import annotations

import json
import os
import socket
import sys
from contextlib import suppress
from pathlib import Path

import pytest
from forked import Forked, run_forked

from aisb_cli.doctor.machine import compiled_parts, limits, shared_commands, torch_fits
from aisb_engine._load.connection_limits import ConnectionLimits
from aisb_mock import MockOptions, start_mock


def doctor(*words, cwd, **env):
    return run_forked(
        [sys.executable, "-m", "aisb_cli.main", "doctor", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={**{k: v for k, v in os.environ.items() if not k.startswith("AISB_")}, "COLUMNS": "80", **env},
    )


def told(done):
    """The findings of a JSON report, by area and name."""
    return {(one["area"].split()[0], one["name"]): one for one in json.loads(done.stdout)}


@pytest.fixture(scope="module")
def mock():
    with start_mock(MockOptions(models=("tiny",), tool_calls="field")) as server:
        yield server


@pytest.fixture(scope="module")
def report(tmp_path_factory, mock):
    done = doctor("--url", mock.url, "--json", cwd=tmp_path_factory.mktemp("home"))
    assert done.returncode == 0, done.stderr + done.stdout
    return told(done)


def test_the_machine_is_looked_at_from_python_to_the_disk(report):
    areas = {area for area, _ in report}
    assert areas >= {"Python", "distributions", "plugins", "torch", "data", "tokenizers", "limits", "disk"}
    assert sys.executable in report["Python", "version"]["text"]
    assert "demo_gsm8k" in report["data", "there"]["text"]
    assert "requests in flight" in report["limits", "open files"]["text"]
    assert {one["state"] for one in report.values()} <= {"ok", "note"}


def test_whether_the_compiled_parts_are_used_is_said():
    assert compiled_parts(there=True, wanted=True)[2:4] == (
        "ok",
        "the reader of replies is compiled",
    )
    plain = "the reader of replies is not compiled: a load takes more CPU"
    remedy = (
        "with a C compiler and Python's headers, in a checkout of aisb: pip install ./plugins/tools/speedups"
    )
    assert compiled_parts(there=False, wanted=True)[2:5] == ("note", plain, remedy)
    assert compiled_parts(there=False, wanted=False)[2:5] == ("note", plain, "unset AISB_COMPILED")


def test_a_good_service_passes_every_check(report):
    service = {name: one for (area, name), one in report.items() if area == "service"}
    assert {name: one["state"] for name, one in service.items()} == dict.fromkeys(
        ["model file", "reachable", "models", "answers", "streaming", "TTFB", "usage", "ignore_eos", "tool calls", "logprobs"],
        "ok",
    )  # fmt: skip
    assert service["model file"]["text"] == "vllm_api_stream_chat"
    assert service["models"]["text"] == "tiny; requested: tiny"
    assert service["tool calls"]["text"] == "get_weather"
    assert service["ignore_eos"]["text"] == "a reply of 32 tokens ran to its limit"
    assert service["TTFB"]["text"].endswith("ms to the first token")


@pytest.mark.parametrize(
    "model", ["tgi_stream_api_general", "triton_stream_api_general", "mindie_stream_api_general"]
)
def test_services_of_other_kinds_are_asked_in_their_own_way(tmp_path, mock, model):
    done = doctor("--url", mock.url, "--models", model, "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    service = {name: one["state"] for (area, name), one in told(done).items() if area == "service"}
    assert service.keys() >= {
        "reachable",
        "models",
        "answers",
        "streaming",
        "TTFB",
        "usage",
        "ignore_eos",
        "logprobs",
    }
    assert [service[name] for name in ("reachable", "answers", "streaming", "TTFB")] == ["ok"] * 4
    assert "tool calls" not in service  # they take a text


def test_what_a_service_lacks_is_a_note_with_what_to_do(tmp_path):
    with start_mock(MockOptions(usage="absent")) as server:
        done = doctor("--url", server.url, cwd=tmp_path)
    assert done.returncode == 0
    shown = " ".join(done.stdout.split())
    assert (
        "note usage: the service does not say how many tokens a reply has -> for performance runs let it "
        "report usage (stream_options.include_usage), or set model.tokenizer to the model's folder"
    ) in shown
    assert "note tool calls: the reply had none -> for tasks with functions start vLLM with" in shown
    assert done.stdout.endswith("\nnothing to fix\n")
    assert max(map(len, done.stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("options", "words", "expected"),
    [
        ({"faults": ("status-500:1",)}, [], "FIX answers: status: HTTP 500"),
        ({"faults": ("cut:1",)}, [], "FIX answers: cut: "),
        ({"faults": ("garbage:1",)}, [], "FIX answers: protocol: "),
        ({"models": ("a", "b")}, [], "lists several models -> choose one with --model-name: a, b"),
        ({"api_key": "sesame"}, [], "requires an API key (401"),
        ({}, ["--model-name", "gpt-x"], "does not list a model 'gpt-x'"),
    ],
)
def test_a_service_that_cannot_be_used_is_to_be_fixed_and_the_exit_code_is_1(
    tmp_path, options, words, expected
):
    with start_mock(MockOptions(**options)) as server:
        done = doctor("--url", server.url, *words, cwd=tmp_path)
    assert done.returncode == 1, done.stdout
    assert expected in " ".join(done.stdout.split())
    assert done.stdout.endswith("\n1 to fix\n")
    assert "        -> " in done.stdout.partition("FIX")[2]


def test_a_key_from_the_environment_opens_the_service(tmp_path):
    with start_mock(MockOptions(api_key="sesame")) as server:
        done = doctor("--url", server.url, "--api-key-env", "MY_KEY", "--json", cwd=tmp_path, MY_KEY="sesame")
    assert done.returncode == 0, done.stdout
    assert "sesame" not in done.stdout


def test_nothing_that_listens_is_said_with_what_to_look_at(tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    done = doctor("--url", f"http://127.0.0.1:{port}", cwd=tmp_path)
    assert done.returncode == 1
    shown = " ".join(done.stdout.split())
    assert (
        f"FIX reachable: 127.0.0.1:{port} refused the connection -> is the service running, and on this port?"
        in shown
    )


def test_a_plugin_that_fails_is_to_be_fixed_with_its_reason(tmp_path, installed):
    done = doctor("--json", cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 1
    broken = told(done)["plugins", "test-broken-import"]
    assert (broken["state"], broken["text"]) == (
        "problem",
        "did not load: No module named 'a_library_nobody_has'",
    )
    assert broken["remedy"].startswith("pip install a_library_nobody_has")
    misplaced = told(done)["plugins", "misplaced"]
    assert (misplaced["state"], misplaced["text"]) == (
        "problem",
        "dataset 'misplaced' of plugin odd-placed cannot be loaded: aisb_test_odd.elsewhere:lost is undefined; it must be a function or a class",
    )
    assert misplaced["remedy"] == ("pip install --upgrade aisb-test-odd, or leave it out: --block odd-placed")


def test_a_data_folder_that_is_none_is_to_be_fixed(tmp_path):
    done = doctor("--json", cwd=tmp_path, AISB_DATA="/no/such/folder")
    assert told(done)["data", "AISB_DATA"]["text"] == "is /no/such/folder, which is not a folder"
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("versions", "requires", "state", "text"),
    [
        ({"torch": "2.3.1+cu121", "torchvision": "0.18.1+cu121"}, "torch (==2.3.1)", "ok", "0.18.1+cu121, which fits"),
        ({"torch": "2.4.0", "torchvision": "0.18.1"}, "torch==2.3.1", "problem", "torchvision 0.18.1 was built for torch 2.3.1, and torch is 2.4.0"),
        ({"torch": "2.3.1+cpu", "torchvision": "0.18.1+cu121"}, "torch==2.3.1", "problem", "torchvision 0.18.1+cu121 and torch 2.3.1+cpu were built for different accelerators"),
    ],
)  # fmt: skip
def test_torch_and_what_was_built_for_it_are_held_together(versions, requires, state, text):
    *_, last = torch_fits(versions, {"torchvision": [requires, "numpy"]})
    assert (last.state, last.text) == (state, text)
    assert bool(last.remedy) == (state == "problem")


def test_a_command_that_another_distribution_installs_too_is_said():
    scripts = [("ais_bench", "aisb-compat-aisbench"), ("ais_bench", "ais_bench_benchmark"), ("aisb", "aisb")]
    (found,) = shared_commands([*scripts, ("pip", "pip"), ("pip", "other")])
    assert (found.name, found.state) == ("ais_bench", "note")
    assert found.text.startswith("aisb-compat-aisbench and ais-bench-benchmark both install it")
    assert "pip install --force-reinstall --no-deps aisb-compat-aisbench" in found.remedy
    assert not list(shared_commands(scripts[:1]))


def test_few_open_files_are_to_be_fixed_and_one_processor_is_worth_a_note():
    found = {one.name: one for one in limits(ConnectionLimits(1024, 28_232), 1)}
    assert found["open files"].state == "problem"
    assert found["open files"].text == "1,024, so at most 960 requests in flight a process"
    assert found["open files"].remedy == "ulimit -Hn 65536, or more --workers"
    assert found["processors"].state == "note"


def test_a_work_folder_that_is_no_place_to_write_is_named(tmp_path):
    if os.geteuid() == 0:
        pytest.skip("root can write everywhere: nothing is refused")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    done = doctor("--json", "-w", str(closed / "work"), cwd=tmp_path)
    assert told(done)["disk", "work folder"]["state"] == "problem"
    assert Path(closed).exists()


@pytest.mark.parametrize(("more", "coloured"), [({}, True), ({"NO_COLOR": "1"}, False)])
def test_its_words_are_coloured_on_a_terminal_unless_no_color_is_set(tmp_path, more, coloured):
    ours, theirs = os.openpty()
    kept = {key: value for key, value in os.environ.items() if key not in ("NO_COLOR", "AISB_DATA")}
    doctor = Forked(
        [sys.executable, "-m", "aisb_cli.main", "doctor"], cwd=tmp_path, stdout=theirs, env={**kept, **more}
    )
    os.close(theirs)
    said = b""
    with suppress(OSError):  # how the end of a terminal is told
        while part := os.read(ours, 1 << 16):
            said += part
    os.close(ours)
    assert doctor.wait(30) in (0, 1)
    assert b"note" in said
    assert (b"\x1b[3" in said) is coloured


def test_a_launcher_is_asked_what_it_finds_where_it_places_workers(tmp_path, installed):
    words = ("--launcher", "spawned", "--set", "launcher.elsewhere=true")
    done = doctor(*words, cwd=tmp_path, PYTHONPATH=str(installed))
    assert done.returncode == 1
    shown = done.stdout.partition("launcher spawned")[2]
    assert "ok    place: another folder" in shown
    assert "FIX   code: it is older" in shown
    assert "-> install the same there" in shown
    assert "this launcher has no checks" in doctor("--launcher", "local", cwd=tmp_path).stdout


def test_an_option_of_no_launcher_is_refused(tmp_path):
    done = doctor("--launcher", "local", "--set", "load.workers=2", cwd=tmp_path)
    assert done.returncode == 2
    assert "--set load.workers: is not launcher.OPTION=VALUE" in done.stderr

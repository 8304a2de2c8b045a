"""`aisb sweep` through its ends: points that are ordinary runs, a kill and a resume, and what is refused."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from forked import Forked, run_forked

from aisb import UsageError
from aisb_analysis._sweep.grid import parse_grids, points_of_grid
from aisb_analysis._sweep.record import SweepRecord
from aisb_cli.main import main
from aisb_mock import MockOptions, start_mock
from aisb_testing._fixtures import Answering

AISB = (sys.executable, "-m", "aisb_cli.main")
SHORT = ("--input-len", "16", "--output-len", "4")
NOWHERE = ("--url", "http://127.0.0.1:1")


def aisb(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    ended = run_forked([*AISB, *words], cwd=cwd, capture_output=True, text=True, check=False, timeout=100)
    assert "Traceback" not in ended.stderr, ended.stderr
    return ended


def record(cwd: Path) -> dict:
    (file,) = cwd.glob("outputs/sweeps/*/sweep.json")
    return json.loads(file.read_text())


def test_a_killed_sweep_resumes_and_does_not_repeat_what_is_done(tmp_path: Path) -> None:
    with start_mock(MockOptions(ttft_ms=5, tpot_ms=1)) as mock:
        words = ("sweep", "--grid", "load.concurrency=1,2,4", "--url", mock.url, "--num-prompts", "6", *SHORT)
        process = Forked([*AISB, *words], cwd=tmp_path, stderr=subprocess.PIPE, text=True)
        assert process.stderr
        for line in process.stderr:
            if line.startswith("[2/3] concurrency 2"):
                break
        runs = next(tmp_path.glob("outputs/sweeps/*/runs"))
        ends = time.monotonic() + 60
        while len(list(runs.iterdir())) < 2:  # the second point has begun to be written
            assert time.monotonic() < ends
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
        process.wait(30)
        process.stderr.close()
        (first, *rest) = record(tmp_path)["points"]
        assert first["run"]
        assert [point["run"] for point in rest] == [None, None]
        log = next((runs / first["run"]).glob("log/*/*/worker-0"))
        before = (log.stat().st_mtime_ns, log.stat().st_size)
        resumed = aisb("sweep", "--reuse", cwd=tmp_path)
    assert resumed.returncode == 0, resumed.stderr
    assert "1 of 3 points are finished; 2 points to measure" in resumed.stderr
    points = record(tmp_path)["points"]
    assert points[0] == first
    assert (log.stat().st_mtime_ns, log.stat().st_size) == before
    assert all((runs / point["run"] / "performances").is_dir() for point in points)
    folder = runs.parent
    rows = list(csv.DictReader((folder / "points.csv").open()))
    assert [row["load.concurrency"] for row in rows] == ["1", "2", "4"]
    assert [row["run"] for row in rows] == [point["run"] for point in points]
    assert {row["requests"] for row in rows} == {"6"}
    assert (folder / "points.txt").read_text() == resumed.stdout
    assert {file.name for file in folder.glob("points.*")} >= {"points.json", "points.md", "points.html"}


def test_repeats_measure_the_grid_again_and_are_one_line_with_their_spread(tmp_path: Path) -> None:
    grid = ("--grid", "load.concurrency=1,2")
    with start_mock(MockOptions(ttft_ms=5, tpot_ms=1)) as mock:
        words = ("--url", mock.url, "--num-prompts", "6", *SHORT)
        planned = aisb("sweep", *grid, "--repeats", "2", *words, "--dry-run", cwd=tmp_path)
        assert [line.split()[:3] for line in planned.stdout.splitlines()[2:]] == [
            ["1", "1", "1"], ["2", "1", "2"], ["3", "2", "1"], ["4", "2", "2"],
        ]  # fmt: skip
        ended = aisb("sweep", *grid, "--repeats", "2", *words, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert "[3/4] concurrency 1, repeat 2" in ended.stderr
        assert len(re.findall(r"^ +2 runs ", ended.stdout, re.MULTILINE)) == 2
        before = record(tmp_path)["points"]
        fewer = aisb("sweep", "--reuse", "--repeats", "1", cwd=tmp_path)
        assert fewer.returncode == 2
        assert "has 2 repeats: --repeats can add more, but not remove any" in fewer.stderr
        more = aisb("sweep", "--reuse", "--repeats", "3", cwd=tmp_path)
    assert more.returncode == 0, more.stderr
    assert "4 of 6 points are finished; 2 points to measure" in more.stderr
    points = record(tmp_path)["points"]
    assert points[:4] == before
    (runs,) = tmp_path.glob("outputs/sweeps/*/runs")
    seeds = {
        (point["settings"]["load.concurrency"], point["repeat"]): json.loads(
            next((runs / point["run"]).glob("log/*/*/load.json")).read_text()
        )["requested"]["seed"]
        for point in points
    }
    assert seeds == {("1", 1): 0, ("2", 1): 0, ("1", 2): 1, ("2", 2): 1, ("1", 3): 2, ("2", 3): 2}
    rows = list(csv.DictReader((runs.parent / "points.csv").open()))
    assert [row["repeat"] for row in rows] == ["1", "1", "2", "2", "3", "3"]


def test_the_record_of_a_sweep_without_repeats_is_read(tmp_path: Path) -> None:
    point = {"settings": {"load.concurrency": "1"}, "run": None, "exit_code": 0}
    table = {"words": [*NOWHERE], "grid": {"load.concurrency": ["1"]}, "points": [point]}
    (tmp_path / "sweep.json").write_text(json.dumps(table))
    found = SweepRecord.read(tmp_path)
    assert (found.repeats, found.command()) == (
        1,
        "aisb sweep --grid load.concurrency=1 --url http://127.0.0.1:1",
    )
    found.repeat(3)
    assert "--repeats 3" in found.command()


def test_services_are_curves_and_a_changed_file_ends_a_resume(tmp_path: Path) -> None:
    file = tmp_path / "aisb.toml"
    file.write_text("[load]\nnum_prompts = 4\n")
    with start_mock(MockOptions(ttft_ms=5)) as old, start_mock(MockOptions(ttft_ms=1)) as new:
        words = [
            "sweep",
            "--grid",
            "load.concurrency=1,2",
            "--models",
            f"old={old.url}",
            f"new={new.url}",
            *SHORT,
        ]
        ended = aisb(*words, cwd=tmp_path)
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout.startswith("old\nconcurrency  requests/s")
        assert "\n\nnew\nconcurrency" in ended.stdout
        other = aisb(*words, "--num-prompts", "3", "--reuse", cwd=tmp_path)
        assert other.returncode == 2
        assert (
            "was started with other options:\n  aisb sweep --grid load.concurrency=1,2 --models old=http"
            in other.stderr
        )
        file.write_text("[load]\nnum_prompts = 5\n")
        changed = aisb("sweep", "--reuse", cwd=tmp_path)
    assert changed.returncode == 2
    assert "cannot be resumed: its runs would not be comparable" in changed.stderr
    assert "subtasks.old on synthetic.load.num_prompts: was 4, is 5" in changed.stderr


def test_failed_requests_are_a_result_and_the_sweep_goes_on(tmp_path: Path) -> None:
    with start_mock(MockOptions(faults=("status-500:0.5",))) as mock:
        words = ("--grid", "load.concurrency=1,2", "--url", mock.url, "--num-prompts", "40", *SHORT)
        ended = aisb("sweep", *words, "--reporters", "text", cwd=tmp_path)
    assert ended.returncode == 1
    assert [point["exit_code"] for point in record(tmp_path)["points"]] == [1, 1]
    assert re.search(r"concurrency 2: \d+ of 40 requests failed", ended.stdout)
    assert [path.name for path in tmp_path.glob("outputs/sweeps/*/points.*")] == ["points.txt"]


def test_secrets_are_not_kept_and_have_to_be_given_again(tmp_path: Path) -> None:
    grid = {"load.concurrency": ["1"]}
    words = [
        "--set",
        "model.headers.X-Key=secret",
        "--set=model.headers={A='secret'}",
        "--url",
        "http://me:secret@h",
    ]
    SweepRecord.begin(tmp_path, words, grid).write()
    assert "secret" not in (tmp_path / "sweep.json").read_text()
    kept = SweepRecord.read(tmp_path)
    kept.check_same(words, grid)
    with pytest.raises(
        UsageError, match=r"repeat all of them with --reuse, and replace \*\*\* by the secrets"
    ):
        kept.check_same(words[2:], grid)


def test_a_damaged_record_and_a_run_that_is_gone_are_errors(tmp_path: Path) -> None:
    (tmp_path / "outputs/sweeps/a").mkdir(parents=True)
    file = tmp_path / "outputs/sweeps/a/sweep.json"
    file.write_text("{")
    ended = aisb("sweep", "--reuse", "a", cwd=tmp_path)
    assert ended.returncode == 2
    assert "sweep.json cannot be read: " in ended.stderr
    point = {"settings": {"load.concurrency": "1"}, "run": "20261121_220301", "exit_code": 0}
    file.write_text(
        json.dumps({"words": list(NOWHERE), "grid": {"load.concurrency": ["1"]}, "points": [point]})
    )
    ended = aisb("sweep", "--reuse", "a", cwd=tmp_path)
    assert ended.returncode == 2
    assert "20261121_220301 as the run of concurrency 1, which does not exist" in ended.stderr


def test_a_dry_run_prints_the_points_and_a_point_lasts_a_minute_unless_told(tmp_path: Path) -> None:
    ended = aisb(
        "sweep",
        "--grid",
        "load.request_rate=2,4",
        "--grid",
        "task.dataset.input=16,32",
        "--models",
        "vllm-chat",
        "--dry-run",
        *NOWHERE,
        cwd=tmp_path,
    )
    assert ended.returncode == 0, ended.stderr
    lines = [line.split() for line in ended.stdout.splitlines()[2:]]
    assert [line[:3] for line in lines] == [
        ["1", "2", "16"],
        ["2", "2", "32"],
        ["3", "4", "16"],
        ["4", "4", "32"],
    ]
    assert lines[0][3:] == ["synthetic", "·", "vllm-chat:", "60", "s"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("several", "grids", "points"),
    [
        (
            ("--request-rate", "5,10", "--concurrency=1,4"),
            "--grid load.request_rate=5,10 --grid load.concurrency=1,4",
            4,
        ),
        (
            ("--input-len", "16,32,64", "--output-len=4,8"),
            "--grid task.dataset.input=16,32,64 --grid task.dataset.output=4,8",
            6,
        ),
        (("--concurrency", "1,4,16", "--input-len=16"), "--grid load.concurrency=1,4,16", 3),
    ],
)
def test_run_answers_several_values_with_the_line_of_a_sweep(
    tmp_path: Path, several: tuple[str, ...], grids: str, points: int
) -> None:
    words = ("--models", "vllm-chat", *NOWHERE, "--datasets", "synthetic", "--num-prompts", "3")
    ended = aisb("run", "--mode", "perf", *words, *several, cwd=tmp_path)
    assert ended.returncode == 2
    (line,) = (one.strip() for one in ended.stderr.splitlines() if "aisb sweep" in one)
    single = [word for word in several if word == "--input-len=16"]
    assert line == " ".join(["aisb sweep", grids, *words, *single])
    planned = aisb(*shlex.split(line)[1:], "--dry-run", cwd=tmp_path)
    assert planned.returncode == 0, planned.stderr
    assert len(planned.stdout.splitlines()) == 2 + points


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ((), "a sweep needs a grid, as in --grid load.concurrency=1,4,16,64"),
        (("--grid", "load.concurrency=1,x"), "load.concurrency: input should be a valid integer"),
        (
            ("--grid", "load.concurrncy=1"),
            "no such key; did you mean 'concurrency'?\n  at the point concurrncy 1",
        ),
        (
            ("--grid", "load.concurrency=1,4", "--concurrency", "8"),
            "--concurrency 8 and --grid load.concurrency=1,4 both set load.concurrency: omit one",
        ),
        (
            ("--grid", "load.concurrency=1,4", "--input-len=16,32"),
            "--input-len 16,32 has several values: write --grid task.dataset.input=16,32",
        ),
        (("--grid", "load.concurrency=1", "--nosuch"), "no such option '--nosuch'"),
        (
            ("--grid", "load.concurrency=1", "--slo", "ttft_p95=1s"),
            "--slo is for a single run: leave it out of ",
        ),
        (
            ("--grid", "load.concurrency=1", "--mode", "infer"),
            "--mode infer: the points of a sweep are performance runs",
        ),
        (("--reuse",), "there is no sweep in outputs/sweeps yet"),
        (("--reuse", "nosuch"), "no sweep 'nosuch'; the latest in outputs/sweeps: none"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_the_first_request(
    words: tuple[str, ...],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as ended:
        main(["sweep", *words])
    assert ended.value.code == 2
    assert says in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_a_sweep_in_which_nothing_was_sent_leaves_no_folder(tmp_path: Path) -> None:
    ended = aisb("sweep", "--grid", "load.concurrency=1,2", *NOWHERE, cwd=tmp_path)
    assert ended.returncode == 3
    assert list(tmp_path.glob("outputs/sweeps/*")) == []


def test_a_grid_is_every_combination_and_values_may_hold_commas() -> None:
    grid = parse_grids(["load.concurrency=1,4", 'task.dataset.input=[16, 32],"a,b"'])
    assert points_of_grid(grid) == [
        {"load.concurrency": "1", "task.dataset.input": "[16, 32]"},
        {"load.concurrency": "1", "task.dataset.input": '"a,b"'},
        {"load.concurrency": "4", "task.dataset.input": "[16, 32]"},
        {"load.concurrency": "4", "task.dataset.input": '"a,b"'},
    ]


@pytest.mark.parametrize(
    ("texts", "says"),
    [
        (["load.concurrency"], "write a key and its values, as in --grid load.concurrency=1,4,16"),
        (["load.concurrency=1,,4"], "write a key and its values"),
        (["a.b=1", "a.b=2"], "--grid a.b is repeated"),
        (["a.b=1,2,1"], "the value 1 is repeated"),
    ],
)
def test_a_grid_that_cannot_be_read_is_refused(texts: list[str], says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse_grids(texts)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("--models", "a=http://h:1", "a=http://h:2"), "--models has the name a twice"),
        (("--models", "a=http://h:1", "--url", "http://h"), "--url and --models NAME=URL are both given"),
    ],
)
def test_a_model_with_two_addresses_is_refused(words: tuple[str, ...], says: str, tmp_path: Path) -> None:
    ended = aisb("sweep", "--grid", "load.concurrency=1", *words, cwd=tmp_path)
    assert ended.returncode == 2
    assert says in ended.stderr


def test_services_are_detected_as_by_run_and_a_setting_chooses_among_models(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    tgi = answering({"/info": (200, {"model_id": "org/Tiny", "version": "3.0"})})
    with start_mock(MockOptions(models=("m/a", "m/b"))) as two:
        models = ("--models", f"old={tgi.url}", f"new={two.url}", "--set", "models.new.model=m/b")
        ended = aisb("sweep", "--grid", "load.concurrency=1,2", *models, "--dry-run", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "is Text Generation Inference and serves org/Tiny; using tgi_stream" in ended.stderr
    assert "serves m/b; using vllm_api_stream_chat" in ended.stderr
    assert not tgi.bodies
    assert list(tmp_path.iterdir()) == []


def test_a_service_without_a_chat_api_is_swept_through_the_other(
    tmp_path: Path, answering: Callable[..., Answering]
) -> None:
    text = {"choices": [{"text": "It is 7.", "finish_reason": "stop"}]}
    service = answering(
        {
            "/v1/models": (200, {"data": [{"id": "org/Base-7B", "owned_by": "vllm"}]}),
            "/v1/chat/completions": (400, {"message": "the model has no chat template"}),
            "/v1/completions": (200, text),
        }
    )
    words = ("--grid", "load.concurrency=1,2", "--num-prompts", "2", "--reporters", "csv", *SHORT)
    ended = aisb("sweep", *words, "--url", service.url, "--set", "model.stream=false", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert "using vllm_api_general_stream, since its chat API refuses" in ended.stderr
    (file,) = tmp_path.glob("outputs/sweeps/*/points.csv")
    rows = list(csv.DictReader(file.open()))
    assert [(row["model"], row["requests"], row["failed"]) for row in rows] == [("Base-7B", "2", "0")] * 2

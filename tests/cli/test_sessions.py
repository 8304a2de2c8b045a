"""A run of sessions: the examples of its page, its header, its report, and what it refuses."""

import base64
import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_line import aisb_without_settings

from aisb_mock import MockOptions, start_mock
from aisb_testing import make_png

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "sessions.md").read_text("utf-8")
EXAMPLES = ROOT / "examples" / "agent-sessions"
MODEL = "vllm_api_stream_chat"


@pytest.fixture(scope="module")
def mock():
    with start_mock(MockOptions(ttft_ms=1, tpot_ms=1)) as running:
        yield running


def run(tmp_path, url, *words, code=0):
    base = ("run", "--mode", "perf", "--models", MODEL, "--url", url, "--data-dir", EXAMPLES)
    return aisb_without_settings(*base, *words, "-w", tmp_path / "out", cwd=tmp_path, code=code)


def details(tmp_path, task="weka_sessions"):
    (file,) = (tmp_path / "out").glob(f"*/performances/*/{task}_details.json")
    return json.loads(file.read_text("utf-8"))


def matches(lines, output):
    """Return whether the lines of an example occur in an output, in order; `…` stands for anything."""
    pattern = ".*".join(re.escape(line).replace("…", ".*") for line in lines if line != "…")
    return re.search(pattern, output, re.DOTALL)


@pytest.mark.parametrize("number", range(2))
def test_the_examples_of_the_page_print_what_it_shows(tmp_path, mock, number):
    block = re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)[number]
    command = next(
        line[2:] for line in block.splitlines() if line.startswith("$ aisb ") and "mock serve" not in line
    )
    words = shlex.split(command.replace("http://127.0.0.1:8000", mock.url))[1:]
    work = ("-w", tmp_path) if words[0] == "run" else ()
    done = aisb_without_settings(*words, *work, cwd=ROOT)
    shown = [line for line in block.splitlines() if not line.startswith("$ ")]
    assert matches(shown, done.stdout + done.stderr), done.stdout + done.stderr


def test_the_report_has_sessions_and_tiers_everywhere(tmp_path, mock):
    tiers = ("--tier", "any:ttft=60s", "--tier", "none:speed=1000000")
    run(tmp_path, mock.url, "--datasets", "weka_sessions", "--concurrency", "2", *tiers, "--reporters", "performance,html")  # fmt: skip
    found = details(tmp_path)
    sessions = found["sessions"]
    assert (sessions["sessions"], sessions["turns"], sessions["complete"]) == (2, 10, 2)
    assert round(100 * sessions["cache_share"], 1) == 58.1
    assert [(one["name"], one["sessions"]) for one in sessions["tiers"]] == [("any", 2), ("none", 0)]
    assert sessions["history"] == "recorded"
    (page,) = (tmp_path / "out").glob("*/**/*.html")
    assert "sessions.lines" in page.read_text("utf-8")
    assert not [
        one for one in found["certificate"]["signals"] if one["name"] in ("cache hits", "concurrency")
    ]
    again = aisb_without_settings("run", "--mode", "perf_viz", "--reuse", "latest", "--tier", "other:e2el=1h", "-w", tmp_path / "out", cwd=tmp_path, code=2)  # fmt: skip
    assert "the tier 'other'" in again.stderr
    again = aisb_without_settings("run", "--mode", "perf_viz", "--reuse", "latest", "--tier", "other:e2el=60s", "-w", tmp_path / "out", cwd=tmp_path)  # fmt: skip
    assert "tiers:     other 2 (100.0 %) of 2 served" in again.stdout


@pytest.mark.parametrize("header", [None, "X-Session-ID"])
async def test_a_header_carries_the_session_of_each_turn(tmp_path, serve, header):
    import asyncio

    events = (
        b'data: {"choices":[{"index":0,"delta":{"content":"yes"},"finish_reason":null}]}\n\ndata: [DONE]\n\n'
    )
    reply = [
        b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(events),
        events,
    ]
    server = await serve([reply])
    words = (
        "--datasets",
        "weka_sessions",
        "--set",
        "load.num_warmups=0",
        "--model-name",
        "m",
        "--concurrency",
        "1",
    )
    more = ("--session-header", header) if header else ()
    await asyncio.to_thread(run, tmp_path, server.url, *words, *more)
    heads = [head.decode().lower() for head, body in server.requests if body]
    names = [found[1] for head in heads if (found := re.search(r"\r\nx-session-id: ([^\r]*)\r\n", head))]
    expected = ["rename-a-function"] * 4 + ["repair-a-test"] * 6 if header else []
    assert sorted(names) == expected


async def test_an_image_of_a_span_is_sent_and_a_part_that_cannot_be_sent_is_counted(tmp_path, serve):
    import asyncio

    events = b'data: {"choices":[{"index":0,"delta":{"content":"red"},"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: %d\r\n\r\n" % len(events)
    server = await serve([[head, events]])
    picture = base64.b64encode(make_png()).decode()
    parts = [
        {"type": "text", "content": "which color?"},
        {"type": "blob", "modality": "image", "mime_type": "image/png", "content": picture},
        {"type": "file", "modality": "image", "file_id": "file-1"},
    ]
    attributes = {"gen_ai.operation.name": "chat", "gen_ai.input.messages": json.dumps([{"role": "user", "parts": parts}])}  # fmt: skip
    span = {
        "traceId": "a", "spanId": "b", "name": "chat", "startTimeUnixNano": "1", "endTimeUnixNano": "2",
        "attributes": [{"key": key, "value": {"stringValue": value}} for key, value in attributes.items()],
    }  # fmt: skip
    (tmp_path / "spans.jsonl").write_text(
        json.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    )
    words = ("--datasets", "otel_sessions", "--set", f"task.dataset.path={tmp_path}/spans.jsonl",
             "--set", "load.num_warmups=0", "--model-name", "m", "--concurrency", "1")  # fmt: skip
    done = await asyncio.to_thread(run, tmp_path, server.url, *words)
    (body,) = [json.loads(body) for _, body in server.requests if body]
    *_, question, image = body["messages"][0]["content"]  # before them, the mark of the run
    assert (question, image["type"]) == ({"type": "text", "text": "which color?"}, "image_url")
    assert image["image_url"]["url"] == f"data:image/png;base64,{picture}"
    left = "left out of the recorded messages: 1 part (image files at the provider, of which the trace has the id only)"
    assert left in done.stdout + done.stderr


def test_turns_after_a_failed_one_are_counted_as_not_sent(tmp_path):
    with start_mock(MockOptions(ttft_ms=1, tpot_ms=0, faults=("status-400:1.0",))) as broken:
        done = run(tmp_path, broken.url, "--datasets", "weka_sessions", "--tables", code=1)
    found = details(tmp_path)["sessions"]
    assert (found["complete"], found["turns_not_sent"], found["turns"]) == (0, 8, 10)
    assert "turns not sent because an earlier turn of their session failed: 8" in done.stdout


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--mode", "infer"), "weka_sessions has sessions, which need a performance run: --mode perf"),
        (("--workers", "2"), "load.workers: the command's own process sends the sessions of weka_sessions"),
        (("--launcher", "ray"), "run.launcher: the command's own process sends the sessions"),
        (("--tier", "ttft=2s"), "the tier 'ttft=2s' is not NAME:LIMIT"),
        (("--set", "run.tiers.fast.spead=3"), "run.tiers.fast: the tier 'fast': no objective named 'spead'"),
        (("--session-header", "X Session"), "load.session_header"),
        (("--set", "task.prompt.system=brief"), "prompt.turns replaces the whole prompt"),
    ],
)
def test_what_cannot_be_sent_is_refused_with_a_reason(tmp_path, mock, words, message):
    done = run(tmp_path, mock.url, "--datasets", "weka_sessions", *words, code=2)
    assert message in done.stderr


def test_a_task_of_sessions_is_shown_with_its_first_prompts(tmp_path):
    words = ("tasks", "show", "weka_sessions", "--data-dir", EXAMPLES)
    assert "[user]\n" in aisb_without_settings(*words, "--sample", "1", cwd=tmp_path).stdout
    found = json.loads(aisb_without_settings(*words, "--json", cwd=tmp_path).stdout)["sessions"]
    assert (found["sessions"], found["turns"], found["cache_unit"]) == (2, 10, "tokens")
    without = aisb_without_settings("tasks", "show", "weka_sessions", cwd=tmp_path).stdout
    assert "sessions with" not in without


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("gcc") is None, reason="the server of the benchmark needs gcc")
def test_the_benchmark_of_sessions_runs_at_a_small_size(tmp_path):
    done = subprocess.run(
        [sys.executable, ROOT / "benchmarks" / "sessions.py", "2"],
        cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    assert "2 sessions of 50 turns up to 100,000 tokens" in done.stdout
    assert re.search(r"memory of sessions +0\.\d\d GB +within the limit of 1 GB", done.stdout), done.stdout
    assert "CPU per chunk of sessions, times single turns" in done.stdout

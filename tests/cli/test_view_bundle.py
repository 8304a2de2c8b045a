"""`aisb view --bundle`: real runs as a folder of files, served by `python -m http.server` under a sub-path."""

from __future__ import annotations

import base64
import json
import re
import shutil
import socket
import subprocess
import sys
import time
import zlib
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from forked import run_forked

from aisb import UsageError
from aisb_cli.main import cli

KEY = "wholly-secret-0123456789"
FORMED = "sk-abcdefghijklmnopqrstuvwxyz0123"
HOSTILE = (
    '</script><script>document.title="taken over"</script><img src=x onerror="document.title=\'taken over\'">'
)


def aisb(*words):
    return CliRunner().invoke(cli, list(words))


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    """A work folder with a run whose prompts hold keys and hostile text, another, and a performance run."""
    home = tmp_path_factory.mktemp("home")
    data = home / "mine.jsonl"
    rows = [
        {"question": f"{HOSTILE} my keys are {KEY} and {FORMED}. What is {n} + 1?", "answer": str(n + 1)}
        for n in range(5)
    ]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    own = ["--custom-dataset-path", str(data), "--custom-dataset-data-type", "qa"]
    runs = (
        [*own],
        ["--datasets", "demo_gsm8k", "--num-prompts", "6"],
        ["--datasets", "demo_gsm8k", "--mode", "perf", "--num-prompts", "6"],
    )
    for words in runs:
        done = aisb("run", "--models", "sim", *words, "-w", str(home / "work"))
        assert done.exit_code == 0, done.output
    note = f"{HOSTILE} with {FORMED}"
    first = min((home / "work").iterdir()).name
    assert aisb("runs", "tag", first, "baseline", "--note", note, "-w", str(home / "work")).exit_code == 0
    return home / "work"


@pytest.fixture(scope="module")
def bundle(work, tmp_path_factory):
    """The bundle of that folder, in a sub-folder of what the server serves."""
    folder = tmp_path_factory.mktemp("served") / "results/today"
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("MY_API_KEY", KEY)
        done = aisb("view", "--bundle", str(folder), str(work))
    assert done.exit_code == 0, done.output
    assert f"{folder}: 3 runs, 3 written, 0 removed, " in done.stdout
    assert f"python -m http.server --bind 127.0.0.1 -d {folder}" in done.stdout
    return folder


@contextmanager
def served(root: Path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    line = [sys.executable, "-m", "http.server", "--bind", "127.0.0.1", "-d", str(root), str(port)]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(200):
            with socket.socket() as trial:
                if trial.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}/"
    finally:
        process.kill()
        process.wait(20)


def contents(bundle):
    """Yield every file of a bundle as text, with the blocks that are deflated in reports unpacked."""
    for path in sorted(bundle.rglob("*")):
        if not path.is_file():
            continue
        text = path.read_text("utf-8")
        yield path.name, text
        for block in re.findall(
            r'type="application/octet-stream" id="(?!plotly)[^"]*">([A-Za-z0-9+/=]+)<', text
        ):
            yield path.name, zlib.decompress(base64.b64decode(block)).decode("utf-8", "replace")


def test_secrets_are_masked_in_every_file_and_no_place_of_this_machine_is_named(bundle, work):
    texts = list(contents(bundle))
    assert any("my keys are *** and ***. What is" in text for _, text in texts)
    for name, text in texts:
        assert KEY not in text, name
        assert FORMED not in text, name
        if name in ("runs.json", "run.json", "index.html", "bundle.json"):
            assert str(work.parent) not in text.replace(str(work.parent / "mine.jsonl"), ""), name
    record = json.loads((bundle / "runs" / min(work.iterdir()).name / "run.json").read_text())
    assert record["note"] == f"{HOSTILE} with ***"
    assert record["tags"] == ["baseline"]
    assert "path" not in record


def test_no_file_asks_another_host(bundle):
    own = [path for path in bundle.iterdir() if path.suffix in (".html", ".js", ".css")]
    assert len(own) == 7
    for path in own:
        assert re.findall(r"https?://|//[a-z0-9-]+\.[a-z]", path.read_text()) == [], path.name
    assert "default-src 'none'; script-src 'self'" in (bundle / "index.html").read_text()


@pytest.mark.parametrize("width", [1280, 375])
def test_a_plain_web_server_shows_it_under_a_sub_path(bundle, work, browser, width):
    names = sorted(run.name for run in work.iterdir())
    with served(bundle.parent.parent) as root:
        page = browser(width, 900, asks=(root,))
        page.go(f"{root}results/today/", "document.querySelectorAll('#runs tbody tr').length === 3")
        assert page.run("document.getElementById('count').innerText") == "3 runs"
        assert page.run("document.querySelectorAll('input[type=checkbox]').length") == 0
        listed = page.run("document.querySelector('#runs').innerText")
        assert HOSTILE[:40] in listed
        assert page.run("document.documentElement.scrollWidth") <= width
        page.go(f"{root}results/today/#run/{names[0]}", "document.querySelector('#scores')")
        assert page.run("document.querySelectorAll('main img, main script').length") == 0
        assert page.run("document.querySelector('#pages a').innerText") == "scores, samples and plots"
        report = page.run("document.querySelector('#pages a').href")
        assert report == f"{root}results/today/runs/{names[0]}/report.html"
        assert page.run("document.documentElement.scrollWidth") <= width
        page.go(report, "document.documentElement?.dataset.state === 'drawn'")
        page.run("document.querySelector('.rows .row').click()")
        page.until("document.getElementById('reader').open")
        assert f"{HOSTILE} my keys are *** and ***." in page.run(
            "document.getElementById('reader').textContent"
        )
        assert "taken over" not in page.run("document.title")
        page.go(f"{root}results/today/#run/{names[2]}", "document.querySelector('.figure')")
        assert "TTFT" in page.run("document.querySelector('.figure').innerText")


def test_a_second_call_writes_what_has_changed_and_removes_what_is_gone(bundle, work, tmp_path):
    ours = tmp_path / "work"
    shutil.copytree(work, ours, symlinks=True)
    folder = tmp_path / "bundle"
    assert aisb("view", "--bundle", str(folder), str(ours)).exit_code == 0
    names = sorted(run.name for run in ours.iterdir())
    reports = {name: (folder / "runs" / name / "report.html").stat().st_mtime_ns for name in names}
    done = aisb("view", "--bundle", str(folder), str(ours))
    assert ": 3 runs, 0 written, 0 removed, " in done.stdout
    assert aisb("runs", "tag", names[1], "candidate", "-w", str(ours)).exit_code == 0
    shutil.rmtree(ours / names[2])
    (folder / "runs" / names[0] / ".aisb-bundle-killed").mkdir()
    done = aisb("view", "--bundle", str(folder), str(ours))
    assert ": 2 runs, 1 written, 1 removed, " in done.stdout
    assert not (folder / "runs" / names[2]).exists()
    listed = {one["run"]: one["tags"] for one in json.loads((folder / "runs.json").read_text())["runs"]}
    assert listed == {names[0]: ["baseline"], names[1]: ["candidate"]}
    assert (folder / "runs" / names[0] / "report.html").stat().st_mtime_ns == reports[names[0]]
    assert not list(folder.rglob(".aisb-bundle-*"))


def test_a_folder_with_something_else_is_refused_and_left_alone(work, tmp_path):
    (tmp_path / "letter.txt").write_text("mine")
    done = aisb("view", "--bundle", str(tmp_path), str(work))
    assert isinstance(done.exception, UsageError)
    assert str(done.exception) == (
        f"{tmp_path} is not empty, and is not a bundle that aisb view wrote: name a new folder, or an older bundle "
        "to update"
    )
    (tmp_path / "bundle.json").write_text('{"bundle": 7}')
    assert isinstance(aisb("view", "--bundle", str(tmp_path), str(work)).exception, UsageError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bundle.json", "letter.txt"]


def test_names_of_an_old_bundle_never_lead_out_of_it(work, tmp_path):
    (tmp_path / "keep").mkdir()
    (tmp_path / "keep/letter.txt").write_text("mine")
    folder = tmp_path / "bundle"
    (folder / "runs").mkdir(parents=True)
    (folder / "bundle.json").write_text('{"bundle": 1, "runs": {"../../keep": "x", "20250101_000000": "x"}}')
    assert aisb("view", "--bundle", str(folder), str(work)).exit_code == 0
    assert (tmp_path / "keep/letter.txt").read_text() == "mine"


def test_a_run_that_cannot_be_copied_is_listed_with_the_reason(work, tmp_path):
    ours = tmp_path / "work"
    shutil.copytree(work, ours)
    run = sorted(ours.iterdir())[1]
    (run / "predictions/sim/more.jsonl").symlink_to("/etc/passwd")
    line = [sys.executable, "-m", "aisb_cli.main", "view", "--bundle", str(tmp_path / "bundle"), str(ours)]
    done = run_forked(line, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 1
    assert f"{run.name}: no report: " in done.stderr
    assert "more.jsonl is a symbolic link" in done.stderr
    record = json.loads((tmp_path / "bundle/runs" / run.name / "run.json").read_text())
    assert record["pages"] == []
    assert "symbolic link" in record["report_problem"]
    assert str(tmp_path) not in record["report_problem"]


def test_a_run_whose_configuration_no_longer_resolves_is_listed_with_its_note_masked(
    work, tmp_path, monkeypatch
):
    monkeypatch.setenv("MY_API_KEY", KEY)
    ours = tmp_path / "work"
    shutil.copytree(work, ours)
    run = sorted(ours.iterdir())[1]
    config = next(run.glob("configs/*.toml"))
    config.write_text(config.read_text().replace('backend = "sim"', 'backend = "gone"'))
    assert aisb("runs", "tag", run.name, "x", "--note", f"the key is {KEY}", "-w", str(ours)).exit_code == 0
    done = aisb("view", "--bundle", str(tmp_path / "bundle"), str(ours))
    assert f"{run.name}: no report: " in done.stderr
    assert "gone" in done.stderr
    record = json.loads((tmp_path / "bundle/runs" / run.name / "run.json").read_text())
    assert record["note"] == "the key is ***"
    assert "gone" in record["report_problem"]


def test_the_scores_of_a_run_with_the_layout_of_another_tool_are_in_its_report(tmp_path):
    words = ["--datasets", "demo_gsm8k", "--num-prompts", "3", "--set", "run.files_apart=true"]
    assert aisb("run", "--models", "sim", *words, "-w", str(tmp_path / "work")).exit_code == 0
    assert aisb("view", "--bundle", str(tmp_path / "bundle"), str(tmp_path / "work")).exit_code == 0
    heads = [json.loads(text) for _, text in contents(tmp_path / "bundle") if text.startswith('{"summary"')]
    assert [sum(result["outcomes"].values()) for head in heads for result in head["summary"]["results"]] == [
        3
    ]


@pytest.mark.parametrize("more", [["--port", "8765"], ["--open"]])
def test_options_of_the_server_are_refused(work, tmp_path, more):
    done = aisb("view", "--bundle", str(tmp_path / "new"), *more, str(work))
    assert str(done.exception) == "--bundle writes files and starts no server: omit --port and --open"
    assert not (tmp_path / "new").exists()

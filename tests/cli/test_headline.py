"""What a performance run prints first, and the same numbers in `aisb runs` and for `aisb view`."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from aisb_cli.main import cli
from aisb_cli.viewing.reading import RunReader

STORED = Path(__file__).parents[1] / "runs/performance"
PERFORMANCE = (
    "--mode", "perf", "--models", "sim", "--datasets", "demo_gsm8k", "--concurrency", "4",
    "--set", "model.options.ttft_ms=5", "--set", "model.options.tpot_ms=2",
)  # fmt: skip


def aisb(*words: str) -> str:
    done = CliRunner().invoke(cli, [*words])
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with one performance run, whose output is kept in the file `printed`."""
    work = tmp_path_factory.mktemp("headline") / "work"
    printed = aisb("run", *PERFORMANCE, "--set", 'run.reporters=["performance"]', "-w", str(work))
    (work.parent / "printed").write_text(printed)
    return work


def headline(work: Path) -> list[str]:
    return (work.parent / "printed").read_text().rstrip().splitlines()


def figures(text: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(text)["figures"][0]
    return found


def test_a_run_prints_a_headline_with_the_certificate_first(work: Path) -> None:
    lines = headline(work)
    assert len(lines) <= 12
    assert max(map(len, lines)) <= 80
    assert lines[0].startswith("certificate: ")
    assert [line.split()[0] for line in lines[-7:]] == [
        "ms", "TTFT", "TPOT", "ITL", "E2EL", "requested:", "achieved:",
    ]  # fmt: skip
    assert lines[-7].split() == ["ms", "p50", "p95", "p99"]
    for words in ("requests/s", "output tokens/s"):
        assert any(words in line for line in lines[-6:-2])


def test_the_tables_are_printed_where_they_are_wanted(work: Path) -> None:
    again = ("run", "--mode", "perf_viz", "--reuse", "latest", "-w", str(work))
    assert "Common Metric" not in aisb(*again)
    wanted = aisb(*again, "--tables")
    assert wanted.startswith("\n".join(headline(work)))
    assert "Common Metric" in wanted
    assert "Performance" in wanted


def test_goodput_is_counted_by_the_limits_of_a_flag(work: Path, tmp_path: Path) -> None:
    own = tmp_path / "work"  # the limits stay with the run: other tests read the one without
    shutil.copytree(work, own)
    again = ("run", "--mode", "perf_viz", "--reuse", "latest", "-w", str(own))
    # No TPOT here: a busy machine delivers a whole reply at once, and its TPOT is then unknown.
    assert "good requests/s" in aisb(*again, "--goodput", "ttft=10s,e2el:10s")
    found = figures(aisb("runs", "show", "--json", "-w", str(own)))["goodput"]
    assert (found["objectives"], found["good"], found["share"]) == ({"ttft": 10_000, "e2el": 10_000}, 64, 1)
    told = aisb(*again, "--goodput", "e2el=0.001us", "--tables")  # it replaces the limits before
    assert "goodput: 0 requests/s, 0.00 % of those offered, with e2el ≤ 1e-06 ms" in told
    assert "good requests/s" not in aisb(*again)


def test_a_limit_that_makes_no_sense_is_refused_before_anything_is_sent(tmp_path: Path) -> None:
    done = CliRunner().invoke(cli, ["run", *PERFORMANCE, "--goodput", "tttf=5", "-w", str(tmp_path / "work")])
    assert str(done.exception).startswith("no objective named 'tttf'; did you mean 'ttft'?")
    assert not (tmp_path / "work").exists()


def test_runs_show_prints_the_same_headline(work: Path) -> None:
    assert aisb("runs", "show", "-w", str(work)).endswith("\n".join(["", *headline(work), ""]))


def test_runs_list_has_its_numbers_in_fewer_lines(work: Path) -> None:
    _, *lines = aisb("runs", "list", "-w", str(work)).splitlines()
    assert max(map(len, lines)) <= 80
    text = " ".join(" ".join(lines).split())
    found = figures(aisb("runs", "show", "--json", "-w", str(work)))
    assert f"demo_gsm8k: {found['certificate']}, {found['requests_per_second']:.4g} requests/s" in text
    assert "requested at most 4 in flight; achieved " in text
    assert f"TTFT {'/'.join(f'{value:.4g}' for value in found['ttft_ms'].values())}" in text


def test_json_has_numbers_and_no_units(work: Path) -> None:
    (listed,) = json.loads(aisb("runs", "list", "--json", "-w", str(work)))
    assert listed["figures"] == [figures(aisb("runs", "show", "--json", "-w", str(work)))]
    found = listed["figures"][0]
    assert found["text"] == headline(work)
    for name in ("ttft_ms", "tpot_ms", "itl_ms", "e2el_ms"):
        assert list(found[name]) == ["p50", "p95", "p99"]
        assert all(isinstance(value, float) for value in found[name].values())
    for name in ("requests_per_second", "output_tokens_per_second", "total_tokens_per_second"):
        assert isinstance(found[name], float)
    assert found["requested"]["in_flight"] == found["achieved"]["peak"] == 4
    assert (found["requests"], found["failed"]) == (64, 0)


def test_the_page_of_view_is_told_the_same(work: Path) -> None:
    (run,) = RunReader(work, lambda: pytest.fail("no plugin is needed")).runs(10)["runs"]
    (told,) = run["figures"]
    assert told.pop("requested_words") == "at most 4 in flight"
    assert told == figures(aisb("runs", "show", "--json", "-w", str(work)))


def test_a_run_of_a_version_without_headlines_has_the_numbers_that_it_kept(tmp_path: Path) -> None:
    shutil.copytree(STORED, tmp_path / "work")
    shown = " ".join(aisb("runs", "show", "-w", str(tmp_path / "work")).split())
    assert "sums: INVALID, 1367 requests/s, 4100 output tokens/s" in shown
    assert "TTFT 0.3461/–/1.804" in shown

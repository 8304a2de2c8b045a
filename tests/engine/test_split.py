"""A large log that several processes compute says what one alone says, to the last bit."""

from __future__ import annotations

import operator
import os
import random
import subprocess
import sys
import time
from array import array
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from aisb._errors import RunError
from aisb._types import Failure, Prediction, Timing, Usage
from aisb_engine._load.connection_limits import cores
from aisb_engine._performance.gaps import gap_distributions
from aisb_engine._performance.latency import each_request
from aisb_engine._performance.reading import LogPart, read_columns, shared_out
from aisb_engine._performance.split import LARGE, Split, split_for
from aisb_engine._record.log import LogWriter

PERCENTS = (75.0, 90.0, 99.0)


@pytest.fixture(scope="module")
def three() -> Iterator[Split]:
    split = Split(3)
    yield split
    split.close()


def write(folder: Path, *, workers: int, requests: int = 60, sessions: int = 2) -> None:
    """Write a log with all that a log can have: failures, retries, wide gaps, several tokens a chunk."""
    draw = random.Random(0)
    for session in range(sessions):
        for worker in range(workers):
            with LogWriter(folder / f"worker-{worker}", session=session) as log:
                for number in range(worker, requests, workers):
                    sent = draw.randrange(10**9)
                    gaps = [draw.randrange(10**7, 3 * 10**7) for _ in range(draw.randrange(2, 30))]
                    if number % 7 == 0:
                        gaps[-1] = 5 * 10**9  # more than four bytes hold
                    stamps = array("q", np.cumsum([sent + 10**8, *gaps]).tolist())
                    tokens = {0: [1] * len(stamps), 1: [2] * len(stamps)}.get(number % 3, [])
                    log.append(
                        Prediction(
                            str(number),
                            text="aisb " * number,  # a mark of the log, within it
                            finish_reason="stop",
                            usage=Usage(7, len(stamps)),
                            failure=Failure("cut", "gone") if number % 11 == 5 else None,
                            timing=Timing(
                                sent, None, sent, sent + 10**6, stamps, ("content",) * len(stamps),
                                array("i", tokens), stamps[-1], streamed=number % 13 != 1,
                            ),
                        ),
                        final=True,
                    )  # fmt: skip


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_what_processes_compute_is_what_one_computes(tmp_path: Path, three: Split, workers: int) -> None:
    write(tmp_path, workers=workers)
    alone, split = read_columns(tmp_path), read_columns(tmp_path, split=three)
    assert split.ids == alone.ids
    assert split.finish == alone.finish
    assert split.failures == alone.failures
    assert split.table.tobytes() == alone.table.tobytes()
    assert (split.earlier, split.damaged) == (alone.earlier, alone.damaged)
    inside = np.arange(len(alone)) % 2 == 0
    spreads = gap_distributions(alone, each_request(alone), inside, PERCENTS)
    assert gap_distributions(split, each_request(split), inside, PERCENTS, three) == spreads
    assert all(one is not None and one.n > 30 for one in spreads.values())


def test_damage_is_counted_once_wherever_a_log_is_cut(tmp_path: Path, three: Split) -> None:
    write(tmp_path, workers=1, sessions=1)
    path = tmp_path / "worker-0"
    data = bytearray(path.read_bytes())
    for at in range(0, len(data), len(data) // 9):  # among them where thirds of the file end
        data[at : at + 300] = bytes(300)
    path.write_bytes(data)
    alone, split = read_columns(tmp_path), read_columns(tmp_path, split=three)
    assert alone.damaged > 5
    assert split.damaged == alone.damaged
    assert split.table.tobytes() == alone.table.tobytes()


@pytest.mark.parametrize("count", [1, 2, 7, 200])
def test_shares_are_cut_between_records_and_hold_all_bytes_once(tmp_path: Path, count: int) -> None:
    write(tmp_path, workers=2, sessions=1)
    whole = [
        LogPart(n, path, 0, path.stat().st_size) for n, path in enumerate(sorted(tmp_path.glob("worker-*")))
    ]
    shares = shared_out(whole, count)
    assert len(shares) == count
    pieces = [piece for share in shares for piece in share]
    for one in whole:
        mine = [piece for piece in pieces if piece.number == one.number]
        assert [mine[0].start, mine[-1].end] == [0, one.end]
        assert all(before.end == after.start for before, after in pairwise(mine))
    largest = max(sum(piece.end - piece.start for piece in share) for share in shares)
    assert largest < sum(piece.end for piece in whole) / count + 2_000  # a record more


def test_an_error_of_a_part_is_raised_where_it_was_asked_for(three: Split) -> None:
    with pytest.raises(KeyError, match="nothing"):
        three.each(operator.getitem, [("nothing",)] * 3)
    assert three.each(isinstance, [(dict,)] * 3) == [True] * 3  # and the processes are still there


def test_a_process_that_is_gone_is_a_clear_error_and_no_endless_wait() -> None:
    split = Split(2)
    try:
        split._processes[1].kill()
        with pytest.raises(RunError) as caught:
            split.each(dict, [(), ()])
        assert str(caught.value) == (
            "a process that computed a part of the log ended by signal 9; the log is not damaged\n"
            "  is there enough memory? then compute it again: aisb run --mode perf_viz --reuse RUN"
        )
    finally:
        split.close()


def test_the_processes_end_with_the_one_that_started_them() -> None:
    words = (
        "import time; from aisb_engine._performance.split import Split; split = Split(2); split.each(dict, [(), ()]); "
        "print(*(one.pid for one in split._processes), flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", words], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        pids = [*map(int, process.stdout.readline().split())]
        process.kill()
    assert len(pids) == 2
    until = time.monotonic() + 20
    while any(map(running, pids)) and time.monotonic() < until:
        time.sleep(0.02)
    assert not any(map(running, pids))


def running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().split()[2]
    except (ProcessLookupError, FileNotFoundError):
        return False


def test_only_a_large_log_is_worth_processes(tmp_path: Path) -> None:
    (tmp_path / "worker-0").write_bytes(b"small")
    with split_for(tmp_path) as split:
        assert split is None
    with (tmp_path / "worker-1").open("wb") as file:
        file.truncate(LARGE)  # without taking any room
    with split_for(tmp_path) as split:
        assert (0 if split is None else split.count) == (min(cores(), 8) if cores() > 1 else 0)

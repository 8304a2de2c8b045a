"""The log keeps every attempt, whatever happens to the file."""

from __future__ import annotations

import random
import subprocess
import sys
from array import array
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisb._types import Failure, Logprob, Prediction, Timing, Usage
from aisb_engine._record.log import LogWriter, decode, encode, read_file, read_folder, rewrite_log
from aisb_engine._record.records import counts_of
from aisb_engine._record.stored import summary_for

KINDS = ("role", "content", "content", "finish", "usage")


def prediction(number: int = 0, **changes: object) -> Prediction:
    timing = Timing(
        planned_ns=5,
        sent_ns=10,
        headers_ns=20,
        chunk_ns=array("q", [30, 40, 55, 55, 2**40]),
        chunk_kinds=KINDS,
        chunk_tokens=array("i", [1, 2]),
        done_ns=2**41,
    )
    values: dict[str, object] = {
        "sample_id": f"anatomy/{number}",
        "repeat": 1,
        "text": 'aisb "quoted" 汉字 aisb',
        "reasoning": "because",
        "finish_reason": "stop",
        "usage": Usage(input_tokens=7, output_tokens=3),
        "timing": timing,
        "attempts": 2,
    }
    return Prediction(**(values | changes))  # type: ignore[arg-type]


def test_an_attempt_comes_back_as_it_was_written(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "worker-0", session=3) as log:
        log.append(prediction(), final=True)
        log.append(prediction(1, failure=Failure("status", "busy", 429, 2.5)), final=False)
        log.append(prediction(2, logprobs=(Logprob(-1.5, 2, True, 1, 9, -7.25, 6),)), final=True)
    first, second, third = read_file(tmp_path / "worker-0")
    assert first is not None
    assert second is not None
    assert (first.prediction, first.final, first.session) == (prediction(), True, 3)
    assert second.prediction.failure == Failure("status", "busy", 429, 2.5)
    assert not second.final
    assert third is not None
    assert third.prediction.logprobs == (Logprob(-1.5, 2, True, 1, 9, -7.25, 6),)


def test_token_counts_in_the_form_of_older_logs_are_read(tmp_path: Path) -> None:
    def make_older(header: dict[str, Any]) -> bool:
        names = ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens")
        header["usage"] = dict(zip(names, header["usage"], strict=True))
        return True

    with LogWriter(tmp_path / "worker-0") as log:
        log.append(prediction(), final=True)
    (tmp_path / "worker-1").write_bytes(
        b"".join(filter(None, rewrite_log(tmp_path / "worker-0", make_older)))
    )
    (now,), (older,) = read_file(tmp_path / "worker-0"), read_file(tmp_path / "worker-1")
    assert b'"output_tokens":3' in (tmp_path / "worker-1").read_bytes()
    assert now == older
    assert counts_of({"output_tokens": 3}) == [None, 3, None, None]


@given(
    st.lists(st.integers(-(2**62), 2**62), max_size=6),
    st.lists(st.integers(0, 2**31 - 1), max_size=4),
    st.text(),
)
def test_any_stamps_tokens_and_text_come_back(stamps: list[int], tokens: list[int], text: str) -> None:
    stamps.sort()
    timing = Timing(
        chunk_ns=array("q", stamps), chunk_kinds=("content",) * len(stamps), chunk_tokens=array("i", tokens)
    )
    before = Prediction("0", text=text.encode("utf-8", "ignore").decode(), timing=timing)
    assert decode(memoryview(encode(before, final=True, session=0))[12:]).prediction == before


def test_the_last_attempt_wins_and_a_later_command_stands_above_an_earlier_one(tmp_path: Path) -> None:
    with LogWriter(tmp_path / "worker-1", session=0) as log:
        log.append(prediction(failure=Failure("cut", "gone")), final=True)
    with LogWriter(tmp_path / "worker-0", session=1) as log:
        log.append(prediction(text="at last"), final=True)
    found = read_folder(tmp_path)
    assert found.latest["anatomy/0", 1, 0].text == "at last"
    assert found.finished == {("anatomy/0", 1, 0)}
    assert found.attempts == 2


@settings(max_examples=40)
@given(st.data())
def test_a_file_cut_anywhere_loses_only_its_last_record(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("log") / "worker-0"
    with LogWriter(path) as log:
        for number in range(4):
            log.append(prediction(number), final=True)
    whole = path.read_bytes()
    size = len(whole) // 4
    cut = data.draw(st.integers(0, len(whole)))
    path.write_bytes(whole[:cut])
    with LogWriter(path) as log:
        log.append(prediction(9), final=True)
    ids = [record.prediction.sample_id for record in read_file(path) if record is not None]
    assert ids == [f"anatomy/{n}" for n in range(cut // size)] + ["anatomy/9"]
    assert None not in list(read_file(path))


def test_damage_in_the_middle_costs_one_record_and_is_counted(tmp_path: Path) -> None:
    path = tmp_path / "worker-0"
    with LogWriter(path) as log:
        for number in range(5):
            log.append(prediction(number), final=True)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3] = b"\0\0\0"
    path.write_bytes(data)
    found = read_folder(tmp_path)
    assert len(found.latest) == 4
    assert found.damaged == 1


def test_a_mark_before_zeroed_bytes_is_damage_and_no_empty_record(tmp_path: Path) -> None:
    path = tmp_path / "worker-0"
    with LogWriter(path) as log:
        for number in range(3):
            log.append(prediction(number), final=True)
    data = bytearray(path.read_bytes())
    second = data.index(b"aisb", 1)
    data[second + 4 : second + 200] = bytes(196)  # as a disk may keep a write that it never finished
    path.write_bytes(data)
    found = read_folder(tmp_path)
    assert len(found.latest) == 2
    assert found.damaged == 1


def test_random_bytes_are_no_records_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "worker-0").write_bytes(random.Random(1).randbytes(5000) + b"aisb" * 50)
    found = read_folder(tmp_path)
    assert found.latest == {}
    assert found.damaged == 1


FULL_DISK = """
import resource, sys
from pathlib import Path
from aisb._errors import RunError
from aisb_engine._record.log import LogWriter
from aisb._types import Prediction
resource.setrlimit(resource.RLIMIT_FSIZE, (3000, 3000))   # what a full disk does, for this process alone
log = LogWriter(Path(sys.argv[1]))
log.append(Prediction("0", text="x" * 1000), final=True)
try:
    log.append(Prediction("1", text="x" * 5000), final=True)
except RunError as error:
    print(error)
log.append(Prediction("2", text="small"), final=True)
"""


def test_a_write_that_does_not_fit_is_said_and_leaves_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "worker-0"
    ended = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert ended.stderr == ""
    assert f"the log {path} cannot be written: No space left on device" in ended.stdout
    assert "all finished requests are kept; make room, then resume the run" in ended.stdout
    assert [record and record.prediction.sample_id for record in read_file(path)] == ["0", "2"]


def test_a_log_read_for_its_outcomes_has_the_same_ends_and_reads_answers_from_the_file(tmp_path: Path):
    usage = Usage(1, 2, None, 0)
    with LogWriter(tmp_path / "worker-0") as log:
        log.append(
            Prediction("a", text="18", reasoning="6 * 3", usage=usage, finish_reason="stop"), final=True
        )
        log.append(Prediction("b", failure=Failure("timeout", "10 s")), final=True)
        log.append(Prediction("c", failure=Failure("timeout", "10 s")), final=False)
        log.append(Prediction("c", 0, 0, "9", attempts=2), final=True)
    whole, light = read_folder(tmp_path), read_folder(tmp_path, keep_answers=False)
    assert light.finished == whole.finished == {("a", 0, 0), ("c", 0, 0)}
    assert (light.attempts, light.damaged) == (whole.attempts, whole.damaged)
    assert dict(light.latest) == dict(whole.latest)
    short = summary_for(light.latest, ("a", 0, 0))
    assert short is not None
    assert (short.text, short.usage, short.finish_reason) == ("", usage, "stop")
    assert summary_for(light.latest, ("b", 0, 0)) == whole.latest["b", 0, 0]
    assert summary_for(light.latest, ("d", 0, 0)) is None
    assert summary_for(dict(whole.latest), ("a", 0, 0)) == whole.latest["a", 0, 0]

"""The log as columns says the same as the log read record by record."""

from array import array

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisb._types import TOKEN_KINDS, Failure, Prediction, Timing, Usage
from aisb_engine._performance.columns import CHUNK_KINDS
from aisb_engine._performance.dialects import DIALECTS, measure_by
from aisb_engine._performance.latency import each_request
from aisb_engine._performance.reading import read_columns
from aisb_engine._record.latency import latency
from aisb_engine._record.log import LogWriter

MS = 1_000_000


def reply(number=0, kinds=("role", "content", "content", "finish"), gaps=None, tokens=(), **changes):
    """A prediction whose first chunk comes 100 ms after sending, and the next ones after `gaps` ns."""
    sent = changes.pop("sent", 1000 * MS)
    gaps = [20 * MS] * (len(kinds) - 1) if gaps is None else gaps
    stamps = np.cumsum([sent + 100 * MS, *gaps])[: len(kinds)].tolist() if kinds else []
    timing = Timing(
        planned_ns=sent - MS,
        sent_ns=sent,
        headers_ns=sent + MS,
        chunk_ns=array("q", stamps),
        chunk_kinds=tuple(kinds),
        chunk_tokens=array("i", tokens),
        done_ns=stamps[-1] + 3 * MS if stamps else None,
        streamed=changes.pop("streamed", True),
    )
    values = {"sample_id": str(number), "finish_reason": "stop", "usage": Usage(7, 2), "timing": timing}
    return Prediction(**(values | changes))


def logged(folder, *predictions, session=0, worker=0, extra=None):
    with LogWriter(folder / f"worker-{worker}", session=session) as log:
        for prediction in predictions:
            log.append(prediction, final=True, extra=extra)
    return read_columns(folder)


one_chunk = st.tuples(st.sampled_from(CHUNK_KINDS), st.integers(0, 10**7), st.integers(0, 5))
chunks = st.lists(one_chunk, max_size=12) | st.lists(one_chunk, min_size=30, max_size=40)


@settings(max_examples=40, deadline=None)
@given(st.lists(chunks, min_size=1, max_size=4), st.booleans(), st.booleans())
def test_columns_hold_what_the_records_hold_whatever_the_chunks(tmp_path_factory, replies, streamed, wide):
    predictions = [
        reply(
            number,
            [kind for kind, _, _ in chunks],
            [gap + (2**33 if wide else 0) for _, gap, _ in chunks[1:]],
            [tokens for _, _, tokens in chunks] if number % 2 else (),
            sent=(1000 + number) * MS,
            streamed=streamed,
        )
        for number, chunks in enumerate(replies)
    ]
    columns = logged(tmp_path_factory.mktemp("log"), *predictions)
    found = each_request(columns)
    for rules in DIALECTS.values():
        assert len(measure_by(columns, rules, [99]).e2el) == len(predictions)
    for row, prediction in enumerate(predictions):
        timing = prediction.timing
        expected = [np.nan if value is None else value for value in latency(timing)]
        mine = [getattr(found, name)[row] for name in ("ttfb", "ttft", "ttfc", "e2el")]
        np.testing.assert_allclose(mine, expected, atol=1e-9)
        bearing = [
            at for at, kind in zip(timing.chunk_ns, timing.chunk_kinds, strict=True) if kind in TOKEN_KINDS
        ]
        gaps = [gaps.tolist() for _, gaps in columns.gaps([row])]
        assert gaps == ([np.diff(bearing).tolist()] if len(bearing) > 1 else [])
        assert columns.count()[row] == len(bearing)
        if timing.chunk_kinds:
            stamps, mask, tokens = columns.chunks(row)
            assert stamps.tolist() == list(timing.chunk_ns)
            assert mask.tolist() == [kind in TOKEN_KINDS for kind in timing.chunk_kinds]
            assert tokens.tolist() == list(timing.chunk_tokens)


def test_requests_stand_in_the_order_of_sending_whichever_worker_sent_them(tmp_path):
    logged(tmp_path, reply(3, sent=3000 * MS), reply(1, sent=1000 * MS), worker=0)
    columns = logged(tmp_path, reply(2, sent=2000 * MS), worker=1)
    assert columns.ids == ["1", "2", "3"]
    assert columns["sent"].tolist() == [1e9, 2e9, 3e9]


def test_the_last_attempt_counts_and_an_earlier_command_is_left_out(tmp_path):
    logged(tmp_path, reply(1), reply(2, failure=Failure("cut", "gone")))
    columns = logged(tmp_path, reply(2, attempts=2), reply(3), session=1, worker=1)
    assert columns.ids == ["2", "3"]
    assert columns.failures == {}
    assert columns["attempts"].tolist() == [2, 1]
    assert columns.earlier == 1


def test_what_failed_keeps_its_reason_and_what_is_unknown_is_nan(tmp_path):
    failed = reply(1, (), [], failure=Failure("timeout", "no first byte within 5 s"), usage=None)
    columns = logged(tmp_path, reply(0), failed)
    assert columns.failures == {1: ("timeout", "no first byte within 5 s")}
    found = each_request(columns)
    assert found.ok.tolist() == [True, False]
    for name in ("ttft", "e2el", "tpot", "output_tokens", "input_tokens"):
        assert np.isnan(getattr(found, name)[1])


def test_damage_costs_one_row_and_is_counted(tmp_path):
    logged(tmp_path, *(reply(n, sent=n * MS) for n in range(5)))
    path = tmp_path / "worker-0"
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 255
    path.write_bytes(data)
    columns = read_columns(tmp_path)
    assert (len(columns), columns.damaged) == (4, 1)


def test_an_empty_log_and_one_that_is_not_there_have_no_rows(tmp_path):
    (tmp_path / "worker-0").touch()
    assert len(read_columns(tmp_path)) == 0
    assert len(read_columns(tmp_path / "nowhere")) == 0


def test_lengths_that_were_asked_are_read_beside_the_attempt(tmp_path):
    columns = logged(tmp_path, reply(0), extra={"max_tokens": 64, "input_tokens_asked": 512})
    assert (columns["max_tokens"][0], columns["requested_input"][0]) == (64, 512)


def test_a_gap_is_spread_over_the_tokens_of_its_chunk_and_one_without_tokens_joins_the_next(tmp_path):
    columns = logged(
        tmp_path,
        reply(0, ("content",) * 4, [40 * MS, 10 * MS, 20 * MS], [1, 4, 0, 3], usage=Usage(7, 8)),
    )
    [(_, shares)] = columns.per_token([0])
    assert shares.tolist() == [10 * MS] * 4 + [10 * MS] * 3
    assert each_request(columns).tpot[0] == pytest.approx(70 / (8 - 1))


@pytest.mark.parametrize(
    ("tokens", "usage", "n", "source", "tpot"),
    [
        ((), Usage(7, 3), 3, 0, 20.0),
        ((0, 5, 1, 0), None, 6, 1, 20.0),
        ((0, 5, 1, 0), Usage(7, 6), 6, 0, 20.0),
        ((), None, np.nan, -1, np.nan),
        ((0, 5, 1, 0), Usage(7, 5), 5, 0, np.nan),
    ],
    ids=[
        "usage, with the end token",
        "chunks",
        "usage, and the first chunk's tokens",
        "unknown",
        "no more than in the first chunk",
    ],
)
def test_n_comes_from_the_first_source_that_knows_it(tmp_path, tokens, usage, n, source, tpot):
    found = each_request(logged(tmp_path, reply(0, tokens=tokens, usage=usage)))
    np.testing.assert_equal([found.output_tokens[0], found.source[0], found.tpot[0]], [n, source, tpot])

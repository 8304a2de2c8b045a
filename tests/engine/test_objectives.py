"""Objectives as people write them: one form for goodput and for limits of a whole run."""

from __future__ import annotations

import pytest

from aisb._errors import UsageError
from aisb_engine import judge_objectives, parse_goodput, parse_run_objectives
from aisb_engine._performance.objectives import Objective, parse_objectives


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("ttft=300", 300), ("ttft:300", 300), ("ttft=300ms", 300), ("ttft:0.3s", 300), ("TTFT = 300 ms", 300),
        ("ttft=.3 S", 300), ("ttft=3e2", 300), ("ttft=250us", 0.25), ("ttft=250µs", 0.25),
    ],
)  # fmt: skip
def test_a_limit_is_in_milliseconds_unless_a_unit_stands_there(text: str, limit: float) -> None:
    assert parse_objectives(text) == [Objective("ttft", pytest.approx(limit))]


@pytest.mark.parametrize("text", ["ttft=300,tpot=50", "ttft:300 tpot:50", " tpot = 0.05s, ttft = 300 ms, "])
def test_several_stand_with_commas_or_spaces_between_them(text: str) -> None:
    assert parse_goodput(text) == {"ttft": 300, "tpot": 50}


def test_a_percentile_and_a_share_of_failures_are_about_the_whole_run() -> None:
    assert parse_objectives("ttft_p95=500ms, e2el_p99.9:20s, failures=1%, ttft-planned=1s") == [
        Objective("ttft", 500, 95),
        Objective("e2el", 20_000, 99.9),
        Objective("failures", 0.01),
        Objective("ttft_planned", 1000),
    ]
    assert [one.is_per_request for one in parse_objectives("ttft_p95=1 failures=0% tpot=1")] == [
        False, False, True,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' has no objective: write NAME=LIMIT, as in ttft=300,tpot=50"),
        (" , ", "has no objective"),
        ("ttft", "the objective 'ttft' is not NAME=LIMIT, as in ttft=300 or tpot:0.05s"),
        ("=300", "is not NAME=LIMIT"),
        ("tttf=300", "no objective named 'tttf'; did you mean 'ttft'?\n  known: ttft, ttfc, tpot, e2el"),
        ("itl_p95=3", "no objective named 'itl_p95'"),
        ("failures_p95=3%", "no objective named 'failures_p95'"),
        ("ttft_p0=3", "the objective 'ttft_p0=3': a percentile must lie between 0 and 100, as in ttft_p95"),
        (
            "ttft=fast",
            "the objective 'ttft=fast': 'fast' is not a limit; write ttft=300, ttft=300ms or ttft=0.3s",
        ),
        ("ttft=300m", "'300m' is not a limit"),
        ("ttft=nan", "'nan' is not a limit"),
        ("ttft=1e999", "a time must be more than 0 milliseconds"),
        ("ttft=0", "the objective 'ttft=0': a time must be more than 0 milliseconds"),
        ("ttft=-5ms", "a time must be more than 0 milliseconds"),
        ("ttft=5%", "the objective 'ttft=5%': a time is in ms or s, as in ttft=300ms"),
        ("failures=1", "the objective 'failures=1': failures are limited in percent, as in failures=1%"),
        ("failures=101%", "failures are limited in percent"),
        ("ttft=1,ttft:2", "sets 'ttft:2' after another limit for the same: keep one"),
    ],
)
def test_what_makes_no_sense_is_named(text: str, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        parse_objectives(text)
    assert message in str(raised.value)


@pytest.mark.parametrize("text", ["ttft_p95=500", "tpot=50,failures=1%"])
def test_goodput_takes_limits_that_each_request_can_keep_to(text: str) -> None:
    with pytest.raises(UsageError, match="applies to the whole run, but goodput counts requests"):
        parse_goodput(text)


def test_an_objective_of_a_whole_run_says_how_many_requests_may_be_over_it() -> None:
    assert [str(one) for one in parse_run_objectives("ttft_p99.9=2s,failures=0%")] == [
        "ttft_p99.9",
        "failures",
    ]
    with pytest.raises(UsageError, match="name a percentile, as in ttft_p95=500ms"):
        parse_run_objectives("ttft=500")


def measured(ok: list[bool], ttft: list[float], output_tokens: list[int]) -> dict[str, object]:
    return {"ok": ok, "ttft": ttft, "tpot": ttft, "output_tokens": output_tokens}


def test_a_request_that_failed_is_over_every_limit_of_a_percentile() -> None:
    nan = float("nan")
    found = measured([True] * 4 + [False], [10.0, 20.0, 30.0, 40.0, nan], [5, 5, 5, 1, 0])
    objectives = parse_run_objectives("ttft_p50=25,ttft_p75=40,ttft_p90=1s,failures=20%,tpot_p50=20")
    judged = judge_objectives(found, objectives)
    assert [one.value for one in judged] == [30.0, 40.0, float("inf"), 0.2, 20.0]
    assert [one.holds for one in judged] == [False, True, False, True, True]
    unknown = judge_objectives(measured([True], [nan], [5]), objectives[:1])
    assert (unknown[0].value, unknown[0].holds) == (None, False)

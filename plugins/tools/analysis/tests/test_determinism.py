"""How far a service gives the same answers, and what `aisb compare --noise` makes of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from aisb import FinishedRun, RunError
from aisb_analysis._determinism import Agreement, Determinism, _agreement, measure_determinism, noise_lines

SAME = Agreement(24, 0, None)
QUIET = Determinism(3, SAME, SAME, SAME, (75.0,) * 3, (75.0,) * 3, flips=0, pairs=72, failed=0)


def test_texts_are_compared_up_to_where_they_first_differ() -> None:
    found = _agreement([{"a": "It is 12.", "b": "No.", "c": "x"}, {"a": "It is 13.", "b": "No.", "d": "x"}])
    assert found == Agreement(2, 1, 7)
    assert str(found) == (
        "1 of 2 prompts (50 %) get different texts, which first differ after 7 characters (median)"
    )
    assert _agreement([{"a": "It"}, {"a": "It is"}]).first == 2
    assert str(_agreement([{"a": "It"}, {"a": "It"}])) == "all 1 prompts always get the same text"


def test_more_flips_than_the_noise_of_the_service_are_told_from_as_many() -> None:
    pytest.importorskip("scipy")
    assert QUIET.is_deterministic
    flips, verdict = noise_lines(QUIET, 60, 400)
    assert flips == "15.0 % of the samples flip; 0.0 % flip by the noise of the service (0 of 72 pairs)"
    assert verdict == "that is more than this noise explains (p 0.023)"
    noisy = replace(QUIET, flips=9)
    _, verdict, least = noise_lines(noisy, 60, 400)
    assert verdict.startswith("that is no more than this noise explains (p 0.5")
    assert least == "with this noise, 400 samples detect no difference below 5.0 points"
    assert not list(noise_lines(replace(QUIET, pairs=0), 60, 400))


def test_another_run_has_no_noise_to_tell() -> None:
    other = FinishedRun(Path("outputs/x"), "x", configuration={"subtasks": [{"model": "m", "task": "t"}]})
    with pytest.raises(RunError, match=r"outputs/x is not a run of aisb doctor --determinism"):
        measure_determinism(other)

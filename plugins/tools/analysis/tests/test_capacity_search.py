"""The search for a capacity in virtual time: what it finds, and that it says what it cannot."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import pytest

from aisb import UsageError
from aisb_analysis._capacity.answer import Capacity, DetectableChange
from aisb_analysis._capacity.fitting import Segment, fit
from aisb_analysis._capacity.loads import Limit, LoadPoint, MeasuredLoad, limits_of
from aisb_analysis._capacity.search import Search
from aisb_analysis._capacity.simulated import SERVICES, Batching, Limited, SimulatedRun, Slots
from aisb_engine import parse_objectives

pytest.importorskip("scipy")


def search(service: SimulatedRun, objectives: str, minutes: float = 30) -> Capacity:
    return Search(service, limits_of(parse_objectives(objectives)), 60 * minutes).run()


def test_the_interval_covers_the_capacity_of_a_service_with_slots() -> None:
    found = [search(SERVICES["slots"](seed), "ttft_p95=500ms") for seed in range(10)]
    covering = [one for one in found if one.low and one.high and one.low <= 13.36 <= one.high]
    assert len(covering) >= 8
    assert all(one.users and one.users.low == 8 for one in found)
    assert found[0].lines()
    line = next(iter(found[0].lines()))
    assert line.startswith("capacity: 13")
    assert line.endswith("ttft_p95 breaks first")


def test_an_overload_bounds_the_capacity_from_above() -> None:
    """Blocks that hold, and an overload above them: the capacity is between, not at the overload."""
    holding = [Segment(rate, 0, 230, 230.0, block) for block, rate in enumerate((7.2, 7.6)) for _ in range(2)]
    overloaded = [Segment(9.8, over, 300, 300.0, 2) for over in (165, 300)]
    found = fit([*holding, *overloaded], 0.01, 8.4)
    assert 7.2 < found.rate < 9.3


def test_more_arrivals_than_the_rate_gives_do_not_lower_the_capacity() -> None:
    """At the capacity, 4 % more arrivals than planned break the objective more often, as is to be expected."""
    planned, more = 600.0, 1.04
    share = 1 / (1 + np.exp(-np.log(0.05 / 0.95) - 15 * 0.8 * np.log(more)))
    total = round(planned * more)
    at_capacity = [Segment(10.0, round(share * total), total, planned, block) for block in range(10)]
    apart = [Segment(rate, round(over * 600), 600, 600.0, 10) for rate, over in ((9.5, 0.024), (10.5, 0.099))]
    assert fit([*at_capacity, *apart], 0.05, 10.0).rate == pytest.approx(10, rel=0.01)
    unaware = [one._replace(expected=one.total) for one in at_capacity]
    assert fit([*unaware, *apart], 0.05, 10.0).rate < 9.85


def test_a_search_does_not_stay_in_an_overload() -> None:
    """The first blocks of some of these searches are far above the capacity; the later ones must be near it."""
    found = [search(Batching(seed), "ttft_p99=500ms") for seed in range(4)]
    assert all(one.rate == pytest.approx(7.62, rel=0.12) for one in found)


def test_of_several_objectives_the_one_that_breaks_first_decides() -> None:
    found = search(Batching(1), "ttft_p95=500ms,tpot_p95=35ms,failures=1%")
    assert found.first == "tpot_p95"
    assert found.low is not None
    assert found.high is not None
    assert found.low < 6.21 < found.high


def test_a_limiter_is_named_with_the_rate_that_it_lets_through() -> None:
    found = search(Limited(1), "failures=1%", 10)
    assert found.limiter == pytest.approx(10, rel=0.06)
    assert found.low is not None
    assert found.low < 9.57
    assert any("a rate limiter (429)" in line for line in found.lines())
    assert found.users is None


def test_a_service_that_degrades_is_measured_anew() -> None:
    found = search(Slots(1, slower=1.5), "ttft_p95=500ms")
    assert found.changed == "degrades"
    assert found.rate == pytest.approx(8.26, rel=0.1)


def test_a_cache_that_warms_up_is_said_to_improve() -> None:
    found = search(Slots(1, cold=3000), "ttft_p95=500ms")
    assert found.changed == "improves"
    assert found.rate == pytest.approx(13.36, rel=0.1)


def test_a_budget_that_is_too_short_is_inconclusive_and_says_how_much_is_needed() -> None:
    found = search(Batching(1), "ttft_p95=500ms", 3)
    line = next(iter(found.lines()))
    assert not found.conclusive
    assert "inconclusive" in line
    assert f"needs about {found.needed_minutes} minutes" in line
    assert found.needed_minutes > 3
    enough = search(Batching(1), "ttft_p95=500ms", found.needed_minutes)
    assert enough.conclusive


def test_an_inconclusive_search_names_no_rate_above_saturation() -> None:
    found = Capacity(
        rate=None, low=None, high=None, first="ttft_p95", in_flight=None, saturation=16.0, knee=16, users=None,
        changed="", visible=DetectableChange(0.05, 2), limiter=None, segments=2, broken=1, held=17.9, broke=19.6,
        two_sided=False, needed_minutes=6, seconds=180.0,
    )  # fmt: skip
    assert next(found.lines()) == (
        "capacity: inconclusive, perhaps near 16 requests/s, where the service saturates: "
        "needs about 6 minutes (--budget 6m)"
    )
    assert "perhaps between 14 and 15 requests/s" in next(replace(found, held=14.0, broke=15.0).lines())


def test_a_budget_of_under_100_requests_one_after_another_gives_no_upper_bound() -> None:
    found = search(Slots(1, slots=64, seconds=10.0), "ttft_p95=500ms", 15)
    assert not found.two_sided
    assert found.high is None
    if found.conclusive:
        assert "less than 100 times the duration of a request" in next(iter(found.lines()))


def test_an_objective_that_never_breaks_gives_a_lower_bound_alone() -> None:
    found = search(Limited(1, rate=1e9, burst=1e9), "ttft_p95=500ms", 5)
    assert found.rate is None
    assert found.held is not None
    assert "no objective broke" in next(iter(found.lines()))


def test_an_objective_that_always_breaks_says_so() -> None:
    found = search(Slots(1), "e2el_p95=100ms", 5)
    assert next(iter(found.lines())).startswith("capacity: under")
    assert found.users is not None
    assert found.users.low == 0


@dataclass
class Failing:
    """A service that fails every request."""

    def measure(self, load: MeasuredLoad) -> LoadPoint:
        """Fail ten requests."""
        ten = np.linspace(0, load.length, 10)
        failed = np.ones(10, bool)
        return LoadPoint(load, ten, ten * 0 + 0.1, {"ttft": ten}, failed, ~failed, load.length)


@dataclass
class Spoiling:
    """A client that spoils the first points, or all."""

    inner: SimulatedRun
    most: int
    spoiled: list[MeasuredLoad] = field(default_factory=list)

    def measure(self, load: MeasuredLoad) -> LoadPoint:
        """Measure; say that the client was late."""
        point = self.inner.measure(load)
        if len(self.spoiled) >= self.most:
            return point
        self.spoiled.append(load)
        return replace(point, distortion="the client sent late")


LIMITS = [Limit("ttft_p95", "ttft", 500.0, 0.05)]


def test_a_service_that_fails_every_request_has_no_capacity() -> None:
    with pytest.raises(UsageError, match="no request of 1 user succeeded"):
        Search(Failing(), LIMITS, 600).run()


def test_points_that_the_client_spoiled_are_measured_again() -> None:
    said: list[str] = []
    found = Search(Spoiling(Slots(1), 2), LIMITS, 600, say=said.append).run()
    assert sum("not used, the client sent late" in line for line in said) == 2
    assert found.conclusive


def test_a_client_that_spoils_every_point_ends_the_search() -> None:
    with pytest.raises(UsageError, match="this machine cannot generate the load of 1 user"):
        Search(Spoiling(Slots(1), 100), LIMITS, 600).run()


def test_an_objective_that_no_share_of_requests_can_keep_to_is_refused() -> None:
    with pytest.raises(UsageError, match="failures=0%: the share must be above 0"):
        limits_of(parse_objectives("failures=0%"))

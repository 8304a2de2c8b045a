"""Metrics of small sets of scores, worked out by hand."""

import pytest

from aisb._stats import clustered, wilson
from aisb._types import OUTCOMES, Metric, Score
from aisb_engine._scoring.metrics import (
    UNCLEAR_WARNING,
    bounds,
    count_outcomes,
    outcomes,
    over_areas,
    summarize,
)
from aisb_engine._scoring.repeats import g_pass_at_k, mean_of_shares


def score(
    sample_id: str, outcome: str, repeat: int = 0, group: str | None = None, answer: str | None = None
) -> Score:
    return Score(
        float(outcome == "correct"), outcome, sample_id, repeat, "numeric-match", answer, group=group
    )


def run(text: str, repeat: int = 0, group: str | None = None) -> list[Score]:
    """One score a letter: c for correct, w wrong, t truncated, u unparsed, r refused, e error."""
    words = {name[0]: name for name in OUTCOMES}
    return [
        score(f"{group or ''}/{i}", words[letter], repeat, group, letter) for i, letter in enumerate(text)
    ]


def by_name(metrics: list[Metric], group: str | None = None) -> dict[str, Metric]:
    return {metric.name: metric for metric in metrics if metric.group == group}


def percent(interval: tuple[float, float]) -> tuple[float, float]:
    return (100 * interval[0], 100 * interval[1])


def test_one_run_gives_accuracy_over_all_asked_with_wilsons_interval():
    (metric,) = summarize(run("cccwtuer"))
    assert metric.name == "accuracy"
    assert metric.value == 37.5
    assert (metric.low, metric.high) == pytest.approx(percent(wilson(3 / 8, 8)))
    assert (metric.count, metric.unit, metric.group, metric.better) == (8, "%", None, "higher")


def test_no_scores_give_no_metrics():
    assert summarize([]) == []


def test_repeats_give_averages_and_k_measures_per_sample():
    scores = [*run("cwc", 0), *run("cww", 1), *run("cwe", 2), *run("cwc", 3)]  # 4, 0 and 2 of 4 right
    metrics = by_name(summarize(scores, k=[1, 2, 4]))
    assert list(metrics) == [
        "accuracy (4 runs average)", "avg@4",
        "pass@1", "cons@1", "maj@1", "pass@2", "cons@2", "maj@2", "pass@4", "cons@4", "maj@4",
    ]  # fmt: skip
    value = {name: metric.value for name, metric in metrics.items()}
    assert value["accuracy (4 runs average)"] == value["avg@4"] == 50
    assert value["pass@1"] == value["cons@1"] == value["maj@1"] == pytest.approx(50)
    assert value["pass@2"] == pytest.approx(100 * (1 + 0 + (1 - 1 / 6)) / 3)
    assert value["cons@2"] == pytest.approx(100 * (1 + 0 + 1 / 6) / 3)
    assert value["pass@4"] == pytest.approx(100 * 2 / 3)
    assert value["cons@4"] == pytest.approx(100 / 3)  # 2 of 4 is not more than half
    assert value["maj@4"] == pytest.approx(100 * 2 / 3)  # two right ones outvote a wrong one and an error
    average = metrics["accuracy (4 runs average)"]
    expected = clustered([[1] * 4, [0] * 4, [1, 0, 0, 1]])
    assert (average.low, average.high) == pytest.approx(percent(expected))
    assert average.count == 12
    assert metrics["pass@4"].count == 3


def test_k_is_the_number_of_repeats_where_none_is_asked_for():
    names = by_name(summarize([*run("cw", 0), *run("cw", 1)]))
    assert list(names) == ["accuracy (2 runs average)", "avg@2", "pass@2", "cons@2", "maj@2"]
    assert {names[name].value for name in ("pass@2", "cons@2", "maj@2")} == {50.0}


def test_a_missing_repeat_counts_as_not_right():
    scores = [*run("cc", 0), *run("c", 1)]
    metrics = by_name(summarize(scores))
    assert metrics["accuracy (2 runs average)"].value == 75
    assert metrics["cons@2"].value == 50


def test_answers_that_an_evaluator_calls_one_vote_together():
    answers = ["1,000", "1000", "1000.0", "7", "7"]
    scores = [
        Score(float(a == "7"), "correct" if a == "7" else "wrong", "0", i, answer=a, details={"vote": a})
        for i, a in enumerate(answers)
    ]
    assert by_name(summarize(scores))["maj@5"].value == 100
    together = [
        Score(s.value, s.outcome, "0", s.repeat, answer=s.answer, details={"vote": "1000"})
        if s.value == 0
        else s
        for s in scores
    ]
    assert by_name(summarize(together))["maj@5"].value == 0


def test_a_k_that_cannot_be_is_refused():
    with pytest.raises(
        ValueError, match=r"repeats.k = \[1, 8\]: each k must be 1 to 2, the number of repeats"
    ):
        summarize([*run("c", 0), *run("c", 1)], k=[1, 8])


def test_scores_of_two_evaluators_are_not_one_set():
    with pytest.raises(ValueError, match="a sample has more scores than repeats"):
        summarize([*run("c"), *run("w")])


def test_groups_have_a_metric_each_then_both_averages():
    scores = [*run("ccccccww", group="anatomy"), *run("cw", group="virology")]
    metrics = summarize(scores)
    assert [(metric.name, metric.group, metric.value) for metric in metrics] == [
        ("accuracy", None, 70.0),
        ("accuracy", "anatomy", 75.0),
        ("accuracy", "virology", 50.0),
        ("naive_average", None, 62.5),
        ("weighted_average", None, 70.0),
    ]
    overall, anatomy, _, naive, weighted = metrics
    assert (anatomy.low, anatomy.high) == pytest.approx(percent(wilson(0.75, 8)))
    both = mean_of_shares([(0.75, wilson(0.75, 8)), (0.5, wilson(0.5, 2))])
    assert (naive.low, naive.high) == pytest.approx(percent(both))
    assert (weighted.low, weighted.high, weighted.count) == (overall.low, overall.high, 10)


def test_samples_without_a_group_are_in_no_average_over_groups():
    metrics = by_name(summarize([*run("cw", group="anatomy"), *run("cc")]))
    assert metrics["accuracy"].value == 75
    assert metrics["weighted_average"].value == 50
    assert metrics["weighted_average"].count == 2


def test_samples_that_share_a_passage_are_clustered():
    scores = run("ccccwwww")
    (plain,) = summarize(scores)
    (shared,) = summarize(scores, clusters={s.sample_id: str(i // 4) for i, s in enumerate(scores)})
    assert shared.value == plain.value
    assert (shared.low, shared.high) == pytest.approx(percent(wilson(0.5, 2)))


def test_outcomes_name_all_six_and_add_up():
    scores = run("ccwtuure")
    counts = outcomes(scores)
    assert list(counts) == list(OUTCOMES)
    assert counts == {"correct": 2, "wrong": 1, "truncated": 1, "unparsed": 2, "refused": 1, "error": 1}
    assert sum(counts.values()) == count_outcomes(scores).total == 8


def test_bounds_take_unclear_as_wrong_and_leave_it_out():
    assert bounds(run("ccwtuure")) == pytest.approx((25.0, 200 / 3))
    assert bounds(run("cccw")) == (75.0, 75.0)
    assert bounds(run("tue")) == (0.0, 100.0)
    assert bounds([]) is None


def test_more_than_two_percent_unclear_is_doubtful():
    assert UNCLEAR_WARNING == 2.0
    assert not count_outcomes(run("c" * 49 + "u")).doubtful
    assert count_outcomes(run("c" * 48 + "u")).doubtful
    assert count_outcomes(run("c" * 48 + "u")).unclear_share == pytest.approx(100 / 49)
    assert not count_outcomes([]).doubtful


def test_a_score_without_an_outcome_is_refused():
    with pytest.raises(ValueError, match="1 scores have no outcome"):
        count_outcomes([Score(1.0)])


def test_an_area_has_the_averages_of_its_groups():
    scores = [*run("cccw", group="algebra"), *run("cc", group="geometry"), *run("cwwwwwwwww", group="law")]
    found = summarize(scores)
    areas = {"algebra": ["stem"], "geometry": ["stem", "hard"], "law": ["other"]}
    made = over_areas(found, areas)
    assert {(m.group, m.name): (m.value, m.count) for m in made} == {
        ("stem", "naive_average"): (87.5, 6),
        ("stem", "weighted_average"): (pytest.approx(500 / 6), 6),
        ("hard", "naive_average"): (100, 2),
        ("hard", "weighted_average"): (100, 2),
        ("other", "naive_average"): (10, 10),
        ("other", "weighted_average"): (10, 10),
    }
    assert all(m.low <= m.value <= m.high for m in made)
    assert over_areas(found, {}) == []


def test_samples_that_share_a_passage_widen_the_interval_where_the_task_says_so():
    def found(cluster):
        scores = [
            Score(float(n // 10 % 2), "correct" if n // 10 % 2 else "wrong", f"{n}", cluster=cluster(n))
            for n in range(100)
        ]
        (metric,) = summarize(scores)
        return metric

    alone, shared = found(lambda n: None), found(lambda n: str(n // 10))
    assert alone.value == shared.value == 50
    # Ten passages that agree within themselves say as much as ten samples.
    low, high = wilson(0.5, 10)
    assert (shared.low, shared.high) == pytest.approx((100 * low, 100 * high))
    assert alone.high - alone.low < shared.high - shared.low


@pytest.mark.parametrize(
    ("right", "k", "threshold", "share"),
    [
        (2, 4, 0.5, 1.0),  # two of four are half of them
        (2, 4, 0.75, 0.0),
        (2, 2, 1.0, 1 / 6),
        (2, 2, 0.5, 5 / 6),
        (2, 2, 0.01, 5 / 6),  # at least one: pass@2
        (0, 2, 0.01, 0.0),
        (4, 4, 1.0, 1.0),
    ],
)
def test_g_pass_counts_samples_by_the_share_of_k_that_is_right(right, k, threshold, share):
    assert g_pass_at_k(4, right, k, threshold) == pytest.approx(share)


def test_a_threshold_is_taken_as_it_is_written():
    assert g_pass_at_k(100, 7, 100, 0.07) == 1.0
    assert g_pass_at_k(100, 6, 100, 0.07) == 0.0


def test_g_pass_is_summed_up_only_where_thresholds_are_given():
    scores = [
        Score(1.0, "correct" if right else "wrong", sample, repeat)
        for sample, all_of in (("a", (1, 1)), ("b", (1, 0)), ("c", (0, 0)))
        for repeat, right in enumerate(all_of)
    ]
    assert not [name for name in by_name(summarize(scores)) if name.startswith("g-pass")]
    found = by_name(summarize(scores, thresholds=[0.5, 1.0]))
    assert found["g-pass@2_0.5"].value == pytest.approx(200 / 3)
    assert found["g-pass@2_1"].value == pytest.approx(100 / 3)
    assert found["g-pass@2_1"].count == 3

"""A run's performance, from a log made by hand: every number exact, and what speaks against it."""

import json
from array import array
from dataclasses import replace

import numpy as np
import pytest

from aisb._errors import CheckFailed, UsageError
from aisb._types import Failure, Prediction, Timing, Usage
from aisb_engine._performance.counters import Gauge, counter_increases
from aisb_engine._performance.dialects import DIALECTS, measure_by
from aisb_engine._performance.performance import measure, require_valid
from aisb_engine._record.log import LogWriter
from aisb_engine._record.runfolder import RunFolder

MS = 1_000_000


def reply(number, sent, *, ttft=100, gap=20, tokens=10, planned=None, streamed=True, **changes):
    """A reply of `tokens` chunks; times in ms."""
    stamps = [(sent + ttft + gap * n) * MS for n in range(tokens)]
    timing = Timing(
        planned_ns=round((sent if planned is None else planned) * MS),
        sent_ns=round(sent * MS),
        chunk_ns=array("q", map(round, stamps)),
        chunk_kinds=("content",) * tokens,
        done_ns=round(stamps[-1]) if stamps else None,
        streamed=streamed,
    )
    usage = Usage(input_tokens=50, output_tokens=tokens, cached_tokens=0)
    values = {"sample_id": str(number), "finish_reason": "length", "usage": usage, "timing": timing}
    return Prediction(**(values | changes))


def run(tmp_path, predictions, *, load=None, health=(), extra=None, **options):
    folder = RunFolder(tmp_path / "20261121_220301")
    log = folder.log("m", "t")
    with LogWriter(log / "worker-0") as writer:
        for prediction in predictions:
            writer.append(prediction, final=True, extra=extra)
    if load is not None:
        (log / "load.json").write_text(json.dumps(load))
    if health:
        (log / "client_health-0.jsonl").write_text("".join(json.dumps(line) + "\n" for line in health))
    return measure(folder, "m", "t", **options)


def closed(clients=4, each=30, **changes):
    """A closed loop of replies that take 280 ms each: 4 clients, one after the other."""
    starts = sorted((client * 5 + 280 * n, client) for client in range(clients) for n in range(each))
    return [reply(number, sent, **changes) for number, (sent, _) in enumerate(starts)]


ASKED = {"requested": {"concurrency": 4}, "planned": 120}


def reasons(found):
    return {signal.name: (signal.verdict, signal.reason) for signal in found.certificate.signals}


def test_the_numbers_of_a_whole_run(tmp_path):
    found = run(tmp_path, closed(), load=ASKED)
    total, stable = found.stages
    assert total.parameters["E2EL"].average == 280
    assert total.parameters["TTFT"].maximum == 100
    assert total.parameters["TPOT"].median == 20
    assert (total.parameters["ITL"].n, total.parameters["ITL"].percentiles[99]) == (120 * 9, 20)
    assert total.parameters["OutputTokenThroughput"].average == pytest.approx(10 / 0.280)
    assert total.parameters["PrefillTokenThroughput"].average == 500
    assert total.parameters["Lateness"].maximum == 0
    common = total.totals
    assert common.duration_ms == 30 * 280 + 15
    assert (common.requests, common.failed, common.succeeded, common.max_concurrency) == (120, 0, 120, 4)
    assert common.concurrency == pytest.approx(120 * 280 / 8415)
    assert common.request_rate == pytest.approx(120 / 8.415)
    assert (common.input_tokens, common.output_tokens) == (6000, 1200)
    assert common.prefill_rate == 500
    assert common.total_rate == pytest.approx(7200 / 8.415)
    assert found.achieved.peak == 4
    assert found.achieved.concurrency == pytest.approx(120 * 280 / 8415)
    assert (found.window.start, found.window.end) == (295 * MS, 8400 * MS)  # from the end of the first wave
    assert stable.totals.concurrency == pytest.approx(4)
    assert stable.totals.output_rate == pytest.approx(4 * 10 / 0.280, rel=0.01)
    assert stable.totals.request_rate == pytest.approx(4 / 0.280)
    assert stable.totals.input_rate == pytest.approx(50 * 4 / 0.280)
    assert found.certificate.verdict == "VALID"
    require_valid({("m", "t"): found}, [("m", "t")])


def test_tokens_are_credited_to_a_window_when_their_chunks_come(tmp_path):
    # The last request is still under way when the window ends: its early tokens count, its late ones do not.
    found = run(tmp_path, [*closed(), reply(999, 8395, tokens=100, ttft=1, gap=1)])
    start, end = found.window.start, found.window.end
    stamps = np.concatenate([found.columns.chunks(row)[0] for row in range(len(found.columns))])
    assert found.stages[1].totals.output_tokens == pytest.approx(((stamps >= start) & (stamps < end)).sum())


def test_latency_from_the_planned_time_and_lateness(tmp_path):
    found = run(tmp_path, [reply(0, 130, planned=100)])
    parameters = found.stages[0].parameters
    assert parameters["Lateness"].average == 30
    assert parameters["TTFT(planned)"].average == 130
    assert parameters["E2EL(planned)"].average == 310


def test_without_streaming_only_the_whole_is_timed(tmp_path):
    found = run(tmp_path, [reply(0, 0, tokens=1, streamed=False, usage=Usage(5, 30))])
    parameters = found.stages[0].parameters
    assert parameters["E2EL"].average == 100
    assert [parameters[name] for name in ("TTFT", "TTFC", "TTFB", "TPOT", "ITL", "ICL")] == [None] * 6
    assert parameters["OutputTokens"].average == 30
    assert "replies that were not streamed: 1; without TTFT, TPOT, ICL and ITL" in found.notes


def test_what_nobody_told_is_none_and_never_zero(tmp_path):
    found = run(tmp_path, [reply(n, 300 * n, usage=None) for n in range(3)])
    total = found.stages[0]
    for name in (
        "TPOT",
        "ITL",
        "InputTokens",
        "OutputTokens",
        "OutputTokenThroughput",
        "PrefillTokenThroughput",
    ):
        assert total.parameters[name] is None
    common = total.totals
    assert [common.input_tokens, common.output_tokens, common.total_rate, common.prefill_rate] == [None] * 4
    assert total.parameters["ICL"].n == 27
    assert "output-token source: unknown 3 (30 chunks)" in found.notes


def test_failed_requests_are_counted_and_in_no_latency(tmp_path):
    cut = reply(9, 2400, tokens=3, failure=Failure("cut", "the connection was closed"), usage=None)
    found = run(tmp_path, [*(reply(n, 300 * n) for n in range(8)), cut])
    common = found.stages[0].totals
    assert (common.requests, common.failed, common.succeeded) == (9, 1, 8)
    assert found.stages[0].parameters["E2EL"].n == 8
    assert found.stages[0].parameters["ICL"].n == 72
    assert reasons(found)["failures"] == (
        "INVALID",
        (
            "1 of 9 requests failed, the first is request 9: cut: the connection was closed; "
            "log: logs/infer/m/t.out"
        ),
    )


def test_goodput_counts_every_objective_and_failures_and_drops_as_misses(tmp_path):
    replies = [reply(0, 0), reply(1, 0, ttft=300), reply(2, 0, gap=100), reply(3, 0, usage=None)]
    failed = reply(4, 0, failure=Failure("timeout", "late"))
    load = {"planned": 10}
    found = run(tmp_path, [*replies, failed], load=load, objectives={"ttft": 200, "tpot": 50})
    assert (found.goodput.good, found.goodput.share) == (1, 0.1)
    assert found.goodput.per_second == pytest.approx(1 / 1.0)


def test_a_reply_of_one_token_does_not_miss_an_objective_of_tpot(tmp_path):
    replies = [reply(0, 0, tokens=1), reply(1, 0, tokens=1, ttft=300), reply(2, 0, gap=100)]
    found = run(tmp_path, replies, objectives={"tpot": "0.05s", "ttft": 200})
    assert (found.goodput.good, dict(found.goodput.objectives)) == (1, {"tpot": 50, "ttft": 200})


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"objectives": {"ttfs": 5}},
            "no objective named 'ttfs'; did you mean 'ttft'\\?\n  known: ttft, ttfc",
        ),
        ({"objectives": {"ttft": -5}}, "the objective 'ttft=-5': a time must be more than 0 milliseconds"),
        ({"percentiles": [100]}, "a percentile of 100: it must be between 0 and 100, as in 99 or 99.9"),
    ],
)
def test_what_cannot_be_measured_is_refused(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        run(tmp_path, [reply(0, 0)], **options)


def many(count):
    """Requests one after the other, of which the n-th takes n ms."""
    return [reply(n, 4 * n, ttft=1 + n, tokens=1) for n in range(count)]


@pytest.mark.parametrize(
    ("count", "known", "bounds"),
    [(20, {75, 90, 95, 99}, set()), (999, {75, 90, 95, 99}, {75, 90, 95, 99})],
)
def test_p95_and_p999_are_measured_beside_those_shown(tmp_path, count, known, bounds):
    found = run(tmp_path, many(count)).stages[0].parameters["E2EL"]
    assert (set(found.percentiles), set(found.certified)) == (known, bounds)


def test_p999_needs_a_thousand_requests_unless_it_was_asked_for(tmp_path):
    found = run(tmp_path / "thousand", many(1000))
    times = found.stages[0].parameters["E2EL"]
    assert times.percentiles[99.9] == pytest.approx(np.percentile(np.arange(1, 1001), 99.9))
    assert found.percentiles == (75, 90, 99)
    assert times.certified[99] == 999  # the second of the slowest
    by_rules = found.dialect("mlperf").parameters
    assert by_rules["E2EL"].percentiles == times.certified
    assert by_rules["ITL"] is None
    asked = run(tmp_path / "asked", many(20), percentiles=[99.9])
    assert set(asked.stages[0].parameters["E2EL"].percentiles) == {95, 99, 99.9}
    assert reasons(asked)["too few samples"][1] == "20 requests are too few for P99.9: it needs 1000"
    assert "too few samples" not in reasons(run(tmp_path / "enough", many(100)))


LAGGED = [{"t_ns": 4e9, "lag_ms_p99": 8.0, "lag_ms_max": 9.0, "late_ms_max": 0.1, "cpu_share": 0.2}]
FROZEN = [{"t_ns": n * 1e9, "lag_ms_p99": 0.3, "lag_ms_max": 600.0 if n == 5 else 0.6} for n in range(30)]
STALLED = [{"t_ns": 4e9, "lag_ms_p99": 80.0, "lag_ms_max": 90.0, "cpu_share": 0.95}]
LOAD = {"concurrency": 4}


@pytest.mark.parametrize(
    ("change", "name", "verdict", "reason"),
    [
        ({"health": LAGGED}, "loop lag", "SUSPECT", "the client's event loop lagged by 8.0 ms (limit 5 ms)"),
        ({"health": FROZEN}, "loop lag", "SUSPECT", " % of the time, for up to 600 ms"),
        ({"health": STALLED}, "loop lag", "INVALID", "the client's event loop lagged by 80.0 ms"),
        ({"health": STALLED}, "client CPU", "SUSPECT", "a worker used 95 % of a core: add --workers"),
        (
            {"load": {"requested": LOAD, "proxy": "http://p:3128"}},
            "proxy",
            "SUSPECT",
            "in between: http://p:3128",
        ),
        (
            {"load": {"requested": LOAD, "subtasks_at_once": 3}},
            "subtasks",
            "SUSPECT",
            "3 subtasks ran at once",
        ),
        (
            {"load": {"requested": LOAD, "planned": 200}},
            "interrupted",
            "SUSPECT",
            "120 of 200 requests ended",
        ),
        (
            {"load": {"requested": {"concurrency": 5}}},
            "concurrency",
            "SUSPECT",
            "5 requests could be in flight, but the peak was 4",
        ),
        (
            {"load": {"requested": {"concurrency": 64}}},
            "concurrency",
            "INVALID",
            "64 requests could be in flight, but the peak was 4",
        ),
        ({"load": {"requested": {"request_rate": 20}}}, "rate", "INVALID", "20 requests/s requested, 14"),
        (
            {"load": {"requested": LOAD | {"cache_share": 0.5}}},
            "cache hits",
            "SUSPECT",
            "0 % of the input tokens came from the server's prefix cache, 50 % were declared (load.cache_share)",
        ),
        ({"extra": {"max_tokens": 12}}, "output lengths", "SUSPECT", "(the first: 10 of 12 tokens)"),
    ],
)
def test_a_signal_speaks_against_a_result(tmp_path, change, name, verdict, reason):
    found = run(tmp_path, closed(), **({"load": ASKED} | change))
    assert reasons(found)[name][0] == verdict
    assert reason in reasons(found)[name][1]
    with pytest.raises(CheckFailed, match=f"t · m is {found.certificate.verdict}:\n  ") as caught:
        require_valid({("m", "t"): found}, [("m", "t")])
    assert caught.value.exit_code == 4


def second(at, lag, cpu=0.3):
    return {"t_ns": at * 1e9, "lag_ms_p99": lag, "lag_ms_max": 2 * lag, "cpu_share": cpu}


def test_a_burst_before_the_stable_stage_does_not_make_that_stage_invalid(tmp_path):
    lines = [second(1, 80.0, cpu=1.0), *(second(at, 1.0) for at in range(2, 9))]
    found = run(tmp_path / "burst", closed(), load=ASKED, health=lines)
    assert found.window is not None
    verdict, reason = reasons(found)["loop lag"]
    assert verdict == "SUSPECT"
    assert "outside the stable stage the client's event loop lagged by 80.0 ms (limit 5 ms)" in reason
    assert "take the numbers of the stable stage" in reason
    assert "client CPU" not in reasons(found)
    lines = [second(1, 80.0), *(second(at, 60.0) for at in range(2, 9))]
    assert reasons(run(tmp_path / "all", closed(), load=ASKED, health=lines))["loop lag"][0] == "INVALID"
    few = run(tmp_path / "few", closed(each=1), load=ASKED, health=[second(0.2, 80.0)])
    assert few.window is None
    assert reasons(few)["loop lag"][0] == "INVALID"


def alternating(clients=4, each=20, workers=2):
    """Workers that deal requests by their number: the one with the slow rows is still at work alone."""
    replies, number = [], 0
    for worker in range(workers):
        took = 100 if worker else 1000
        for client in range(clients // workers):
            for n in range(each):
                replies.append(reply(number, 2 * client + took * n, ttft=took - 20, tokens=2))
                number += 1
    return sorted(replies, key=lambda one: one.timing.sent_ns)


def test_the_average_in_flight_counts_and_not_only_the_peak(tmp_path):
    found = run(tmp_path / "dealt", alternating(), load=ASKED)
    assert found.achieved.peak == 4
    verdict, reason = reasons(found)["concurrency"]
    assert verdict == "INVALID"
    assert reason.startswith("4 requests could be in flight, but the average was 2.")
    assert ", but the average was " in reason
    assert "concurrency" not in reasons(run(tmp_path / "shared", closed(each=5), load=ASKED))


@pytest.mark.parametrize("clients", [3, 4])
def test_what_drains_or_was_all_sent_at_once_is_no_lack_of_concurrency(tmp_path, clients):
    slow_end = [*closed(each=3), reply(99, 841, ttft=5000)]
    assert "concurrency" not in reasons(run(tmp_path / "drains", slow_end, load=ASKED))
    once = [reply(n, 0.1 * n, ttft=100 + 400 * n) for n in range(clients)]
    assert "concurrency" not in reasons(run(tmp_path / "once", once, load=ASKED))


def conversations(count, turns=2, each=280):
    return sorted(
        (reply(n, 5 * n + turn * (each + 1), turn=turn) for n in range(count) for turn in range(turns)),
        key=lambda one: one.timing.sent_ns,
    )


def test_no_more_can_be_in_flight_than_there_are_conversations(tmp_path):
    load = {"requested": {"concurrency": 32}}
    assert "concurrency" not in reasons(run(tmp_path / "all", conversations(10), load=load))
    one_by_one = [reply(n, 600 * n + 300 * turn, turn=turn) for n in range(10) for turn in range(2)]
    found = reasons(run(tmp_path / "one", one_by_one, load=load))
    assert found["concurrency"] == ("INVALID", "10 conversations could be in flight, but the peak was 1")


def test_the_rate_of_a_pressure_run_is_that_of_its_clients(tmp_path):
    load = {"requested": {"concurrency": 4, "request_rate": 2, "pressure_time": 9}}
    found = run(tmp_path / "pressure", closed(), load=load)
    assert "rate" not in reasons(found)
    assert found.requested.rate is None
    half = run(tmp_path / "half", closed(clients=2), load=load)
    assert reasons(half)["concurrency"][1] == "4 requests could be in flight, but the peak was 2"


def test_the_rate_of_conversations_is_that_of_their_first_turns(tmp_path):
    # 30 conversations of three turns, ten of them a second: 30 requests a second.
    turns = [reply(n, 100 * n + 301 * turn, turn=turn) for n in range(30) for turn in range(3)]
    turns.sort(key=lambda one: one.timing.sent_ns)
    found = run(tmp_path / "held", turns, load={"requested": {"request_rate": 10}})
    assert found.achieved.rate > 20
    assert "rate" not in reasons(found)
    missed = reasons(run(tmp_path / "missed", turns, load={"requested": {"request_rate": 20}}))["rate"]
    assert missed == ("INVALID", "20 conversations/s requested, 10 achieved")


def one_after_another(clients, per_second, seconds):
    """Clients that begin at a rate and send one request after another, of 280 ms each, for some seconds."""
    replies = []
    for client in range(clients):
        at = 1000 * client / per_second
        while at < 1000 * seconds:
            replies.append(reply(len(replies), at))
            at += 281
    return sorted(replies, key=lambda one: one.timing.sent_ns)


@pytest.mark.parametrize(("clients", "per_second", "seconds"), [(6, 2, 4), (6, 2, 3), (40, 3, 4), (3, 1, 20)])
def test_clients_that_begin_slowly_as_requested_lack_no_concurrency(tmp_path, clients, per_second, seconds):
    load = {"requested": {"concurrency": clients, "request_rate": per_second, "pressure_time": seconds}}
    found = run(tmp_path, one_after_another(clients, per_second, seconds), load=load)
    assert "concurrency" not in reasons(found)


def test_clients_that_begin_slower_than_requested_lack_concurrency(tmp_path):
    load = {"requested": {"concurrency": 6, "request_rate": 4, "pressure_time": 6}}
    found = run(tmp_path, one_after_another(6, 1, 6), load=load)
    assert reasons(found)["concurrency"][0] == "INVALID"


def test_a_pressure_run_that_slows_down_because_requests_fail_lacks_no_concurrency(tmp_path):
    load = {"requested": {"concurrency": 4, "pressure_time": 9}}
    assert "concurrency" in reasons(run(tmp_path / "answered", alternating(), load=load))
    failed = [replace(one, failure=Failure("status", "HTTP 503", 503)) for one in alternating()]
    assert "concurrency" not in reasons(run(tmp_path / "failed", failed, load=load))


def test_a_ramp_has_the_stage_total_only_and_is_not_suspect_for_it(tmp_path):
    load = {"requested": {"ramp_up": "linear:1:50"}}
    found = run(tmp_path, closed(), load=load)
    assert [stage.name for stage in found.stages] == ["total"]
    assert found.unsteady == "the rate changes as requested, so there is only the stage total"
    assert found.certificate.verdict == "VALID"


@pytest.mark.parametrize(
    ("exact", "asked", "told", "wrong"),
    [
        (True, 500, 1000, True), (True, 500, 58, True), (True, 500, 460, True), (True, 500, 600, True),
        (True, 500, 500, False), (True, 500, 505, False), (True, 500, 560, False), (True, 500, 490, False),
        (True, 16, 60, False), (True, 16, 10, True),
        (False, 500, 1000, True), (False, 500, 58, True), (False, 500, 700, False), (False, 16, 10, False),
        (None, 500, 1000, False),
    ],
)  # fmt: skip
def test_input_tokens_other_than_asked_are_a_signal(tmp_path, exact, asked, told, wrong):
    replies = closed(usage=Usage(told, 10, cached_tokens=0))
    extra = {"input_tokens_asked": asked}
    found = reasons(run(tmp_path, replies, load=ASKED | {"input_exact": exact}, extra=extra))
    assert ("input lengths" in found) == wrong
    if wrong:
        assert f"for 120 of 120 prompts (the first: {told} of {asked} tokens)" in found["input lengths"][1]


@pytest.mark.parametrize(
    ("told", "kind", "wrong"),
    [(1, "content", True), (0, "reasoning", True), (9, "content", False), (10, "content", False),
     (30, "content", False), (1, "tool", False)],
)  # fmt: skip
def test_usage_below_the_number_of_chunks_with_text_is_a_signal(tmp_path, told, kind, wrong):
    replies = closed(usage=Usage(50, told, cached_tokens=0))
    for one in replies:
        one.timing.chunk_kinds = (kind,) * 10
    found = reasons(run(tmp_path, replies, load=ASKED))
    assert ("token counts" in found) == wrong
    if wrong:
        assert f"in 120 of 120 replies (the first: {told} tokens in 10 chunks)" in found["token counts"][1]


@pytest.mark.parametrize(
    ("gap", "said"),
    [(0.5, "30 requests in 0.0145 s: are they in seconds"), (700_000, "every 700 s: are they in micro"),
     (5, ""), (150, ""), (60_000, "")],
)  # fmt: skip
def test_times_of_a_trace_that_are_plainly_in_another_unit_are_a_signal(tmp_path, gap, said):
    replies = [reply(n, gap * n) for n in range(30)]
    found = reasons(run(tmp_path / "trace", replies, load={"requested": {"use_timestamp": True}}))
    assert ("trace times" in found) == bool(said)
    assert said in found.get("trace times", ("", ""))[1]
    assert "trace times" not in reasons(run(tmp_path / "rate", replies))


def test_a_service_that_refuses_ignore_eos_is_told_how_to_be_asked(tmp_path):
    refused = Failure("refused", "HTTP 422: extra fields not permitted: ignore_eos")
    found = run(tmp_path, [reply(n, n, tokens=0, usage=None, failure=refused) for n in range(3)])
    assert found.certificate.verdict == "INVALID"
    assert any("unset it with --set params.ignore_eos=" in reason for reason in found.certificate.reasons)


def test_a_reply_that_stops_by_itself_may_be_shorter_than_its_limit_unless_it_was_told_to_go_on(tmp_path):
    replies = closed(finish_reason="stop")
    extra = {"max_tokens": 512}
    assert "output lengths" not in reasons(run(tmp_path / "free", replies, load=ASKED, extra=extra))
    forced = {"requested": {"concurrency": 4, "ignore_eos": True}}
    assert "output lengths" in reasons(run(tmp_path / "forced", replies, load=forced, extra=extra))


def test_answers_without_a_token_are_a_signal_where_they_are_more_than_one_in_a_hundred(tmp_path):
    def replies(*empty):
        return [
            replace(one, timing=replace(one.timing, chunk_kinds=("role",) * 9 + ("finish",)))
            if number in empty
            else one
            for number, one in enumerate(closed())
        ]

    found = run(tmp_path / "two", replies(3, 90), load=ASKED)
    words = "2 of 120 replies that count as answered hold no token"
    assert reasons(found)["no tokens"] == ("SUSPECT", words)
    assert "no tokens" not in reasons(run(tmp_path / "one", replies(3), load=ASKED))


def test_counts_that_disagree_and_cache_hits_nobody_declared_are_signals(tmp_path):
    replies = closed(usage=Usage(50, 15, cached_tokens=30))
    found = run(tmp_path, replies, load=ASKED, count_tokens=lambda _: 10)
    assert reasons(found)["token counts"] == (
        "SUSPECT",
        "the server's count and the tokenizer disagree on the output tokens of 120 of 120 replies",
    )
    assert reasons(found)["cache hits"][1] == (
        "60 % of the input tokens came from the server's prefix cache, and none were declared (load.cache_share)"
    )


@pytest.mark.parametrize(("cached", "sound"), [(0, True), (12, True), (16, False)])
def test_a_prefix_shorter_than_a_block_need_not_be_in_the_cache(tmp_path, cached, sound):
    declared = {"requested": ASKED["requested"] | {"cache_share": 0.24, "min_cache_share": 0}}
    found = run(tmp_path, closed(usage=Usage(50, 10, cached_tokens=cached)), load=declared)
    assert ("cache hits" not in reasons(found)) == sound


def test_lateness_of_the_client_and_waiting_for_the_limit_are_told_apart(tmp_path):
    late = [reply(n, 20 * n + 200, planned=20 * n) for n in range(200)]
    found = run(tmp_path / "late", late, load={"requested": {"request_rate": 50}})
    assert reasons(found)["lateness"][0] == "INVALID"
    assert "the client sent late: p99 200.0 ms after the planned time" in reasons(found)["lateness"][1]
    held = run(tmp_path / "held", late, load={"requested": {"request_rate": 50, "concurrency": 14}})
    assert held.achieved.peak == 14
    assert "requests waited for the concurrency limit of 14" in reasons(held)["lateness"][1]


def test_a_run_in_which_nothing_was_answered_is_invalid(tmp_path):
    failed = [reply(n, n, tokens=0, failure=Failure("connect", "refused"), usage=None) for n in range(3)]
    found = run(tmp_path, failed)
    assert found.certificate.verdict == "INVALID"
    assert found.certificate.reasons[0] == "no request was answered"
    assert all(spread is None for spread in (found.stages[0].parameters[name] for name in ("E2EL", "TTFT")))


def test_a_run_without_a_log_is_invalid_and_everything_is_unknown(tmp_path):
    found = measure(RunFolder(tmp_path), "m", "t")
    assert found.certificate.reasons[0] == "nothing was sent"
    assert found.stages[0].totals.duration_ms is None


def test_load_files_that_are_broken_or_cut_short_say_nothing(tmp_path):
    folder = RunFolder(tmp_path)
    log = folder.log("m", "t")
    with LogWriter(log / "worker-0") as writer:
        writer.append(reply(0, 0), final=True)
    (log / "load.json").write_text('{"requested": {"concurrency"')
    (log / "client_health-0.jsonl").write_text('{"t_ns": 1, "lag_ms_p99": 0.5}\n{"t_ns": 2, "lag_')
    found = measure(folder, "m", "t")
    assert found.requested.concurrency is None
    assert found.client_health["lag"] == 0.5


def test_sglang_takes_the_length_that_was_asked_where_usage_is_missing(tmp_path):
    found = run(tmp_path, [reply(0, 0, usage=None)], extra={"max_tokens": 19})
    by_rules = measure_by(found.columns, DIALECTS["sglang"], [99])
    assert (by_rules.tokens[0], by_rules.tpot[0]) == (19, 10)


def test_counters_say_what_a_server_gained():
    before = {"drafts": 10, "draft_tokens": 30, "accepted_tokens": 5, "running": 1, "parrot:words_total": 4}
    after = {
        "drafts": 110,
        "draft_tokens": 330,
        "accepted_tokens": 155,
        "accepted_tokens_at_0": 90,
        "accepted_tokens_at_1": 60,
        "prefix_cache_queries": 400,
        "prefix_cache_hits": 100,
        "running": 3,
        "parrot:words_total": 9,
    }
    during = {"running": {"samples": 4, "sum": 50, "maximum": 16}}
    found = counter_increases({"before": before, "after": after, "during": during})
    assert found.acceptance_rate == 0.5
    assert found.acceptance_length == 2.5
    assert found.acceptance_by_position == (0.9, 0.6)
    assert found.prefix_hit_rate == 0.25
    assert (found.running, found.waiting) == (Gauge(4, 12.5, 16), None)
    assert found.increases["parrot:words_total"] == 5
    assert "running" not in found.increases


def test_counters_of_earlier_versions_are_read_by_the_names_of_the_server():
    spec = "vllm:spec_decode_num_"
    before = {f"{spec}drafts_total": 10, f"{spec}draft_tokens_total": 30, f"{spec}accepted_tokens_total": 5}
    after = {
        f"{spec}drafts_total": 110,
        f"{spec}draft_tokens_total": 330,
        f"{spec}accepted_tokens_total": 155,
        f'{spec}accepted_tokens_per_pos_total{{engine="0",position="0"}}': 90,
        f'{spec}accepted_tokens_per_pos_total{{engine="0",position="1"}}': 60,
        "vllm:prefix_cache_queries_total": 400,
        "vllm:prefix_cache_hits_total": 100,
        "vllm:num_requests_running": 3,
    }
    during = {"vllm:num_requests_running": {"samples": 4, "sum": 50, "maximum": 16}}
    found = counter_increases(
        {"before": before | {"vllm:num_requests_running": 1}, "after": after, "during": during}
    )
    assert found.acceptance_rate == 0.5
    assert found.acceptance_length == 2.5
    assert found.acceptance_by_position == (0.9, 0.6)
    assert found.prefix_hit_rate == 0.25
    assert (found.running, found.waiting) == (Gauge(4, 12.5, 16), None)
    assert "vllm:num_requests_running" not in found.increases


def test_counters_from_after_the_run_alone_say_nothing_of_it():
    assert counter_increases({"before": {}, "after": {"vllm:prefix_cache_queries_total": 4}}) is None


def test_earlier_versions_of_vllm_have_another_name_for_their_prefix_cache():
    before = {"vllm:gpu_prefix_cache_queries_total": 0, "vllm:gpu_prefix_cache_hits_total": 0}
    after = {"vllm:gpu_prefix_cache_queries_total": 8, "vllm:gpu_prefix_cache_hits_total": 6}
    assert counter_increases({"before": before, "after": after}).prefix_hit_rate == 0.75


@pytest.mark.parametrize(
    "table", [None, {}, {"before": {}, "after": {}}, {"after": "none"}, {"before": None}]
)
def test_a_server_without_counters_leaves_them_unknown(table):
    assert counter_increases(table) is None


def test_a_counter_that_fell_was_reset_and_says_nothing():
    found = counter_increases(
        {
            "before": {"vllm:prefix_cache_queries_total": 9, "vllm:prefix_cache_hits_total": 5},
            "after": {"vllm:prefix_cache_queries_total": 4, "vllm:prefix_cache_hits_total": 2},
        }
    )
    assert (found.prefix_hit_rate, found.increases) == (None, {})


def test_streams_that_came_in_one_piece_have_no_time_between_tokens_and_are_a_signal(tmp_path):
    whole = [reply(number, 300 * number, gap=0) for number in range(2)]
    found = run(tmp_path, [*whole, *(reply(number, 300 * number) for number in range(2, 100))], load=None)
    assert reasons(found)["buffered streams"] == (
        "SUSPECT",
        (
            "all chunks of 2 of 100 replies came at one moment, so TPOT, ITL and ICL leave these out: "
            "look for a proxy or gateway that buffers streams"
        ),
    )
    parameters = found.stages[0].parameters
    assert [parameters[name].n for name in ("TPOT", "ITL", "ICL", "TTFT")] == [98, 98 * 9, 98 * 9, 100]
    assert [parameters[name].minimum for name in ("TPOT", "ITL", "ICL")] == [20, 20, 20]
    assert {row for row, _ in found.chunk_gaps(range(100))} == set(range(2, 100))


def test_streams_in_one_piece_may_be_the_work_of_a_client_that_lagged(tmp_path):
    whole = [reply(number, 300 * number, gap=0) for number in range(20)]
    _, reason = reasons(run(tmp_path, whole, health=LAGGED))["buffered streams"]
    assert reason.endswith(
        "this client lagged, which may be the cause; otherwise look for a proxy or gateway that buffers streams"
    )


def test_short_replies_and_one_in_a_hundred_may_come_in_one_piece(tmp_path):
    short = [reply(number, 300 * number, gap=0, tokens=3) for number in range(50)]
    found = run(tmp_path / "short", [*short, *(reply(number, 300 * number) for number in range(50, 100))])
    assert "buffered streams" not in reasons(found)
    one = [reply(number, 300 * number, gap=0 if number == 7 else 20) for number in range(100)]
    assert "buffered streams" not in reasons(run(tmp_path / "one", one))

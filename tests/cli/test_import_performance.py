"""`aisb import`: results of vllm bench serve, aiperf and guidellm become performance runs with the same numbers."""

from __future__ import annotations

import json
import random
from pathlib import Path
from statistics import fmean, median

import numpy as np
import pytest
from command_line import aisb_without_settings as aisb

from aisb_engine import open_finished_run

START_S = 1_796_043_338.0


def requests(count=40, clients=4):
    """Requests of a closed loop: start and gaps in seconds, tokens, and one failure."""
    draws = random.Random(7)
    free = [0.0] * clients
    for number in range(count):
        client = min(range(clients), key=free.__getitem__)
        tokens = draws.randint(8, 20)
        one = {
            "start": free[client],
            "ttft": draws.gauss(0.05, 0.005),
            "gaps": [draws.gauss(0.01, 0.001) for _ in range(tokens - 1)],
            "input": draws.randint(20, 60),
            "output": tokens,
            "error": "Traceback (most recent call last):\nConnectionError: broken" if number == 7 else "",
        }
        free[client] += one["ttft"] + sum(one["gaps"]) + 0.001
        yield one


REQUESTS = list(requests())
DONE = [one for one in REQUESTS if not one["error"]]
TTFT = [1000 * one["ttft"] for one in DONE]
TPOT = [1000 * sum(one["gaps"]) / (one["output"] - 1) for one in DONE]
ITL = [1000 * gap for one in DONE for gap in one["gaps"]]
E2EL = [1000 * (one["ttft"] + sum(one["gaps"])) for one in DONE]
DURATION = max(one["start"] + one["ttft"] + sum(one["gaps"]) for one in REQUESTS)


def vllm_bench(home, *, detailed, name="result.json", model="acme/pen-8b"):
    """As `vllm bench serve --save-result` writes it, with `--save-detailed` or without."""
    table = {
        "date": "20261130-101010", "endpoint_type": "openai-chat", "backend": "openai-chat", "label": None,
        "model_id": model, "tokenizer_id": model, "num_prompts": len(REQUESTS), "request_rate": "inf",
        "burstiness": 1.0, "max_concurrency": 4, "duration": DURATION, "completed": len(DONE),
        "failed": len(REQUESTS) - len(DONE), "total_input_tokens": sum(one["input"] for one in DONE),
        "total_output_tokens": sum(one["output"] for one in DONE),
        "request_throughput": len(DONE) / DURATION, "request_goodput": None,
        "output_throughput": sum(one["output"] for one in DONE) / DURATION,
    }  # fmt: skip
    for key, values in (("ttft", TTFT), ("tpot", TPOT), ("itl", ITL), ("e2el", E2EL)):
        table[f"mean_{key}_ms"] = fmean(values)
        table[f"median_{key}_ms"] = median(values)
        table[f"std_{key}_ms"] = float(np.std(values))
        table[f"p99_{key}_ms"] = float(np.percentile(values, 99))
    if detailed:
        table |= {
            "input_lens": [one["input"] for one in REQUESTS],
            "output_lens": [0 if one["error"] else one["output"] for one in REQUESTS],
            "ttfts": [0.0 if one["error"] else one["ttft"] for one in REQUESTS],
            "itls": [[] if one["error"] else one["gaps"] for one in REQUESTS],
            "start_times": [812.5 + one["start"] for one in REQUESTS],
            "generated_texts": ["" if one["error"] else "some text" for one in REQUESTS],
            "errors": [one["error"] for one in REQUESTS],
        }
    return saved(home / name, table)


def metric(value, unit="ms"):
    return {"value": value, "unit": unit}


def aiperf(home, *, numbers=True, lines=True, gaps=True):
    """As aiperf writes them: a line for each request, and a file with its own numbers."""
    folder = home / "artifacts"
    folder.mkdir(parents=True, exist_ok=True)
    records = [aiperf_line(position, one, gaps=gaps) for position, one in enumerate(REQUESTS)]
    warmup = aiperf_line(99, DONE[0], gaps=gaps)
    warmup["metadata"]["benchmark_phase"] = "warmup"
    if lines:
        text = "".join(json.dumps(line) + "\n" for line in (warmup, *records))
        (folder / "profile_export.jsonl").write_text(text)
    if numbers:
        table = {
            "schema_version": "1.4", "aiperf_version": "0.13.0", "request_count": stats([len(DONE)], "requests"),
            "error_request_count": stats([1], "requests"), "benchmark_duration": stats([DURATION], "sec"),
            "time_to_first_token": stats(TTFT), "inter_token_latency": stats(TPOT), "request_latency": stats(E2EL),
            "input_sequence_length": stats([one["input"] for one in DONE], "tokens"),
            "output_sequence_length": stats([one["output"] for one in DONE], "tokens"),
            "total_isl": stats([sum(one["input"] for one in DONE)], "tokens"),
            "total_osl": stats([sum(one["output"] for one in DONE)], "tokens"),
            "input_config": {
                "models": {"items": [{"name": "acme/pen-8b"}]},
                "phases": [{"name": "profiling", "kind": "profiling", "type": "concurrency", "requests": 40, "concurrency": 4}],
            },
        }  # fmt: skip
        saved(folder / "profile_export_aiperf.json", table)
    return folder


def aiperf_line(position, one, *, gaps):
    start = round((START_S + one["start"]) * 1e9)
    latency = one["ttft"] + sum(one["gaps"])
    line = {
        "metadata": {
            "session_num": position, "conversation_id": f"c{position}", "turn_index": 0, "credit_issued_ns": start - 1000,
            "request_start_ns": start, "request_ack_ns": start + 10_000_000,
            "request_end_ns": start + round(latency * 1e9), "benchmark_phase": "profiling", "was_cancelled": False,
        },
        "metrics": {
            "input_sequence_length": metric(one["input"], "tokens"), "output_sequence_length": metric(one["output"], "tokens"),
            "time_to_first_token": metric(1000 * one["ttft"]), "request_latency": metric(1000 * latency),
        },
    }  # fmt: skip
    if gaps:
        line["metrics"]["inter_chunk_latency"] = metric([1000 * gap for gap in one["gaps"]])
    if one["error"]:
        line |= {"metrics": {}, "error": {"code": 503, "type": "HTTPError", "message": "overloaded"}}
    return line


def stats(values, unit="ms"):
    found = {"unit": unit, "avg": fmean(values)}
    if len(values) > 1:
        found |= {"min": min(values), "max": max(values), "count": len(values), "sum": sum(values)}
        found |= {f"p{percent}": float(np.percentile(values, percent)) for percent in (1, 50, 75, 90, 95, 99)}
    return found


def guidellm(home, *, kept=None, rate=None):
    """As guidellm 0.8 writes it: all requests, or a sample of them."""
    done = [guidellm_request(one) for one in DONE]
    failed = [guidellm_request(one) for one in REQUESTS if one["error"]]
    strategy = (
        {"type_": "constant", "rate": rate}
        if rate
        else {"type_": "concurrent", "streams": 4, "max_concurrency": 4}
    )
    table = {
        "metadata": {"version": 2, "guidellm_version": "0.8.1"},
        "config": {"spec": {"backend": {"kind": "openai_http", "model": "acme/pen-8b"}}},
        "benchmarks": [
            {
                "config": {"strategy": strategy, "constraints": {"max_requests": {"args": {"count": 40}}}},
                "duration": DURATION,
                "requests": {"successful": done[:kept], "errored": failed, "incomplete": [], "total": None},
                "metrics": {
                    "request_totals": {
                        "successful": len(done),
                        "errored": len(failed),
                        "incomplete": 0,
                        "total": 40,
                    },
                    "time_to_first_token_ms": {"successful": summary(TTFT)},
                    "inter_token_latency_ms": {"successful": summary(TPOT)},
                    "request_latency": {"successful": summary([value / 1000 for value in E2EL])},
                    "prompt_token_count": {"successful": summary([one["input"] for one in DONE])},
                    "output_token_count": {"successful": summary([one["output"] for one in DONE])},
                },
            }
        ],
    }
    return saved(home / "benchmarks.json", table)


def guidellm_request(one):
    sent = START_S + one["start"]
    first = sent + one["ttft"]
    last = first + sum(one["gaps"])
    times = {"targeted_start": sent - 0.002, "request_start": sent, "first_request_iteration": sent + 0.01}
    if not one["error"]:
        times |= {
            "first_token_iteration": first,
            "last_token_iteration": last,
            "token_iterations": one["output"],
        }
    return {
        "output": "some text", "prompt_tokens": one["input"], "output_tokens": one["output"], "cached_tokens": None,
        "info": {"timings": {**times, "request_end": last + 0.0005}, "error": one["error"] or None},
    }  # fmt: skip


def summary(values):
    return {
        "mean": fmean(values), "median": median(values), "min": min(values), "max": max(values), "count": len(values),
        "total_sum": sum(values),
        "percentiles": {"p001": min(values), "p90": float(np.percentile(values, 90)), "p99": float(np.percentile(values, 99)), "p999": max(values)},
    }  # fmt: skip


def saved(path, table):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(table))
    return path


def imported(home, number=-1):
    """Return the run that was imported last."""
    folders = sorted(Path(home, "outputs/default").iterdir())
    return open_finished_run(folders[number])


def only(run):
    ((pair, result),) = run.performance.items()
    assert pair[0] == "pen-8b"
    return result


COMPLETE = {
    "vllm-bench": lambda home: vllm_bench(home, detailed=True),
    "aiperf": aiperf,
    "guidellm": guidellm,
}
AGGREGATES = {
    "vllm-bench": lambda home: vllm_bench(home, detailed=False),
    "aiperf": lambda home: aiperf(home, lines=False),
    "guidellm": lambda home: guidellm(home, kept=5),
}


@pytest.mark.parametrize("tool", COMPLETE)
def test_single_requests_are_measured_to_the_numbers_of_the_tool(tmp_path, tool):
    done = aisb("import", COMPLETE[tool](tmp_path), cwd=tmp_path)
    assert "40 requests" in done.stderr
    assert "certificate: " in done.stdout
    run = imported(tmp_path)
    assert run.is_performance
    result = only(run)
    assert result.task == tool
    total = result.stages[0]
    assert (total.totals.requests, total.totals.failed) == (40, 1)
    for name, values in (("TTFT", TTFT), ("TPOT", TPOT), ("E2EL", E2EL)):
        assert total.parameters[name].n == len(DONE)
        # guidellm's times are seconds since 1970 in floating point, which are exact to about a microsecond.
        assert total.parameters[name].median == pytest.approx(median(values), abs=0.002)
        assert total.parameters[name].percentiles[99.0] == pytest.approx(np.percentile(values, 99), abs=0.002)
    stable = result.stages[1].totals
    busy = stable.output_rate / total.totals.output_rate
    assert 1 < busy < 1.2, "the stable stage leaves out the begin and the end, with fewer requests in flight"
    if tool == "guidellm":
        assert total.parameters["ITL"] is total.parameters["ICL"] is None
    else:
        assert total.parameters["ITL"].average == pytest.approx(fmean(ITL), abs=0.001)
    assert total.totals.output_tokens == sum(one["output"] for one in DONE)
    assert total.totals.duration_ms == pytest.approx(1000 * DURATION, abs=2)
    assert result.requested.concurrency == 4
    assert result.achieved.peak == 4
    assert "imported" in {signal.name for signal in result.certificate.signals}
    columns = result.requests()
    assert min(columns["sent_ns"]) == 0
    assert [message for message in columns["failure"] if message] == [
        "status: HTTP 503: overloaded" if tool == "aiperf" else "protocol: ConnectionError: broken"
    ]


@pytest.mark.parametrize("tool", AGGREGATES)
def test_without_single_requests_the_tools_own_numbers_are_kept_and_the_lack_is_said(tmp_path, tool):
    aisb("import", AGGREGATES[tool](tmp_path), cwd=tmp_path)
    result = only(imported(tmp_path))
    total = result.stages[0]
    assert (total.totals.requests, total.totals.failed) == (40, 1)
    assert total.parameters["TTFT"].median == pytest.approx(median(TTFT))
    assert total.parameters["TPOT"].percentiles[99.0] == pytest.approx(np.percentile(TPOT, 99))
    assert total.parameters["E2EL"].average == pytest.approx(fmean(E2EL))
    assert total.parameters["InputTokens"].average == pytest.approx(fmean(one["input"] for one in DONE))
    assert total.totals.request_rate == pytest.approx(len(DONE) / DURATION)
    assert len(result.requests()["id"]) == 0
    assert result.achieved.peak is None
    assert (result.certificate.verdict, result.window) == ("SUSPECT", None)
    assert "no single requests to check them with" in result.certificate.reasons[0]
    assert any("requests" in note for note in result.notes)
    assert not list(tmp_path.glob("outputs/default/*/performances/*/*plot.html"))
    if tool == "vllm-bench":  # it has no minimum, and of the percentiles only the 99th
        assert np.isnan(total.parameters["TTFT"].minimum)
        assert np.isnan(total.parameters["TTFT"].percentiles[95.0])


def test_unknown_numbers_are_dashes_and_empty_cells_and_never_nan(tmp_path):
    done = aisb("import", vllm_bench(tmp_path, detailed=False), cwd=tmp_path)
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("TTFT ")]
    assert line.split()[2] == "–"
    aisb("report", "latest", "--reporters", "text,csv,json,html,plots", cwd=tmp_path)
    aisb("runs", "list", cwd=tmp_path)
    folder = imported(tmp_path).folder
    files = [*folder.glob("summary/*.[tcj]*"), *folder.glob("performances/*/*.[cj]*")]
    assert len(files) > 5
    for file in files:
        assert "nan" not in file.read_text().lower().split('"'), file
    table = (folder / "performances/pen-8b/vllm-bench.csv").read_text()
    assert ",," in table
    assert "nan" not in table
    rows = aisb("export", "latest", "--table", "results", "--format", "jsonl", "-o", "-", cwd=tmp_path).stdout
    low = [
        row
        for row in map(json.loads, rows.splitlines())
        if (row["metric"], row["statistic"]) == ("TTFT", "min")
    ]
    assert low[0]["value"] is None


def test_imported_runs_are_compared_and_shown_together(tmp_path):
    aisb("import", vllm_bench(tmp_path, detailed=True), cwd=tmp_path)
    aisb("import", aiperf(tmp_path), "--as", "vllm-bench", cwd=tmp_path)
    aisb("import", vllm_bench(tmp_path, detailed=False), cwd=tmp_path)
    runs = [
        f"outputs/default/{folder.name}" for folder in sorted(Path(tmp_path, "outputs/default").iterdir())
    ]
    for other in runs[1:]:
        told = aisb("compare", runs[0], other, cwd=tmp_path).stdout
        (line,) = [line for line in told.splitlines() if "TTFT (median)" in line]
        assert float(line.split()[-5]) == pytest.approx(1, abs=0.001), line
    aisb("report", *runs, "-o", "together", cwd=tmp_path)
    points = json.loads((tmp_path / "together/points.json").read_text())["points"]
    assert len(points) == 3
    assert "nan" not in (tmp_path / "together/points.csv").read_text()


def test_tokens_between_the_first_and_the_last_are_plotted_evenly_over_time(tmp_path):
    from aisb_reporter_plots._data import _tokens, place_requests

    curves = []
    for make in (guidellm, aiperf):
        aisb("import", make(tmp_path / make.__name__), cwd=tmp_path)
        result = only(imported(tmp_path))
        seconds, counts, note, unit = _tokens(result, place_requests(result)[0])
        assert unit == "tokens"
        assert ("only its first and last chunk are known" in note) == (make is guidellm)
        assert counts.sum() / 1000 == pytest.approx(sum(one["output"] for one in DONE))
        steps = np.cumsum(counts) / counts.sum()
        curves.append(np.interp(np.linspace(0.1, 1.9, 50), np.arange(len(counts)) * seconds, steps))
    assert np.abs(curves[0] - curves[1]).max() < 0.03


def test_a_planned_rate_is_kept_with_the_planned_times(tmp_path):
    aisb("import", guidellm(tmp_path, rate=20.0), cwd=tmp_path)
    result = only(imported(tmp_path))
    assert result.requested.rate == 20.0
    assert result.stages[0].parameters["Lateness"].median == pytest.approx(2, abs=0.01)


def test_aiperf_lines_without_gaps_have_no_time_between_tokens(tmp_path):
    aisb("import", aiperf(tmp_path, gaps=False), cwd=tmp_path)
    result = only(imported(tmp_path))
    total = result.stages[0]
    assert total.parameters["ITL"] is total.parameters["ICL"] is None
    assert total.parameters["TPOT"].median == pytest.approx(median(TPOT), abs=0.001)
    assert "the file does not have the times of all chunks, so ITL and ICL are unknown" in result.notes
    assert [*result.chunk_gaps(range(40))] == []
    assert result.dialect("vllm").parameters["ITL"] is None


def test_aiperf_lines_alone_say_that_the_model_is_unknown(tmp_path):
    folder = aiperf(tmp_path, numbers=False)
    aisb("import", folder / "profile_export.jsonl", "--model", "pen-8b", cwd=tmp_path)
    result = only(imported(tmp_path))
    assert any("the model and the requested load are unknown" in note for note in result.notes)
    assert result.requested.concurrency is None


def test_several_results_of_one_model_get_numbers(tmp_path):
    vllm_bench(tmp_path / "all", detailed=True, name="a.json")
    vllm_bench(tmp_path / "all", detailed=False, name="b.json")
    aisb("import", tmp_path / "all", cwd=tmp_path)
    assert [task for _, task in imported(tmp_path).performance] == ["vllm-bench", "vllm-bench-2"]


def test_vllm_results_in_lines_and_without_start_times_are_read(tmp_path):
    path = vllm_bench(tmp_path, detailed=True)
    table = json.loads(path.read_text())
    older = {key: value for key, value in table.items() if key != "start_times"}
    path.write_text(f"{json.dumps(table)}\n{json.dumps(older)}\n")
    aisb("import", path, cwd=tmp_path)
    first, second = imported(tmp_path).performance.values()
    assert len(first.requests()["id"]) == 40
    assert len(second.requests()["id"]) == 0
    assert any("does not tell when each request was sent" in note for note in second.notes)
    assert second.stages[0].parameters["TTFT"].median == pytest.approx(median(TTFT))


def test_performance_and_answers_are_not_imported_together(tmp_path):
    line = {
        "doc_id": 0,
        "doc": {"q": "?"},
        "target": "1",
        "arguments": {"gen_args_0": {"arg_0": "?", "arg_1": {}}},
        "resps": [["1"]],
        "filter": "none",
    }
    answers = tmp_path / "samples_sums.jsonl"
    answers.write_text(json.dumps(line) + "\n")
    done = aisb("import", answers, vllm_bench(tmp_path, detailed=True), cwd=tmp_path, code=2)
    assert (
        f"has performance results, and {answers} has answers to score: import them separately" in done.stderr
    )
    assert not (tmp_path / "outputs").exists()


def test_damaged_results_are_named(tmp_path):
    path = vllm_bench(tmp_path, detailed=True)
    table = json.loads(path.read_text())
    saved(path, table | {"ttfts": table["ttfts"][:-1]})
    told = aisb("import", path, cwd=tmp_path, code=2).stderr
    assert f"{path}: its lists of requests are not equally long: start_times 40, ttfts 39" in told
    saved(path, table | {"start_times": ["soon"] * 40})
    assert f"{path} is not as vllm bench serve writes it" in aisb("import", path, cwd=tmp_path, code=2).stderr
    path = guidellm(tmp_path)
    table = json.loads(path.read_text())
    del table["benchmarks"][0]["requests"]["successful"][0]["info"]
    told = aisb("import", saved(path, table), cwd=tmp_path, code=2).stderr
    assert f"{path}: benchmark 1 is not as guidellm 0.8 writes it" in told
    lines = aiperf(tmp_path) / "profile_export.jsonl"
    lines.write_text(lines.read_text().replace('"request_end_ns"', '"ended"', 3))
    told = aisb("import", lines, cwd=tmp_path, code=2).stderr
    assert f"{lines}, line 2: not a request of aiperf: KeyError('request_end_ns')" in told


def test_a_damaged_file_of_imported_numbers_is_an_error(tmp_path):
    aisb("import", vllm_bench(tmp_path, detailed=False), cwd=tmp_path)
    (file,) = tmp_path.glob("outputs/default/*/log/*/*/imported.json")
    file.write_text("{}")
    told = aisb("report", "latest", "--reporters", "performance", cwd=tmp_path, code=1).stderr
    assert "imported.json is damaged" in told
    assert "import the file of vllm bench serve again" in told

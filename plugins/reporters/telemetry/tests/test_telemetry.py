"""Each format is read back by its own parser, and its numbers are those of the run."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import time
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from itertools import pairwise
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from forked import run_forked
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from aisb_engine import open_finished_run
from aisb_reporter_telemetry._mlflow import metric_name

ROOT = Path(__file__).parents[4]
ACCURACY, PERFORMANCE = "accuracy/20261129_211322", "performance/20261129_211323"
HERE = Path(__file__).parent


def schema():
    spec = importlib.util.spec_from_file_location("llm_d_schema", HERE / "llm_d_schema.py")
    module = importlib.util.module_from_spec(spec)
    sys.modules["llm_d_schema"] = module
    spec.loader.exec_module(module)
    return module.BenchmarkReport


def aisb(folder, *words, code=0, **environment):
    known = {
        key: value for key, value in os.environ.items() if not key.startswith(("AISB_", "OTEL_", "MLFLOW_"))
    }
    done = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *map(str, words)],
        cwd=folder, capture_output=True, text=True, check=False, timeout=300, env=known | environment,
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Stored runs of an earlier version, and a fresh performance run with failures, reported in every format."""
    folder = tmp_path_factory.mktemp("telemetry")
    for kind in ("accuracy", "performance"):
        shutil.copytree(ROOT / "tests" / "runs" / kind, folder / kind)
    aisb(
        folder, "run", "--models", "sim", "--datasets", "demo_gsm8k", "--mode", "perf", "-w", "failing",
        "--num-prompts", "20", "--max-failures", "99", "--set", 'model.faults=["status-500:0.3"]',
        "--set", "load.concurrency=4", "--set", "model.ttft_ms=5", "--set", "model.tpot_ms=2",
    )  # fmt: skip
    (fresh,) = (folder / "failing").glob("2*")
    for run in (ACCURACY, PERFORMANCE, fresh):
        aisb(folder, "report", run, "--reporters", "llm-d,otlp,prometheus")
    (folder / "fresh").symlink_to(fresh)
    return folder


def measured(folder):
    return next(iter(open_finished_run(folder).performance.values()))


@pytest.mark.parametrize("run", [ACCURACY, PERFORMANCE, "fresh"])
def test_llm_d_reports_have_the_fields_of_the_format_and_no_others(runs, run):
    model = schema()
    files = list((runs / run).glob("summary/llm_d/*/*.json"))
    assert files
    for file in files:
        model.model_validate_json(file.read_bytes())


def test_a_llm_d_report_has_the_numbers_of_the_run(runs):
    (file,) = (runs / "fresh").glob("summary/llm_d/*/*.json")
    report = json.loads(file.read_bytes())
    found = measured(runs / "fresh")
    aggregate = report["results"]["request_performance"]["aggregate"]
    total = found.stages[0]
    assert aggregate["requests"]["total"] == 20
    assert aggregate["requests"]["failures"] == total.totals.failed > 0
    assert aggregate["latency"]["time_to_first_token"]["p50"] == pytest.approx(
        total.parameters["TTFT"].median
    )
    assert aggregate["latency"]["request_latency"]["mean"] == pytest.approx(total.parameters["E2EL"].average)
    assert aggregate["throughput"]["output_token_rate"]["mean"] == total.totals.output_rate
    assert report["scenario"]["load"]["standardized"]["concurrency"] == 4
    assert report["run"]["description"].endswith(found.certificate.reasons[0])
    assert "p99p9" not in aggregate["latency"]["request_latency"]  # of so few values it would be the maximum


def otlp(folder, kind):
    (file,) = folder.glob(f"summary/*_otlp_{kind}.jsonl")
    message = {"metrics": ExportMetricsServiceRequest, "logs": ExportLogsServiceRequest}[kind]
    return [json_format.Parse(line, message()) for line in file.read_bytes().splitlines()]


def plain(attributes):
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in attributes}


def test_otlp_metrics_are_histograms_of_the_requests(runs):
    (request,) = otlp(runs / "fresh", "metrics")
    (resource,) = request.resource_metrics
    assert plain(resource.resource.attributes)["service.name"] == "aisb"
    metrics = {one.name: one for one in resource.scope_metrics[0].metrics}
    assert {name: one.unit for name, one in metrics.items()} == {
        "gen_ai.client.token.usage": "{token}",
        "gen_ai.client.operation.duration": "s",
        "gen_ai.server.time_to_first_token": "s",
        "gen_ai.server.time_per_output_token": "s",
    }
    columns = measured(runs / "fresh").requests()
    ok = columns["ok"]
    (ttft,) = metrics["gen_ai.server.time_to_first_token"].histogram.data_points
    values = columns["ttft"][ok] / 1000
    assert ttft.count == ok.sum() == sum(ttft.bucket_counts)
    assert ttft.sum == pytest.approx(values.sum())
    assert len(ttft.bucket_counts) == len(ttft.explicit_bounds) + 1
    edges = [-np.inf, *ttft.explicit_bounds, np.inf]
    expected = [((values > low) & (values <= high)).sum() for low, high in pairwise(edges)]
    assert list(ttft.bucket_counts) == expected
    usage = {
        plain(point.attributes)["gen_ai.token.type"]: point
        for point in metrics["gen_ai.client.token.usage"].histogram.data_points
    }
    assert usage["output"].sum == columns["output_tokens"][ok].sum()
    durations = {
        plain(point.attributes).get("error.type"): point.count
        for point in metrics["gen_ai.client.operation.duration"].histogram.data_points
    }
    assert durations == {None: ok.sum(), "status": (~ok).sum()}
    attributes = plain(ttft.attributes)
    assert attributes["gen_ai.operation.name"] == "chat"
    assert attributes["gen_ai.request.model"] == "sim"
    assert attributes["server.address"] == "127.0.0.1"
    assert ttft.start_time_unix_nano < ttft.time_unix_nano
    assert abs(ttft.time_unix_nano / 1e9 - time.time()) < 3600


def test_otlp_logs_have_an_event_for_each_grade(runs):
    run = open_finished_run(runs / ACCURACY)
    records = [
        one
        for request in otlp(runs / ACCURACY, "logs")
        for one in request.resource_logs[0].scope_logs[0].log_records
    ]
    assert {one.event_name for one in records} == {"gen_ai.evaluation.result"}
    found = [plain(one.attributes) for one in records]
    keys = (
        "aisb.sample.id",
        "aisb.sample.repeat",
        "gen_ai.evaluation.name",
        "gen_ai.evaluation.score.value",
        "gen_ai.evaluation.score.label",
    )
    expected = [
        (row["id"], row["repeat"], row["evaluator"], row["value"], row["outcome"]) for row in run.scores()
    ]
    assert sorted(tuple(one[key] for key in keys) for one in found) == sorted(expected)


def test_a_performance_run_has_no_evaluation_events(runs):
    assert otlp(runs / PERFORMANCE, "logs") == []


@contextmanager
def receiver(status=200):
    """A server on loopback that keeps each request: method, path, headers and body."""
    received = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = self.rfile.read(int(self.headers["Content-Length"]))
            received.append((self.command, self.path, dict(self.headers), body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        do_PUT = do_POST  # noqa: N815 - the name that http.server calls

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_port}", received
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def test_otlp_is_sent_to_an_endpoint_with_headers_of_the_environment(runs):
    with receiver() as (address, received):
        aisb(
            runs, "report", ACCURACY, "--reporters", "otlp", "--set", f"otlp.endpoint=http://{address}/",
            OTEL_EXPORTER_OTLP_HEADERS="authorization=Bearer%20abc,x-team=a",
        )  # fmt: skip
    assert [(method, path) for method, path, _, _ in received] == [
        ("POST", "/v1/metrics"),
        ("POST", "/v1/logs"),
    ]
    headers = {key.lower(): value for key, value in received[0][2].items()}
    assert headers["content-type"] == "application/json"
    assert (headers["authorization"], headers["x-team"]) == ("Bearer abc", "a")
    json_format.Parse(received[0][3], ExportMetricsServiceRequest())
    json_format.Parse(received[1][3], ExportLogsServiceRequest())


def test_an_endpoint_that_refuses_or_is_absent_is_an_error_and_the_files_are_there(runs):
    with receiver(401) as (address, _):
        told = aisb(
            runs,
            "report",
            PERFORMANCE,
            "--reporters",
            "otlp",
            "--set",
            f"otlp.endpoint=http://{address}",
            code=1,
        )
        assert f"http://{address}/v1/metrics refused the data: HTTP 401" in told
        pushed = aisb(
            runs,
            "report",
            PERFORMANCE,
            "--reporters",
            "prometheus",
            "--set",
            f"prometheus.pushgateway={address}",
            code=1,
        )
        assert f"the Pushgateway {address} did not accept the metrics" in pushed
    told = aisb(
        runs, "report", PERFORMANCE, "--reporters", "otlp", "--set", f"otlp.endpoint=http://{address}", code=1
    )
    assert "cannot be reached" in told
    told = aisb(
        runs, "report", PERFORMANCE, "--reporters", "otlp", "--set", f"otlp.endpoint=http://{address}",
        code=1, OTEL_EXPORTER_OTLP_HEADERS="secret-without-key",
    )  # fmt: skip
    assert "$OTEL_EXPORTER_OTLP_HEADERS has a part that is not key=value" in told
    assert "secret-without-key" not in told
    assert otlp(runs / PERFORMANCE, "metrics")


@pytest.mark.parametrize("parser", [openmetrics, prometheus])
@pytest.mark.parametrize("run", [ACCURACY, PERFORMANCE, "fresh"])
def test_the_prometheus_file_is_read_by_both_parsers(runs, run, parser):
    (file,) = (runs / run).glob("summary/*.prom")
    families = {family.name: family for family in parser(file.read_text())}
    assert families["aisb_run"].samples[0].value == 1
    totals = {
        one.labels["task"]: one.value
        for one in families["aisb_requests"].samples
        if one.labels["stage"] == "total"
    }
    performance = open_finished_run(runs / run).performance
    assert totals == {task: found.stages[0].totals.requests for (_, task), found in performance.items()}


def test_the_prometheus_file_has_quantiles_sums_and_scores(runs):
    (file,) = (runs / "fresh").glob("summary/*.prom")
    families = {family.name: family for family in openmetrics(file.read_text())}
    spread = measured(runs / "fresh").stages[0].parameters["TTFT"]
    family = families["aisb_time_to_first_token_seconds"]
    assert family.type == "summary"
    values = {
        (one.name, one.labels.get("quantile")): one.value
        for one in family.samples
        if one.labels["stage"] == "total"
    }
    assert values["aisb_time_to_first_token_seconds", "0.5"] == pytest.approx(spread.median / 1000)
    assert values["aisb_time_to_first_token_seconds_count", None] == spread.n
    assert values["aisb_time_to_first_token_seconds_sum", None] == pytest.approx(
        spread.average * spread.n / 1000
    )
    (file,) = (runs / ACCURACY).glob("summary/*.prom")
    families = {family.name: family for family in openmetrics(file.read_text())}
    run = open_finished_run(runs / ACCURACY)
    found = {
        (one.labels["task"], one.labels["metric"]): one.value
        for one in families["aisb_score"].samples
        if not one.labels["group"]
    }
    assert found == {
        (result.task, metric.name): metric.value
        for result in run.results
        for metric in result.metrics
        if metric.group is None
    }


def test_metrics_are_pushed_to_a_gateway_under_the_run(runs):
    with receiver() as (address, received):
        aisb(
            runs,
            "report",
            PERFORMANCE,
            "--reporters",
            "prometheus",
            "--set",
            f"prometheus.pushgateway={address}",
        )
    ((method, path, _, body),) = received
    assert (method, path) == ("PUT", "/metrics/job/aisb/run/20261129_211323")
    assert "aisb_requests" in {family.name for family in prometheus(body.decode())}


def test_metric_names_are_those_that_mlflow_accepts():
    assert metric_name("accuracy (2 runs average)") == "accuracy 2 runs average"
    assert metric_name("pass@2") == "pass_at_2"
    assert metric_name("total/TTFT/p99.9") == "total/TTFT/p99.9"
    assert metric_name("E2EL(close)") == "E2ELclose"


def test_mlflow_needs_an_address(runs):
    told = aisb(runs, "report", PERFORMANCE, "--reporters", "mlflow", code=1)
    assert "the reporter mlflow needs a tracking server" in told


def test_without_mlflow_the_error_says_how_to_install_it(runs, tmp_path):
    (tmp_path / "mlflow.py").write_text("raise ImportError('not installed')\n")
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "report", PERFORMANCE, "--reporters", "mlflow", "--set", "mlflow.tracking_uri=http://127.0.0.1:9"],
        cwd=runs, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": str(tmp_path)},
    )  # fmt: skip
    assert ended.returncode == 1
    assert "needs a client of MLflow, which is not installed: pip install mlflow-skinny" in ended.stderr


@pytest.fixture
def tracking(tmp_path):
    """MLflow's own tracking server on loopback."""
    pytest.importorskip("mlflow.server", reason="MLflow with its server is not installed: pip install mlflow")
    port = _free_port()
    words = [
        sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1",
        "--backend-store-uri", f"sqlite:///{tmp_path}/mlflow.db", "--artifacts-destination", str(tmp_path / "artifacts"),
    ]  # fmt: skip
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true"}
    with (tmp_path / "server.log").open("w") as log:
        server = subprocess.Popen(words, stdout=log, stderr=subprocess.STDOUT, env=environment, cwd=tmp_path)
    try:
        _wait(f"http://127.0.0.1:{port}/health", server, tmp_path / "server.log")
        yield f"http://127.0.0.1:{port}"
    finally:
        server.terminate()
        server.wait(30)


def _free_port():
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        return server.server_port


def _wait(url, server, log, seconds=300):
    import httpx

    end = time.monotonic() + seconds
    while time.monotonic() < end:
        assert server.poll() is None, log.read_text()
        try:
            if httpx.get(url, timeout=2).status_code == 200:
                return
        except httpx.HTTPError:
            pass
        time.sleep(0.5)
    raise AssertionError(f"no answer from {url}: {log.read_text()}")


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_mlflow_has_a_run_for_each_task_and_a_second_report_updates_it(runs, tracking):
    """Needs the whole of MLflow (pip install mlflow), of which the server is a part."""
    from mlflow import MlflowClient

    words = ("report", ACCURACY, "--reporters", "mlflow", "--set", f"mlflow.tracking_uri={tracking}")
    aisb(runs, *words)
    aisb(runs, *words)
    aisb(runs, "report", "fresh", *words[2:])
    client = MlflowClient(tracking)
    experiment = client.get_experiment_by_name("aisb")
    logged = {one.data.params["task"]: one for one in client.search_runs([experiment.experiment_id])}
    assert set(logged) == {"sums", "essays", "demo_gsm8k"}
    assert len(client.search_runs([experiment.experiment_id])) == 3
    run = open_finished_run(runs / ACCURACY)
    for result in run.results:
        one = logged[result.task]
        assert one.info.status == "FINISHED"
        assert one.data.metrics[metric_name(result.headline.name)] == pytest.approx(result.headline.value)
        assert one.data.params["task_version"] == result.version
        assert one.data.tags["aisb.run"] == run.timestamp
    speeds = logged["demo_gsm8k"]
    total = measured(runs / "fresh").stages[0]
    assert speeds.data.metrics["total/TTFT/median"] == pytest.approx(total.parameters["TTFT"].median)
    assert speeds.data.metrics["total/output_rate"] == pytest.approx(total.totals.output_rate)
    assert speeds.data.params["load.concurrency"] == "4"
    assert speeds.data.tags["aisb.certificate"] in ("VALID", "SUSPECT", "INVALID")
    files = {
        file.path
        for folder in client.list_artifacts(speeds.info.run_id)
        for file in client.list_artifacts(speeds.info.run_id, folder.path)
    }
    assert {"configs/manifest.json", "performances/demo_gsm8k_details.json"} <= files

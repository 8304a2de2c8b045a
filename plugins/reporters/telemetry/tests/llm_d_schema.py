"""The Benchmark Report 0.2.1 of llm-d as strict models: the fields that the reporter may write, and their rules.

Every model rejects fields that the format does not have, as the format's own models do.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(ge=1)]
Count = Annotated[int, Field(ge=0)]


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Statistics(BaseModel):
    # The format's own model of statistics is the only one that does not forbid other fields.
    model_config = ConfigDict(extra="forbid")
    units: Literal["count", "ms", "s", "ms/token", "s/token", "tokens/s", "queries/s"]
    mean: float
    mode: float | None = None
    stddev: Annotated[float, Field(ge=0)] | None = None
    min: float | None = None
    p0p1: float | None = None
    p1: float | None = None
    p5: float | None = None
    p10: float | None = None
    p25: float | None = None
    p50: float | None = None
    p75: float | None = None
    p90: float | None = None
    p95: float | None = None
    p99: float | None = None
    p99p9: float | None = None
    max: float | None = None


def in_units(*units: str) -> Any:
    def check(found: Statistics | None) -> Statistics | None:
        assert found is None or found.units in units, f"{found.units} is not one of {units}"
        return found

    return Annotated[Statistics | None, AfterValidator(check)]


Quantity, Time = in_units("count"), in_units("ms", "s")
PerToken, TokenRate, RequestRate = (
    in_units("ms/token", "s/token"),
    in_units("tokens/s"),
    in_units("queries/s"),
)


class Requests(Strict):
    total: Count
    failures: Count | None = None
    incomplete: Count | None = None
    input_length: Quantity = None
    output_length: Quantity = None


class Latency(Strict):
    time_to_first_token: Time = None
    normalized_time_per_output_token: PerToken = None
    time_per_output_token: PerToken = None
    inter_token_latency: PerToken = None
    request_latency: Time = None


class Throughput(Strict):
    input_token_rate: TokenRate = None
    output_token_rate: TokenRate = None
    total_token_rate: TokenRate = None
    request_rate: RequestRate = None


class Aggregate(Strict):
    requests: Requests | None = None
    latency: Latency | None = None
    throughput: Throughput | None = None


class RequestPerformance(Strict):
    aggregate: Aggregate | None = None
    time_series: None = None


class Results(Strict):
    request_performance: RequestPerformance | None = None


class Lengths(Strict):
    distribution: Literal["fixed", "gaussian", "uniform", "other"]
    value: Annotated[float, Field(ge=0)]
    std_dev: Annotated[float, Field(ge=0)] | None = None
    min: Count | None = None
    max: Positive | None = None


class LoadStandardized(Strict):
    tool: str
    tool_version: str
    parallelism: Positive = 1
    source: Literal["random", "sampled", "unknown"]
    stage: Count = 0
    input_seq_len: Lengths
    output_seq_len: Lengths | None = None
    rate_qps: Annotated[float, Field(gt=0)] | None = None
    concurrency: Positive | None = None


class Native(Strict):
    args: dict[str, Any] | None = None
    envars: dict[str, Any] | None = None
    config: Any = None


class LoadMetadata(Strict):
    schema_version: str = "0.0.1"
    cfg_id: str | None = None
    description: str | None = None


class Load(Strict):
    metadata: LoadMetadata
    standardized: LoadStandardized
    native: Native


class ComponentMetadata(Strict):
    schema_version: str = "0.0.1"
    label: str
    cfg_id: str
    description: str | None = None


class Generic(BaseModel):
    model_config = ConfigDict(extra="allow")
    kind: Literal["generic"]
    tool: str
    tool_version: str


class Component(Strict):
    metadata: ComponentMetadata
    standardized: Generic
    native: Native


class Scenario(Strict):
    stack: list[Component] | None = None
    load: Load | None = None


class RunTime(Strict):
    start: datetime | None = None
    end: datetime | None = None
    duration: str | None = None


class Run(Strict):
    uid: str
    eid: str | None = None
    cid: str | None = None
    pid: str | None = None
    time: RunTime | None = None
    user: str | None = None
    description: str | None = None
    keywords: list[str] | None = None


class BenchmarkReport(Strict):
    version: Literal["0.2.1"]
    run: Run
    scenario: Scenario | None = None
    results: Results

"""The options of the mock server, from which both commands derive their flags."""

from __future__ import annotations

import types
from collections.abc import Iterator
from dataclasses import MISSING, dataclass, fields
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, get_args, get_origin, get_type_hints

from aisb import UsageError
from aisb_mock._faults import Faults

if TYPE_CHECKING:
    from random import Random

USAGES = ("now", "late:MS", "absent")
TOOL_CALLS = ("none", "field", "content")
REASONING_FIELDS = ("none", "reasoning_content", "reasoning")


@dataclass(kw_only=True, eq=False)
class Behaviour:
    """The properties of the mock's replies, for the command, the tests and the `sim` backend."""

    accuracy: Annotated[float, "share of known questions with a correct answer, 0 to 1"] = 0.75
    answers: Annotated[str | None, "file of known answers: JSON lines with question and answer, or reply"] = (
        None
    )
    seed: Annotated[int, "seed of all random values: answers, texts, latencies, faults"] = 0
    ttft_ms: Annotated[
        float | str, "time to the first token: MS, normal:MEAN:SD, lognormal:MEDIAN:SIGMA or uniform:A:B"
    ] = 0
    tpot_ms: Annotated[float | str, "time per token after the first, written as for ttft-ms"] = 0
    role_ms: Annotated[float, "time in ms between the role chunk and the first token"] = 0
    tokens: Annotated[int | str, "length of a reply to an unknown question, written as for ttft-ms"] = (
        "uniform:20:80"
    )
    tokens_per_chunk: Annotated[int, "tokens in each streamed chunk"] = 1
    default_max_tokens: Annotated[int, "maximum tokens of a reply if the request has no max_tokens"] = 512
    usage: Annotated[str, "token counts of a streamed reply: now, late:MS or absent"] = "now"
    reasoning: Annotated[str, "field that reasoning is sent in: none, reasoning_content or reasoning"] = (
        "none"
    )
    tool_calls: Annotated[
        str, "form of tool calls in replies to requests with tools: none, field (tool_calls) or content"
    ] = "none"
    reasoning_tokens: Annotated[int, "tokens of reasoning before the reply"] = 16
    faults: Annotated[tuple[str, ...], "KIND:RATE, or KIND@N for the N-th request"] = ()
    retry_after: Annotated[float, "value of Retry-After in a 429, in seconds"] = 1
    slow_ms: Annotated[float, "delay of the first token by the fault `slow`"] = 1000
    max_model_len: Annotated[int | None, "maximum length of prompt and reply together, in tokens"] = None

    def check_behaviour(self) -> None:
        """Raise a `UsageError` for the first option whose value cannot be used."""
        if not 0 <= self.accuracy <= 1:
            raise UsageError(f"accuracy = {self.accuracy} is not a share; write a number from 0 to 1")
        for name in ("ttft_ms", "tpot_ms", "tokens"):
            OptionSpread.parse(name, getattr(self, name))
        self.usage_delay_ms()
        if self.reasoning not in REASONING_FIELDS:
            raise UsageError(
                f"reasoning = {self.reasoning!r} is not known; write {', '.join(REASONING_FIELDS)}"
            )
        if self.tool_calls not in TOOL_CALLS:
            raise UsageError(f"tool_calls = {self.tool_calls!r} is not known; write {', '.join(TOOL_CALLS)}")
        for name, least in (
            ("role_ms", 0),
            ("tokens_per_chunk", 1),
            ("default_max_tokens", 1),
            ("retry_after", 0),
        ):
            if getattr(self, name) < least:
                raise UsageError(f"{name} = {getattr(self, name)} is too small; the least is {least}")
        Faults.parse(self.faults)

    def usage_delay_ms(self) -> float | None:
        """Return how long after the end of the text a streamed usage follows; None if it never does."""
        if self.usage in ("now", "absent"):
            return 0.0 if self.usage == "now" else None
        kind, _, delay = self.usage.partition(":")
        try:
            if kind == "late" and float(delay) >= 0:
                return float(delay)
        except ValueError:
            pass
        raise UsageError(f"usage = {self.usage!r} is not known; write {', '.join(USAGES)}")


@dataclass(kw_only=True, eq=False)
class MockOptions(Behaviour):
    """A mock server: where it listens, what it serves, and how it behaves."""

    host: Annotated[str, "address to listen on"] = "127.0.0.1"
    port: Annotated[int, "port to listen on; 0 for any free one"] = 0
    models: Annotated[tuple[str, ...], "name of a served model"] = ("mock",)
    api_key: Annotated[str | None, "API key that requests must have"] = None
    processes: Annotated[int, "processes that share the port, for higher loads"] = 1
    slots: Annotated[int | None, "requests that are served at once; others wait for a slot"] = None
    queue: Annotated[int | None, "requests that may wait for a slot; more are refused with 503"] = None
    batch_ms: Annotated[float, "delay of each token for every other reply in progress"] = 0
    rate_limit: Annotated[float | None, "admitted requests per second; others are refused with 429"] = None
    rate_burst: Annotated[int, "burst that the rate limit admits after a pause, in requests"] = 20
    corrupt_share: Annotated[
        float, "share of replies (or tool calls) that are corrupted while many requests are in flight"
    ] = 0
    corrupt_above: Annotated[int, "requests in flight above which replies are corrupted"] = 32
    record_size: Annotated[int, "number of latest requests in the record"] = 100_000
    parent_pipe: Annotated[bool, "exit when standard input ends, and thus with the parent process"] = False

    def __post_init__(self) -> None:
        self.check_behaviour()
        if not self.models:
            raise UsageError("models is empty; name at least one model to serve")
        if not 0 <= self.port <= 65_535:
            raise UsageError(f"port = {self.port} is not a port; write 0 for any, or 1 to 65535")
        if self.processes < 1:
            raise UsageError(f"processes = {self.processes} is too small; the least is 1")
        for name, least in (("slots", 1), ("queue", 0), ("batch_ms", 0), ("rate_burst", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise UsageError(f"{name} = {value} is too small; the least is {least}")
        if self.rate_limit is not None and self.rate_limit <= 0:
            raise UsageError(f"rate_limit = {self.rate_limit:g} is not a rate; write requests per second")
        if not 0 <= self.corrupt_share <= 1:
            raise UsageError(
                f"corrupt_share = {self.corrupt_share:g} is not a share; write a number from 0 to 1"
            )
        if self.corrupt_above < 0:
            raise UsageError(f"corrupt_above = {self.corrupt_above} is too small; the least is 0")
        if self.queue is not None and self.slots is None:
            raise UsageError(f"queue = {self.queue} needs slots; set the number of slots, too")
        if (self.is_limited or self.corrupt_share) and self.processes > 1:
            raise UsageError(
                f"processes = {self.processes}: slots, batch_ms, rate_limit and corrupt_above need a "
                "single process; write 1"
            )

    @property
    def is_limited(self) -> bool:
        """Whether the capacity is limited: by slots, by a rate, or by slower tokens under load."""
        return self.slots is not None or self.rate_limit is not None or self.batch_ms > 0

    def arguments(self) -> list[str]:
        """Return the command line of these options, without defaults."""
        line: list[str] = []
        for flag in flags():
            value = getattr(self, flag.field)
            if value == flag.default:
                continue
            if flag.type is bool:
                line.append(flag.name)
            else:
                line += [f"{flag.name}={one}" for one in (value if flag.repeats else (value,))]
        return line


class MockFlag(NamedTuple):
    """A command-line flag made from an option: `type` turns its text into a value; bool takes no text."""

    name: str
    field: str
    type: type
    repeats: bool
    default: Any
    help: str


def flags() -> Iterator[MockFlag]:
    """Yield a flag for each option of the mock server. Repeatable flags have names in the singular."""
    hints = get_type_hints(MockOptions, include_extras=True)
    for option in sorted(fields(MockOptions), key=lambda option: option.name in Behaviour.__annotations__):
        annotated, text = get_args(hints[option.name])
        repeats = get_origin(annotated) is tuple
        members = get_args(annotated) if isinstance(annotated, types.UnionType) or repeats else (annotated,)
        name = option.name.removesuffix("s") if repeats else option.name
        yield MockFlag(
            name="--" + name.replace("_", "-"),
            field=option.name,
            type=str if str in members else members[0],
            repeats=repeats,
            default=None if option.default is MISSING else option.default,
            help=text,
        )


@dataclass(frozen=True, slots=True)
class OptionSpread:
    """A constant, or a distribution of non-negative numbers."""

    kind: str
    first: float
    second: float = 0.0

    @classmethod
    def parse(cls, name: str, value: float | str) -> OptionSpread:
        """Read `5`, `normal:MEAN:SD`, `lognormal:MEDIAN:SIGMA` or `uniform:A:B`; `name` is for the error."""
        kind, *numbers = str(value).split(":")
        try:
            if not numbers and float(kind) >= 0:
                return cls("fixed", float(kind))
            first, second = (float(number) for number in numbers)
            if kind in ("normal", "lognormal", "uniform") and first >= 0 and second >= 0:
                return cls(kind, first, second)
        except ValueError:
            pass
        raise UsageError(
            f"{name} = {value!r} is not understood; write a number of at least 0, "
            "normal:MEAN:SD, lognormal:MEDIAN:SIGMA or uniform:A:B"
        )

    def draw(self, rng: Random) -> float:
        """Draw one number."""
        if self.kind == "fixed":
            return self.first
        if self.kind == "normal":
            return max(0.0, rng.gauss(self.first, self.second))
        if self.kind == "uniform":
            return rng.uniform(self.first, self.second)
        from math import exp

        return self.first * exp(rng.gauss(0.0, self.second))

"""The table `[load]`: how many requests are sent, when, and how long each may take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from aisb_engine._spec.table import Table

if TYPE_CHECKING:
    from aisb._backend import Backend


class Timeouts(Table):
    """Time limits of an attempt in seconds: to connect, to the first byte, between bytes, and in total."""

    connect: Annotated[float, Field(gt=0)] = 10.0
    first_byte: Annotated[float, Field(gt=0)] = 600.0
    between_bytes: Annotated[float, Field(gt=0)] = 120.0
    total: Annotated[float, Field(gt=0)] = 3600.0


class Brake(Table):
    """When to slow a load down: after `failures` failed attempts and `seconds` without a success.

    From then on one attempt is made every `probe` seconds until one succeeds. After `patience` seconds the
    next one does not wait for the attempt before it, since a service that restarted may never answer that. A
    pressure run does not wait for `seconds`. `failures` 0 turns the brake off.
    """

    failures: Annotated[int, Field(ge=0)] = 100
    seconds: Annotated[float, Field(ge=0)] = 30.0
    probe: Annotated[float, Field(gt=0)] = 5.0
    patience: Annotated[float, Field(gt=0)] = 60.0


class Load(Table):
    """The load: concurrency or rate of requests, retries, limits of time and size, and the rows to use.

    With a rate, a ramp or the times of a trace the loop is open: requests are launched at planned times, and
    `concurrency`, if set, is only an upper limit. `request_rate` 0 means no pacing. `pressure_time` (seconds)
    adds clients step by step and repeats the rows for that long. `duration` (seconds) repeats the rows, up to
    `num_prompts`, and starts no request after that time. `nonce` adds words of this run to the beginning of
    each prompt of a performance run; None adds them if needed. `cache_share` is the part of the input that
    the prefix cache of the server is expected to hold. `workers` 0 chooses their number automatically.

    `shuffle` is the seed of a random order of the rows. `rows` limits the rows to a range, as in Python
    (`0:100`, `-20:`), of positions in the data, or in each group of a task with groups; `num_prompts` counts
    within it. A reply with more than `max_reply` bytes (decompressed), or with headers of more than
    `max_head` bytes, is a failure. `longest_delay` limits the wait between two attempts, even if the service
    requests more. An accuracy run ends after `outage` seconds without a success; `brake` slows it down
    earlier. `session_header` is the name of an HTTP header that carries the session of each turn.
    """

    concurrency: Annotated[int, Field(ge=1, le=64_000)] | None = None
    request_rate: float | None = None
    arrival: Literal["constant", "poisson", "gamma"] | None = None
    burstiness: float | None = None
    ramp_up: str | None = None
    use_timestamp: bool = False
    pressure_time: Annotated[float, Field(ge=1, le=86_400)] | None = None
    duration: Annotated[float, Field(gt=0, le=1_000_000)] | None = None
    workers: Annotated[int, Field(ge=0, le=1024)] = 0
    nonce: bool | None = None
    cache_share: Annotated[float, Field(ge=0, le=1)] | None = None
    session_header: Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]+$")] | None = None
    retries: Annotated[int, Field(ge=0)] | None = None
    backoff: Annotated[float, Field(ge=0)] = 1.0
    longest_delay: Annotated[float, Field(gt=0)] = 60.0
    outage: Annotated[float, Field(gt=0)] = 600.0
    brake: Brake = Brake()
    timeouts: Timeouts = Timeouts()
    max_reply: Annotated[int, Field(ge=65_536)] = 64_000_000
    max_head: Annotated[int, Field(ge=1024)] = 65_536
    num_prompts: Annotated[int, Field(ge=1)] | None = None
    rows: str | None = None
    shuffle: int | None = None
    num_warmups: Annotated[int, Field(ge=0)] = 0
    seed: int = 0

    @field_validator("rows")
    @classmethod
    def _rows_are_a_range(cls, text: str | None) -> str | None:
        return None if text is None else _range_text(text)

    def clients(self, backend: Backend) -> int:
        """Return how many requests a closed loop keeps in flight: as set here, by the backend, or 32."""
        return self.concurrency or backend.concurrency or 32


ROWS = re.compile(r"(-?\d+)?:(-?\d+)?(?::(\d+))?")
"""A range of rows, as in Python: start, stop, and a positive step."""


def _range_text(text: str) -> str:
    """Return a range of rows without blanks and brackets."""
    plain = text.replace(" ", "").removeprefix("[").removesuffix("]")
    found = ROWS.fullmatch(plain)
    if not found or found[3] == "0" or len(plain) > 60:
        raise ValueError("a range of rows is FROM:TO, such as 0:100, 100: or -20:")
    return plain


def row_slice(text: str) -> slice:
    """Return a range of rows as a slice."""
    found = ROWS.fullmatch(text)
    return slice(*(int(part) if part else None for part in (found.groups() if found else ())))

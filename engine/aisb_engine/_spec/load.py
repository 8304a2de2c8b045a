"""The table `[load]`: how many requests are sent, when, and how long each may take."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field, field_validator

from aisb_engine._spec.table import Table

if TYPE_CHECKING:
    from aisb._backend import Backend


class Timeouts(Table):
    """Seconds an attempt may take: to connect, to the first byte, between bytes, and in all."""

    connect: Annotated[float, Field(gt=0)] = 10.0
    first_byte: Annotated[float, Field(gt=0)] = 600.0
    between_bytes: Annotated[float, Field(gt=0)] = 120.0
    total: Annotated[float, Field(gt=0)] = 3600.0


class Brake(Table):
    """When a load is held back: after so many failed attempts, and seconds, without a success.

    `probe` is how many seconds lie between two attempts then. An attempt that has not ended after `patience`
    seconds goes on, and the next one does not wait for it: a service that was restarted may never answer what
    was sent before. A pressure run does not wait for `seconds`. `failures` 0 is no brake.
    """

    failures: Annotated[int, Field(ge=0)] = 100
    seconds: Annotated[float, Field(ge=0)] = 30.0
    probe: Annotated[float, Field(gt=0)] = 5.0
    patience: Annotated[float, Field(gt=0)] = 60.0


class Load(Table):
    """How requests are sent: how many at a time or when, how often again, and how long to wait.

    With a rate, a ramp or a trace's own times the loop is open: requests are launched at planned times, and
    `concurrency` only bounds them where it is given. `request_rate` 0 is no pacing. `pressure_time` (seconds)
    adds clients step by step, and asks the rows again and again for that long. After `duration` (seconds)
    nothing new begins; until then rows are asked again and again, up to `num_prompts`. `nonce` begins each
    prompt of a performance run with words of this run's own; left out, where it is needed. `cache_share` is
    the part of the input that the server is expected to have in its prefix cache. `workers` 0 is chosen.
    `shuffle` is a seed: rows are asked in a drawn order. `rows` is the range of rows that may be asked, as in
    Python (`0:100`, `-20:`): positions in the data, in each group of a task that has groups; `num_prompts`
    then counts among these. A reply of more bytes than `max_reply`, decompressed, is a failure, and one with
    a head of more than `max_head`.
    `longest_delay` is the longest wait between two attempts, also where the service asks for more. An
    accuracy run in which nothing succeeds for `outage` seconds ends; `brake` says what it does until then.
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
"""A range of rows, as in Python: from, to, and a step that goes forward."""


def _range_text(text: str) -> str:
    """Return a range of rows in its plain form; it may stand in brackets."""
    plain = text.replace(" ", "").removeprefix("[").removesuffix("]")
    found = ROWS.fullmatch(plain)
    if not found or found[3] == "0" or len(plain) > 60:
        raise ValueError("a range of rows is FROM:TO, as 0:100, 100: or -20:")
    return plain


def row_slice(text: str) -> slice:
    """Return the slice that a range of rows stands for."""
    found = ROWS.fullmatch(text)
    return slice(*(int(part) if part else None for part in (found.groups() if found else ())))

"""The faults of the mock server: by rate or by request number, reproducible by the seed."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from aisb import UsageError

FAULTS: Mapping[str, str] = {
    "status-400": "400: the prompt is too long",
    "status-401": "401: no such key",
    "status-403": "403: not allowed",
    "status-404": "404: no such model",
    "status-429": "429 with Retry-After",
    "status-500": "500 with an error in JSON",
    "status-503": "503: the model is loading",
    "refuse": "the connection is closed before any reply",
    "cut": "the connection is closed in the middle of the reply",
    "early-end": "the reply ends in its middle without an error, as if complete",
    "stall": "the reply stops in its middle, the connection stays open",
    "hang": "no reply at all, the connection stays open",
    "garbage": "an event, or a whole reply, that is not JSON",
    "encoding": "an event, or a whole reply, that is not UTF-8",
    "html": "a page of HTML with status 200, as some proxies send it",
    "error-event": "an error reported inside a reply with status 200",
    "empty": "status 200 and no body",
    "slow": "the correct reply, much later than planned",
    "large-event": "the correct reply, with an event of 5 MB",
}


@dataclass(slots=True)
class Faults:
    """The requested faults: shares of all requests, and single requests by number (from 1)."""

    rates: list[tuple[str, float]] = field(default_factory=list)
    schedule: dict[int, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Faults:
        """Read `KIND:RATE` and `KIND@N`.

        Raises:
            UsageError: a kind is unknown, a rate is not between 0 and 1, or the rates add up to more than 1.
        """
        faults = cls()
        for text in texts:
            kind, mark, number = text.partition("@") if "@" in text else text.partition(":")
            if kind not in FAULTS:
                from aisb.helpers import did_you_mean

                near = did_you_mean(kind, FAULTS)
                raise UsageError(
                    f"fault {text!r}: no kind named {kind!r}{near}\n  known: {', '.join(FAULTS)}"
                )
            try:
                if mark == "@" and int(number) > 0:
                    faults.schedule[int(number)] = kind
                    continue
                if mark == ":" and 0 <= float(number) <= 1:
                    faults.rates.append((kind, float(number)))
                    continue
            except ValueError:
                pass
            raise UsageError(
                f"fault {text!r} is not understood; write {kind}:0.1 for a tenth of all requests, "
                f"or {kind}@3 for the third one"
            )
        if (total := sum(rate for _, rate in faults.rates)) > 1 + 1e-9:
            raise UsageError(f"the rates of all faults add up to {total:g}; the most is 1")
        return faults

    def choose(self, seed: int, question: str, attempt: int, number: int) -> str | None:
        """Return the fault of an attempt at a question, which is request `number`; None without a fault.

        Faults by rate depend only on the question and the attempt, so they do not depend on the order of
        requests, and a retry can succeed.
        """
        if kind := self.schedule.get(number):
            return kind
        if not self.rates:
            return None
        from aisb_mock._answers import share

        at = share("fault", seed, question, attempt)
        for kind, rate in self.rates:
            if at < rate:
                return kind
            at -= rate
        return None

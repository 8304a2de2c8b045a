"""Which requests the mock server fails, and how: by rate or by schedule, the same for the same seed."""

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
    "early-end": "the reply ends in its middle, in order, as if that were all",
    "stall": "the reply stops in its middle, the connection stays open",
    "hang": "no reply at all, the connection stays open",
    "garbage": "an event, or a whole reply, that is not JSON",
    "encoding": "an event, or a whole reply, that is not UTF-8",
    "html": "a page of HTML with status 200, as some proxies send it",
    "error-event": "an error reported inside a reply with status 200",
    "empty": "status 200 and no body",
    "slow": "the right reply, long after it was due",
    "large-event": "the right reply, with an event of 5 MB in it",
}


@dataclass(slots=True)
class Faults:
    """The faults that were asked for: shares of all requests, and single requests by number (from 1)."""

    rates: list[tuple[str, float]] = field(default_factory=list)
    schedule: dict[int, str] = field(default_factory=dict)

    @classmethod
    def parse(cls, texts: Iterable[str]) -> Faults:
        """Read `KIND:RATE` and `KIND@N`.

        Raises:
            UsageError: a kind is not known, a rate is no share, or the rates add up to more than 1.
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
        """Return the fault of one attempt at a question, which is the `number`-th request; None for none.

        By rate it depends on the question and the attempt alone, so it is the same in any order, and a
        retry can succeed.
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

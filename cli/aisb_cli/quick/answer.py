"""Explain in plain language what a ladder of loads showed."""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from aisb_cli.quick.ladder import Rung
    from aisb_cli.quick.questions import AnswerCheck
    from aisb_cli.services import Service
    from aisb_engine import Objective

VISIBLE = 0.01
"""Failed or refused requests are mentioned from this fraction on."""
SLOWER = 1.5
"""Replies slow each other down if a token takes this many times as long."""
HARDLY = 1.3
"""A higher throughput by less than this factor is reported as "hardly"."""
FEW = 5
"""With fewer requests than this, a percentile is printed with their number."""
LADDER_REPLIES = 8
"""The time for 1 and then 4 users who wait for each other, in replies with one user."""
MAX_SECONDS = 600
NOTHING_STREAMED = "it does not stream its replies: the times to the first token and per token are unknown"


def answer(
    service: Service,
    rungs: Sequence[Rung],
    check: AnswerCheck,
    objectives: Sequence[Objective],
    *,
    seconds: float,
    stopped: str = "",
) -> Iterator[str]:
    """Yield the findings line by line. `stopped` is the reason why no larger load was measured, if any."""
    yield from _service(service)
    usable = [rung for rung in rungs if not rung.distortion]
    limits = [*_limits(rungs), *([stopped] if stopped else [])]
    lines = {
        "one user": _one_user(rungs[0]),
        "users at once": _users(usable, objectives),
        "throughput": _throughput(usable),
        "what limits it": "; ".join(limits) or _no_limit(rungs),
        "answers": _answers(check),
        "measured": _measured(rungs, seconds),
    }
    yield from (f"{name}: {text}" for name, text in lines.items() if text)


def thorough_command(
    service: Service, objectives: Sequence[Objective], *, api_key_env: str | None = None
) -> str:
    """Return the command that measures the capacity with an interval."""
    words = ["aisb", "capacity", "--url", service.url]
    if service.asked_as != "vllm_api_stream_chat":
        words += ["--models", service.asked_as]
    if len(service.models) > 1 and service.model:
        words += ["--model-name", service.model]
    if api_key_env:
        words += ["--api-key-env", api_key_env]
    for objective in objectives:
        words += ["--slo", f"{objective}={_plain(objective)}"]
    return shlex.join([*words, "--budget", "30m"])


def _plain(objective: Objective) -> str:
    """Return a limit as people write it in a flag."""
    if objective.name == "failures":
        return f"{100 * objective.limit:g}%"
    return f"{objective.limit / 1000:g}s" if objective.limit >= 1000 else f"{objective.limit:g}ms"


def _service(service: Service) -> Iterator[str]:
    yield f"service: {service.kind} at {service.url} (model file {service.asked_as})"
    if service.model:
        several = len(service.models) - 1
        more = f" (it serves {several} more; --model-name chooses)" if several > 0 else ""
        yield f"model: {service.model}{more}"


def _one_user(rung: Rung) -> str:
    if rung.e2el is None:
        return f"no request succeeded: {rung.failure or 'nothing was answered'}"
    length = "" if rung.output_tokens is None else f" of {rung.output_tokens:.0f} tokens"
    whole = f"a reply{length} takes {_time(rung.e2el)}"
    if rung.distortion:
        whole += "; this machine was too busy, so the times may be too long"
    if rung.ttft is None:
        return f"{whole}; {NOTHING_STREAMED}"
    speed = f", then {1000 / rung.tpot:.3g} tokens/s" if rung.tpot else ""
    return f"the first token after {_time(rung.ttft)}{speed}; {whole}"


def _users(rungs: Sequence[Rung], objectives: Sequence[Objective]) -> str:
    if not rungs or rungs[0].e2el is None:
        return ""
    targets = ", ".join(f"{objective} <= {_plain(objective)}" for objective in objectives)
    users = max((rung.users for rung in rungs if rung.holds), default=0)
    broke = min((rung for rung in rungs if not rung.holds), key=lambda rung: rung.users, default=None)
    if broke is None:
        return f"at least {users} with {targets}"
    missed = f"with {targets}; with {broke.users}, {_missed(broke)}"
    if users:
        return f"{users} {missed}"
    if broke.users > 1:
        return f"not even one {missed}"
    return f"not even one {missed}; before a thorough run, choose objectives that one user meets (--slo)"


def _missed(rung: Rung) -> str:
    """Return the objectives that a rung misses; percentiles do not count if requests failed."""
    parts = [f"{100 * rung.failed:.3g} % of the requests fail"] if rung.failed > VISIBLE else []
    parts += [
        f"{judged.objective} is {_time(judged.value)}{_few(judged.requests)}"
        for judged in rung.missed
        if judged.objective.name != "failures" and judged.value is not None and math.isfinite(judged.value)
    ]
    return ", ".join(parts) or "requests fail"


def _few(requests: int) -> str:
    """Return how many requests a percentile is of, if they are few."""
    if requests >= FEW:
        return ""
    return " (of 1 request)" if requests == 1 else f" (of {requests} requests)"


def _throughput(rungs: Sequence[Rung]) -> str:
    known = [rung for rung in rungs if rung.rate > 0]
    if not known:
        return ""
    best = max(known, key=lambda rung: rung.rate)
    enough = next(rung for rung in known if rung.rate * HARDLY >= best.rate)
    tokens = "" if enough.tokens is None else f", {_quantity(enough.tokens)} tokens/s in total,"
    grows = "" if enough is known[-1] else "; more users hardly raise it"
    return f"{_quantity(enough.rate)} requests/s{tokens} with {_users_of(enough)}{grows}"


def _no_limit(rungs: Sequence[Rung]) -> str:
    if len(rungs) == 1:
        needed = 10 * math.ceil(LADDER_REPLIES * (rungs[0].e2el or 0.0) / 10_000)
        more = f"--seconds {min(max(needed, 60), MAX_SECONDS)}"
        return f"not known: there was time for one user only; {more} gives more"
    return f"no limit found with up to {_users_of(rungs[-1])}"


def _limits(rungs: Sequence[Rung]) -> Iterator[str]:
    """Yield what limits the service, as far as the loads showed it."""
    yield from _refusals(rungs)
    yield from _waiting(rungs)
    yield from _slowing(rungs)
    if rungs[-1].distortion:
        yield f"this machine could not generate the load of {_users_of(rungs[-1])}: {rungs[-1].distortion}"


def _refusals(rungs: Sequence[Rung]) -> Iterator[str]:
    is_limited = any(rung.throttled > VISIBLE for rung in rungs)
    refused = {rung.users: rung.throttled + rung.retried if is_limited else 0.0 for rung in rungs}
    limited = next((rung for rung in rungs if refused[rung.users] > VISIBLE), None)
    if limited is not None:
        share, rate = 100 * refused[limited.users], _quantity(limited.rate)
        yield (
            f"a rate limiter: with {_users_of(limited)}, {share:.0f} % of the requests were refused (429), "
            f"and {rate} requests/s were admitted: this is the limit that is configured, not the capacity"
        )
    failing = next((rung for rung in rungs if rung.failed - refused[rung.users] > VISIBLE), None)
    if failing is not None:
        share = 100 * (failing.failed - refused[failing.users])
        what = failing.failure or "they succeeded at the second attempt"
        yield f"failures: with {_users_of(failing)}, {share:.0f} % of the requests fail: {what}"


def _waiting(rungs: Sequence[Rung]) -> Iterator[str]:
    """Yield a line if requests queue: from some rung on, TTFT grows by half of the time of a reply."""
    alone, whole = rungs[0].ttft, rungs[0].e2el
    if alone is None or whole is None:
        return
    for rung in rungs:
        if rung.ttft is not None and rung.ttft - alone > whole / 2:
            # Little's law without the time that requests wait.
            reply = alone + max(0.0, (rung.output_tokens or 1) - 1) * (rung.tpot or 0.0)
            at_once = max(1, round(rung.rate * reply / 1000))
            yield (
                f"it queues: with {_users_of(rung)} the first token comes after {_time(rung.ttft)}, with one "
                f"after {_time(alone)}; it processes about {at_once} at once, and the others wait"
            )
            return


def _slowing(rungs: Sequence[Rung]) -> Iterator[str]:
    first = rungs[0].tpot
    slowest = max((rung for rung in rungs if rung.tpot), key=lambda rung: rung.tpot or 0.0, default=None)
    if first and slowest and slowest.tpot and slowest.tpot >= SLOWER * first:
        yield (
            f"replies slow each other down: a token takes {_time(first)} with one user, and "
            f"{_time(slowest.tpot)} with {_users_of(slowest)}"
        )


def _users_of(rung: Rung) -> str:
    return "1 user" if rung.users == 1 else f"{rung.users} users"


def _answers(check: AnswerCheck) -> str:
    if check.failure:
        return f"not judged: a simple question failed: {check.failure}"
    if not check.asked:
        return "not judged: no reply to a simple question ended in time"
    if check.right == check.asked:
        return f"sensible: {check.right} of {check.asked} simple questions are right"
    reply = f'asked "{check.question}", it said {check.reply!r}' if check.reply else "its reply was empty"
    if check.right:
        return f"{check.right} of {check.asked} simple questions are right; {reply}"
    return f"nonsense: {reply}; check the model's chat template and weights before you trust any number"


def _measured(rungs: Sequence[Rung], seconds: float) -> str:
    lengths = [rung.input_tokens for rung in rungs if rung.input_tokens is not None]
    prompts = f"prompts of about {sum(lengths) / len(lengths):.0f} tokens" if lengths else "short prompts"
    count = sum(rung.requests for rung in rungs)
    requests = "1 request" if count == 1 else f"{count:,} requests"
    return f"{requests} in {seconds:.0f} s, with {prompts}: a first estimate, without intervals"


def _time(milliseconds: float) -> str:
    if milliseconds >= 1000:
        return f"{milliseconds / 1000:.3g} s"
    return f"{milliseconds:.3g} ms"


def _quantity(value: float) -> str:
    return f"{value:.3g}" if value < 1000 else f"{value:,.0f}"

"""The contract suite for launchers, with small jobs: placement, messages, end, stop, and loss."""

from __future__ import annotations

import asyncio
import os
import tempfile
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from aisb import Channel, Launcher, RunError
from aisb_testing._cases import NONE_EXPECTED, CheckedCase, ExpectedFailures, require

LauncherCheck: TypeAlias = Callable[[Launcher, Path], Coroutine[Any, Any, list[str]]]
STEP_SECONDS = 60.0
"""The timeout in seconds of each step of a launcher."""


@dataclass(slots=True)
class TrialJob:
    """A job that copies its file, follows a message for all and one for itself, and ends as `ending` says."""

    folder: Path
    number: int
    ending: Literal["returns", "dies", "stays"] = "returns"
    environment: Mapping[str, str] = field(default_factory=dict)
    reads: Sequence[Path] = ()
    writes: Sequence[Path] = ()

    def __post_init__(self) -> None:
        self.environment = {"AISB_TRIAL": f"value {self.number}"}
        self.reads = (self.folder / f"in-{self.number}",)
        self.writes = (self.folder / f"out-{self.number}",)

    async def run(self, channel: Channel, folder: Path | None = None) -> None:
        """Copy the file, follow the messages, and end."""
        source, target = (
            file if folder is None else folder / file.name for file in (*self.reads, *self.writes)
        )
        channel.send({"ready": True, "process": os.getpid(), "variable": os.environ.get("AISB_TRIAL")})
        message = await channel.receive()
        if self.ending == "dies":
            os._exit(3)
        if self.ending == "stays":
            await asyncio.Event().wait()
        own = await channel.receive()
        while own is not None and own.get("worker", self.number) != self.number:
            own = await channel.receive()
        for number in range(100):
            channel.send({"number": number, "echo": message, "own": own})
        target.write_text(source.read_text("utf-8").upper(), "utf-8")
        channel.send({"ended": True})


def check_launcher(
    factory: Callable[..., Launcher],
    *,
    expected_failures: ExpectedFailures = NONE_EXPECTED,
    **options: Any,
) -> list[str]:
    """Check a launcher with small jobs; `options` are given to the factory, which is called for each check.

    Jobs run in processes of their own with the variables that they ask for; messages arrive both ways, in
    order and from the right worker; files come back; a worker that dies is an error that says so; one that
    does not end is ended by `stop`. Call it from an ordinary test, not from a coroutine.

    Raises:
        AssertionError: the message has all problems.
    """
    return require("launcher", launcher_cases(factory, options), expected_failures)


def launcher_cases(factory: Callable[..., Launcher], options: Mapping[str, Any]) -> Iterator[CheckedCase]:
    """Yield the checks of a launcher."""
    for check, reason in (
        (_work_and_end, "messages, variables and files reach each worker and are returned"),
        (_lose_a_worker, "a worker that died must not be waited for"),
        (_stop_a_worker, "a worker that does not end by itself must not outlive the run"),
    ):
        with tempfile.TemporaryDirectory() as folder:
            try:
                problems = asyncio.run(_tried(check, factory(**options), Path(folder)))
            except TimeoutError:
                problems = [f"nothing happened for {STEP_SECONDS:.0f} seconds"]
            except Exception as error:  # noqa: BLE001 - whatever a launcher raises is a finding
                problems = [f"{type(error).__name__}: {error}"]
        yield CheckedCase(check.__name__.strip("_").replace("_", " "), reason, tuple(problems))


async def _tried(check: LauncherCheck, launcher: Launcher, folder: Path) -> list[str]:
    """Run one check with a timeout, and stop all workers in any case."""
    try:
        return await asyncio.wait_for(check(launcher, folder), STEP_SECONDS)
    finally:
        await launcher.stop(0.1)


def _jobs(folder: Path, *endings: Literal["returns", "dies", "stays"]) -> list[TrialJob]:
    jobs = [TrialJob(folder, number, ending) for number, ending in enumerate(endings)]
    for job in jobs:
        job.reads[0].write_text(f"words of {job.number}", "utf-8")
    return jobs


async def _work_and_end(launcher: Launcher, folder: Path) -> list[str]:
    jobs = _jobs(folder, "returns", "returns", "returns")
    received: dict[int, list[Mapping[str, Any]]] = {job.number: [] for job in jobs}
    await launcher.start(jobs)
    async for number, message in launcher.watch():
        received[number].append(message)
        if "ready" in message and sum("ready" in m for each in received.values() for m in each) == len(jobs):
            await launcher.send({"start": 2**53, "text": "now \u2713\n"})
            for job in jobs:
                await launcher.send_to(job.number, {"for": job.number})
    await launcher.stop()
    await launcher.collect()
    wrong = [problem for job in jobs for problem in _work_of(job, received[job.number])]
    ready = [m for each in received.values() for m in each if "ready" in m]
    if len({os.getpid(), *(message["process"] for message in ready)}) != len(jobs) + 1:
        wrong.append("jobs share a process with each other, or with the run")
    return wrong


def _work_of(job: TrialJob, messages: Sequence[Mapping[str, Any]]) -> list[str]:
    """Return what is wrong with one worker's messages and file."""
    who = f"worker {job.number}"
    wrong = []
    first = next((message for message in messages if "ready" in message), {})
    if first.get("variable") != f"value {job.number}":
        wrong.append(f"{who} does not have the variables of its job's environment")
    if [message["number"] for message in messages if "number" in message] != list(range(100)):
        wrong.append(f"{who}: messages are lost, or not in the order of sending")
    if any(m["echo"] != {"start": 2**53, "text": "now \u2713\n"} for m in messages if "echo" in m):
        wrong.append(f"{who} received something other than what was sent to it")
    if any((m["own"] or {}).get("for") != job.number for m in messages if "own" in m):
        wrong.append(f"{who} received something other than what was sent only to it")
    if not any("ended" in message for message in messages):
        wrong.append(f"{who}: its last message did not arrive")
    if not job.writes[0].exists() or job.writes[0].read_text("utf-8") != f"WORDS OF {job.number}":
        wrong.append(f"{who}: the file that it wrote is missing after collect()")
    return wrong


async def _lose_a_worker(launcher: Launcher, folder: Path) -> list[str]:
    jobs = _jobs(folder, "dies", "returns")
    ready = 0
    raised = False
    await launcher.start(jobs)
    try:
        async for number, message in launcher.watch():
            ready += "ready" in message
            raised = raised or (number == 0 and "lost" in message)
            if "ready" in message and ready == len(jobs):
                await launcher.send({"start": 0})
                await launcher.send_to(1, {"for": 1})
    except RunError:
        raised = True
    await launcher.stop(0.1)
    await launcher.collect()
    return [] if raised else ["watch() must yield {'lost': …} for a worker that ends before its job returns"]


async def _stop_a_worker(launcher: Launcher, folder: Path) -> list[str]:
    stop: asyncio.Task[None] | None = None
    await launcher.start(_jobs(folder, "stays"))
    async for _, message in launcher.watch():
        if "ready" in message:
            stop = asyncio.create_task(launcher.stop(0.1))
    if stop is None:
        return ["the worker's first message did not arrive"]
    await stop
    await launcher.collect()
    return []

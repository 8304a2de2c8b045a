"""Disturb runs in every way that a machine has, and hold each to one that nobody disturbed.

    python tests/torture/torture.py --minutes 10 [--rounds N] [--seed S] [--keep FOLDER]

A round makes one run, of a kind and with disturbances that its seed draws: accuracy or performance, with one worker or
several, against a service that is calm, faulty or hostile; killed, stopped, on a full disk, under a wall clock that
jumps, its log damaged between two commands. It is resumed until it ends. Then

- an accuracy run has the answers, grades and metrics of the undisturbed one, each request once; no command ended in
  a traceback; what was answered before a kill is answered after it;
- a performance run can be shown, has no answer that the undisturbed one does not have, none twice, and its certificate is
  not VALID where it was interrupted.

A round that fails is named with its seed, which does it again (`--seed S --rounds 1`), and its folder is kept.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import urlopen

sys.path.insert(0, str(Path(__file__).parent))

import disks
import hostile
from commands import DEFECT, ended, import_everything, run_command, spawn

from aisb_engine import Plugins, inspect_log, read_run, read_run_json
from aisb_engine._record.log import read_folder
from aisb_engine._record.runfolder import RunFolder
from aisb_mock import MockOptions, start_mock

REQUESTS = 24
TASK, MODEL = "demo_gsm8k", "vllm-api-stream-chat"
FAULTS = (
    "status-429:0.04", "status-500:0.05", "status-503:0.03", "refuse:0.04", "cut:0.05", "garbage:0.04",
    "encoding:0.03", "html:0.02", "error-event:0.03", "empty:0.03", "large-event:0.01",
)  # fmt: skip
LOAD = {"num_prompts": REQUESTS, "retries": 8, "backoff": 0.001}
PERF_LOAD = {"num_prompts": REQUESTS, "num_warmups": 0}
PARAMS = {"temperature": 0.7, "seed": 3}
MOST_COMMANDS = 12
SECONDS = 60.0
"""How long one command may take."""
DISTURBANCES = (
    "kill",
    "stop",
    "full disk",
    "clock jumps",
    "torn log",
    "flipped bytes",
    "zeroed bytes",
    "garbage in log",
)
KEEPING = frozenset(("kill", "stop", "full disk", "clock jumps"))
"""What must not lose an answer that was logged."""


class Broken(Exception):  # noqa: N818 - what a round found
    """Something is not as it should be."""


@dataclass(slots=True)
class Plan:
    """What one round does, drawn from its seed."""

    seed: int
    kind: str
    service: str
    workers: int
    disturbances: list[str]

    @classmethod
    def draw(cls, seed: int) -> Plan:
        draw = random.Random(f"plan {seed}")
        kind = draw.choices(("accuracy", "performance"), (7, 3))[0]
        service = draw.choices(("calm", "faulty", "hostile"), (4, 3, 3))[0]
        workers = 2 if draw.random() < 0.06 else 1
        count = draw.choices((1, 2, 3, 4), (4, 3, 2, 1))[0]
        first = draw.choice(sorted(KEEPING))  # else there would be no log to damage
        names = [first, *draw.choices(DISTURBANCES, k=count - 1)]
        return cls(seed, kind, service, workers, names)

    def __str__(self) -> str:
        return f"{self.kind}, {self.workers} worker, {self.service} service: {', '.join(self.disturbances)}"


@dataclass(slots=True)
class Table:
    """What was tried, and what came of it."""

    rounds: Counter[str] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    broken: dict[int, str] = field(default_factory=dict)

    def lines(self) -> list[str]:
        width = max(map(len, self.rounds), default=0)
        return [f"  {name:{width}}  {count:6,}" for name, count in sorted(self.rounds.items())]


@dataclass(slots=True)
class Torture:
    """The services, the undisturbed runs, and the rounds."""

    plugins: Plugins
    urls: dict[str, str]
    work: Path
    calm: dict[tuple[str, int], Any] = field(default_factory=dict)

    def undisturbed(self, kind: str) -> Any:
        """Return what an undisturbed run of a kind has."""
        if (kind, 1) not in self.calm:
            folder = self.work / f"calm-{kind}"
            folder.mkdir()
            code = self.command(folder, folder / "out", kind, "calm", reuse=None)
            if code:
                raise SystemExit(
                    f"the undisturbed {kind} run ended with {code}: {(folder / 'out').read_text()}"
                )
            self.calm[kind, 1] = found(only_run(folder), kind)
        return self.calm[kind, 1]

    def command(
        self,
        work: Path,
        out: Path,
        kind: str,
        service: str,
        *,
        reuse: str | None,
        workers: int = 1,
        **more: Any,
    ) -> int | None:
        pid = self.start(work, out, kind, service, reuse=reuse, workers=workers, **more)
        return end_in_time(pid)

    def start(
        self, work: Path, out: Path, kind: str, service: str, *, reuse: str | None, workers: int, **more: Any
    ) -> int:
        performance = kind == "performance"
        load = {**(PERF_LOAD if performance else LOAD), "workers": workers, "concurrency": 4}
        mode = "perf" if performance and reuse is None else "perf_viz" if performance else "all"
        return spawn(
            partial(
                run_command,
                self.plugins,
                work,
                mode=mode,
                url=self.urls[service],
                reuse=reuse,
                load=load,
                params=PARAMS,
                **more,
            ),
            out,
        )

    def round(self, plan: Plan, folder: Path) -> int:
        """Do one round in a folder; return how many commands it took.

        Raises:
            Broken: something is not as it should be.
        """
        wanted = self.undisturbed(plan.kind)
        draw = random.Random(f"round {plan.seed}")
        if plan.service == "hostile":
            with urlopen(f"{self.urls['hostile']}/torture/{plan.seed}", timeout=20) as answer:
                answer.read()
        work, out = folder / "runs", folder / "out"
        work.mkdir()
        on_disk = "full disk" in plan.disturbances and draw.random() < 0.5 and disks.mount(work, 65_536)
        interrupted = False
        commands = 0
        for name in plan.disturbances:
            run = the_run(work)
            before = answered(run)
            commands += name in {"kill", "stop", "full disk", "clock jumps"}
            code = self.disturb(name, plan, work, out, draw, run=run, on_disk=on_disk)
            interrupted |= code not in {0, 1, None}
            no_defect(out, code)
            run = the_run(work)
            if name in KEEPING and (lost := before - answered(run)):
                raise Broken(f"{name}: {len(lost)} answers that were logged are gone, as {min(lost)}")
        if on_disk:
            disks.grow(work, 64_000_000)
        while True:
            commands += 1
            run = the_run(work)
            code = self.command(
                work, out, plan.kind, plan.service, reuse=run.name if run else None, workers=plan.workers
            )
            no_defect(out, code)
            if plan.kind == "performance" or code == 0:
                break
            if commands > MOST_COMMANDS:
                raise Broken(f"it did not end within {commands} commands; the last exit code is {code}")
        check(only_run(work), plan, wanted, interrupted=interrupted)
        return commands

    def disturb(
        self,
        name: str,
        plan: Plan,
        work: Path,
        out: Path,
        draw: random.Random,
        *,
        run: Path | None,
        on_disk: bool,
    ) -> int | None:
        """Let one command run, or damage what the last one left; return the exit code of the command."""
        if name not in KEEPING:
            damage(name, run, draw)
            return None
        begin = run is None or plan.kind == "performance"
        if begin and run is not None:
            return None  # a performance run is made once
        start = partial(
            self.start,
            work,
            out,
            plan.kind,
            plan.service,
            reuse=run.name if run else None,
            workers=plan.workers,
        )
        if name == "clock jumps":
            pid = start(clock=random.Random(f"clock {plan.seed}"))
        elif name == "full disk" and not on_disk:
            pid = start(file_size=draw.randrange(400, 24_000))
        else:
            pid = start()
        if name in {"kill", "stop"}:
            how = signal.SIGKILL if name == "kill" else draw.choice((signal.SIGINT, signal.SIGTERM))
            code = ended(pid, draw.choice((draw.uniform(0.0, 0.1), draw.uniform(0.05, 0.3))))
            if code is not None:
                return code
            os.kill(pid, how)
        return end_in_time(pid, f" ({name})")


def end_in_time(pid: int, fault: str = "") -> int:
    """Return the exit code of a command; kill one that hangs, and fail."""
    code = ended(pid, SECONDS)
    if code is None:
        os.killpg(pid, signal.SIGKILL)
        ended(pid, 10)
        raise Broken(f"a command hung for {SECONDS:.0f} s{fault}")
    return code


def the_run(work: Path) -> Path | None:
    """Return the run in a work folder; None where none was begun."""
    runs = [path for path in work.iterdir() if any(path.glob("configs/*.toml"))]
    return max(runs, key=lambda path: path.stat().st_mtime) if runs else None


def only_run(work: Path) -> Path:
    runs = [path for path in work.iterdir() if any(path.glob("configs/*.toml"))]
    if len(runs) != 1:
        raise Broken(f"there are {len(runs)} runs: {[path.name for path in runs]}")
    return runs[0]


def logs(run: Path | None) -> list[Path]:
    return sorted(run.glob("log/*/*/worker-*")) if run else []


def answered(run: Path | None) -> set[tuple[str, int, int]]:
    """Return the requests of a run that its log has answers to."""
    if run is None or not logs(run):
        return set()
    return read_folder(logs(run)[0].parent).finished


def damage(name: str, run: Path | None, draw: random.Random) -> None:
    """Damage the log of a run as power cuts and disks do."""
    files = [path for path in logs(run) if path.stat().st_size > 100]
    if not files:
        return
    path = draw.choice(files)
    data = bytearray(path.read_bytes())
    at = draw.randrange(len(data))
    if name == "torn log":
        del data[-draw.randrange(1, min(400, len(data))) :]
    elif name == "flipped bytes":
        for _ in range(draw.randint(1, 5)):
            data[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
    elif name == "zeroed bytes":
        data[at : at + draw.randint(1, 600)] = bytes(len(data[at : at + draw.randint(1, 600)]))
    else:
        data[at:at] = draw.randbytes(draw.randint(1, 300)) + b"aisb" * draw.randint(0, 3)
    path.write_bytes(data)


def no_defect(out: Path, code: int | None) -> None:
    """Refuse a traceback, and an exit code that stands for none of the known ends."""
    text = out.read_text("utf-8", "replace") if out.exists() else ""
    # What an interrupt ends inside of a library's callback is printed, and is no end of the command.
    text = re.sub(r"Exception ignored in.*\n(?:.*\n)*?KeyboardInterrupt: ?\n", "", text)
    if "Traceback (most recent call last)" in text:
        raise Broken(f"a traceback:\n{text[-3000:]}")
    if (
        code not in {None, 0, 1, 2, 3, 5, 130, -signal.SIGKILL, -signal.SIGTERM, -signal.SIGINT}
        or code == DEFECT
    ):
        raise Broken(f"exit code {code}:\n{text[-2000:]}")


def found(run: Path, kind: str) -> Any:
    """Return what two runs of a kind must have in common."""
    folder = RunFolder(run)
    if kind == "performance":
        log = read_folder(folder.log(MODEL, TASK))
        return {key: (p.text, p.finish_reason) for key, p in log.latest.items() if p.failure is None}
    results = read_run_json(folder.results(MODEL, TASK))
    kept = (
        "version",
        "metrics",
        "outcomes",
        "bounds",
        "predictions",
        "not_sent",
        "failed",
        "broken_samples",
        "faults",
    )
    lines = [json.loads(line) for line in folder.predictions(MODEL, TASK).read_text().splitlines()]
    return {
        "results": {key: results[key] for key in kept},
        "predictions": [
            {
                key: line[key]
                for key in ("id", "repeat", "turn", "origin_prompt", "prediction", "gold", "failure")
            }
            for line in lines
        ],
        "scores": folder.scores(MODEL, TASK).read_text(),
    }


def check(run: Path, plan: Plan, wanted: Any, *, interrupted: bool) -> None:
    """Hold a run that has ended to the undisturbed one."""
    if plan.kind == "accuracy":
        status = read_run(RunFolder(run)).status
        if status != "done":
            raise Broken(f"it is shown as {status}")
        have = found(run, plan.kind)
        for key, value in wanted.items():
            if have[key] != value:
                raise Broken(f"its {key} are others than undisturbed:\n{_difference(value, have[key])}")
        return
    answers = found(run, plan.kind)
    for key, value in answers.items():
        if wanted.get(key) != value:
            raise Broken(f"request {key} has another answer than undisturbed: {value}")
    if not logs(run):
        return  # it ended before anything was sent
    details = run / "performances" / MODEL / f"{TASK}_details.json"
    table = json.loads(details.read_text())
    total = table["stages"]["total"]["common"]
    if total["succeeded"] != len(answers) or total["requests"] > REQUESTS:
        raise Broken(f"{len(answers)} answers in the log, and the report has {total}")
    if interrupted and table["certificate"]["verdict"] == "VALID":
        raise Broken("it was interrupted, and its certificate is VALID")
    for path in logs(run):
        problems = [one for one in inspect_log(path).problems if "removed or added" not in one]
        if problems:
            raise Broken(f"{path.name}: {problems[0]}")


def _difference(wanted: Any, have: Any) -> str:
    old, new = (json.dumps(one, indent=1).splitlines() for one in (wanted, have))
    place = next(
        (n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    return f"undisturbed: {old[place : place + 3]}\ndisturbed: {new[place : place + 3]}"


def in_a_process(torture: Torture, plan: Plan, folder: Path, out: Path) -> str:
    """Do one round in a process of its own, which may have a disk of its own; return what broke, or nothing."""
    verdict = folder / "verdict"

    def work() -> int:
        try:
            commands = torture.round(plan, folder)
            verdict.write_text(f"ok {commands}")
        except Broken as error:
            verdict.write_text(f"broken {error}")
        return 0

    pid = spawn(work, out)
    code = ended(pid, SECONDS * 4)
    if code is None:
        os.killpg(pid, signal.SIGKILL)
        ended(pid, 10)
        return "broken the round hung"
    return verdict.read_text() if code == 0 and verdict.exists() else f"broken {out.read_text()[-3000:]}"


def main() -> int:
    options = _options()
    table, began = Table(), time.monotonic()
    with (
        tempfile.TemporaryDirectory(prefix="aisb-torture-") as name,
        start_mock(MockOptions(accuracy=0.7, ttft_ms=6)) as calm,
        start_mock(MockOptions(accuracy=0.7, faults=FAULTS, retry_after=0, ttft_ms=3)) as faulty,
    ):
        proxy, url = hostile.start(calm.url)
        try:
            urls = {"calm": calm.url, "faulty": faulty.url, "hostile": url}
            import_everything()
            torture = Torture(Plugins.load(), urls, Path(name))
            for kind in ("accuracy", "performance"):
                torture.undisturbed(kind)
            _rounds(torture, table, options, began)
        finally:
            os.kill(proxy, signal.SIGTERM)
            ended(proxy, 5)
    seconds = time.monotonic() - began
    rounds = sum(count for label, count in table.rounds.items() if label.startswith("kind: "))
    print(f"\nwhat was tried, in {seconds:.0f} s, from seed {options.seed}:")
    print("\n".join(table.lines()))
    print(f"{rounds:,} rounds, {sum(table.commands.values()):,} commands, {len(table.broken)} broken")
    for seed, why in table.broken.items():
        print(f"  seed {seed}: {why.splitlines()[0]}")
    return 1 if table.broken else 0


def _rounds(torture: Torture, table: Table, options: argparse.Namespace, began: float) -> None:
    number = 0
    while number < options.rounds if options.rounds else time.monotonic() - began < options.minutes * 60:
        plan = Plan.draw(options.seed + number)
        number += 1
        folder = torture.work / f"round-{plan.seed}"
        folder.mkdir()
        said = in_a_process(torture, plan, folder, folder / "round.out")
        labels = (f"kind: {plan.kind}, {plan.workers} worker", f"service: {plan.service}", *plan.disturbances)
        table.rounds.update(labels)
        if said.startswith("ok "):
            table.commands[plan.kind] += int(said.split()[1])
            shutil.rmtree(folder)
        else:
            table.broken[plan.seed] = f"{plan}: {said.removeprefix('broken ')}"
            print(f"round {plan.seed} ({plan}) is broken:\n{said[:2000]}", flush=True)
            if options.keep:
                shutil.move(folder, options.keep / f"round-{plan.seed}")
        if number % 25 == 0:
            print(f"{number} rounds, the last seed is {plan.seed}, {len(table.broken)} broken", flush=True)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Disturb runs, and compare them with undisturbed ones.")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--rounds", type=int, default=0, help="so many rounds, however long they take")
    parser.add_argument(
        "--seed", type=int, default=0, help="the seed of the first round; the next is one more"
    )
    parser.add_argument("--keep", type=Path, help="where folders of rounds that failed are kept")
    found = parser.parse_args()
    if found.keep:
        found.keep.mkdir(parents=True, exist_ok=True)
    return found


if __name__ == "__main__":
    sys.exit(main())

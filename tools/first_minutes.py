"""Run the README's first commands in a fresh environment, and print the seconds that each takes.

    python tools/first_minutes.py [--model FOLDER] [--environment FOLDER]

The commands are those of the sections "Install" and "The first minutes". The service is `aisb mock serve`,
whose address takes the place of the README's. The example of `mine.jsonl` is written next to the runs. Lines
for a local model run only with `--model`, whose folder takes the place of FOLDER. `--environment` names a
virtual environment in which everything is installed; then nothing is installed.
"""
# ruff: noqa: INP001, S602, S603, T201 - a program of the repository, which prints and runs the README's lines in a shell

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "http://127.0.0.1:8000"
SERVICE = "aisb mock serve --port 0 --ttft-ms normal:120:15 --tpot-ms 12"
MOST_SECONDS = 600


def main(arguments: list[str]) -> int:
    """Run the commands, print a line for each, and return 1 if one fails."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--model", type=Path, help="folder of a local chat model")
    parser.add_argument("--environment", type=Path, help="virtual environment with everything installed")
    asked = parser.parse_args(arguments)
    if asked.model and not asked.model.is_dir():
        parser.error(f"--model {asked.model}: there is no such folder; name the folder of a chat model")
    if asked.environment and not (asked.environment / "bin/aisb").exists():
        parser.error(f"--environment {asked.environment}: no bin/aisb; name one with aisb installed")
    readme = (ROOT / "README.md").read_text("utf-8")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "mine.jsonl").write_text(example(readme), "utf-8")
        environment = asked.environment or fresh(work / "environment")
        variables = {
            **os.environ,
            "PATH": f"{environment.absolute() / 'bin'}{os.pathsep}{os.environ['PATH']}",
        }
        steps = [step for step in commands(readme) if not (asked.environment and step.startswith("pip "))]
        kept = [step for step in steps if asked.model or not is_local(step)]
        failed = run_all(kept, work, variables, str(asked.model.absolute()) if asked.model else "")
    if len(kept) < len(steps):
        print("not run: the commands for a local model; name one with --model FOLDER")
    return int(failed)


def commands(readme: str) -> list[str]:
    """Return the commands of the README's sections "Install" and "The first minutes", in order.

    Of "Install", only the smallest installation, its first code block of pip.
    """
    smallest = [block for block in blocks(readme, "Install") if block.startswith("pip ")][:1]
    found = smallest + blocks(readme, "The first minutes")
    lines = "\n".join(found).replace("\\\n", " ").splitlines()
    return [" ".join(line.split(" #")[0].split()) for line in lines if line.startswith(("pip ", "aisb "))]


def example(readme: str) -> str:
    """Return the rows of `mine.jsonl` that the README shows."""
    return next(block for block in blocks(readme, "The first minutes") if block.startswith("{"))


def blocks(readme: str, section: str) -> list[str]:
    """Return the text of each code block in one section."""
    text = re.search(rf"^## {section}\n(.*?)(?=^## |\Z)", readme, re.MULTILINE | re.DOTALL)
    if text is None:
        sys.exit(f"README.md has no section {section!r}: its commands are read from there")
    return re.findall(r"^```\w*\n(.*?)^```$", text[1], re.MULTILINE | re.DOTALL)


def is_local(command: str) -> bool:
    """Tell whether a command is about a local model."""
    return "FOLDER" in command or "backends/hf" in command


def fresh(folder: Path) -> Path:
    """Make a virtual environment with nothing but pip."""
    venv.create(folder, with_pip=True)
    return folder


def run_all(steps: list[str], work: Path, variables: Mapping[str, str], model: str) -> bool:
    """Run the commands in order until one fails; return whether one did."""
    done = [step for step in steps if step.startswith("pip ") and not is_local(step)]
    if any(not succeeds(step, step, ROOT, variables) for step in done):
        return True
    with service(work, variables) as url:
        for step in (step for step in steps if step not in done):
            written = step.replace(ADDRESS, url).replace("FOLDER", shlex.quote(model))
            if not succeeds(step, written, ROOT if step.startswith("pip ") else work, variables):
                return True
    return False


def succeeds(shown: str, command: str, folder: Path, variables: Mapping[str, str]) -> bool:
    """Run one command, print its seconds, and what it said if it failed."""
    began = time.monotonic()
    with subprocess.Popen(
        command,
        shell=True,
        cwd=folder,
        env=variables,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that the limit ends the command itself, not only its shell
    ) as process:
        try:
            output, _ = process.communicate(timeout=MOST_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            print(f"{shortened(shown)} took more than {MOST_SECONDS} s, so it was ended")
            return False
    print(f"{time.monotonic() - began:6.1f} s  {shortened(shown)}", flush=True)
    if process.returncode:
        print(f"it ended with exit code {process.returncode}:\n{output}")
    return process.returncode == 0


def shortened(command: str) -> str:
    """Return a command of aisb as it is, and only the beginning of a long pip install."""
    return command if command.startswith("aisb") or len(command) <= 40 else f"{command[:40].rstrip()} …"


@contextmanager
def service(work: Path, variables: Mapping[str, str]) -> Iterator[str]:
    """Serve a simulated model, and give its address."""
    command = SERVICE.split()
    with (
        (work / "service.log").open("wb") as log,
        subprocess.Popen(command, cwd=work, env=variables, stdout=subprocess.PIPE, stderr=log) as process,
    ):
        try:
            line = process.stdout.readline().decode() if process.stdout else ""
            address = re.search(r"http://\S+", line)
            if address is None:
                sys.exit(f"{SERVICE} did not start: {line}{(work / 'service.log').read_text('utf-8')}")
            yield address[0]
        finally:
            process.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Run programs and tests in containers of docker or podman instead of boxes, if an image is named.

A container has no network, no capabilities, a read-only root, an empty folder in memory, an unprivileged user
and limits on processes, memory and CPU time. Its command is in a folder that it can read. The channel between
a program and its tests is the standard input and output of both containers, and the tests write the verdict
to standard error.
"""

from __future__ import annotations

import contextlib
import functools
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import UsageError
from aisb_evaluator_code._stopping import ended_by_a_stop

if TYPE_CHECKING:
    from aisb_evaluator_code._sandbox import Limits

ENGINES = ("docker", "podman")
NOBODY = "65534:65534"


def engine() -> str:
    """Return the container engine of this machine.

    Raises:
        UsageError: there is none.
    """
    for name in ENGINES:
        if found := shutil.which(name):
            return found
    raise UsageError(
        "container: neither docker nor podman is installed here\n"
        "  install one, or omit the option: programs then run in boxes of Linux namespaces"
    )


@functools.cache
def check_image(image: str) -> None:
    """Check that containers of an image run on this machine, and have Python.

    Raises:
        UsageError: they do not; the message quotes the engine.
    """
    program = engine()
    command = [program, "run", "--rm", "--pull", "never", "--network", "none", image, "python3", "-c", "pass"]
    try:
        ended = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)  # noqa: S603
        words = ended.stderr.strip() or f"it ended with status {ended.returncode}"
        if ended.returncode == 0:
            return
    except subprocess.TimeoutExpired:
        words = "it did not start within 60 s"
    name = Path(program).name
    raise UsageError(
        f"container = {image!r}: {name} cannot run Python in it: {words[-400:]}\n"
        f"  start the {name} service, fetch the image with `{name} pull {image}`, "
        "or use one that has python3"
    )


def command(program: str, name: str, folder: Path, limits: Limits, argv: list[str]) -> list[str]:
    """Return the command line that runs a command in a container."""
    memory = min(limits.memory, limits.tree)
    return [
        program, "run", "--rm", "--interactive", "--pull", "never", "--name", name,
        "--network", "none", "--ipc", "none", "--log-driver", "none",
        "--read-only", "--tmpfs", f"/box:rw,exec,nosuid,nodev,size={limits.disk}m,mode=1777",
        "--workdir", "/box",
        "--volume", f"{folder}:/given:ro",
        "--user", NOBODY, "--cap-drop", "ALL", "--security-opt", "no-new-privileges",
        "--memory", f"{memory}m", "--memory-swap", f"{memory}m",
        "--pids-limit", str(limits.processes),
        "--ulimit", f"cpu={int(limits.seconds + 0.999)}", "--ulimit", f"fsize={limits.disk << 20}",
        "--ulimit", "core=0", "--ulimit", "nofile=256",
        "--env", "HOME=/box", "--env", "TMPDIR=/box", "--env", "LANG=C.UTF-8",
        limits.image, *argv,
    ]  # fmt: skip


@contextlib.contextmanager
def container(
    run: Mapping[str, Any],
    limits: Limits,
    *,
    given: Mapping[str, Any] | None = None,
    files: Mapping[str, str] | None = None,
    stdin: int = subprocess.DEVNULL,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
) -> Iterator[subprocess.Popen[bytes]]:
    """Start a command in a container, and remove the container at the end of the block."""
    folder = Path(tempfile.mkdtemp(prefix="aisb-given-"))
    name = f"aisb-{os.getpid()}-{secrets.token_hex(6)}"
    program = engine()
    try:
        table = {"run": dict(run), "given": dict(given or {}), "files": dict(files or {})}
        (folder / "table.json").write_text(json.dumps(table), encoding="utf-8")
        shutil.copyfile(Path(__file__).with_name("_inside.py"), folder / "inside.py")
        folder.chmod(0o755)  # the container has another user
        argv = ["python3", "-I", "-S", "/given/inside.py", "/given"]
        process = subprocess.Popen(  # noqa: S603 - this is what the container is for
            command(program, name, folder, limits, argv),
            stdin=stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,
        )
        remove = [program, "rm", "--force", name]
        try:
            with ended_by_a_stop(lambda: _start_detached(remove)):
                yield process
        finally:
            if process.poll() is None:  # killing only the client would leave the container
                with contextlib.suppress(subprocess.TimeoutExpired):
                    subprocess.run(  # noqa: S603 - the engine itself
                        remove, capture_output=True, timeout=30, check=False
                    )
                process.kill()
            process.wait()
            if process.stderr:
                process.stderr.close()
            if process.stdout:
                process.stdout.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _start_detached(command: list[str]) -> None:
    """Start a command that goes on when this process ends."""
    with contextlib.suppress(OSError):
        subprocess.Popen(  # noqa: S603 - the engine itself
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

"""Run commands of this project in processes forked from one that has imported its modules.

Starting Python and importing what `aisb run` needs takes 0.4 s of a core, and the tests start about a thousand
commands. `run_forked` takes what `subprocess.run` takes, and `Forked` what `subprocess.Popen` takes. The command is a
process of its own, with its own arguments, folder, environment and files; only its imports were made before. Tests of
imports, of start-up times, and of signals that arrive during them start Python itself.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import importlib.metadata
import json
import os
import pickle
import pkgutil
import re
import resource
import runpy
import selectors
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import tomllib
import traceback
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, NoReturn, cast

from forked_children import MODULES, start_by_fork

PACKAGES = ("aisb", "aisb_engine", "aisb_cli", "aisb_analysis", "aisb_mock", "aisb_backend_openai", "aisb_evaluator_text",
            "aisb_evaluator_math", "aisb_reporter_summary", "aisb_reporter_performance")  # fmt: skip
"""The packages that most commands use: all their modules are imported. Of plugins, what declares them is."""

ALSO = ("uvloop", "zoneinfo", "tomllib", "scipy.stats", "tabulate", "encodings.ascii", "encodings.utf_8_sig",
        "importlib.readers", "importlib.resources.readers", "pydantic.type_adapter")  # fmt: skip
"""What is imported inside functions, and takes long."""

FROM_THE_START = (
    "PYTHONHASHSEED",
    "PYTHONUTF8",
    "PYTHONIOENCODING",
    "PYTHONWARNINGS",
    "PYTHONHOME",
    "AISB_COMPILED",
)
"""Variables that act when Python starts or a module is imported, and so cannot be given to a fork."""

LENGTH = struct.Struct("!I")


def run_forked(
    command: Sequence[str | Path],
    *,
    cwd: str | Path | None = None,
    env: Mapping[str, str] | None = None,
    input: str | bytes | None = None,  # noqa: A002 - as subprocess.run has it
    capture_output: bool = False,
    text: bool = False,
    check: bool = False,
    timeout: float | None = None,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
    limits: Mapping[int, int] | None = None,
    workers: bool = True,
) -> subprocess.CompletedProcess[Any]:
    """Run `[sys.executable, "-m", module, …]` as `subprocess.run` does, within `limits` by `resource.RLIMIT_…`.

    Its local workers are forked, too, unless `workers` is off.
    """
    more = {"limits": list((limits or {}).items()), "workers": workers}
    request = {**_request(command, cwd, env), **more}
    if capture_output:
        stdout = stderr = subprocess.PIPE
    with contextlib.ExitStack() as stack:
        given = stack.enter_context(tempfile.TemporaryFile())
        given.write(input.encode() if isinstance(input, str) else input or b"")
        given.seek(0)
        out = _target(stack, stdout, sys.__stdout__)
        err = out if stderr == subprocess.STDOUT else _target(stack, stderr, sys.__stderr__)
        code = _served(request, [given.fileno(), out.fileno(), err.fileno()], command, timeout)
        ended: subprocess.CompletedProcess[Any] = subprocess.CompletedProcess(list(command), code)
        if stdout == subprocess.PIPE:
            ended.stdout = _written(out, text=text)
        if stderr == subprocess.PIPE:
            ended.stderr = _written(err, text=text)
    if check:
        ended.check_returncode()
    return ended


def own_terminal() -> None:
    """Make the terminal on standard input that of this session; give it to `Forked` as `preexec_fn`."""
    fcntl.ioctl(0, termios.TIOCSCTTY)


class Forked(subprocess.Popen):  # type: ignore[type-arg]
    """A process started by `Forked([sys.executable, "-m", module, …])`, which is otherwise a `Popen`."""

    _ending: socket.socket

    def _execute_child(self, args: Any, *given: Any) -> None:
        """Have the process forked, with the files that `Popen` has opened for it."""
        before, cwd, env = given[1], *given[4:6]
        ends, session = given[9:15], given[20]
        if before not in (None, own_terminal):
            raise ValueError("of functions to call before the command, only own_terminal is known here")
        stdin, _, _, stdout, _, stderr = ends
        files = [own if own != -1 else number for number, own in enumerate((stdin, stdout, stderr))]
        self._ending, self.pid = _started(
            {**_request(args, cwd, env), "session": session, "group": given[21], "terminal": bool(before)},
            files,
        )
        self._child_created = True
        self._close_pipe_fds(*ends)  # type: ignore[attr-defined]

    def _try_wait(self, wait_flags: int) -> tuple[int, int]:
        self._ending.settimeout(0 if wait_flags & os.WNOHANG else None)
        try:
            status = self._ending.recv(LENGTH.size)
        except BlockingIOError:
            return 0, 0
        self._ending.close()
        return self.pid, LENGTH.unpack(status)[0]

    def _internal_poll(self, *_: Any, **__: Any) -> int | None:
        if self.returncode is None and self._waitpid_lock.acquire(blocking=False):  # type: ignore[attr-defined]
            try:
                ended, status = (0, 0) if self.returncode is not None else self._try_wait(os.WNOHANG)
                if ended:
                    self.returncode = os.waitstatus_to_exitcode(status)
            finally:
                self._waitpid_lock.release()  # type: ignore[attr-defined]
        return self.returncode


def fork_services() -> None:
    """Let `Popen` in this process fork mock servers and the like, as `Forked` does.

    To execute Python for a mock server takes 0.2 s of a core. Before the first forked command of this process it is
    still executed: a few mock servers take less than the start of what forks.
    """
    execute = subprocess.Popen._execute_child  # type: ignore[attr-defined]

    def fork_or_execute(self: subprocess.Popen[Any], args: Any, *given: Any) -> None:
        words = list(map(os.fsdecode, args)) if isinstance(args, list) else []
        begins = words[:3] == [sys.executable, "-P", "-m"] and words[3] in MODULES
        if not begins or given[1] or given[3] or _control is None or _changed(_environment(given[5])):
            return execute(self, args, *given)
        self.__class__ = Forked
        return Forked._execute_child(cast("Forked", self), words, *given)

    subprocess.Popen._execute_child = fork_or_execute  # type: ignore[attr-defined]


def _environment(given: Mapping[str, str] | None) -> dict[str, str]:
    return dict(os.environ if given is None else given)


def _changed(environment: Mapping[str, str]) -> list[str]:
    return [name for name in FROM_THE_START if environment.get(name) != os.environ.get(name)]


def _request(command: Sequence[Any], cwd: str | Path | None, env: Mapping[str, str] | None) -> dict[str, Any]:
    python, *words = map(str, command)
    environment = _environment(env)
    own_path = words[:1] == ["-P"]
    if python != sys.executable or words[own_path : own_path + 1] != ["-m"]:
        raise ValueError(f"only modules of this Python can be forked: {command}")
    if changed := _changed(environment):
        raise ValueError(f"{changed} act when Python starts: use subprocess")
    return {
        "words": words[own_path + 1 :],
        "path": not own_path,
        "cwd": str(cwd or Path.cwd()),
        "env": environment,
    }


def _target(stack: contextlib.ExitStack, wanted: int | IO[Any] | None, inherited: IO[Any]) -> IO[Any]:
    """Return the file that takes one output of a command: a file of its own for what is read afterwards."""
    if wanted is None:
        return inherited
    if wanted == subprocess.DEVNULL:
        return stack.enter_context(Path(os.devnull).open("wb"))
    return stack.enter_context(tempfile.TemporaryFile()) if wanted == subprocess.PIPE else wanted


def _written(file: IO[bytes], *, text: bool) -> str | bytes:
    file.seek(0)
    data = file.read()
    return data.decode().replace("\r\n", "\n").replace("\r", "\n") if text else data


_control: socket.socket | None = None
_asking = threading.Lock()


def _served(request: dict[str, Any], files: list[int], command: Sequence[Any], timeout: float | None) -> int:
    """Have one command run by the server of this process; return its exit code, or minus the signal that ended it."""
    ending, process = _started(request, files)
    with ending:
        ending.settimeout(timeout)
        try:
            status = ending.recv(LENGTH.size)
        except TimeoutError:
            os.kill(process, signal.SIGKILL)
            raise subprocess.TimeoutExpired(list(map(str, command)), timeout or 0) from None
    return os.waitstatus_to_exitcode(LENGTH.unpack(status)[0])


def _started(request: dict[str, Any], files: list[int]) -> tuple[socket.socket, int]:
    """Have one command started by the server of this process; return what tells its exit status, and its id."""
    ours, theirs = socket.socketpair()
    with theirs, _asking:
        body = json.dumps(request).encode()
        socket.send_fds(_server(), [LENGTH.pack(len(body))], [*files, theirs.fileno()])
        _server().sendall(body)
    (process,) = LENGTH.unpack(ours.recv(LENGTH.size))
    return ours, process


def _server() -> socket.socket:
    """Return the way to the server of this process, which is started by the first command."""
    global _control
    if _control is None:
        _control, theirs = socket.socketpair()
        with theirs:
            server = subprocess.Popen(
                [sys.executable, __file__, str(theirs.fileno())],
                pass_fds=[theirs.fileno()], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            )  # fmt: skip
        atexit.register(server.wait)
        atexit.register(_control.close)
    return _control


def serve(control: socket.socket) -> dict[str, Any] | None:
    """Fork a process for each command that is asked for; return the request there, and None at the end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a Ctrl-C is meant for pytest, which then ends the server
    signal.signal(signal.SIGCHLD, lambda *_: None)
    ended, wakes = socket.socketpair()
    ended.setblocking(False)
    wakes.setblocking(False)
    signal.set_wakeup_fd(wakes.fileno())
    running: dict[int, socket.socket] = {}
    chooser = selectors.DefaultSelector()
    chooser.register(control, selectors.EVENT_READ)
    chooser.register(ended, selectors.EVENT_READ)
    while True:
        ready = {key.fileobj for key, _ in chooser.select()}
        if ended in ready:
            ended.recv(4096)
            _report(running)
        if control in ready:
            head, files, *_ = socket.recv_fds(control, LENGTH.size, 4)
            if not head:
                return None
            body = control.recv(LENGTH.unpack(head)[0], socket.MSG_WAITALL)
            reply = socket.socket(fileno=files.pop())
            if (process := os.fork()) == 0:
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.default_int_handler)
                for one in (control, ended, wakes, chooser, reply, *running.values()):
                    one.close()
                return _become(json.loads(body), files)
            for file in files:
                os.close(file)
            reply.sendall(LENGTH.pack(process))
            running[process] = reply


def _report(running: dict[int, socket.socket]) -> None:
    """Tell the exit statuses of commands that have ended."""
    while running:
        process, status = os.waitpid(-1, os.WNOHANG)
        if process == 0:
            return
        with running.pop(process) as reply, contextlib.suppress(OSError):  # who gave up no longer listens
            reply.sendall(LENGTH.pack(status))


def _become(request: dict[str, Any], files: list[int]) -> dict[str, Any]:
    """Make this fork what a new process would be: its files, folder, environment and search path."""
    for number, file in enumerate(files):
        os.dup2(file, number)
        os.close(file)
    if request.get("session"):
        os.setsid()
    if request.get("group", -1) >= 0:
        os.setpgid(0, request["group"])
    if request.get("terminal"):
        own_terminal()
    for kind, value in request.get("limits", ()):
        resource.setrlimit(kind, (value, value))
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    own = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:1] = [request["cwd"], *own] if request.get("path", True) else own
    first = {
        file.name.partition(".")[0] for path in own if Path(path).is_dir() for file in Path(path).iterdir()
    }
    for name in [name for name in sys.modules if name.partition(".")[0] in first]:
        del sys.modules[name]  # the path has another one
    importlib.invalidate_caches()
    _use_found_plugins([request["cwd"], *own])
    return request


def load() -> None:
    """Import what commands import."""
    re._MAXCACHE = 1 << 16  # type: ignore[attr-defined]  # forks find each pattern that is compiled here
    for name in PACKAGES:
        package = importlib.import_module(name)
        for found in pkgutil.walk_packages(package.__path__, f"{name}."):
            if not found.name.endswith("__main__"):
                importlib.import_module(found.name)
    for group in ("aisb", "aisb.commands"):
        for entry in importlib.metadata.entry_points(group=group):
            importlib.import_module(entry.module)
    for name in ALSO:
        importlib.import_module(name)
    _prepare_what_is_made_late()
    _find_plugins()
    gc.collect()
    gc.freeze()  # the objects made so far are shared by all forks, and the collector leaves them alone


def _prepare_what_is_made_late() -> None:
    """Import the components of all plugins, build the models of pydantic, and compile the regular expressions.

    The marks in replies and the short files of plugins that each command reads are parsed, too.
    """
    from aisb import Sample
    from aisb._options import options
    from aisb._patterns import _Pattern
    from aisb._plugins import Plugins
    from aisb_engine._replies.marks import known_marks
    from aisb_engine._replies.turns import ReplyTurns
    from aisb_engine._spec.table import Table

    plugins = Plugins.load()
    sample = Sample("0", target="B", fields={"options": ["17", "18", "19", "20"]})
    for component in plugins.components():
        with contextlib.suppress(
            Exception
        ):  # a component that cannot be imported here, or has to have options
            options(component.factory)
            if component.kind == "postprocessor":  # some compile what they look for at their first text
                plugins.make("postprocessor", component.name, {}, where="")("The answer is (B), 18.", sample)
    for model in _subclasses(Table):
        model.model_rebuild()
    for marks in (known_marks(), known_marks(plugins)):
        turns = ReplyTurns(marks)
        turns.cuts(turns.visible("<think>18</think>18").text, sample)
    _keep_parsed(file for _, folder in plugins.config_folders() for file in folder.glob("*.toml"))
    methods = ("match", "search", "fullmatch", "finditer", "findall", "sub", "split")
    for one in [one for one in gc.get_objects() if type(one) is _Pattern]:
        for method in methods:
            getattr(one, method)


def _keep_parsed(files: Iterable[Path]) -> None:
    """Parse files once for all forks; one that a test has changed is another text, and is parsed as usual."""
    parse = tomllib.loads
    kept = {text: pickle.dumps(parse(text)) for text in (file.read_text("utf-8-sig") for file in files)}

    def loads(text: str, /, **given: Any) -> dict[str, Any]:
        found: dict[str, Any] = (
            pickle.loads(kept[text]) if text in kept and not given else parse(text, **given)
        )
        return found

    tomllib.loads = loads


_found: dict[str, Any] = {}
"""The entry points of this Python's folders, and what is known of their distributions."""


def _find_plugins() -> None:
    """Read the metadata of all installed distributions, as each command does when it looks for plugins."""
    from aisb import _discovery

    groups = (_discovery.hookspecs.PROJECT, _discovery.COMMANDS_GROUP)
    points = [point for group in groups for point in importlib.metadata.entry_points(group=group)]
    _found["points"] = points
    _found["told"] = {id(point): _discovery._distribution(point) for point in points}
    _found["names"] = {told[0] for told in _found["told"].values()}


def _use_found_plugins(folders: list[str]) -> None:
    """Let this fork use what `_find_plugins` has read, and read what is installed in its own folders."""
    from aisb import _discovery

    try:
        own = list(importlib.metadata.distributions(path=folders))
        if _found["names"] & {one.name for one in own}:
            return
    except Exception:  # noqa: BLE001 - half-removed metadata, which the command has to meet itself
        return
    points = importlib.metadata.EntryPoints(
        [*(point for one in own for point in one.entry_points), *_found["points"]]
    )
    read = _discovery._distribution
    _discovery._installed = lambda _path: points
    _discovery._distribution = lambda point: _found["told"].get(id(point)) or read(point)


def _subclasses(kind: type) -> Iterator[type]:
    for one in kind.__subclasses__():
        yield one
        yield from _subclasses(one)


def _run_module(name: str) -> NoReturn:
    """Run a module as `python -m` does, and end this process."""
    package = sys.modules.get(name)
    main = f"{name}.__main__" if hasattr(package, "__path__") else name
    sys.modules.pop(main, None)  # as `python -m` has it: the module is not there before it runs
    code: Any = 0
    try:
        runpy.run_module(name, run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
        if not isinstance(code, int | None):
            print(code, file=sys.stderr)  # noqa: T201 - as Python does
            code = 1
    except BaseException:  # noqa: BLE001 - as Python does
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)  # to take down all that was imported would copy the memory that forks share


if __name__ == "__main__":
    load()
    asked = serve(socket.socket(fileno=int(sys.argv[1])))
    if asked is not None:
        module, *sys.argv[1:] = asked["words"]
        start_by_fork(_run_module, FROM_THE_START, workers=asked.get("workers", False))
        _run_module(module)

# It is started thousands of times, so it does without pathlib; to run what is not trusted is what it is for.
"""Run one command in a box: no network, only system files and an empty folder, and resource limits.

This file is a program of its own, started with `python -I -S`: it imports nothing of aisb. It reads one JSON
object from its standard input: `run` (`{"argv": [...]}`, or `{"python": source, "modules": {name: source}}`),
`given` (the value of `GIVEN` in the source), `limits`, `binds`, `files`, `folder`, `namespaces`, `uid`,
`keep` (the descriptors that stay open), `filter` (the seccomp program), and `watch` (the memory limit in
bytes of all processes together, if no control group enforces it).

With namespaces, the whole process tree ends with process 1 of the box, which ends with this process. The exit
status is that of the command (128 + signal), 125 if the box cannot be made, or 124 if its processes used too
much memory.
"""
# ruff: noqa: BLE001, PTH208, PTH101, PTH103, PTH110, PTH112, PTH114, PTH115, PTH120, PTH123, PTH211, S102, S606

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import json
import os
import resource
import signal
import sys
from typing import Any, NoReturn

NEWNS, NEWUTS, NEWIPC, NEWUSER, NEWPID, NEWNET = (
    0x20000,
    0x4000000,
    0x8000000,
    0x10000000,
    0x20000000,
    0x40000000,
)
RDONLY, NOSUID, NODEV, REMOUNT, BIND, REC, PRIVATE = 1, 2, 4, 32, 4096, 16384, 1 << 18
KEPT_FLAGS = ((2, NOSUID), (4, NODEV), (8, 8), (1024, 1024), (2048, 2048), (4096, 1 << 21))
"""statvfs flags, and the mount flags that a remount in a user namespace must repeat."""
DETACH = 2
DEATH_SIGNAL, NO_NEW_PRIVILEGES, SET_SECCOMP, BY_FILTER = 1, 38, 22, 2
NO_BOX, TOO_MUCH = 125, 124
LOOK_EVERY = 0.2
"""Seconds between two measurements of the processes' memory."""
BUFFER_BYTES = {"socket": 3 * 212_992 // 2, "pipe": 65_536}
"""The most that waits in a socket and in a pipe. The box cannot make their buffers larger than usual, and
a socket takes one more message, of up to half its buffer, while there is room for a byte."""
SYSTEM_FOLDERS = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
SETTINGS = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime", "/etc/ssl/openssl.cnf")
DEVICES = ("/dev/null", "/dev/random", "/dev/urandom")
"""Without /dev/zero: what is mapped from it as shared memory stays when it is no longer mapped."""
ENVIRONMENT = {"PATH": "/usr/local/bin:/usr/bin:/bin", "HOME": "/box", "TMPDIR": "/box", "LANG": "C.UTF-8"}
ENVIRONMENT |= {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
}  # each of numpy's threads would use memory
CALLS = {"x86_64": {"pivot_root": 155, "capset": 126}, "aarch64": {"pivot_root": 41, "capset": 91}}

libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *args: Any) -> None:
    """Call a libc function, or a system call that libc does not wrap; raise OSError on failure."""
    numbers: dict[str, int] = CALLS.get(os.uname().machine, {})
    done = libc.syscall(numbers[name], *args) if name in numbers else getattr(libc, name)(*args)
    if done != 0:
        code = ctypes.get_errno()
        raise OSError(code, f"{name}: {os.strerror(code)}")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    """Mount a filesystem."""
    words = [None if word is None else word.encode() for word in (source, target, kind)]
    call("mount", *words, ctypes.c_ulong(flags), None if data is None else data.encode())


def bind_mount(path: str, root: str) -> None:
    """Bind-mount a file or folder of the system into the new root, read-only."""
    target = root + path
    if os.path.islink(path) and path in SYSTEM_FOLDERS:
        os.symlink(os.readlink(path), target)
        return
    if os.path.isdir(path):
        os.makedirs(target, mode=0o755, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(target), mode=0o755, exist_ok=True)
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
    mount(path, target, None, BIND | REC)
    flags = os.statvfs(target).f_flag
    kept = sum(flag for mounted, flag in KEPT_FLAGS if flags & mounted)
    if path in DEVICES:
        return
    mount("none", target, None, BIND | REMOUNT | RDONLY | NOSUID | kept)


def make_root(settings: dict[str, Any]) -> None:
    """Make a root of read-only system folders and one empty folder, and enter it."""
    root, size = settings["folder"], int(settings["limits"]["disk"])
    mount("none", "/", None, REC | PRIVATE)
    mount("tmpfs", root, "tmpfs", NOSUID | NODEV, "size=1m,mode=755,nr_inodes=1000")
    bound: list[str] = []
    for path in (*SYSTEM_FOLDERS, *SETTINGS, *DEVICES, *sorted(settings["binds"], key=len)):
        if os.path.exists(path) and not any(path.startswith(one + "/") or path == one for one in bound):
            bind_mount(path, root)
            if path not in SETTINGS:
                bound.append(path)
    for name in ("box", "proc", "tmp"):
        os.makedirs(f"{root}/{name}", exist_ok=True)  # bound folders may be in /tmp
    with contextlib.suppress(OSError):  # some containers forbid it, and few programs need it
        mount("proc", f"{root}/proc", "proc", NOSUID | NODEV | 8)
    # Only the box's own folder is writable.
    mount("tmpfs", f"{root}/box", "tmpfs", NOSUID | NODEV, f"size={size},mode=755,nr_inodes=10000")
    mount("none", root, None, BIND | REMOUNT | RDONLY | NOSUID | NODEV)
    os.chdir(root)
    call("pivot_root", b".", b".")
    call("umount2", b".", DETACH)
    os.chdir("/box")


def map_user(uid: int, gid: int) -> None:
    """Map the user and the group to themselves in the new user namespace."""
    for name, text in (("setgroups", "deny"), ("uid_map", f"{uid} {uid} 1"), ("gid_map", f"{gid} {gid} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)


def give_up_rights(uid: int | None) -> None:
    """Become an ordinary user who cannot gain rights."""
    if uid is not None:
        os.setgroups([])
        for one in (uid, 65534):  # a container may map few users
            try:
                os.chown(".", one, one)
                os.setresgid(one, one, one)
                os.setresuid(one, one, one)
                break
            except OSError:
                continue
        if os.getuid() == 0:
            raise OSError(1, "root cannot become an unprivileged user here")
    elif "capset" in CALLS.get(os.uname().machine, {}):
        header, nothing = (ctypes.c_uint32 * 2)(0x20080522, 0), (ctypes.c_uint32 * 6)()
        call("capset", header, nothing)
    libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0)


def limit(limits: dict[str, int]) -> None:
    """Set the limits of each process, and of all processes of this user."""
    for name, value in (
        ("RLIMIT_CORE", 0),
        ("RLIMIT_CPU", limits["cpu"]),
        ("RLIMIT_FSIZE", limits["file"]),
        ("RLIMIT_NOFILE", 256),
        ("RLIMIT_NPROC", limits["processes"]),
        (limits.get("memory_kind", "RLIMIT_AS"), limits["memory"]),
        ("RLIMIT_STACK", 64 << 20),
    ):
        which = getattr(resource, str(name))
        hard = resource.getrlimit(which)[1]
        allowed = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.setrlimit(which, (allowed, allowed))


class _Filter(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("code", ctypes.c_char_p))


def refuse_calls(code: bytes) -> None:
    """Install a system call filter for this process and all its children."""
    program = _Filter(len(code) // 8, code)
    if libc.prctl(SET_SECCOMP, BY_FILTER, ctypes.byref(program), 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "the system calls cannot be filtered")


def close_others(keep: list[int]) -> None:
    """Close all descriptors except the standard ones and those in `keep`."""
    last = 3
    for one in sorted({*keep, 2}):
        os.closerange(last, one)
        last = max(last, one + 1)
    os.closerange(last, 65536)


def run_contained(settings: dict[str, Any]) -> NoReturn:
    """Run the command in this process, after giving up all rights."""
    for name, text in settings["files"].items():
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
        os.chmod(name, 0o644)
    if settings["namespaces"]:
        os.chmod(".", 0o700)
    give_up_rights(settings["uid"])
    if "python" in settings["run"] and not os.access(os.__file__, os.R_OK):
        raise OSError(f"an unprivileged user cannot read {sys.base_prefix}: use a Python that all may read")
    limit(settings["limits"])
    if settings["filter"]:
        refuse_calls(bytes.fromhex(settings["filter"]))
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
    what = settings["run"]
    if "argv" in what:
        place_ends(settings["given"])
        os.execvpe(what["argv"][0], what["argv"], {**ENVIRONMENT, **what.get("env", {})})
    os.environ.clear()
    os.environ.update(ENVIRONMENT)
    nothing = os.open("/dev/null", os.O_WRONLY)
    os.dup2(nothing, 1)
    os.dup2(nothing, 2)
    code = compile(what["python"], "<box>", "exec")
    for name, source in what.get("modules", {}).items():
        module = sys.modules[name] = type(sys)(name)
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)
    space = {"__name__": "__box__", "GIVEN": settings["given"]}
    settings.clear()
    status = 0
    try:
        exec(code, space)
    except SystemExit as leaving:
        status = leaving.code if isinstance(leaving.code, int) else 1
    except BaseException:
        status = 1
    os._exit(status)


def place_ends(settings: dict[str, Any]) -> None:
    """Move the pipes of a command to its file descriptors: 3 to read, 4 to write, 5 for a verdict."""
    ends = [(3, settings.get("channel")), (4, settings.get("channel")), (5, settings.get("verdict"))]
    # All are moved out of the way first, so that none overwrites another.
    moved = [(number, fcntl.fcntl(own, fcntl.F_DUPFD, 10)) for number, own in ends if own is not None]
    for number, own in moved:
        os.dup2(own, number)
    if moved:
        os.closerange(6, 65536)


def waited(pid: int, watch: int = 0) -> int:
    """Wait for one child, and reap orphans meanwhile; return its exit status as a shell does.

    With `watch`, measure the memory of all processes of the box, and kill them above that limit.
    """
    while True:
        if watch:
            while not signal.sigtimedwait([signal.SIGCHLD], LOOK_EVERY):
                if memory_used(watch) > watch:
                    end_members()
                    return TOO_MUCH
        ended, status = os.waitpid(-1, os.WNOHANG if watch else 0)
        while ended:
            if ended == pid:
                return os.WEXITSTATUS(status) if os.WIFEXITED(status) else 128 + os.WTERMSIG(status)
            ended, status = os.waitpid(-1, os.WNOHANG) if watch else (0, 0)


def members() -> list[str]:
    """Return the other processes of the box: all visible ones, or without namespaces those of the session."""
    own, session = str(os.getpid()), os.getsid(0)
    found = []
    for name in os.listdir("/proc"):
        if name.isdigit() and name != own:
            with contextlib.suppress(OSError):
                if own == "1" or os.getsid(int(name)) == session:
                    found.append(name)
    return found


def memory_used(limit: int) -> int:
    """Return the bytes of memory of the processes; if that exceeds `limit`, shared memory counts once."""
    names = members()
    sizes = {name: memory_of(name) for name in names}
    waiting = buffered(names)
    if sum(map(sum, sizes.values())) + waiting <= limit:
        return sum(map(sum, sizes.values())) + waiting
    for name in names:
        try:
            with open(f"/proc/{name}/smaps_rollup", encoding="ascii") as file:
                proportional = sum(int(line.split()[1]) << 10 for line in file if line.startswith("Pss:"))
            sizes[name] = proportional, sizes[name][1]
        except OSError:  # it has ended, or its first thread has
            sizes[name] = memory_of(name)
    return sum(map(sum, sizes.values())) + waiting


def threads(name: str) -> list[str]:
    """Return the folders of a process's threads; only a thread that runs shows the memory and the files."""
    with contextlib.suppress(OSError):
        return [f"/proc/{name}/task/{thread}" for thread in os.listdir(f"/proc/{name}/task")]
    return []


def memory_of(name: str) -> tuple[int, int]:
    """Return the bytes of a process in memory, and those of its page tables and in swap space."""
    for thread in threads(name):
        with (
            contextlib.suppress(OSError),
            open(f"{thread}/status", encoding="utf-8", errors="replace") as file,
        ):
            fields = dict(line.split(":", 1) for line in file)
            if "VmRSS" in fields:
                sizes = {field: int(fields[field].split()[0]) << 10 for field in ("VmRSS", "VmPTE", "VmSwap")}
                return sizes.pop("VmRSS"), sum(sizes.values())
    return 0, 0


def buffered(names: list[str]) -> int:
    """Return the most bytes that can wait in the open sockets and pipes of the processes."""
    found = set()
    for name in names:
        for thread in threads(name):
            with contextlib.suppress(OSError):
                for one in os.listdir(f"{thread}/fd"):
                    with contextlib.suppress(OSError):
                        found.add(os.readlink(f"{thread}/fd/{one}"))
    return sum(BUFFER_BYTES.get(target.partition(":")[0], 0) for target in found)


def end_members() -> None:
    """Kill the other processes of the box, several times, since they may start more meanwhile."""
    for _ in range(5):
        for name in members():
            with contextlib.suppress(OSError):
                os.kill(int(name), signal.SIGKILL)


def inside(settings: dict[str, Any], parent: int) -> NoReturn:
    """Run as process 1 of the box: end with the process outside, and so end all others."""
    libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    close_others([*settings["keep"], parent])
    os.set_blocking(parent, False)
    with contextlib.suppress(BlockingIOError):
        if not os.read(parent, 1):  # the outer process has ended already
            os._exit(NO_BOX)
    os.close(parent)
    try:
        make_root(settings)
    except OSError as error:
        fail(error)
    start(settings)


def start(settings: dict[str, Any]) -> NoReturn:
    """Run the command in a child, and exit with its status."""
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
    pid = os.fork()
    if pid == 0:
        libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
        try:
            run_contained(settings)
        except BaseException as error:
            fail(error)
    for one in settings["keep"]:
        os.close(one)
    os._exit(waited(pid, settings["watch"]))


def fail(error: BaseException) -> NoReturn:
    """Report why there is no sandbox, and exit."""
    os.write(2, f"box: {error}\n".encode())
    os._exit(NO_BOX)


def main() -> None:
    """Create the sandbox, and run the command in it."""
    settings = json.loads(sys.stdin.buffer.read())
    libc.prctl(DEATH_SIGNAL, signal.SIGKILL, 0, 0, 0)
    nothing = os.open("/dev/null", os.O_RDONLY)
    os.dup2(settings.get("stdin", nothing), 0)
    sys.set_int_max_str_digits(0)
    if not settings["namespaces"]:
        try:
            close_others(settings["keep"])
            os.chdir(settings["folder"])
            start(settings)
        except BaseException as error:
            fail(error)
    uid, gid = os.getuid(), os.getgid()
    spaces = NEWNS | NEWUTS | NEWIPC | NEWPID | NEWNET
    try:
        call("unshare", spaces | (0 if settings["uid"] is not None else NEWUSER))
        if settings["uid"] is None:
            map_user(uid, gid)
    except OSError as error:
        fail(error)
    parent, own = os.pipe()
    pid = os.fork()
    if pid == 0:
        os.close(own)
        inside(settings, parent)
    os.close(parent)
    for one in settings["keep"]:
        os.close(one)
    os._exit(waited(pid))


if __name__ == "__main__":
    main()

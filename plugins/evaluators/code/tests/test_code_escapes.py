"""What a program can do in its box: nothing to the machine, nothing to its tests."""

import os
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path

import pytest

from aisb_evaluator_code._cases import run_cases
from aisb_evaluator_code._groups import Parents, parents, usable
from aisb_evaluator_code._leftovers import remove_left_over
from aisb_evaluator_code._sandbox import Limits, containment, run_program, run_shell, run_tests
from aisb_evaluator_code._system_calls import system_call_filter

pytestmark = pytest.mark.skipif(
    not containment().namespaces, reason="no namespaces can be made here, so no program is contained"
)
LIMITS = Limits(seconds=3, memory=512, processes=16)
CHECK = "def check(candidate):\n    assert candidate(20) == 21\n    assert candidate(-3) == -2\n"
CORRECT = "def plus_one(n):\n    return n + 1\n"


def ran(program, tests=CHECK, limits=LIMITS):
    return run_tests(program, [tests], entry="plus_one", prelude="", limits=limits)


def running(mark):
    """The processes of this machine whose command line has a mark."""
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and mark.encode() in (entry / "cmdline").read_bytes():
                found.append(entry.name)
        except OSError:
            continue
    return found


def test_a_right_program_passes_and_a_wrong_one_does_not():
    assert ran(CORRECT) == {"passed": True}
    found = ran("def plus_one(n):\n    return n + 2\n")
    assert not found["passed"]
    assert found["test"] == "assert candidate(20) == 21"


@pytest.mark.parametrize(
    "program",
    [
        "import os\ndef plus_one(n):\n    os._exit(0)\n",
        "import sys\ndef plus_one(n):\n    sys.exit(0)\n",
        "import os\nos._exit(0)\n",
        "raise SystemExit(0)\n",
        "import os, signal\ndef plus_one(n):\n    os.kill(os.getpid(), signal.SIGKILL)\n",
    ],
)
def test_a_program_that_ends_early_has_not_passed(program):
    assert not ran(program)["passed"]


@pytest.mark.parametrize(
    "body",
    [
        "class Same:\n    def __eq__(self, other): return True\n    __hash__ = None\ndef plus_one(n): return Same()\n",
        "class Same(int):\n    def __eq__(self, other): return True\ndef plus_one(n): return Same(7)\n",
        "class Same(str):\n    def __eq__(self, other): return True\ndef plus_one(n): return Same('x')\n",
        "import unittest.mock\ndef plus_one(n): return unittest.mock.ANY\n",
    ],
)
def test_an_object_that_equals_everything_is_not_the_answer(body):
    assert not ran(body)["passed"]


@pytest.mark.parametrize(
    "body",
    [
        "import builtins\nbuiltins.AssertionError = type('Nothing', (), {})\nbuiltins.compile = None\n",
        "import sys\nsys.modules['aisb_evaluator_code._wire'].unpack = lambda *a: 21\n",
        "import sys\nfor m in list(sys.modules.values()):\n    m.__dict__.update(verdict=lambda g: {'passed': True})\n",
        "import gc\nfor o in gc.get_objects():\n    if isinstance(o, dict) and 'tests' in o:\n        o['tests'] = []\n",
        "def check(candidate):\n    return True\n",
        "import os\nfor fd in range(3, 200):\n    try: os.write(fd, b'{\"passed\": true}')\n    except OSError: pass\n",
    ],
)
def test_the_checker_cannot_be_changed_from_within_a_program(body):
    assert not ran(body + "def plus_one(n):\n    return 0\n")["passed"]


def test_the_answers_are_nowhere_in_the_box_of_the_program():
    program = """
import gc, glob, os, sys
def plus_one(n):
    seen = []
    for path in ["/proc/self/environ", "/proc/self/cmdline", "/proc/1/environ", *glob.glob("/box/*"), *glob.glob("/tmp/*")]:
        try: seen.append(open(path, errors="replace").read())
        except OSError: pass
    seen += [o for o in gc.get_objects() if isinstance(o, str)]
    for o in gc.get_objects():
        if isinstance(o, dict): seen += [v for v in list(o.values()) if isinstance(v, str)]
    frame = sys._getframe()
    while frame:
        seen += [repr(v)[:9000] for v in frame.f_locals.values() if not isinstance(v, list) or len(v) < 50]
        frame = frame.f_back
    return any(word in text for text in seen if isinstance(text, str) for word in ["9137" + "5521"])
"""
    tests = "secret = '91375521'\ndef check(candidate):\n    assert candidate(1) is False\n"
    assert ran(program, tests) == {"passed": True}


def test_no_other_process_is_seen_and_none_can_be_signalled():
    program = f"""
import os, signal
def plus_one(n):
    for pid in (os.getppid(), {os.getpid()}, -1):
        try: os.kill(pid, signal.SIGKILL)
        except OSError: pass
    return n + 1
"""
    ran(program)
    assert ran(CORRECT) == {"passed": True}  # this process is still there, and so is the machine
    status, seen = run_shell("ls /proc | grep -c '^[0-9]'", {}, LIMITS)
    assert (status, int(seen) < 10) == (0, True)


def test_a_fork_bomb_ends_with_its_box():
    began = time.monotonic()
    ran("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n")
    assert time.monotonic() - began < 60
    mark = "987654.25"
    run_shell(
        f"i=0; while [ $i -lt 40 ]; do setsid sleep {mark} & i=$((i+1)); done; sleep {mark}", {}, LIMITS
    )
    for _ in range(50):
        if not running(mark):
            break
        time.sleep(0.1)
    assert not running(mark)


def test_eight_gigabytes_are_not_given():
    program = "def plus_one(n):\n    try:\n        block = bytearray(8 << 30)\n    except MemoryError:\n        return n + 1\n"
    assert ran(program) == {"passed": True}


def test_endless_output_is_cut_off():
    status, output = run_shell("yes", {}, LIMITS)
    assert status is None
    assert len(output) == LIMITS.output << 20
    assert ran(
        "import sys\nsys.stdout.write('x' * 10_000_000)\nsys.stderr.write('x' * 10_000_000)\n" + CORRECT
    )["passed"]


def test_an_endless_loop_ends_at_its_time():
    found = ran("def plus_one(n):\n    while True: pass\n", limits=Limits(seconds=1))
    assert not found["passed"]
    # On a machine that is very busy, the clock may be first.
    assert found["problem"].startswith(
        ("killed: it reached the limit of 1 s of CPU time", "timeout after 3 s")
    )
    found = ran("import time\ndef plus_one(n):\n    time.sleep(60)\n", limits=Limits(seconds=0.5))
    assert found == {"passed": False, "problem": "timeout after 1.5 s"}


def test_nothing_outside_the_box_can_be_written_or_read(tmp_path):
    outside = tmp_path / "outside"
    outside.write_text("mine")
    program = f"""
def plus_one(n):
    done = []
    for path in ({str(outside)!r}, {str(tmp_path / "new")!r}, "/usr/new", "/etc/new", "/new", {str(Path(__file__).parent / "new")!r}):
        try: open(path, "w").write("x"); done.append(path)
        except OSError: pass
    try: done.append(open({str(outside)!r}).read())
    except OSError: pass
    with open("own", "w") as file: file.write("fine")
    return done
"""
    assert ran(program, "def check(candidate):\n    assert candidate(1) == []\n") == {"passed": True}
    assert outside.read_text() == "mine"
    assert [one.name for one in tmp_path.iterdir()] == ["outside"]


def test_a_file_cannot_fill_the_disk():
    program = "import os\ndef plus_one(n):\n    with open('big', 'wb') as f:\n        for _ in range(200): f.write(b'x' * 1_000_000)\n    return n + 1\n"
    assert not ran(program)["passed"]


def test_there_is_no_network():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        program = f"""
import socket
def plus_one(n):
    for address in (("127.0.0.1", {port}), ("8.8.8.8", 53)):
        try: socket.create_connection(address, 0.5); return 0
        except OSError: pass
    return n + 1
"""
        assert ran(program) == {"passed": True}


def test_a_program_has_no_rights_and_cannot_get_any():
    status, seen = run_shell("grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; id -u", {}, LIMITS)
    assert status == 0
    caps, privileges, uid = seen.split("\n")[:3]
    assert int(caps.split()[1], 16) == 0
    assert privileges.split()[1] == "1"
    assert uid != "0"


def test_mutated_arguments_iterators_classes_and_callbacks_reach_the_tests():
    program = """
class Pair:
    def __init__(self, a, b): self.a, self.b = a, b
    def total(self): return self.a + self.b
def plus_one(n): n.append(1)
def squares(n): return (i * i for i in range(n))
def apply(f, x): return f(x)
def fail(): raise KeyError("gone")
"""
    tests = """
given = [0]
plus_one(given)
assert given == [0, 1]
assert list(squares(4)) == [0, 1, 4, 9]
assert Pair(1, 2).total() == 3
assert Pair(5, 2).a == 5
assert apply(lambda x: x * 3, 4) == 12
try:
    fail()
    assert False
except KeyError:
    pass
"""
    assert run_tests(program, [tests], entry=None, prelude="", limits=LIMITS) == {"passed": True}


def test_values_arrive_as_they_were():
    values = "[None, True, 1, -(2 ** 200), 1.5, float('inf'), 'é\\ud800', b'x', (1, [2, {3: {4}}]), frozenset([1]), 2j, range(3)]"
    program = f"def plus_one(n):\n    return {values}\n"
    tests = (
        f"def check(candidate):\n    found, wanted = candidate(0), {values}\n"
        "    assert found == wanted\n    assert [type(a) for a in found] == [type(a) for a in wanted]\n"
    )
    assert ran(program, tests) == {"passed": True}


def test_a_program_reads_its_input_and_its_output_comes_back():
    status, output = run_program("print(sum(map(int, input().split())))", "1 2 3\n", LIMITS)
    assert (status, output) == (0, "6\n")


GREEDY = """
import os, time

def plus_one(n):
    for _ in range(4):
        if os.fork() == 0:
            block = bytearray(250 << 20)
            for at in range(0, len(block), 4096):
                block[at] = 1
            time.sleep(20)
            os._exit(0)
    time.sleep(n)
    return sum(int(open(f"/proc/{name}/statm").read().split()[1]) * 4096 for name in os.listdir("/proc") if name.isdigit())
"""


def test_the_memory_of_all_that_a_program_starts_is_bound_by_a_control_group():
    if not usable():
        pytest.skip("no control group for memory can be made here")
    bound = "def check(candidate):\n    assert candidate(3) < 700 << 20\n"
    assert ran(GREEDY, bound) == {"passed": True}  # the kernel has ended some of them
    found = ran(
        "def plus_one(n):\n    block = b'x' * (400 << 20)\n    return bytes(block) + block\n",
        limits=Limits(memory=4096, tree=512),
    )
    assert found["problem"] == "out of memory: the limit of the program and its processes is 512 MB"


WAITING = """
import os, time
if os.fork() == 0:
    block = b"x" * (200 << 20)
    time.sleep(20)
while True:
    time.sleep(0.05)  # its child is dead, for which it does not ask
"""


def test_a_program_that_waits_for_a_process_that_was_killed_for_memory_is_told_of_memory():
    if not usable():
        pytest.skip("no control group for memory can be made here")
    limits = Limits(seconds=1, memory=512, tree=128)
    words = "out of memory: the limit of the program and its processes is 128 MB"
    body = "".join(f"    {line}\n" for line in WAITING.strip().splitlines())
    assert ran(f"def plus_one(n):\n{body}", limits=limits) == {"passed": False, "problem": words}
    assert run_cases(WAITING, {"cases": [{"input": "", "output": "1"}]}, limits) == {
        "passed": False,
        "problem": f"case 1: {words}",
    }


def test_the_memory_of_all_that_a_program_starts_is_watched_where_there_is_no_control_group():
    limits = Limits(seconds=10, memory=512, processes=16, grouped=False)
    found = ran(GREEDY, limits=limits)
    assert found["problem"] == "out of memory: the limit of the program and its processes is 576 MB"
    assert ran(CORRECT, limits=limits) == {"passed": True}


def test_memory_that_processes_share_counts_once_for_the_watch():
    program = """
import os, time

def plus_one(n):
    block = bytearray(300 << 20)
    children = []
    for _ in range(4):
        pid = os.fork()
        if pid == 0:
            time.sleep(1.5)
            os._exit(sum(block[:: 4096]))
        children.append(pid)
    return n + 1 + sum(os.waitpid(pid, 0)[1] for pid in children)
"""
    limits = Limits(seconds=10, memory=1024, processes=16, tree=700, grouped=False)
    assert ran(program, limits=limits) == {"passed": True}


@pytest.mark.parametrize("grouped", [True, False])
def test_no_memory_outlives_or_evades_its_process(grouped):
    program = """
import ctypes, os

libc = ctypes.CDLL(None, use_errno=True)

def plus_one(n):
    refused = []
    for name, make in (
        ("memfd", lambda: os.memfd_create("x")),
        ("shm file", lambda: os.open("/dev/shm/x", os.O_CREAT | os.O_RDWR)),
    ):
        try: make()
        except OSError: refused.append(name)
    for name, args in (("shmget", (0, 1 << 20, 0o1666)), ("msgget", (0, 0o1666)), ("semget", (0, 1, 0o1666))):
        if getattr(libc, name)(*args) == -1: refused.append(name)
    return refused
"""
    wanted = "def check(candidate):\n    assert candidate(1) == ['memfd', 'shm file', 'shmget', 'msgget', 'semget']\n"
    limits = Limits(seconds=3, memory=512, processes=16, grouped=grouped)
    assert ran(program, wanted, limits) == {"passed": True}


def test_no_shared_memory_stays_after_it_is_unmapped():
    program = """
import ctypes, errno, mmap, os

def plus_one(n):
    found = []
    for flags in (mmap.MAP_SHARED | mmap.MAP_ANONYMOUS, 3 | mmap.MAP_ANONYMOUS):  # 3: MAP_SHARED_VALIDATE
        try: mmap.mmap(-1, 1 << 20, flags=flags)
        except OSError as error: found.append(errno.errorcode[error.errno])
    private = mmap.mmap(-1, 1 << 20, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    with open("page", "w+b") as file:
        file.write(bytes(4096))
        file.flush()
        shared = mmap.mmap(file.fileno(), 4096)
        shared[0] = private[0] = n
    return found, private[0], open("page", "rb").read(1), os.path.exists("/dev/zero")
"""
    wanted = "def check(candidate):\n    assert candidate(1) == (['EPERM', 'EPERM'], 1, b'\\x01', False), candidate(1)\n"
    assert ran(program, wanted) == {"passed": True}


def test_no_descriptor_is_sent_through_a_socket():
    program = """
import array, os, socket

def plus_one(n):
    left, right = socket.socketpair()
    refused = []
    for send in (
        lambda: socket.send_fds(left, [b"x"], [right.fileno()]),
        lambda: left.sendmsg([b"x"]),
        lambda: left.sendmsg([b"x"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [1]))]),
    ):
        try: send()
        except PermissionError: refused.append(True)
    left.sendall(b"y")
    return refused, right.recv(8)
"""
    wanted = "def check(candidate):\n    assert candidate(1) == ([True] * 3, b'y'), candidate(1)\n"
    assert ran(program, wanted) == {"passed": True}


HIDING = {
    "in a process whose first thread has ended": """
def take():
    def fill():
        block = bytearray(300 << 20)
        for at in range(0, len(block), 4096):
            block[at] = 1
        time.sleep(60)
    threading.Thread(target=fill).start()
    ctypes.CDLL(None).syscall({"x86_64": 60, "aarch64": 93}[platform.machine()], 0)
""",
    "in sockets": """
def take():
    kept = []
    with contextlib.suppress(OSError):
        while True:
            kept += socket.socketpair()
            for one in kept[-2:]:
                one.setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    while True:
                        one.send(bytes(50_000))
    time.sleep(60)
""",
}


@pytest.mark.parametrize("where", HIDING)
def test_the_watch_finds_memory(where):
    program = f"""
import contextlib, ctypes, os, platform, socket, threading, time
{HIDING[where]}
def plus_one(n):
    for _ in range(6):
        if os.fork() == 0:
            take()
    time.sleep(60)
"""
    limits = Limits(seconds=10, memory=512, processes=16, tree=400, grouped=False)
    found = ran(program, limits=limits)
    assert found["problem"] == "out of memory: the limit of the program and its processes is 400 MB"


def test_what_waits_in_sockets_cannot_be_made_large():
    program = """
import socket

def plus_one(n):
    left, right = socket.socketpair()
    left.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
    refused = []
    for option in (socket.SO_SNDBUF, socket.SO_RCVBUF, 32, 33):
        try:
            left.setsockopt(socket.SOL_SOCKET, option, 1 << 22)
        except PermissionError:
            refused.append(option)
    return refused
"""
    wanted = "def check(candidate):\n    assert candidate(1) == [7, 8, 32, 33], candidate(1)\n"
    assert ran(program, wanted) == {"passed": True}


def test_namespaces_within_the_box_and_much_of_the_kernel_are_refused():
    program = """
import ctypes, errno, os, platform, socket

libc = ctypes.CDLL(None, use_errno=True)
CLONE, CLONE3, KEYCTL, BPF = {"x86_64": (56, 435, 250, 321), "aarch64": (220, 435, 219, 280)}[platform.machine()]

def error_of(done):
    return 0 if done != -1 else ctypes.get_errno()

def plus_one(n):
    new_user, new_all = 0x10000000, 0x7E020000
    found = {
        "unshare": error_of(libc.unshare(new_user)), "unshare all": error_of(libc.unshare(new_all)),
        "clone": error_of(libc.syscall(CLONE, new_user | 17, 0, 0, 0, 0)), "setns": error_of(libc.setns(0, 0)),
        "clone3": error_of(libc.syscall(CLONE3, 0, 0)), "mount": error_of(libc.mount(b"x", b"/box", b"tmpfs", 0, None)),
        "chroot": error_of(libc.chroot(b"/box")), "ptrace": error_of(libc.ptrace(16, os.getppid(), 0, 0)),
        "io_uring": error_of(libc.syscall(425, 8, 0)), "keyctl": error_of(libc.syscall(KEYCTL, 0, -3, 0, 0, 0)),
        "bpf": error_of(libc.syscall(BPF, 0, 0, 0)), "personality": error_of(libc.personality(0)),
    }
    for family in (socket.AF_INET, socket.AF_UNIX, socket.AF_NETLINK, 40):
        try:
            socket.socket(family, socket.SOCK_DGRAM)
        except OSError as error:
            found[f"socket {int(family)}"] = error.errno
    left, right = socket.socketpair()
    left.send(b"x")
    assert right.recv(1) == b"x"
    return {name: errno.errorcode.get(code, code) for name, code in found.items()}
"""
    wanted = (
        "def check(candidate):\n    found = candidate(1)\n    assert found.pop('clone3') == 'ENOSYS'\n"
        "    assert len(found) == 15, found\n    assert set(found.values()) == {'EPERM'}, found\n"
    )
    assert ran(program, wanted) == {"passed": True}
    status, seen = run_shell("grep Seccomp: /proc/self/status; unshare -Ur true 2>&1", {}, LIMITS)
    assert "2" in seen.split("\n")[0]
    assert status != 0


def test_what_programs_need_still_works():
    program = """
import asyncio, multiprocessing, os, subprocess, tempfile, threading

async def later(n):
    await asyncio.sleep(0)
    return n

def plus_one(n):
    one = []
    thread = threading.Thread(target=one.append, args=(1,))
    thread.start()
    thread.join()
    read, write = os.pipe()
    os.mkfifo(f"fifo{n}")
    with tempfile.NamedTemporaryFile() as file:
        file.write(b"1")
    assert subprocess.run(["echo", "1"], capture_output=True, text=True, check=True).stdout == "1\\n"
    return asyncio.run(later(n)) + one[0]
"""
    assert ran(program) == {"passed": True}


def test_the_filter_of_each_machine_is_what_its_kernel_would_read():
    for machine, audit, mount, read, clone, mmap in (
        ("x86_64", 0xC000003E, 165, 0, 56, 9),
        ("aarch64", 0xC00000B7, 40, 63, 220, 222),
    ):
        code = system_call_filter(machine)
        assert verdict(code, audit, read) == verdict(code, audit, clone, 17) == ALLOWED
        assert verdict(code, audit, mount) == REFUSED
        assert verdict(code, audit, clone, 0x10000000 | 17) == REFUSED
        assert verdict(code, audit, 435) == (0x00050000 | 38)
        for flags, found in (
            (0x21, REFUSED),
            (0x23, REFUSED),
            (0x22, ALLOWED),
            (0x01, ALLOWED),
            (0x4022, ALLOWED),
        ):
            assert verdict(code, audit, mmap, third=flags) == found
        assert verdict(code, 0x40000003, read) == 0x80000000  # the calls of another architecture
    assert verdict(system_call_filter("x86_64"), 0xC000003E, 0x40000000 | 165) == REFUSED
    assert system_call_filter("riscv64") is None


ALLOWED, REFUSED = 0x7FFF0000, 0x00050000 | 1


def verdict(code, audit, number, argument=0, third=0):
    """What a kernel makes of one call: the filter's program, read instruction by instruction."""
    memory = struct.pack("<IIQQQQQ", number, audit, 0, argument, 0, 0, third) + bytes(16)
    at = value = 0
    while True:
        how, if_so, if_not, constant = struct.unpack_from("<HBBI", code, 8 * at)
        at += 1
        if how == 0x20:
            (value,) = struct.unpack_from("<I", memory, constant)
        elif how == 0x06:
            return constant
        else:
            held = {0x15: value == constant, 0x35: value >= constant, 0x45: bool(value & constant)}[how]
            at += if_so if held else if_not


HOLDS = """
import sys, time
from aisb_evaluator_code._box import Limits, box_command
with box_command({"argv": ["/bin/sleep", "60"]}, Limits(seconds=60)) as process:
    print(process.pid, flush=True)
    time.sleep(60)
"""


def test_what_a_killed_run_left_is_removed_by_the_next_one(tmp_path):
    environment = {**os.environ, "TMPDIR": str(tmp_path)}

    def started():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLDS], env=environment, stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline().strip().isdigit()
        return process

    killed, living = started(), started()
    assert len(list(tmp_path.iterdir())) == 2
    killed.kill()
    killed.wait()
    killed.stdout.close()
    assert len(list(tmp_path.iterdir())) == 2
    next_one = started()
    kept = {one.name for one in tmp_path.iterdir()}
    assert len(kept) == 2
    for process in (living, next_one):
        assert process.poll() is None
        process.kill()
        process.wait()
        process.stdout.close()
    remove_left_over(tmp_path)
    if where := usable():
        groups = [one.name for one in where.memory.iterdir() if one.name.rpartition("-")[0] in kept]
        assert groups == []
    assert list(tmp_path.iterdir()) == []


def test_a_folder_of_somebody_else_and_a_link_are_left_alone(tmp_path):
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious/in-use").touch()
    (tmp_path / "aisb-boxes-link").symlink_to(tmp_path / "precious")
    (tmp_path / "aisb-boxes-new").mkdir()
    (tmp_path / "aisb-boxes-old").mkdir()
    os.utime(tmp_path / "aisb-boxes-old", (0, 0))
    remove_left_over(tmp_path)
    assert sorted(one.name for one in tmp_path.iterdir()) == ["aisb-boxes-link", "aisb-boxes-new", "precious"]


def tree(root, **files):
    """A folder that looks like the kernel's: `a__b=text` is the file b in the folder a."""
    for place, text in files.items():
        path = root.joinpath(*place.replace("DOT", ".").split("__"))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_groups_are_made_where_memory_is_held(tmp_path):
    own = tmp_path / "own"
    first = tree(tmp_path / "v1", memory__run__cgroupDOTprocs="", pids__cgroupDOTprocs="")
    own.write_text("9:pids:/elsewhere\n4:memory:/run\n1:cpu,cpuacct:/\n0::/\n")
    assert parents(first, own) == Parents(first / "memory/run", 1, first / "pids")
    own.write_text("0::/user/session\n")
    second = tree(
        tmp_path / "v2",
        user__session__cgroupDOTprocs="", user__session__cgroupDOTsubtree_control="", user__session__memoryDOTmax="max",
        user__cgroupDOTprocs="", user__cgroupDOTsubtree_control="cpu memory pids",
    )  # fmt: skip
    assert parents(second, own) == Parents(second / "user", 2, second / "user")
    (second / "user/session/memory.max").write_text("1000000")  # a sibling would not be under this limit
    assert parents(second, own) is None
    (second / "user/session/cgroup.subtree_control").write_text("memory")
    assert parents(second, own) == Parents(second / "user/session", 2, None)
    assert parents(tmp_path / "nothing", own) is None

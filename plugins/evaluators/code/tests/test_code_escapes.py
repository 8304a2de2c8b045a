"""What a program can do in its box: nothing to the machine, nothing to its tests."""

import os
import socket
import time
from pathlib import Path

import pytest

from aisb_evaluator_code._sandbox import Limits, containment, run_command, run_program, run_tests

pytestmark = pytest.mark.skipif(
    not containment().namespaces, reason="no namespaces can be made here, so no program is contained"
)
LIMITS = Limits(seconds=3, memory=512, processes=16)
CHECK = "def check(candidate):\n    assert candidate(20) == 21\n    assert candidate(-3) == -2\n"
CORRECT_FROM = "def plus_one(n):\n    return n + 1\n"


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
    assert ran(CORRECT_FROM) == {"passed": True}
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
    assert ran(CORRECT_FROM) == {"passed": True}  # this process is still there, and so is the machine
    status, seen = run_command("ls /proc | grep -c '^[0-9]'", {}, LIMITS)
    assert (status, int(seen) < 10) == (0, True)


def test_a_fork_bomb_ends_with_its_box():
    began = time.monotonic()
    ran("import os\nwhile True:\n    try: os.fork()\n    except OSError: pass\n")
    assert time.monotonic() - began < 60
    mark = "987654.25"
    run_command(
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
    status, output = run_command("yes", {}, LIMITS)
    assert status is None
    assert len(output) == LIMITS.output << 20
    assert ran(
        "import sys\nsys.stdout.write('x' * 10_000_000)\nsys.stderr.write('x' * 10_000_000)\n" + CORRECT_FROM
    )["passed"]


def test_an_endless_loop_ends_at_its_time():
    found = ran("def plus_one(n):\n    while True: pass\n", limits=Limits(seconds=1))
    assert not found["passed"]
    # On a machine that is very busy, the clock may be first.
    assert found["problem"].startswith(("killed: it took 1 s of processor time", "no end within 3 s"))
    found = ran("import time\ndef plus_one(n):\n    time.sleep(60)\n", limits=Limits(seconds=0.5))
    assert found == {"passed": False, "problem": "no end within 1.5 s"}


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
    status, seen = run_command("grep -E '^(CapEff|NoNewPrivs)' /proc/self/status; id -u", {}, LIMITS)
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

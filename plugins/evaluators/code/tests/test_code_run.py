"""The evaluator that runs programs: off unless allowed, in Python and other languages, one bad row at a time."""

import asyncio
import importlib.util
import os
import shutil
from pathlib import Path

import pytest

from aisb import Sample, UsageError
from aisb_evaluator_code._languages import same_output
from aisb_evaluator_code._leftovers import own_folder
from aisb_evaluator_code._python_source import completed
from aisb_evaluator_code._reasons import with_absence
from aisb_evaluator_code._running import CodeRun, warn
from aisb_evaluator_code._sandbox import Containment, containment

boxed = pytest.mark.skipif(not containment().namespaces, reason="no namespaces can be made here")
PROMPT = 'import math\n\ndef helper(x):\n    return x + 1\n\n\ndef double(n):\n    """Double n."""\n'
TEST = "def check(candidate):\n    assert math.isclose(candidate(2), 4)\n    assert helper(1) == 2\n"
ROW = {"prelude": PROMPT, "entry_point": "double", "test": TEST}


async def graded(answer, **fields):
    return await CodeRun(allow=True).score(answer, Sample("0", {**ROW, **fields}))


def test_nothing_runs_unless_it_is_allowed(monkeypatch):
    monkeypatch.delenv("AISB_ALLOW_CODE_EXECUTION", raising=False)
    with pytest.raises(UsageError) as error:
        CodeRun()
    assert str(error.value) == (
        "grading this task runs programs of the model, which is off by default\n"
        "  to run them in a sandbox: --allow-code-execution, AISB_ALLOW_CODE_EXECUTION=1 in the environment, "
        "or allow = true in this table"
    )


def test_where_nothing_contains_a_program_it_is_refused_with_three_ways_out():
    with pytest.raises(UsageError) as error:
        warn(Containment(False, False, "box: unshare: Operation not permitted"), allowed=False)
    assert str(error.value) == (
        "this machine does not allow namespaces (box: unshare: Operation not permitted), so programs could access "
        "the network, your files, to read and to write, and processes that leave their session\n"
        "  run as a user who may create namespaces (kernel.unprivileged_userns_clone = 1), or set\n"
        "  AISB_ALLOW_UNCONTAINED=1 (allow_uncontained = true) to limit only time and memory,\n"
        '  or set an image to run them in containers: AISB_CODE_CONTAINER=IMAGE (container = "IMAGE")'
    )


@pytest.mark.parametrize(
    ("found", "allowed", "said"),
    [
        (Containment(True, True), False, ""),
        (
            Containment(False, True, "as root"),
            False,
            (
                "warning: programs run without namespaces (as root); not contained: the network, files that anyone may "
                "read, and processes that leave their session\n"
            ),
        ),
        (
            Containment(False, False),
            True,
            (
                "warning: programs run without namespaces; not contained: the network, your files, to read and to write, "
                "and processes that leave their session\n"
            ),
        ),
    ],
)
def test_what_is_not_contained_is_said_once(found, allowed, said, capsys):
    warn(found, allowed=allowed)
    assert capsys.readouterr().err == said
    warn(found, allowed=allowed)
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seconds": 0}, "seconds = 0: it must be more than 0 and at most 3600"),
        ({"memory": 8}, "memory = 8: it must be at least 64 MB"),
        ({"workers": -1}, "workers = -1: it must be 0 (one for each core) or more"),
    ],
)
def test_an_option_that_cannot_be_says_what_can(options, words):
    with pytest.raises(UsageError) as error:
        CodeRun(allow=True, **options)
    assert words in str(error.value)


@boxed
@pytest.mark.parametrize(
    "answer",
    [
        "    return 2 * n\n",
        "def double(n):\n    return n * 2\n",
        "def double(n):\n    return math.floor(helper(2 * n)) - 1\n",
    ],
)
async def test_a_function_that_is_whole_or_goes_on_passes(answer):
    assert (await graded(answer)).value == 1


@boxed
async def test_what_failed_is_kept():
    found = await graded("def double(n):\n    return n\n")
    assert found.value == 0
    assert found.details == {
        "problem": "AssertionError: ",
        "test": "assert math.isclose(candidate(2), 4)",
        "box": containment().box,
    }
    assert "NameError" in (await graded("import math\nnothing\n", prelude="")).details["problem"]
    found = await graded("x = 1\n", prelude="")
    assert found.details["problem"] == "the program does not define double"


@boxed
async def test_an_exception_is_kept_with_its_line_in_the_answer():
    late = "def double(n):\n    if n > 1:\n        raise ValueError('no')\n"
    assert (await graded(late)).details["problem"] == "ValueError: no (line 3 of the program)"
    assert (await graded("    m = 0\n    return n / m\n")).details["problem"] == (
        "ZeroDivisionError: division by zero (line 2 of the program)"
    )
    body = "x = 1\ny = x.z\n"
    assert (
        "AttributeError: 'int' object has no attribute 'z' (line 2 of the program)"
        in (await graded(f"{body}def double(n): return 0")).details["problem"]
    )
    case = [{"input": "", "output": "1"}]
    assert (await graded("a = 1\nb = a / 0\n", cases=case)).details["problem"] == (
        "case 1: ZeroDivisionError: division by zero (line 2 of the program)"
    )


@boxed
async def test_programs_may_import_numpy_where_it_is_installed_and_else_it_is_said():
    answer = "import numpy as np\n\ndef double(n):\n    return np.array([n]).sum() * np.int64(2)\n"
    found = await graded(answer)
    cases = [{"input": "2", "output": "4"}]
    reads = await graded("import numpy\nprint(numpy.multiply(int(input()), 2))", cases=cases)
    if importlib.util.find_spec("numpy"):
        assert (found.value, reads.value) == (1, 1), found.details
    else:
        assert "(numpy is not installed where aisb runs)" in found.details["problem"]
        assert "(numpy is not installed where aisb runs)" in reads.details["problem"]
    other = await graded("import pydantic\ndef double(n): return 2 * n\n")
    assert "ModuleNotFoundError: No module named 'pydantic'" in other.details["problem"]


def test_a_package_that_may_be_imported_and_is_not_there_is_said():
    words = "ModuleNotFoundError: No module named"
    assert with_absence(f"{words} 'numpy'") == f"{words} 'numpy' (numpy is not installed where aisb runs)"
    assert with_absence(f"{words} 'numpyro'") == f"{words} 'numpyro'"


@boxed
async def test_every_result_says_which_box_was_used():
    right, wrong = await graded("    return 2 * n\n"), await graded("    return n\n", test="")
    assert right.details == {"box": containment().box}
    assert wrong.details["box"] == containment().box
    assert containment().box.startswith("namespaces, ")


@boxed
async def test_a_helper_of_the_prompt_is_not_the_programs_to_change():
    cheat = "def helper(x):\n    return 2\ndef double(n):\n    return 4\n"
    test = "def check(candidate):\n    assert helper(candidate(3)) == 7\n"
    assert (await graded(cheat, test=test)).value == 0


@boxed
async def test_a_row_without_tests_is_an_error():
    found = await graded("def double(n): return 0", test="")
    assert (found.outcome, found.details["raised"]) == ("error", "the row has no tests in the field 'test'")


@boxed
async def test_many_programs_run_at_a_time():
    found = await asyncio.gather(*(graded(f"def double(n):\n    return 2 * n + {n % 2}\n") for n in range(8)))
    assert [one.value for one in found] == [1, 0] * 4


@boxed
async def test_a_program_that_reads_its_input_is_given_every_case():
    cases = [{"input": "2\n", "output": "4\n"}, {"input": "3", "output": "6.0"}]
    right, wrong = "print(2 * int(input()))", "print(4)"
    assert (await graded(right, cases=cases)).value == 1
    assert "case 2: wrote '4" in (await graded(wrong, cases=cases)).details["problem"]


def test_outputs_are_compared_line_by_line():
    assert same_output("1  2 \n\n", "1 2")
    assert same_output("0.50\n", "0.5")
    assert not same_output("1\n2", "1 2")
    assert not same_output("a", "b")


OTHERS = {
    "cpp": (
        "int twice(int n) { return 2 * n; }",
        "#undef NDEBUG\n#include<assert.h>\nint main(){\n    assert (twice(2) == 4);\n}\n",
        "#include<stdlib.h>\nint twice(int n) { exit(0); }",
    ),
    "java": (
        "class Solution {\n    public int twice(int n) { return 2 * n; }\n}",
        (
            "public class Main {\n    public static void main(String[] args) {\n"
            "        if (new Solution().twice(2) != 4) { throw new AssertionError(); }\n    }\n}"
        ),
        "class Solution {\n    public int twice(int n) { System.exit(0); return 0; }\n}",
    ),
    "js": (
        "const twice = (n) => 2 * n",
        "const test = () => { console.assert(twice(2) === 4) }\ntest()\n",
        "const twice = (n) => process.exit(0)",
    ),
}
TOOLS = {"cpp": "g++", "java": "javac", "js": "node"}
# Each program is compiled twice. That compiled programs pass, fail and end early is shown quickly beside this file, by
# the reasons and the values in test_code_languages.py.
SLOWLY = [pytest.param(one, marks=() if one == "js" else pytest.mark.slow) for one in OTHERS]


@boxed
@pytest.mark.parametrize("language", SLOWLY)
async def test_other_languages_run_where_their_tools_are(language):
    if not shutil.which(TOOLS[language]):
        pytest.skip(f"{TOOLS[language]} is not installed")
    right, test, early = OTHERS[language]
    row = {"language": language, "entry_point": "twice", "prelude": "", "test": test}
    assert (await graded(right, **row)).value == 1
    assert (await graded(right.replace("2 * n", "3 * n"), **row)).value == 0
    assert "before its tests did" in (await graded(early, **row)).details["problem"]


@boxed
async def test_an_unknown_language_is_an_error_that_lists_the_known():
    found = await graded("x", language="cobol")
    assert found.details["raised"] == "programs in 'cobol' are not run; known: python, cpp, java, js"


def test_a_program_is_put_together_with_its_prompt():
    assert completed(PROMPT, "    return 1\n", "double") == PROMPT + "    return 1\n"
    assert completed(PROMPT, "def double(n): return 1", "double").startswith(PROMPT)
    assert completed("", "x = 1", None) == "x = 1"


async def test_a_cancelled_grade_ends_its_program_at_once():
    one_thread = CodeRun(allow=True, seconds=1000, workers=1)
    endless = Sample("0", {"test": "import time\ntime.sleep(3000)"})
    waiting = asyncio.create_task(one_thread.score("x = 1", endless))
    while not _boxes():  # noqa: ASYNC110 - nothing else tells when a box is there
        await asyncio.sleep(0.01)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    quick = await asyncio.wait_for(one_thread.score("x = 1", Sample("1", {"test": "assert x == 1"})), 60)
    assert quick.value == 1


def _boxes() -> list[Path]:
    return [*own_folder(os.getpid()).glob("box-*")]

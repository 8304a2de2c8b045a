"""Run programs in C++, Java and JavaScript against tests in the form of HumanEval-X, each in its own box.

The tests call the requested function through a stub with the declared signature, which sends the arguments
to the program's process and returns the result. Other functions of the declaration are compiled with the
tests, so that a program cannot change them.
"""

from __future__ import annotations

import functools
import json
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from aisb_evaluator_code._cases import run_cases, same_output
from aisb_evaluator_code._other_source import SourceHead, balance, defined_names, head_of, says_definition
from aisb_evaluator_code._sandbox import Limits, ProgramEnd, judged

__all__ = ["REQUIRED_TOOLS", "run_cases", "run_tests", "same_output"]

REQUIRED_TOOLS = {"cpp": ("g++",), "java": ("javac", "java"), "js": ("node",)}
"""The programs that a language needs."""

HARNESS = Path(__file__).parent / "harness"
_QUIET = ">/dev/null 2>&1 </dev/null"
_COMPILER_SAYS = "2>errors || { head -c 1500 errors >&2; exit 97; }"


@dataclass(frozen=True, slots=True)
class Program:
    """A complete program, and the number of its lines before the answer."""

    text: str
    lines_before: int


@dataclass(frozen=True, slots=True)
class CodeTask:
    """A program, its tests, and the head of the function that connects them."""

    program: str
    test: str
    name: str
    head: SourceHead


def run_tests(language: str, answer: str, fields: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Compile and run an answer and its tests in separate boxes; return `passed`, `problem` or `error`."""
    if language not in REQUIRED_TOOLS:
        known = ", ".join(["python", *REQUIRED_TOOLS])
        return {"passed": False, "error": f"programs in {language!r} are not run; known: {known}"}
    missing = [tool for tool in REQUIRED_TOOLS[language] if not limits.image and shutil.which(tool) is None]
    if missing:
        return {"passed": False, "error": f"running {language} needs {missing[0]}, which is not installed"}
    test, name = str(fields.get("test") or ""), str(fields.get("entry_point") or "")
    if not test.strip() or not name:
        return {
            "passed": False,
            "error": "the row lacks its tests (`test`) or its function's name (`entry_point`)",
        }
    declared = str(fields.get("declaration") or fields.get("prelude") or "")
    declared_head = head_of(language, declared, name)
    head = declared_head or head_of(language, answer, name, before=False)
    if head is None:
        return _no_head(language, declared, name)
    program = _program(language, answer, declared, head, name)
    found = _ENDS[language](CodeTask(program.text, test, name, head), limits)
    if declared_head is None and "the tests do not compile" in found.get("error", ""):
        return {"passed": False, "problem": f"its {name} does not fit the tests: {found['error'][-200:]}"}
    if "problem" in found and found["problem"].startswith("the program ended before the tests did"):
        found["problem"] = found["problem"].replace("the tests", "its tests", 1)
    if "problem" in found:
        found["problem"] = _with_own_lines(language, found["problem"], program.lines_before)
    return found


def _with_own_lines(language: str, problem: str, before: int) -> str:
    """Return a message with its line numbers counted from the first line of the answer."""
    before += language == "cpp"  # the line that renames an answer's own main function

    def own(found: re.Match[str]) -> str:
        line = int(found[2]) - before
        return f"{found[1]}{line}" if line > 0 else found[0]

    return re.sub(r"(\(line |(?:main\.cpp|Solution\.java):)(\d+)", own, problem)


def _no_head(language: str, declared: str, name: str) -> dict[str, Any]:
    if declared and language != "js":
        return {"passed": False, "error": f"the row's declaration has no head of {name} that can be read"}
    return {"passed": False, "problem": f"the program does not define {name}"}


def _program(language: str, answer: str, declared: str, head: SourceHead, name: str) -> Program:
    """Return the complete program: the answer with omitted parts added, or after its declaration."""
    is_complete = says_definition(language, answer, name) or (name in answer and balance(answer) >= 0)
    after = ""
    if not is_complete:
        before = declared
        after = "\n" + "}" * balance(declared) if balance(answer) == 0 else ""
    elif language == "java":
        answer = re.sub(r"\bpublic\s+((?:final\s+)?class\s)", r"\1", answer)
        if re.search(r"\bclass\s+Solution\b", answer) or not declared:
            have = {line.strip() for line in answer.splitlines()}
            lines = declared.splitlines()
            before = "".join(f"{one}\n" for one in lines if one.startswith("import ") and one not in have)
        else:  # the method only
            before, after = head.before, "\n}"
    else:
        before = _declared_helpers(language, answer, declared, head)
    return Program(before + answer + after, before.count("\n"))


def _declared_helpers(language: str, answer: str, declared: str, head: SourceHead) -> str:
    """Return the helpers of a declaration, or only its includes if the answer defines the helpers itself."""
    helpers = defined_names(language, head.before)
    if helpers and not helpers & defined_names(language, answer):
        return f"{head.before}\n"
    begins = ("#include", "using ", "typedef ") if language == "cpp" else ("const {", "import ")
    return "".join(f"{line}\n" for line in declared.splitlines() if line.startswith(begins))


def _run_cpp(task: CodeTask, limits: Limits) -> dict[str, Any]:
    macros = re.findall(r"^[ \t]*#[ \t]*define[ \t]+(\w+)", task.program, re.MULTILINE)
    undone = "".join(f"#undef {one}\n" for one in dict.fromkeys(["main", *macros]))
    before = task.head.before or "#include <bits/stdc++.h>\nusing namespace std;\n"
    # An answer may have its own main function. Its macros must not change the code after it.
    served = _cpp("program.cpp", task).replace("{undone}", undone)
    program = f"#define main aisb_main_of_the_answer\n{task.program}\n{served}"
    tests = _cpp("tests.cpp", task).replace("{tests}", _before_last(task.test, "aisb_passed();"))
    limits = replace(limits, seconds=limits.seconds + 10, memory=max(limits.memory, 2048), tree=0)

    def end(source: str) -> ProgramEnd:
        crypto = " -lcrypto" if "openssl/" in source else ""
        command = f"g++ -std=c++17 -O0 -w -o main main.cpp{crypto} {_COMPILER_SAYS}; exec ./main {_QUIET}"
        return _end(command, {"main.cpp": source, "wire.hpp": _harness("wire.hpp")}, limits)

    return judged(end(program), end(f"{before}\n{tests}"), limits)


def _cpp(name: str, task: CodeTask) -> str:
    return _harness(name).replace("{head}", task.head.text).replace("{name}", task.name)


def _run_java(task: CodeTask, limits: Limits) -> dict[str, Any]:
    arguments = "".join(f", {one}" for one in task.head.parameters)
    call = f'AisbWire.call("{task.head.result}", "{task.name}"{arguments})'
    returned = "" if task.head.result == "void" else "return "
    before = task.head.before or "import java.util.*;\n\nclass Solution {\n"
    stand_in = f"{before}{task.head.text} {{\n        {returned}{call};\n    }}\n}}\n"
    wire = _java_file("AisbWire")
    imports = "".join(f"{line}\n" for line in before.splitlines() if line.startswith("import "))
    program = {"Solution.java": task.program, **wire, **_java_file("AisbProgram")}
    tests = {"Solution.java": stand_in, "Main.java": imports + task.test, **wire, **_java_file("AisbTests")}
    tree = 2 * limits.memory + 512
    limits = replace(
        limits, seconds=limits.seconds + 10, processes=256, memory=8192, memory_kind="RLIMIT_DATA", tree=tree
    )
    heap = f"-XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Xmx{(tree - 512) // 2}m"
    compiled = f"javac -J-XX:+UseSerialGC -J-XX:TieredStopAtLevel=1 -nowarn *.java >errors {_COMPILER_SAYS}"
    opens = "JDK_JAVA_OPTIONS=--add-opens=java.base/java.io=ALL-UNNAMED"

    def end(name: str, files: dict[str, str]) -> ProgramEnd:
        return _end(f"{compiled}; export {opens}; exec java {heap} {name} {_QUIET}", files, limits)

    return judged(end("AisbProgram", program), end("AisbTests", tests), limits)


def _java_file(name: str) -> dict[str, str]:
    return {f"{name}.java": _harness(f"{name}.java")}


def _run_js(task: CodeTask, limits: Limits) -> dict[str, Any]:
    table = {"prelude": task.head.before, "test": task.test, "entry": task.name}
    peer = {"peer.js": _harness("peer.js")}
    memory = limits.memory
    limits = replace(
        limits,
        seconds=limits.seconds + 5,
        processes=64,
        memory=8192,
        memory_kind="RLIMIT_DATA",
        tree=memory + 512,
    )
    command = f"exec node --max-old-space-size={memory} peer.js"
    program = _end(f"{command} program program.js {_QUIET}", {"program.js": task.program, **peer}, limits)
    tests = _end(f"{command} tests tests.json {_QUIET}", {"tests.json": json.dumps(table), **peer}, limits)
    return judged(program, tests, limits)


_ENDS = {"cpp": _run_cpp, "java": _run_java, "js": _run_js}


def _end(command: str, files: Mapping[str, str], limits: Limits) -> ProgramEnd:
    run = {
        "argv": ["/bin/sh", "-c", command],
        "binds": sorted(map(str, Path("/etc").glob("java*"))),
        "ends": True,
    }
    return ProgramEnd(run, limits, files=files)


@functools.cache
def _harness(name: str) -> str:
    return (HARNESS / name).read_text(encoding="utf-8")


def _before_last(test: str, text: str) -> str:
    """Insert a statement before the last closing brace of the tests."""
    at = test.rindex("}")
    return f"{test[:at]}{text}\n{test[at:]}"

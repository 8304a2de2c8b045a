"""Run programs in other languages, and programs that read their input, each in a box."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from aisb_evaluator_code._sandbox import Limits, box, run_command

__all__ = ["TOOLS", "box", "run", "run_cases"]

TOOLS = {"cpp": ("g++",), "java": ("javac", "java"), "js": ("node",)}
"""What a language needs to be there."""

_CPP = """
#include <iostream>
#include <string>
static void aisb_end() {
  std::string line;
  std::getline(std::cin, line);
  std::cout << "\\n" << line << std::endl;
}
"""
_JAVA = 'System.out.println("\\n" + new java.util.Scanner(System.in).nextLine());'
_JS_BEGIN = 'console.assert = (holds, ...words) => { if (!holds) throw new Error("assertion failed"); };\n'
_JS_END = '\nprocess.stdout.write("\\n" + require("fs").readFileSync(0, "utf8").trim() + "\\n");\n'


def run(language: str, answer: str, fields: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Compile and run an answer with its tests, as HumanEval-X has them.

    The tests are a part of the program here. They say that they came to their end by repeating a word that is
    drawn for each run and that they read only then, so a program that ends early has not passed.
    """
    if language not in TOOLS:
        known = ", ".join(["python", *TOOLS])
        return {"passed": False, "error": f"programs in {language!r} are not run; known: {known}"}
    missing = [tool for tool in TOOLS[language] if not limits.image and shutil.which(tool) is None]
    if missing:
        return {"passed": False, "error": f"running {language} needs {missing[0]}, which is not installed"}
    prompt, test = str(fields.get("prelude") or ""), str(fields.get("test") or "")
    declared = str(fields.get("declaration") or prompt)
    name = str(fields.get("entry_point") or "")
    whole = bool(name) and name in answer
    program = answer if whole else declared + answer
    if language != "java" and whole:
        program = _headers(declared, language) + program
    if language == "cpp":
        files = {"main.cpp": f"{program}\n{_CPP}\n{_before_last(test, 1, 'aisb_end();')}"}
        with_crypto = " -lcrypto" if "openssl/" in program else ""
        command = f"g++ -std=c++17 -O0 -w -o main main.cpp{with_crypto} || exit 97; exec ./main"
        limits = replace(limits, seconds=limits.seconds + 10, memory=max(limits.memory, 2048))
    elif language == "java":
        files = {"Main.java": f"{_java(program, declared)}\n{_before_last(test, 2, _JAVA)}"}
        flags = "-XX:+UseSerialGC -XX:TieredStopAtLevel=1"
        command = "javac -J-XX:+UseSerialGC -nowarn Main.java || exit 97; "
        command += f"exec java {flags} -Xmx{limits.memory}m Main"
        limits = replace(
            limits, seconds=limits.seconds + 10, processes=256, memory=8192, memory_kind="RLIMIT_DATA"
        )
    else:
        files = {"main.js": f"{_JS_BEGIN}{program}\n{test}{_JS_END}"}
        command = f"exec node --max-old-space-size={limits.memory} main.js"
        limits = replace(
            limits, seconds=limits.seconds + 5, processes=64, memory=8192, memory_kind="RLIMIT_DATA"
        )
    word = secrets.token_hex(16)
    status, output = run_command(command, files, limits, stdin=word + "\n")
    if status is None:
        return {"passed": False, "problem": f"no end within {limits.deadline:g} s, or too much output"}
    if status == 125 and output.startswith("box:"):
        return {"passed": False, "error": output[:300]}
    if status == 0 and output.rstrip().endswith(word):
        return {"passed": True}
    what = {0: "ended before its tests did", 97: "does not compile"}.get(
        status, f"ended with status {status}"
    )
    return {"passed": False, "problem": f"the program {what}: {output.strip()[:400]}"}


def _headers(declared: str, language: str) -> str:
    """Return the lines of a declaration that an answer may leave out."""
    begins = ("#include", "using ") if language == "cpp" else ("const {", "import ")
    return "".join(line + "\n" for line in declared.splitlines() if line.startswith(begins))


def _java(program: str, declared: str) -> str:
    """Return a Java program with its imports, and without a main class of its own."""
    have = {line.strip() for line in program.splitlines()}
    imports = [line for line in declared.splitlines() if line.startswith("import ") and line not in have]
    return "\n".join([*imports, program.replace("public class Solution", "class Solution")])


def _before_last(test: str, braces: int, text: str) -> str:
    """Put a statement before one of the last closing braces of the tests."""
    at = len(test)
    for _ in range(braces):
        at = test.rindex("}", 0, at)
    return f"{test[:at]}{text}\n{test[at:]}"


def run_cases(answer: str, fields: Mapping[str, Any], limits: Limits) -> dict[str, Any]:
    """Run a program that reads its input, once for each case, and compare what it writes.

    `cases` is a list (or its JSON) of `{"input": …, "output": …}`. White space at the ends of lines and empty
    lines at the end do not count, and numbers are equal by value.
    """
    from aisb_evaluator_code._sandbox import run_program

    cases = fields["cases"]
    cases = json.loads(cases) if isinstance(cases, str) else cases
    for number, case in enumerate(cases, start=1):
        status, output = run_program(answer, str(case["input"]), limits)
        if status is None:
            return {"passed": False, "problem": f"case {number}: no end within {limits.deadline:g} s"}
        if status != 0:
            return {"passed": False, "problem": f"case {number}: the program ended with status {status}"}
        if not same_output(output, str(case["output"])):
            return {
                "passed": False,
                "problem": f"case {number}: wrote {output[:100]!r}, wanted {str(case['output'])[:100]!r}",
            }
    return {"passed": True}


def same_output(given: str, wanted: str) -> bool:
    """Say whether two outputs are the same, line by line, with numbers compared by value."""
    from decimal import Decimal, InvalidOperation

    pairs = [given.rstrip().split("\n"), wanted.rstrip().split("\n")]
    lines, others = ([line.split() for line in one] for one in pairs)
    if len(lines) != len(others):
        return False
    for line, other in zip(lines, others, strict=True):
        if line == other:
            continue
        try:
            if [Decimal(word) for word in line] != [Decimal(word) for word in other]:
                return False
        except InvalidOperation:
            return False
    return True

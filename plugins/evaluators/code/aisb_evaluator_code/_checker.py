"""Run tests against a program in another box, and report the verdict."""

from __future__ import annotations

import builtins
import contextlib
import json
import os
import sys
import traceback
from typing import Any

from aisb_evaluator_code._wire import Closed, SandboxChannel, encode_value, unpack

MODULES = (
    *("bisect", "cmath", "collections", "copy", "datetime", "functools", "heapq", "itertools", "math"),
    *("operator", "random", "re", "statistics", "string", "sys"),
)
"""Modules that tests may use if only the program imports them."""


class Remote:
    """A reference to an object in the program's process. It equals only itself."""

    def __init__(self, program: CheckedProgram, number: int) -> None:
        object.__setattr__(self, "_number", number)
        object.__setattr__(self, "_program", program)

    def _do(self, what: str, *args: Any, **names: Any) -> Any:
        return self._program.ask({"object": self._number, "do": what}, args, names)

    def __call__(self, *args: Any, **names: Any) -> Any:
        """Call the program's function."""
        return self._do("call", *args, **names)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._do("read", name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._do("write", name, value)

    def __iter__(self) -> Any:
        return self._do("iter")

    def __next__(self) -> Any:
        return self._do("next")

    def __len__(self) -> int:
        return int(self._do("len"))

    def __getitem__(self, key: Any) -> Any:
        return self._do("item", key)

    def __bool__(self) -> bool:
        return bool(self._do("bool"))

    def __str__(self) -> str:
        return str(self._do("str"))


class CheckedProgram:
    """The program, called over a channel."""

    def __init__(self, channel: SandboxChannel) -> None:
        self.channel = channel
        self.functions: list[Any] = []
        self.objects: dict[int, Remote] = {}
        self.line: int | None = None

    def refer(self, value: Any) -> list[Any]:
        """Encode a reference: the number of a program's object, or the index of a test's function."""
        if isinstance(value, Remote):
            return ["object", object.__getattribute__(value, "_number")]
        if not callable(value):
            raise TypeError(f"{type(value).__name__} cannot be passed to the program")
        self.functions.append(value)
        return ["function", len(self.functions) - 1]

    def resolve(self, named: list[Any]) -> Any:
        """Return the local reference to an object of the program."""
        if named[0] == "function":
            return self.functions[named[1]]
        return self.objects.setdefault(int(named[1]), Remote(self, int(named[1])))

    def ask(self, message: dict[str, Any], args: Any = (), names: Any = None) -> Any:
        """Send a message to the program; raise the exception that the program raises."""
        sent = {**message, "args": encode_value(list(args), self.refer)}
        if names:
            sent["names"] = encode_value(names, self.refer)
        self.channel.send(sent)
        while "back" in (reply := self.channel.receive()):
            try:
                arguments = unpack(reply["args"], self.resolve)
                value = self.functions[reply["back"]](*arguments)
                self.channel.send({"answer": encode_value(value, self.refer)})
            except Closed:
                raise
            except Exception as error:  # noqa: BLE001 - it goes to the program that called
                self.channel.send({"raised": str(error)})
        if "raised" in reply:
            known, words, *line = reply["raised"]
            self.line = line[0] if line and isinstance(line[0], int) else None
            kind = getattr(builtins, str(known), Exception)
            is_error = isinstance(kind, type) and issubclass(kind, Exception)
            try:
                raised = kind(str(words)) if is_error else RuntimeError(f"{known}: {words}")
            except TypeError:
                raised = RuntimeError(f"{known}: {words}")
            raise raised
        for own, after in zip(args, unpack(reply.get("after", ["list", []]), self.resolve), strict=False):
            _changed(own, after)
        return unpack(reply["value"], self.resolve)


def _changed(own: Any, after: Any) -> None:
    """Apply the program's changes to a list, dict or set of the tests."""
    if type(own) is not type(after):
        return
    if isinstance(own, list):
        own[:] = after
    elif isinstance(own, dict | set):
        own.clear()
        own.update(after)


def verdict(settings: dict[str, Any], program: CheckedProgram) -> dict[str, Any]:
    """Run the tests, and return whether all pass."""
    ready = program.channel.receive()
    if "problem" in ready:
        problem = f"the program does not run: {str(ready['problem'])[:500]}"
        return {"passed": False, "problem": problem, "line": ready.get("line")}
    space: dict[str, Any] = {"__name__": "tests"}
    with contextlib.suppress(Exception):  # a prompt that does not parse has no helpers
        exec(compile(settings["prelude"], "<prelude>", "exec", dont_inherit=True), space)  # noqa: S102
    entry = settings["entry"]
    defined = [str(name) for name in ready["names"]]
    if entry and entry not in defined:
        return {"passed": False, "problem": f"the program does not define {entry}"}
    for name in defined:
        if name in MODULES:
            space.setdefault(name, __import__(name))
        elif name == entry or (not hasattr(builtins, name) and name not in space):
            space[name] = program.ask({"name": name, "do": "get"})
    for number, text in enumerate(settings["tests"]):
        before = space.get("check")
        exec(compile(text, f"<test {number}>", "exec", dont_inherit=True), space)  # noqa: S102
        if entry and space.get("check") is not before:
            space["check"](space[entry])
    return {"passed": True}


def _is_from_program(error: BaseException) -> bool:
    """Return whether an exception is one that the program raised, and not one of the tests' own."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and trace.tb_frame.f_code is CheckedProgram.ask.__code__


def main(settings: dict[str, Any]) -> None:
    """Send the verdict through the pipe, to which the program has no access."""
    program = CheckedProgram(SandboxChannel(settings["channel"]))
    try:
        found = verdict(settings, program)
    except Closed:
        found = {"passed": False, "problem": "the program ended before the tests did", "closed": True}
    except BaseException as error:  # noqa: BLE001 - whatever a test raises, it does not hold
        frames = [one for one in traceback.extract_tb(sys.exc_info()[2]) if one.filename.startswith("<test")]
        found = {"passed": False, "problem": f"{type(error).__name__}: {error}"[:500]}
        found["line"] = program.line if _is_from_program(error) else None
        if frames and frames[0].lineno:
            number = int(frames[0].filename[6:-1])
            lines = settings["tests"][number].splitlines()
            found["test"] = lines[frames[-1].lineno - 1].strip()[:300] if frames[-1].lineno else ""
    os.write(settings["verdict"], json.dumps(found).encode())


if __name__ == "__box__":
    main(globals()["GIVEN"])

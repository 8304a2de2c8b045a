"""Run a program, and serve calls to its definitions: the end without the tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

from aisb_evaluator_code._wire import Closed, SandboxChannel, describe_exception, encode_value, unpack


class Served:
    """The objects of a program to which the other end refers by number."""

    def __init__(self, channel: SandboxChannel, names: dict[str, Any]) -> None:
        self.channel = channel
        self.names = names
        self.objects: dict[int, Any] = {}

    def refer(self, value: Any) -> list[Any]:
        """Encode an object as its number."""
        self.objects[id(value)] = value
        return ["object", id(value)]

    def resolve(self, named: list[Any]) -> Any:
        """Return the object of a number, or a stub that calls a function of the tests."""
        if named[0] == "object":
            return self.objects[named[1]]
        return lambda *args: self.call_back(named[1], args)

    def call_back(self, number: int, args: tuple[Any, ...]) -> Any:
        """Call a function of the tests."""
        self.channel.send({"back": number, "args": encode_value(list(args), self.refer)})
        reply = self.serve(until="answer")
        if "raised" in reply:
            raise RuntimeError(reply["raised"])
        return unpack(reply["answer"], self.resolve)

    def serve(self, until: str | None = None) -> dict[str, Any]:
        """Serve messages until the other end closes, or sends the reply that is awaited."""
        while True:
            message = self.channel.receive()
            if until and (until in message or "raised" in message):
                return dict(message)
            try:
                reply = self.reply(message)
                self.channel.send(reply)
            except Closed:
                raise
            except BaseException as error:  # noqa: BLE001 - whatever a program raises is its answer
                self.channel.send({"raised": describe_exception(error)})

    def reply(self, message: dict[str, Any]) -> dict[str, Any]:
        """Execute the request of a message."""
        packed = message["args"]
        args = unpack(packed, self.resolve)
        names = unpack(message.get("names", ["dict", []]), self.resolve)
        of = self.names[message["name"]] if "name" in message else self.objects[message["object"]]
        result = _ACTIONS[message["do"]](of, args, names)
        reply = {"value": encode_value(result, self.refer)}
        if message["do"] == "call":
            after = encode_value(args, self.refer)
            if after != packed:  # the function's changes to its arguments
                reply["after"] = after
        return reply


_ACTIONS: dict[str, Callable[[Any, list[Any], dict[str, Any]], Any]] = {
    "get": lambda of, _args, _names: of,
    "call": lambda of, args, names: of(*args, **names),
    "read": lambda of, args, _names: getattr(of, args[0]),
    "write": lambda of, args, _names: setattr(of, args[0], args[1]),
    "iter": lambda of, _args, _names: iter(of),
    "next": lambda of, _args, _names: next(of),
    "len": lambda of, _args, _names: len(of),
    "item": lambda of, args, _names: of[args[0]],
    "bool": lambda of, _args, _names: bool(of),
    "str": lambda of, _args, _names: str(of),
}


def main(settings: dict[str, Any]) -> None:
    """Run the program, report the names that it defines, and serve them."""
    channel = SandboxChannel(settings["channel"])
    module = sys.modules["solution"] = type(sys)("solution")
    space = module.__dict__
    sys.path += settings.get("paths", [])
    try:
        exec(compile(settings["program"], "<program>", "exec", dont_inherit=True), space)  # noqa: S102
    except BaseException as error:  # noqa: BLE001 - whatever a program raises is its answer
        known, words, *line = describe_exception(error)
        channel.send({"problem": f"{known}: {words}", "line": line[0] if line else None})
        return
    channel.send({"names": [name for name in space if isinstance(name, str) and name[:2] != "__"]})
    try:
        Served(channel, space).serve()
    except Closed:
        return


if __name__ == "__box__":
    main(globals()["GIVEN"])

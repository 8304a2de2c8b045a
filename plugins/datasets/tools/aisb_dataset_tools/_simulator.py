"""Run the simulated services of one conversation in a separate process.

Its argument is a folder with the package bfcl_eval (or an empty text if it is installed); it needs only the
standard library and that package. It reads one JSON line for each command, and answers with one line:

    {"load": {"class": "module", …}, "config": {…}, "long_context": false}   creates the services, twice
    {"call": "model", "calls": "[('cd', ['temp'], {}), …]"}                  calls their methods by name
    {"compare": true}                                                        returns the differences

`model` are the services of the model, `reference` those of the reference calls. Calls are names with
literals: no text of a model is ever evaluated.
"""

from __future__ import annotations

import ast
import copy
import inspect
import json
import resource
import sys
from importlib import import_module
from typing import Any

SOURCES = "bfcl_eval.eval_checker.multi_turn_eval.func_source_code"
MAX_MEMORY = 4 << 30
MAX_SECONDS = 300


class Services:
    """The services of one side of a conversation, by class."""

    def __init__(self, classes: dict[str, str], config: dict[str, Any], *, long_context: bool) -> None:
        self.instances: dict[str, Any] = {}
        self.methods: dict[str, Any] = {}
        for name, module in classes.items():
            service = getattr(import_module(f"{SOURCES}.{module}"), name)()
            if hasattr(service, "_load_scenario"):
                scenario = copy.deepcopy(config.get(name, {}))
                service._load_scenario(scenario, long_context=long_context)  # noqa: SLF001 - how it is set up
            self.instances[name] = service
            for method, bound in inspect.getmembers(service, predicate=inspect.ismethod):
                if not method.startswith("_"):
                    self.methods[method] = bound

    def call(self, name: str, arguments: list[Any], named: dict[str, Any]) -> str:
        """Call a method, and return its result as a text."""
        method = self.methods.get(name)
        if method is None:
            return f"Error during execution: name {name!r} is not defined"
        try:
            result = method(*arguments, **named)
        except Exception as error:  # noqa: BLE001 - a wrong call is answered with its error
            return f"Error during execution: {error}"
        if isinstance(result, str):
            return result
        if isinstance(result, dict):
            try:
                return json.dumps(result)
            except (TypeError, ValueError):
                return str(result)
        return str(result)


def differences(services: Services, reference: Services) -> dict[str, list[str]]:
    """Return the names of attributes that differ from the reference's services, by class."""
    found: dict[str, list[str]] = {}
    for name, expected in reference.instances.items():
        service = services.instances[name]
        differing = [
            attribute
            for attribute, value in vars(expected).items()
            if not attribute.startswith("_") and getattr(service, attribute, None) != value
        ]
        if differing:
            found[name] = differing
    return found


def main(package: str) -> None:
    """Answer commands until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY, MAX_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MAX_SECONDS, MAX_SECONDS))
    if package:
        sys.path.insert(0, package)
    replies, sys.stdout = sys.stdout, sys.stderr  # output of a service is not a reply
    sides: dict[str, Services] = {}
    for line in sys.stdin:
        command = json.loads(line)
        reply: dict[str, Any]
        if "load" in command:
            try:
                sides = {
                    side: Services(command["load"], command["config"], long_context=command["long_context"])
                    for side in ("model", "reference")
                }
                reply = {"loaded": True}
            except Exception as error:  # noqa: BLE001 - said to the user, who may have to install something
                reply = {"error": f"{type(error).__name__}: {error}"}
        elif "call" in command:
            services = sides[command["call"]]
            reply = {"results": [services.call(*call) for call in ast.literal_eval(command["calls"])]}
        else:
            reply = {"differences": differences(sides["model"], sides["reference"])}
        replies.write(json.dumps(reply) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1])

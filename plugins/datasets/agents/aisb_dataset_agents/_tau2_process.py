"""Run a domain of τ²-bench for one conversation, in a separate process.

Its argument is the checkout. It needs only the standard library and what the domain imports. It reads one
JSON line for each command, and answers with one line:

    {"load": DOMAIN, "task": {…}}                        creates the domain in the initial state of a task
    {"call": NAME, "arguments": {…}, "by": "user", …}    calls a function for the assistant or for the user
    {"finish": true}                                     compares the databases, and checks the assertions

The prompts of the agent and of the user are constants of the checkout; they are read, not executed.
"""

from __future__ import annotations

import ast
import json
import resource
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

MOST_MEMORY = 4 << 30
MOST_SECONDS = 600


def constant(file: Path, name: str) -> str:
    """Return a text that a module assigns to a name at its top, which may be stripped there."""
    for node in ast.parse(file.read_text("utf-8")).body:
        if not isinstance(node, ast.Assign) or [getattr(one, "id", "") for one in node.targets] != [name]:
            continue
        value = node.value
        strips = isinstance(value, ast.Call) and getattr(value.func, "attr", "") == "strip"
        if isinstance(value, ast.Call) and isinstance(value.func, ast.Attribute):
            value = value.func.value
        text = str(ast.literal_eval(value))
        return text.strip() if strips else text
    raise ValueError(f"{file} assigns nothing to {name}")


def prompts(checkout: Path, policy: str, scenario: str, *, user_has_tools: bool) -> tuple[str, str]:
    """Return the system prompts of the agent and of the simulated user."""
    source = checkout / "src" / "tau2"
    agent = constant(source / "agent" / "llm_agent.py", "SYSTEM_PROMPT").format(
        agent_instruction=constant(source / "agent" / "llm_agent.py", "AGENT_INSTRUCTION"),
        domain_policy=policy,
    )
    name = "simulation_guidelines_tools.md" if user_has_tools else "simulation_guidelines.md"
    guidelines = (checkout / "data" / "tau2" / "user_simulator" / name).read_text("utf-8")
    user = constant(source / "user" / "user_simulator.py", "SYSTEM_PROMPT").format(
        global_user_sim_guidelines_with_persona=guidelines.replace("<PERSONA_GUIDELINES>", ""),
        instructions=scenario,
    )
    return agent, user


class Domain:
    """A domain in the state of one task, and the same domain for the reference actions."""

    def __init__(self, name: str, task: dict[str, Any]) -> None:
        module = import_module(f"tau2.domains.{name}.environment")
        self.task = import_module("tau2.data_model.tasks").Task.model_validate(task)
        self.tool_call = import_module("tau2.data_model.message").ToolCall
        self.make = module.get_environment
        self.environment = self.started()

    def started(self) -> Any:
        """Return a domain in the initial state of the task."""
        initial = self.task.initial_state
        environment = self.make()
        environment.set_state(
            initialization_data=initial.initialization_data if initial else None,
            initialization_actions=initial.initialization_actions if initial else None,
            message_history=[],
        )
        environment.sync_tools()
        return environment

    def user_tools(self) -> list[dict[str, Any]]:
        """Return the functions of the user; most domains have none."""
        if self.environment.user_tools is None:
            return []
        only = getattr(self.task, "user_tools", None)
        found = self.environment.get_user_tools(include=only) if only else self.environment.get_user_tools()
        return [tool.openai_schema for tool in found]

    def call(self, name: str, arguments: dict[str, Any], by: str) -> dict[str, Any]:
        """Call a function, and return its result as the text that the caller sees."""
        call = self.tool_call(id="call", name=name, arguments=arguments, requestor=by)
        answer = self.environment.get_response(call)
        return {"content": answer.content or "", "error": bool(answer.error)}

    def finish(self) -> dict[str, Any]:
        """Return whether the databases equal those after the reference actions, and each assertion."""
        criteria = self.task.evaluation_criteria
        self.environment.sync_tools()
        reference = self.started()
        failed = []
        for action in criteria.actions or []:
            try:
                reference.make_tool_call(
                    tool_name=action.name, requestor=action.requestor, **action.arguments
                )
            except Exception as error:  # noqa: BLE001 - as there, where it is only a warning
                failed.append(f"{action.name}: {error}")
        found = self.environment
        return {
            "agent_db": found.get_db_hash() == reference.get_db_hash(),
            "user_db": found.get_user_db_hash() == reference.get_user_db_hash(),
            "assertions": [
                bool(found.run_env_assertion(one, raise_assertion_error=False))
                for one in criteria.env_assertions or []
            ],
            "reference_errors": failed,
        }


def loaded(checkout: Path, command: dict[str, Any]) -> tuple[Domain, dict[str, Any]]:
    """Create the domain of a task; return it with its prompts and functions."""
    domain = Domain(command["load"], command["task"])
    user_tools = domain.user_tools()
    policy, scenario = domain.environment.get_policy(), str(domain.task.user_scenario)
    agent, user = prompts(checkout, policy, scenario, user_has_tools=bool(user_tools))
    tools = [tool.openai_schema for tool in domain.environment.get_tools()]
    return domain, {"agent": agent, "user": user, "tools": tools, "user_tools": user_tools}


def main(place: str) -> None:
    """Answer commands until the input ends."""
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    resource.setrlimit(resource.RLIMIT_CPU, (MOST_SECONDS, MOST_SECONDS))
    replies, sys.stdout = sys.stdout, sys.stderr  # output of a domain is not a reply
    checkout = Path(place)
    # Not the package's own __init__: it imports clients of every service.
    package = ModuleType("tau2")
    package.__path__ = [str(checkout / "src" / "tau2")]
    sys.modules["tau2"] = package
    domain: Domain | None = None
    for line in sys.stdin:
        command = json.loads(line)
        try:
            if "load" in command:
                domain, reply = loaded(checkout, command)
            elif domain is not None and "call" in command:
                reply = domain.call(command["call"], command["arguments"], command["by"])
            elif domain is not None:
                reply = domain.finish()
        except Exception as error:  # noqa: BLE001 - said to the user, who may have to install something
            reply = {"raised": f"{type(error).__name__}: {error}"}
        replies.write(json.dumps(reply, default=str) + "\n")
        replies.flush()


if __name__ == "__main__":
    main(sys.argv[1])

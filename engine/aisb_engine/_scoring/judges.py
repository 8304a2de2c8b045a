"""Which tasks ask a judge model, and whether the run has one that can be created."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aisb._errors import ConfigError
from aisb._evaluator import Ask
from aisb._options import injected_types
from aisb_engine._http.client import connect
from aisb_engine._resolve.params import check_values, misspellings, refuse_not_sent
from aisb_engine._spec import Judge, RunSpec, Task

if TYPE_CHECKING:
    from aisb._backend import Backend
    from aisb._plugins import Plugins


def is_judged(task: Task, plugins: Plugins) -> bool:
    """Return whether an evaluator of a task asks the judge."""
    return any(
        Ask in injected_types(plugins.find("evaluator", use.use).factory).values() for use in task.evaluate
    )


def check_judge(spec: RunSpec, plugins: Plugins, *, answers: bool = True) -> list[str]:
    """Check before the run starts that tasks which ask the judge have one that can be created.

    Return notes on names of its parameters that look misspelt. With `answers`, evaluators count as well as
    environments.

    Raises:
        ConfigError: no judge is set, or one of its parameters is invalid.
        UsageError: its backend cannot be created.
    """
    judged = [task.name for task in spec.tasks.values() if answers and is_judged(task, plugins)]
    asking = [task.name for task in spec.tasks.values() if asks_in_turns(task, plugins)]
    if not judged and not asking:
        return []
    if spec.judge is None:
        raise missing_judge_error(judged[0]) if judged else missing_other_error(asking[0])
    backend = judge_backend(spec.judge, plugins)
    params = {**spec.judge.params, **spec.judge.forced}
    return [f"judge {spec.judge.model.abbr}: {line}" for line in misspellings(backend, params)]


def asks_in_turns(task: Task, plugins: Plugins) -> bool:
    """Return whether the environment of a task asks the judge model while the model under test acts."""
    if task.environment is None:
        return False
    factory = plugins.find("environment", task.environment.use).factory
    return Ask in injected_types(factory).values()


def judge_backend(judge: Judge, plugins: Plugins) -> Backend:
    """Create the backend of a judge.

    Raises:
        UsageError: it cannot be created, or does not support a parameter.
    """
    model = judge.model
    backend: Backend = connect(plugins.make("backend", model.backend, model.options, where="judge.options"))
    params = {**judge.params, **judge.forced}
    check_values(params, "judge.")
    places = dict.fromkeys(params, "[judge], or the model that it is based on")
    refuse_not_sent(backend, model.backend, places, "judge.")
    backend.check_params(params)
    return backend


def missing_judge_error(task: str) -> ConfigError:
    """Return the error for a task that needs a judge."""
    return ConfigError(
        "judge",
        f"{task} is graded by a judge model, and none is set\n"
        "  name one with --judge NAME (any model, with --judge-url where it is served), "
        "or write a table [judge] in aisb.toml",
    )


def missing_other_error(task: str) -> ConfigError:
    """Return the error for a task whose environment asks another model."""
    return ConfigError(
        "judge",
        f"the environment of {task} asks another model, such as one that plays the user, and none is set\n"
        "  name one with --judge NAME (any model, with --judge-url where it is served), "
        "or write a table [judge] in aisb.toml",
    )

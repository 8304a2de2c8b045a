"""Set the lengths of prompts and replies for datasets that generate rows: `--input-len`, `--output-len`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from aisb._errors import UsageError, listed
from aisb._options import option_with
from aisb._roles import InputLength, OutputLength
from aisb_engine._spec import DatasetTable

if TYPE_CHECKING:
    from aisb._plugins import Plugins
    from aisb_engine._spec import RunSpec, Task

_ROLES = {"input": InputLength, "output": OutputLength}
_ELSEWHERE = {
    "input": "the lengths of their prompts are fixed",
    "output": "--max-out-len N limits the replies of any task; with --set params.ignore_eos=true a service "
    "that supports it generates exactly this number of tokens",
}


def with_lengths(spec: RunSpec, lengths: Mapping[str, int], plugins: Plugins) -> RunSpec:
    """Return a run whose datasets generate prompts of these lengths, or request replies of these lengths.

    Raises:
        UsageError: a dataset reads its rows, so their lengths are fixed.
    """
    tasks = dict(spec.tasks)
    for side, tokens in lengths.items():
        for name, task in tasks.items():
            tasks[name] = _with_length(task, side, tokens, plugins)
    return spec.model_copy(update={"tasks": tasks})


def _with_length(task: Task, side: str, tokens: int, plugins: Plugins) -> Task:
    use = task.dataset.use
    option = option_with(plugins.find("dataset", use).factory, _ROLES[side])
    if option is None:
        generators = [
            each
            for each in plugins.names("dataset")
            if option_with(plugins.find("dataset", each).factory, _ROLES[side])
        ]
        raise UsageError(
            f"--{side}-len is for datasets that generate rows, which {use!r}, the dataset of {task.name}, "
            f"does not: {_ELSEWHERE[side]}\n"
            f"  datasets that generate them: {listed(generators) or 'none is installed'}"
        )
    table = {**task.dataset.model_dump(exclude_unset=True), option.name: tokens}
    return task.model_copy(update={"dataset": DatasetTable.model_validate(table)})

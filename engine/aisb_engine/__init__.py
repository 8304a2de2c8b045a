"""The engine of aisb: resolve what was asked for, send it, keep the record, score it and measure it.

Commands and programs use the names of `__all__`; each is imported by its first use.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aisb._options import options as factory_options
    from aisb._plugins import Plugins
    from aisb_engine._data.samples import SampleMaker
    from aisb_engine._faults import ComponentError, PluginFaults, StepError, call_step
    from aisb_engine._faults import make as make_component
    from aisb_engine._faults import owner as component_owner
    from aisb_engine._readback import (
        Answers,
        Graded,
        OpenedRun,
        open_run,
        read_answers,
        read_grades,
        recorded_judge,
    )
    from aisb_engine._record.manifest import differences as identity_differences
    from aisb_engine._record.manifest import task_version
    from aisb_engine._record.runfolder import RunFolder
    from aisb_engine._record.runfolder import read_json as read_run_json
    from aisb_engine._reporting.finished import open_finished_run
    from aisb_engine._reporting.measuring import MeasuringOptions
    from aisb_engine._scoring.judging import Judging, is_judged
    from aisb_engine._scoring.judging import no_judge as missing_judge
    from aisb_engine._scoring.metrics import Ledger
    from aisb_engine._scoring.scoring import RIGHT, Steps, evaluator_uses
    from aisb_engine._scoring.scoring import evaluators as make_evaluators
    from aisb_engine._scoring.scoring import score as score_predictions
    from aisb_engine._spec import SampleTable, Subtask, Task, Use

__version__ = "0.2.0"

_PLACES = {
    "Answers": "aisb_engine._readback:Answers",
    "ComponentError": "aisb_engine._faults:ComponentError",
    "Graded": "aisb_engine._readback:Graded",
    "Judging": "aisb_engine._scoring.judging:Judging",
    "Ledger": "aisb_engine._scoring.metrics:Ledger",
    "MeasuringOptions": "aisb_engine._reporting.measuring:MeasuringOptions",
    "OpenedRun": "aisb_engine._readback:OpenedRun",
    "PluginFaults": "aisb_engine._faults:PluginFaults",
    "Plugins": "aisb._plugins:Plugins",
    "RIGHT": "aisb_engine._scoring.scoring:RIGHT",
    "RunFolder": "aisb_engine._record.runfolder:RunFolder",
    "SampleMaker": "aisb_engine._data.samples:SampleMaker",
    "SampleTable": "aisb_engine._spec:SampleTable",
    "StepError": "aisb_engine._faults:StepError",
    "Steps": "aisb_engine._scoring.scoring:Steps",
    "Subtask": "aisb_engine._spec:Subtask",
    "Task": "aisb_engine._spec:Task",
    "Use": "aisb_engine._spec:Use",
    "call_step": "aisb_engine._faults:call_step",
    "component_owner": "aisb_engine._faults:owner",
    "evaluator_uses": "aisb_engine._scoring.scoring:evaluator_uses",
    "factory_options": "aisb._options:options",
    "identity_differences": "aisb_engine._record.manifest:differences",
    "is_judged": "aisb_engine._scoring.judging:is_judged",
    "make_component": "aisb_engine._faults:make",
    "make_evaluators": "aisb_engine._scoring.scoring:evaluators",
    "missing_judge": "aisb_engine._scoring.judging:no_judge",
    "open_finished_run": "aisb_engine._reporting.finished:open_finished_run",
    "open_run": "aisb_engine._readback:open_run",
    "read_answers": "aisb_engine._readback:read_answers",
    "read_grades": "aisb_engine._readback:read_grades",
    "read_run_json": "aisb_engine._record.runfolder:read_json",
    "recorded_judge": "aisb_engine._readback:recorded_judge",
    "score_predictions": "aisb_engine._scoring.scoring:score",
    "task_version": "aisb_engine._record.manifest:task_version",
}
"""Where each public name is."""

__all__ = [
    "RIGHT",
    "Answers",
    "ComponentError",
    "Graded",
    "Judging",
    "Ledger",
    "MeasuringOptions",
    "OpenedRun",
    "PluginFaults",
    "Plugins",
    "RunFolder",
    "SampleMaker",
    "SampleTable",
    "StepError",
    "Steps",
    "Subtask",
    "Task",
    "Use",
    "call_step",
    "component_owner",
    "evaluator_uses",
    "factory_options",
    "identity_differences",
    "is_judged",
    "make_component",
    "make_evaluators",
    "missing_judge",
    "open_finished_run",
    "open_run",
    "read_answers",
    "read_grades",
    "read_run_json",
    "recorded_judge",
    "score_predictions",
    "task_version",
]


def __getattr__(name: str) -> Any:
    """Import a public name."""
    from importlib import import_module

    place = _PLACES.get(name)
    if place is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, attribute = place.partition(":")
    value = globals()[name] = getattr(import_module(module), attribute)
    return value


def __dir__() -> list[str]:
    """Return the public names."""
    return sorted({*globals(), *__all__})

"""Everything that configuration files hold, as frozen pydantic models that refuse unknown keys.

Tables from all sources are merged first (`aisb_engine._resolve.config`), then validated here once, before
anything is sent.
"""

from aisb_engine._spec.load import Load, Timeouts, row_slice
from aisb_engine._spec.model import MarksTable, Model, ThoughtMarks
from aisb_engine._spec.run import LOCAL, Judge, RunSpec, RunTable, Subtask
from aisb_engine._spec.table import Use
from aisb_engine._spec.task import (
    DatasetTable,
    GradingUse,
    Layout,
    LogprobTable,
    MediaTable,
    PromptTable,
    PullTable,
    SampleTable,
    ShotsFrom,
    Task,
)  # fmt: skip

__all__ = [
    "LOCAL", "DatasetTable", "GradingUse", "Judge", "Layout", "Load", "LogprobTable", "MarksTable",
    "MediaTable", "Model", "PromptTable", "PullTable", "RunSpec", "RunTable", "SampleTable",
    "ShotsFrom", "Subtask", "Task", "ThoughtMarks", "Timeouts", "Use", "row_slice",
]  # fmt: skip

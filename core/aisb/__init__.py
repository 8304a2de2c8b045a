"""aisb: evaluate the accuracy and the speed of language models, served or local.

Plugins use this module and `aisb.helpers`. Importing it loads neither pydantic, httpx nor numpy.
"""

from typing import TYPE_CHECKING, Any

# fmt: off
# isort: off
if TYPE_CHECKING:
    from aisb._backend import Backend, Client, Fetched, HttpBackend, HttpCall
    from aisb._data import DataFile, DataFiles, PromptPool, Tokenizer
    from aisb._errors import (
        AisbError, AttemptFailed, CheckFailed, ConfigError, DataError, DataMissing, PluginError,
        RunError, ServiceError, UnknownName, UsageError,
    )
    from aisb._environment import Environment, Episode
    from aisb._evaluator import Ask, Evaluator, Postprocessor
    from aisb._hookspecs import hookimpl
    from aisb._mixins import EndpointPath, LoraAdapters, ServedModel
    from aisb._performance import (
        AchievedLoad, Certificate, Counters, DialectResult, Distribution, Gauge, Goodput,
        PerformanceResult, RequestedLoad, Signal, Stage, StageTotals, Window,
    )
    from aisb._report import FinishedRun, Reporter, Result, Rows
    from aisb._roles import (
        BatchSize, CacheNonce, Dialects, InputLength, Objectives, OutputLength, Percentiles,
        ReplyTokenizer, Role, RowCount,
    )
    from aisb._running import (
        Channel, Command, CommandContext, ImportedAnswer, ImportedRow, ImportedTask, Importer, Job,
        Launcher, run,
    )
    from aisb._types import (
        OUTCOMES, TOKEN_KINDS, Chunk, ChunkKind, Extract, Failure, FailureKind, Logprob, Message,
        Metric, Outcome, Part, Prediction, Request, Row, Sample, Score, ServiceInfo, Timing,
        TokenScores, Usage,
    )
# isort: on
# fmt: on

__version__ = "0.2.0"

__all__ = [
    "OUTCOMES", "TOKEN_KINDS", "AchievedLoad", "AisbError", "Ask", "AttemptFailed", "Backend", "BatchSize",
    "CacheNonce", "Certificate", "Channel", "CheckFailed", "Chunk", "ChunkKind", "Client", "Command",
    "CommandContext", "ConfigError", "Counters", "DataError", "DataFile", "DataFiles", "DataMissing",
    "DialectResult", "Dialects", "Distribution", "EndpointPath", "Environment", "Episode", "Evaluator",
    "Extract", "Failure", "FailureKind", "Fetched", "FinishedRun", "Gauge", "Goodput", "HttpBackend",
    "HttpCall", "ImportedAnswer", "ImportedRow", "ImportedTask", "Importer", "InputLength", "Job", "Launcher",
    "Logprob", "LoraAdapters", "Message", "Metric", "Objectives", "Outcome", "OutputLength", "Part",
    "Percentiles",
    "PerformanceResult", "PluginError", "Postprocessor", "Prediction", "PromptPool", "ReplyTokenizer",
    "Reporter", "Request", "RequestedLoad", "Result", "Role", "Row", "RowCount", "Rows", "RunError",
    "Sample", "Score", "ServedModel", "ServiceError", "ServiceInfo", "Signal", "Stage", "StageTotals",
    "Timing", "TokenScores", "Tokenizer", "UnknownName", "Usage", "UsageError", "Window", "hookimpl", "run",
]  # fmt: skip

_MODULES = (
    "errors", "types", "hookspecs", "evaluator", "environment", "data", "mixins", "roles", "running",
    "report", "performance", "backend",
)  # fmt: skip
"""The modules that define the public names, in the order of search: those with few imports come first."""


def __getattr__(name: str) -> Any:
    """Import a public name at its first use, since a plugin's declaration needs only `hookimpl`."""
    from importlib import import_module

    for module in _MODULES if name in __all__ else ():
        members = vars(import_module(f"aisb._{module}"))
        if name in members:
            globals()[name] = members[name]
            return members[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

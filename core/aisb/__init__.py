"""aisb: evaluate language models, served or local: how right they are, and how fast.

What a plugin needs is here; importing it loads neither pydantic, httpx nor numpy.
"""

from aisb._backend import Backend, Fetched, HttpBackend, HttpCall
from aisb._errors import (
    AisbError,
    AttemptFailed,
    ConfigError,
    DataError,
    PluginError,
    RunError,
    ServiceError,
    UnknownName,
    UsageError,
)
from aisb._evaluator import Ask, Evaluator, Postprocessor
from aisb._hookspecs import hookimpl
from aisb._types import (
    Chunk,
    Extract,
    Failure,
    Logprob,
    Message,
    Metric,
    Part,
    Prediction,
    Request,
    Row,
    Sample,
    Score,
    ServiceInfo,
    Timing,
    TokenScores,
    Usage,
)

__version__ = "0.2.0"

__all__ = [
    "AisbError",
    "Ask",
    "AttemptFailed",
    "Backend",
    "Chunk",
    "ConfigError",
    "DataError",
    "Evaluator",
    "Extract",
    "Failure",
    "Fetched",
    "HttpBackend",
    "HttpCall",
    "Logprob",
    "Message",
    "Metric",
    "Part",
    "PluginError",
    "Postprocessor",
    "Prediction",
    "Request",
    "Row",
    "RunError",
    "Sample",
    "Score",
    "ServiceError",
    "ServiceInfo",
    "Timing",
    "TokenScores",
    "UnknownName",
    "Usage",
    "UsageError",
    "hookimpl",
]

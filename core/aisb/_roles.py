"""Marks for the options that the engine may set: `rows: Annotated[int, "how many", RowCount] = 100`."""

from __future__ import annotations


class Role:
    """What an option is for, beyond its value. The engine knows an option by its role, never by its name."""


class RowCount(Role):
    """How many rows a dataset makes. `--num-prompts` raises it where more are wanted (type: int)."""


class InputLength(Role):
    """How many tokens a prompt has that a dataset makes. `--input-len` sets it (type: int, perhaps more)."""


class OutputLength(Role):
    """How many tokens the reply to a made prompt is to have. `--output-len` sets it (type: as above)."""


class CacheNonce(Role):
    """A text that makes other prompts of the same lengths. A performance run sets its own (type: str)."""


class BatchSize(Role):
    """How many samples a local model takes at once; a model file's `batch_size` is this option."""


class Percentiles(Role):
    """The percentiles that a reporter shows; the engine measures a performance run by them."""


class Dialects(Role):
    """Names of other tools by whose rules a reporter shows a run; the engine checks them before it starts."""


class Objectives(Role):
    """The latency limits of goodput that a reporter shows, in milliseconds by name, as in {"ttft": 300}."""


class ReplyTokenizer(Role):
    """The tokenizer that counts a reply's tokens where the service does not say them."""

"""Marks for options that the engine may set: `rows: Annotated[int, "number of rows", RowCount] = 100`."""

from __future__ import annotations


class Role:
    """The purpose of an option. The engine recognizes an option by its role, never by its name."""


class RowCount(Role):
    """The number of rows that a dataset generates. `--num-prompts` raises it if needed (type: int)."""


class InputLength(Role):
    """The number of tokens in each generated prompt. `--input-len` sets it (type: int, or a union)."""


class OutputLength(Role):
    """The number of tokens to request for each generated prompt. `--output-len` sets it (as above)."""


class CacheNonce(Role):
    """A text that seeds the prompts; their lengths do not depend on it. Performance runs set it (str)."""


class BatchSize(Role):
    """The number of samples that a local model processes at once. `batch_size` in a model file sets it."""


class Percentiles(Role):
    """The percentiles that a reporter shows. The engine computes them for a performance run."""


class Dialects(Role):
    """Names of other tools whose rules a reporter applies. The engine checks them before the run starts."""


class Objectives(Role):
    """The latency limits of goodput that a reporter shows, in milliseconds by name, as in {"ttft": 300}."""


class ReplyTokenizer(Role):
    """The tokenizer that counts the tokens of a reply if the service does not report them."""

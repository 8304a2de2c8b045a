"""Refuse rows with characters that cannot be sent or stored."""

from __future__ import annotations

from aisb._errors import DataError
from aisb._types import Row


def refuse_surrogates(row: Row, here: str) -> None:
    """Refuse a row with a lone surrogate, which UTF-8 cannot encode; `here` is its position.

    What a dataset generates on demand is left out: nothing of it was read, and a trace has gigabytes of it.

    Raises:
        DataError: the message names the position.
    """
    import orjson  # slow to import, and every command imports the readers

    try:
        orjson.dumps(row, default=_unread, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        if "surrogates" in str(error):
            raise DataError(
                f"{here}: half of a surrogate pair, such as \\ud83d alone, which is not a character; "
                "write the whole pair, or remove it"
            ) from None


def _unread(_: object) -> None:
    """Stand for a value that JSON does not have."""

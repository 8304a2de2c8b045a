"""Refuse rows with characters that no request and no file can hold."""

from __future__ import annotations

from aisb._errors import DataError
from aisb._types import Row


def refuse_surrogates(row: Row, here: str) -> None:
    """Refuse a row with half of a surrogate pair, for which UTF-8 has no form; `here` is its place.

    Raises:
        DataError: names the place.
    """
    import orjson  # heavy: every command imports the readers

    try:
        orjson.dumps(row, default=str, option=orjson.OPT_NON_STR_KEYS)
    except TypeError as error:
        if "surrogates" in str(error):
            raise DataError(
                f"{here}: half of a surrogate pair, such as \\ud83d alone, which is no character; "
                "write the whole pair, or remove it"
            ) from None

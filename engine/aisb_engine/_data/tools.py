"""Read the tools of a row in the form of chat APIs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from aisb._errors import DataError
from aisb._templates import Template, as_text


def row_tools(template: Template, fields: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Return the tools of a row in OpenAI's form, to which plain functions are converted; None gives none.

    Raises:
        DataError: the field has another form.
    """
    found = template.value(fields)
    if isinstance(found, str) and found.strip():
        try:
            found = json.loads(found)
        except (ValueError, RecursionError) as error:
            raise _wrong(template, found) from error
    if not found:
        return []
    listed = [found] if isinstance(found, Mapping) else found
    if not isinstance(listed, list | tuple) or not all(map(_is_tool, listed)):
        raise _wrong(template, found)
    return [one if "function" in one else {"type": "function", "function": one} for one in listed]


def _is_tool(one: Any) -> bool:
    function = one.get("function", one) if isinstance(one, Mapping) else None
    return isinstance(function, Mapping) and isinstance(function.get("name"), str)


def _wrong(template: Template, found: Any) -> DataError:
    return DataError(
        f"{template.where}: {template.text} is {as_text(found)[:60]!r}, not a list of tools; "
        'one is {"type": "function", "function": {"name": …, "description": …, "parameters": {…}}}'
    )

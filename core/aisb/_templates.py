r"""Fill the fields of a row into a text: `{name}` and `{a.b.0}`; every other brace stands as it is.

{question}       the field `question`
{a.b.0}          `b` in the field `a`, and its first element
{{name}}         the text `{name}` itself
{{{name}}}       the field's value in braces: `\boxed{{{answer}}}` gives `\boxed{18}`
\boxed{}, {"a"}  not a name between the braces: nothing happens
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from aisb._errors import ConfigError, DataError, did_you_mean

_PATH = r"[^\W\d]\w*(?:\.(?:\w+|\*))*"
_FIELD = re.compile(rf"\{{\{{\{{({_PATH})\}}\}}\}}|\{{\{{({_PATH})\}}\}}|\{{({_PATH})\}}")
_MISSING: Any = object()


class Template:
    """A text with fields, made ready once. `where` is its path in the task, for errors."""

    __slots__ = ("_pieces", "names", "single", "text", "where")

    def __init__(self, text: str, where: str = "") -> None:
        self.text = text
        self.where = where
        self._pieces = _pieces(text)
        fields = [piece for piece in self._pieces if isinstance(piece, tuple)]
        self.names: tuple[str, ...] = tuple(dict.fromkeys(path[0] for path in fields))
        """The fields that the template names."""
        self.single = len(self._pieces) == 1 and bool(fields)
        """Whether the template is one field and nothing else, so that `value` has its value as it is."""

    def render(self, fields: Mapping[str, Any]) -> str:
        """Return the text with the fields filled in.

        Raises:
            ConfigError: a field is not there; the message lists those that are.
        """
        out = []
        for piece in self._pieces:
            if isinstance(piece, str):
                out.append(piece)
            else:
                value = self._look_up(piece, fields)
                out.append(value if isinstance(value, str) else as_text(value))
        return "".join(out)

    def value(self, fields: Mapping[str, Any]) -> Any:
        """Return the value itself where the template is one field alone, else the text.

        A `*` in a path stands for each element: `{options.*.text}` is the list of all texts.
        """
        piece = self._pieces[0] if self.single else None
        return self._look_up(piece, fields) if isinstance(piece, tuple) else self.render(fields)

    def _look_up(self, path: tuple[str, ...], fields: Mapping[str, Any]) -> Any:
        value = fields.get(path[0], _MISSING)
        if value is _MISSING:
            raise self._no_field(path, path[0], "row", fields)
        return self._walk(path, 1, value) if len(path) > 1 else value

    def _walk(self, path: tuple[str, ...], start: int, value: Any) -> Any:
        for depth in range(start, len(path)):
            part = path[depth]
            above = ".".join(path[:depth])
            if isinstance(value, Mapping) and part in value:
                value = value[part]
            elif isinstance(value, Mapping):
                raise self._no_field(path, part, above, value)
            elif not isinstance(value, Sequence) or isinstance(value, str):
                raise ConfigError(
                    self.where, f"{{{'.'.join(path)}}}: {above} is {as_text(value)[:60]!r}, with no parts"
                )
            elif part == "*":
                return [self._walk(path, depth + 1, element) for element in value]
            elif part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                raise ConfigError(
                    self.where, f"{{{'.'.join(path)}}}: {above} is a list of {len(value)}, counted from 0"
                )
        return value

    def _no_field(self, path: Sequence[str], part: str, above: str, there: Mapping[str, Any]) -> ConfigError:
        name = ".".join(path)
        known = sorted(str(key) for key in there)
        return ConfigError(
            self.where,
            f"{{{name}}}: no field {part!r} in {above}{did_you_mean(part, known)}\n"
            f"  the fields are: {', '.join(known)}\n"
            f"  for the text {{{name}}} itself write {{{{{name}}}}}",
        )


def as_text(value: Any) -> str:
    """Return a field's value as a prompt has it: a text as it is, null as nothing, lists and tables as JSON.

    Anything else is its `str()`, so that a row can hold a text that is made when it is needed.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=as_text)
    if isinstance(value, bytes):
        raise DataError("a field holds bytes, which are no text; prompt.media attaches images and sounds")
    return str(value)


def optional(text: str | None, where: str) -> Template | None:
    """Make a template ready where there is one."""
    return None if text is None else Template(text, where)


def _pieces(text: str) -> list[str | tuple[str, ...]]:
    """Split a template into its texts and the paths of its fields."""
    pieces: list[str | tuple[str, ...]] = []
    literal: list[str] = []
    end = 0

    def flush() -> None:
        if joined := "".join(literal):
            pieces.append(joined)
        literal.clear()

    for found in _FIELD.finditer(text):
        literal.append(text[end : found.start()])
        braced, kept, plain = found.groups()
        if kept:
            literal.append(f"{{{kept}}}")
        else:
            literal.append("{" if braced else "")
            flush()
            pieces.append(tuple((braced or plain).split(".")))
            literal.append("}" if braced else "")
        end = found.end()
    literal.append(text[end:])
    flush()
    return pieces

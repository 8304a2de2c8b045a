r"""Templates: texts with placeholders for the fields of a row. All other braces stay unchanged.

{question}       the field `question`
{a.b.0}          the first element of `b` in the field `a`
{{name}}         the text `{name}` itself
{{{name}}}       the field's value in braces: `\boxed{{{answer}}}` gives `\boxed{18}`
\boxed{}, {"a"}  unchanged, since there is no name between the braces
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
    """A parsed template. `where` is its path in the configuration, for errors."""

    __slots__ = ("_pieces", "names", "single", "text", "where")

    def __init__(self, text: str, where: str = "") -> None:
        self.text = text
        self.where = where
        self._pieces = _pieces(text)
        fields = [piece for piece in self._pieces if isinstance(piece, tuple)]
        self.names: tuple[str, ...] = tuple(dict.fromkeys(path[0] for path in fields))
        """The names of the fields that the template uses."""
        self.single = len(self._pieces) == 1 and bool(fields)
        """Whether the template is a single placeholder, so that `value` returns the value of its field."""

    def render(self, fields: Mapping[str, Any]) -> str:
        """Return the text with the fields filled in.

        Raises:
            ConfigError: a field does not exist; the message lists those that do.
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
        """Return the field's value if the template is a single placeholder, else the rendered text.

        `*` in a path selects every element: `{options.*.text}` is the list of all texts.
        """
        piece = self._pieces[0] if self.single else None
        return self._look_up(piece, fields) if isinstance(piece, tuple) else self.render(fields)

    def _look_up(self, path: tuple[str, ...], fields: Mapping[str, Any]) -> Any:
        value = fields.get(path[0], _MISSING)
        if value is _MISSING:
            raise self._no_field(path, path[0], "row", fields)
        return self._walk(path, 1, value) if len(path) > 1 else value

    def _walk(self, path: tuple[str, ...], start: int, value: Any) -> Any:
        name = f"{{{'.'.join(path)}}}"
        for depth in range(start, len(path)):
            part = path[depth]
            above = ".".join(path[:depth])
            if isinstance(value, Mapping) and part in value:
                value = value[part]
            elif isinstance(value, Mapping):
                raise self._no_field(path, part, above, value)
            elif not isinstance(value, Sequence) or isinstance(value, str):
                raise ConfigError(self.where, f"{name}: {above} is {as_text(value)[:60]!r}, with no parts")
            elif part == "*":
                return [self._walk(path, depth + 1, element) for element in value]
            elif part.isdecimal() and int(part) < len(value):
                value = value[int(part)]
            else:
                raise ConfigError(self.where, f"{name}: {above} is a list of {len(value)}, counted from 0")
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
    """Return the text of a field's value: "" for None, JSON for booleans, lists and mappings, else `str()`.

    A row can therefore hold an object whose `__str__` generates a long text when it is used.
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool | Mapping | list | tuple):
        return json.dumps(value, ensure_ascii=False, default=as_text)
    if isinstance(value, bytes):
        raise DataError("a field holds bytes, not text; prompt.media attaches images and audio")
    return str(value)


def optional(text: str | None, where: str) -> Template | None:
    """Parse a template; None stays None."""
    return None if text is None else Template(text, where)


def _pieces(text: str) -> list[str | tuple[str, ...]]:
    """Split a template into literal texts and paths of fields."""
    pieces: list[str | tuple[str, ...]] = []
    literal: list[str] = []
    end = 0

    def flush() -> None:
        if joined := "".join(literal):
            pieces.append(joined)
        literal.clear()

    for match in _FIELD.finditer(text):
        literal.append(text[end : match.start()])
        braced, escaped, plain = match.groups()
        if escaped:
            literal.append(f"{{{escaped}}}")
        else:
            literal.append("{" if braced else "")
            flush()
            pieces.append(tuple((braced or plain).split(".")))
            literal.append("}" if braced else "")
        end = match.end()
    literal.append(text[end:])
    flush()
    return pieces

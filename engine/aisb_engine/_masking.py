"""Mask secrets in all output, and remove control characters from it.

The secrets of a backend are remembered from its creation until the process ends, since an error may be
printed after the backend is gone. Answers are data, and never changed.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from aisb._errors import AisbError

if TYPE_CHECKING:
    from aisb._backend import Backend
    from aisb._types import Failure

MASK = "***"
LEAST = 8
"""The minimum length of a secret: masking shorter ones would hide ordinary words."""

_SECRET = re.compile(r"(key|token|secret|auth|password|passwd|cookie|credential|signature)", re.IGNORECASE)
_NO_SECRET = re.compile(
    r"(_env|-env|_file|-file|tokens|tokenizer|tokens_name|author|allow[-_]code[-_]execution)$", re.IGNORECASE
)
_PLAIN_QUERY = re.compile(r"(^|[-_])version$|^v$", re.IGNORECASE)
_ORDINARY_HEADERS = {
    "accept",
    "accept-encoding",
    "accept-language",
    "connection",
    "content-type",
    "user-agent",
}
# Also matches a password with a "/", which looks like a path after a port.
_USER = re.compile(
    r"([a-z][a-z0-9+.-]*://)(?:[^/?#\s:@\[]*:(?!\d+(?:[/?#\s]|$))\S*|[^/?#\s]*)@", re.IGNORECASE
)
_QUERY = re.compile(r"([?&;])([^=&;#?\s]+)=([^&#\s]*)")
# A word after "Bearer" is a token, unless it is one that services use in error messages.
_BEARER = re.compile(
    r"\b(Bearer(?:\s+|%20|\+))"
    r"(?!(?:authenti|authori[sz]|credential|required|missing|expected|provided|invalid|scheme)[\w-]*\b)"
    r"(?![\w-]+=\\?\")[\w.~+/=-]{8,}",
    re.IGNORECASE,
)
_CONTROL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff"
    "\U000e0000-\U000e007f]"
)
_REPLACEMENT = "\ufffd"

_known: dict[str, None] = {}


def remember(backend: Backend) -> None:
    """Remember the secrets of a backend, so that `mask_secrets` knows them."""
    import json
    from urllib.parse import quote

    for secret in _secrets(backend):
        if len(secret) >= LEAST:
            for form in (
                secret,
                quote(secret, safe=""),
                json.dumps(secret)[1:-1],
                secret.replace("/", r"\/"),
            ):
                _known[form] = None


def mask_secrets(text: str) -> str:
    """Return a text without known secrets, words after `Bearer`, and passwords in URLs."""
    for secret in sorted(_known, key=len, reverse=True):
        # The text may have been cut off in the middle of a secret.
        stub = secret[: max(LEAST, len(secret) // 2)]
        at = text.find(stub)
        while at >= 0:
            end = at + len(stub)
            while end < len(text) and end - at < len(secret) and text[end] == secret[end - at]:
                end += 1
            text = f"{text[:at]}{MASK}{text[end:]}"
            at = text.find(stub, at + len(MASK))
    text = _BEARER.sub(rf"\g<1>{MASK}", text)
    text = _QUERY.sub(lambda found: _masked_query(found, is_secret(found[2])), text)
    return _USER.sub(rf"\1{MASK}@", text)


def mask_failure(failure: Failure) -> Failure:
    """Return a failure whose message is safe to write and print: one line without secrets."""
    message = printable(" ".join(mask_secrets(failure.message).split()))
    return failure if message == failure.message else replace(failure, message=message)


def printable(text: str) -> str:
    """Replace characters that control a terminal: C0 and C1 controls, and those that reorder or hide text.

    Newlines and tabs are kept.
    """
    return _CONTROL.sub(_REPLACEMENT, text)


def mask_url(url: str) -> str:
    """Return a URL without user, password and values of its query."""
    return _QUERY.sub(
        lambda found: _masked_query(found, not _PLAIN_QUERY.search(found[2])), _USER.sub(rf"\1{MASK}@", url)
    )


def mask_headers(headers: Mapping[str, str], plain: Iterable[str] = ()) -> dict[str, str]:
    """Return headers with all values masked, except those of the names in `plain`."""
    shown = {name.lower() for name in plain}
    return {name: value if name.lower() in shown else MASK for name, value in headers.items()}


def is_secret(name: str) -> bool:
    """Return whether a key with this name has a secret value."""
    return bool(_SECRET.search(name)) and not _NO_SECRET.search(name)


def mask_command(command: Sequence[str]) -> list[str]:
    """Return a command line with keys, headers, passwords and values of queries masked."""
    return [_mask_word(word) for word in command]


def _mask_word(word: str) -> str:
    flag, equals, rest = word.partition("=") if word.startswith("-") else ("", "", word)
    if flag and not equals:
        return word
    path, assigns, value = rest.partition("=")
    if flag and is_secret(flag):
        return f"{flag}={MASK}"
    if not assigns or "://" in path:
        return f"{flag}{equals}{mask_url(rest)}"
    return f"{flag}{equals}{path}={_mask_value(path, value)}"


def _mask_value(path: str, value: str) -> str:
    """Return the value that a command sets, with secrets masked."""
    import tomllib

    tables, _, last = path.rpartition(".")
    if tables.endswith("headers") or (is_secret(last) and not tables.endswith("headers_env")):
        return MASK
    if not value.lstrip().startswith(("{", "[")):
        return mask_url(value)
    try:
        parsed = tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:  # the command will refuse it, but the manifest keeps it
        return MASK if last == "headers" else mask_url(value)
    for secret in sorted(set(_secret_leaves(last, parsed)), key=len, reverse=True):
        value = value.replace(secret, MASK)
    return mask_url(value)


def _secret_leaves(name: str, value: Any, *, inside: bool = False) -> Iterator[str]:
    """Yield the texts in a value that have a secret name, or are anywhere in headers."""
    hidden = inside or name == "headers" or is_secret(name)
    if isinstance(value, Mapping):
        for key, below in value.items():
            if name != "headers_env":
                yield from _secret_leaves(key, below, inside=hidden)
    elif isinstance(value, list):
        for below in value:
            yield from _secret_leaves(name, below, inside=hidden)
    elif isinstance(value, str) and value and hidden:
        yield value


def _masked_query(found: re.Match[str], hides: bool) -> str:
    return f"{found[1]}{found[2]}={MASK}" if hides and found[3] else found[0]


def _secrets(backend: Backend) -> Iterator[str]:
    """Yield the secrets of a backend: its key, its headers, and those in its URL."""
    import base64
    from urllib.parse import parse_qsl, unquote, urlsplit

    from aisb._backend import HttpBackend

    if not isinstance(backend, HttpBackend):
        return
    plain = {name.lower() for name in backend.plain_headers} | _ORDINARY_HEADERS
    headers = {name: value for name, value in backend.headers.items() if name.lower() not in plain}
    with suppress(AisbError):  # a missing key is reported when it is needed
        headers |= backend.auth_headers()
    with suppress(AisbError):
        headers |= headers_from_environment(backend)
    with suppress(AisbError):
        yield backend.api_key() or ""
    for value in headers.values():
        yield value
        yield value.rpartition(" ")[2]  # the token after its scheme
    parts = urlsplit(backend.url)
    for word in filter(None, (parts.password or parts.username,)):
        yield from (word, unquote(word))
    if parts.username is not None:
        user = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        yield base64.b64encode(user.encode()).decode()
    yield from (value for name, value in parse_qsl(parts.query) if not _PLAIN_QUERY.search(name))


def headers_from_environment(backend: Any) -> dict[str, str]:
    """Return the headers whose values are in environment variables.

    Raises:
        UsageError: a variable is not set.
    """
    import os

    from aisb._errors import UsageError

    found = {}
    for name, variable in backend.headers_env.items():
        found[name] = os.environ.get(variable, "").strip()
        if not found[name]:
            raise UsageError(
                f"the header {name} needs the environment variable {variable}, which is not set; "
                "set it, or change headers_env"
            )
    return found

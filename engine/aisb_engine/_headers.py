"""Check the headers that users and backends set, before a request with invalid HTTP is sent."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from aisb._errors import ConfigError
from aisb_engine._masking import headers_from_environment

if TYPE_CHECKING:
    from aisb._backend import HttpBackend

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""The characters of a header name: a token of RFC 9110, 5.6.2."""


def checked_headers(headers: Iterable[tuple[str, str]], where: str = "headers") -> dict[str, str]:
    """Return headers unchanged. The values are not part of an error, since they may be secret.

    Raises:
        ConfigError: the name is no token of RFC 9110, or the value is not one line of ASCII characters.
    """
    found = dict(headers)
    for name, value in found.items():
        _check_name(name, where)
        if not value.isprintable() or not value.isascii():
            raise ConfigError(f"{where}.{name}", "a header is one line of ASCII characters")
    return found


def own_headers(backend: HttpBackend) -> dict[str, str]:
    """Return the headers of a backend's options, with those from the environment and the API key.

    Raises:
        ConfigError: one cannot be sent.
        ServiceError: an environment variable or the API key is missing.
    """
    for name in backend.headers_env:
        _check_name(name, "headers_env")
    own = {**backend.headers, **headers_from_environment(backend), **backend.auth_headers()}
    return checked_headers(own.items())


def check_header_options(options: Mapping[str, Any], where: str) -> None:
    """Check the headers in the options of a model, before anything is sent.

    Raises:
        ConfigError: one cannot be sent.
    """
    headers, variables = options.get("headers"), options.get("headers_env")
    if isinstance(headers, Mapping):
        checked_headers([(name, str(value)) for name, value in headers.items()], f"{where}.headers")
    if isinstance(variables, Mapping):
        for name in variables:
            _check_name(name, f"{where}.headers_env")


def _check_name(name: str, where: str) -> None:
    if not _TOKEN.fullmatch(name):
        raise ConfigError(
            f"{where}.{name}",
            f"{name!r} cannot be the name of a header: use letters, digits and !#$%&'*+-.^_`|~, and no space",
        )

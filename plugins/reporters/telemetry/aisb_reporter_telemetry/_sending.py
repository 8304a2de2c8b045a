"""Write lines of JSON, and send each to an OTLP/HTTP endpoint."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import orjson

from aisb import ServiceError, UsageError


def write_lines(file: Path, lines: Iterable[Mapping[str, Any]]) -> Path:
    """Write one JSON object a line; return the file."""
    file.write_bytes(b"".join(orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE) for line in lines))
    return file


def send_lines(
    endpoint: str, path: str, lines: Sequence[Mapping[str, Any]], headers_env: str, timeout: float
) -> None:
    """Post each line to a path of an endpoint, in order.

    Raises:
        ServiceError: the endpoint cannot be reached, or refuses a line.
        UsageError: the variable with the headers is not in its form.
    """
    import httpx

    url = f"{endpoint.rstrip('/')}/{path}"
    headers = {**read_headers(headers_env), "Content-Type": "application/json"}
    try:
        with httpx.Client(timeout=timeout, headers=headers) as client:
            for line in lines:
                client.post(url, content=orjson.dumps(line)).raise_for_status()
    except httpx.HTTPStatusError as error:
        response = error.response
        raise ServiceError(
            f"{url} refused the data: HTTP {response.status_code} {response.text[:200]!r}\n"
            f"  check the address, and the headers in ${headers_env}; the files are written"
        ) from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ServiceError(
            f"{url} cannot be reached: {error}\n"
            "  check that an OTLP/HTTP receiver listens there; the files are written"
        ) from error


def read_headers(variable: str) -> dict[str, str]:
    """Return the request headers in an environment variable: `key=value,key=value`, URL-encoded.

    Raises:
        UsageError: a part of it is not `key=value`.
    """
    headers = {}
    for part in filter(None, os.environ.get(variable, "").split(",")):
        key, equals, value = part.partition("=")
        if not equals or not key.strip():  # the value may be a secret, so it is not shown
            raise UsageError(f"${variable} has a part that is not key=value: write key=value,key=value")
        headers[key.strip()] = unquote(value.strip())
    return headers

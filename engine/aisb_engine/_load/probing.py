"""Asking a service about itself before the first request, and saying in plain words why it is not ready."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from aisb._backend import Fetched, HttpBackend
from aisb._errors import ServiceError, did_you_mean
from aisb_engine._http.fetch import place

NOT_READY = (502, 503, 504)
_NAMES_SHOWN = 20


async def look(backend: HttpBackend, path: str, *, body: Mapping[str, Any] | None = None) -> Fetched:
    """Fetch a page on the service itself; a status such as 404 or 403 is an answer.

    Raises:
        ServiceError: nothing answers, the key is missing or wrong, it redirects, or it is not ready yet.
    """
    answer = await backend.fetch(path, body=body)
    where = address(backend) + path
    words = backend.error_message(answer.status, answer.body)
    if answer.status == 401:
        raise ServiceError(_about_the_key(backend, words))
    if answer.status in NOT_READY:
        raise ServiceError(f"{where} is not ready ({answer.status}: {words}); try again when it is")
    if 300 <= answer.status < 400:
        target = answer.headers.get("location", "another address")
        raise ServiceError(f"{where} redirects to {target}; set url to where that leads")
    return answer


def read_json(answer: Fetched) -> Any:
    """Return what an answer says, or None when it was refused or is not JSON."""
    try:
        return json.loads(answer.body) if answer.status == 200 else None
    except ValueError:
        return None


def address(backend: HttpBackend) -> str:
    """Return where a backend's service is, without a user name or key that its URL may hold."""
    return place(backend.url) + urlsplit(backend.url).path


def wrong_model(where: str, model: str, names: Iterable[str]) -> ServiceError:
    """Return the error for a model that a service does not list."""
    names = sorted(names)
    return ServiceError(
        f"{where} does not list a model {model!r}{did_you_mean(model, names)}\n"
        f"  it serves: {shown(names)}\n"
        f"  to use a name that is served without being listed: --set model.check_model=false"
    )


def shown(names: Sequence[str]) -> str:
    """Return names in a row, cut where a list would flood the terminal."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(sorted(names)[:_NAMES_SHOWN]) + (f" … and {more} more" if more > 0 else "")


def _about_the_key(backend: HttpBackend, words: str) -> str:
    said = "" if words == "HTTP 401" else f": {words}"
    where = address(backend)
    if backend.api_key_file:
        return f"{where} refuses the API key in {backend.api_key_file} (401{said})"
    if backend.api_key() is None:
        return (
            f"{where} wants an API key (401{said}); put it into an environment variable "
            f"and give that variable's name with --api-key-env"
        )
    variable = backend.api_key_env or getattr(backend, "default_api_key_env", None)
    return f"{where} refuses the API key in the environment variable {variable} (401{said})"

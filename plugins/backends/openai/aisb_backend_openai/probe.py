"""Ask a service which models it serves, and say before the first request what to do where they do not fit."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from aisb import Fetched, ServiceError, ServiceInfo
from aisb.errors import did_you_mean
from aisb.fetch import place

if TYPE_CHECKING:
    from aisb_backend_openai.service import OpenAIService

_NOT_READY = (502, 503, 504)
_NAMES_SHOWN = 20


async def probe(service: OpenAIService) -> ServiceInfo:
    """Read the list of models and settle `service.model`.

    A list that is absent, empty or forbidden is no error as long as a model is chosen.

    Raises:
        ServiceError: nothing answers, the key is missing or wrong, the service is not ready, or the model is
            not one that it serves.
    """
    path = service.api_path("/models")
    answer = await service.fetch(path)
    where = _place(service.url) + path
    if answer.status == 401:
        raise ServiceError(_about_the_key(service, service.error_message(401, answer.body)))
    if answer.status in _NOT_READY:
        words = service.error_message(answer.status, answer.body)
        raise ServiceError(f"{where} is not ready ({answer.status}: {words}); try again when it is")
    if 300 <= answer.status < 400:
        target = answer.headers.get("location", "another address")
        raise ServiceError(f"{where} redirects to {target}; set url to where that leads")
    entries, note = _entries(service, answer)
    names = tuple(entry["id"] for entry in entries)
    _settle(service, names, where, note)
    notes = (note,) if note else ()
    return ServiceInfo(models=names, detail=_detail(service, entries), notes=notes)


def _settle(service: OpenAIService, names: Sequence[str], where: str, note: str) -> None:
    if service.model is None:
        if len(names) == 1:
            service.model = names[0]
            return
        if names:
            raise ServiceError(f"{where} lists several models; choose one with --model-name: {_shown(names)}")
        raise ServiceError(f"no model is chosen, and {note}; name the model with --model-name")
    if names and service.check_model and service.model not in names:
        raise ServiceError(
            f"{where} does not list a model {service.model!r}{did_you_mean(service.model, names)}\n"
            f"  it serves: {_shown(names)}\n"
            f"  to use a name that is served without being listed: --set model.check_model=false"
        )


def _entries(service: OpenAIService, answer: Fetched) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return the models listed, each with an `id`, and a line that says why there are none."""
    if answer.status != 200:
        words = service.error_message(answer.status, answer.body)
        said = "" if words == f"HTTP {answer.status}" else f": {words}"
        return [], f"the service gives no list of models ({answer.status}{said})"
    try:
        data = json.loads(answer.body)
    except ValueError:
        words = " ".join(answer.body[:60].decode("utf-8", "replace").split())
        return [], f"the service's list of models is not JSON (it begins {words!r})"
    listed = data.get("data", data.get("models")) if isinstance(data, Mapping) else data
    entries = [
        {**entry, "id": name}
        for entry in (listed if isinstance(listed, list) else ())
        if isinstance(entry, Mapping) and isinstance(name := entry.get("id") or entry.get("name"), str)
    ]
    return entries, "" if entries else "the service's list of models is empty"


def _detail(service: OpenAIService, entries: Sequence[Mapping[str, Any]]) -> str:
    """Return what the list says about the model that is asked for."""
    entry: Mapping[str, Any] = next((entry for entry in entries if entry["id"] == service.model), {})
    said = []
    if owner := entry.get("owned_by"):
        said.append(f"owned by {owner}")
    meta = entry.get("meta")
    context = meta.get("n_ctx") if isinstance(meta, Mapping) else None  # llama.cpp
    if length := entry.get("max_model_len") or entry.get("context_length") or context:
        said.append(f"model length {length}")
    return ", ".join(said)


def _about_the_key(service: OpenAIService, words: str) -> str:
    said = "" if words == "HTTP 401" else f": {words}"
    where = _place(service.url)
    if service.api_key_file:
        return f"{where} refuses the API key in {service.api_key_file} (401{said})"
    if service.api_key() is None:
        return (
            f"{where} wants an API key (401{said}); put it into an environment variable "
            f"and give that variable's name with --api-key-env"
        )
    variable = service.api_key_env or service.default_api_key_env
    return f"{where} refuses the API key in the environment variable {variable} (401{said})"


def _place(url: str) -> str:
    """Return where a service is, without a name or key that its URL may hold."""
    return place(url) + urlsplit(url).path


def _shown(names: Sequence[str]) -> str:
    """Return names in a row, cut where a list would flood the terminal."""
    more = len(names) - _NAMES_SHOWN
    return ", ".join(sorted(names)[:_NAMES_SHOWN]) + (f" … and {more} more" if more > 0 else "")

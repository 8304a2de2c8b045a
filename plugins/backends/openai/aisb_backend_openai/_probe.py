"""Read which models a service serves, and report a mismatch before the first request."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aisb import Fetched, ServiceInfo, UsageError
from aisb.helpers import listed

if TYPE_CHECKING:
    from aisb_backend_openai._service import OpenAIService


async def probe(service: OpenAIService) -> ServiceInfo:
    """Read the list of models and set `service.model`.

    A missing, empty or forbidden list is no error if the user chose a model.

    Raises:
        ServiceError: the service does not answer or is not ready, refuses the key, or lacks the model.
        UsageError: no model is chosen, and the list of models does not decide it.
    """
    path = service.api_path("/models")
    answer = await service.probe_path(path)
    entries, note = _entries(service, answer)
    names = tuple(entry["id"] for entry in entries)
    _choose(service, path, names, note)
    notes = (note,) if note else ()
    return ServiceInfo(models=names, detail=_detail(service, entries), notes=notes)


def _choose(service: OpenAIService, path: str, names: Sequence[str], note: str) -> None:
    if service.model is None:
        if len(names) == 1:
            service.model = names[0]
            return
        if names:
            raise UsageError(
                f"{service.address}{path} lists several models; choose one with --model-name: {listed(names)}"
            )
        raise UsageError(f"no model is chosen, and {note}; set the model with --model-name")
    if names and service.check_model and service.model not in names:
        raise service.unlisted_model_error(path, names)


def _entries(service: OpenAIService, answer: Fetched) -> tuple[Sequence[Mapping[str, Any]], str]:
    """Return the listed models, each with an `id`, and a line that explains an empty list."""
    if answer.status != 200:
        message = service.error_message(answer.status, answer.body)
        detail = "" if message == f"HTTP {answer.status}" else f": {message}"
        return [], f"the service has no list of models ({answer.status}{detail})"
    try:
        data = json.loads(answer.body)
    except (ValueError, RecursionError):
        message = " ".join(answer.body[:60].decode("utf-8", "replace").split())
        return [], f"the service's list of models is not JSON (it begins {message!r})"
    entries = data.get("data", data.get("models")) if isinstance(data, Mapping) else data
    entries = [
        {**entry, "id": name}
        for entry in (entries if isinstance(entries, list) else ())
        if isinstance(entry, Mapping) and isinstance(name := entry.get("id") or entry.get("name"), str)
    ]
    return entries, "" if entries else "the service's list of models is empty"


def _detail(service: OpenAIService, entries: Sequence[Mapping[str, Any]]) -> str:
    """Return what the list says about the chosen model."""
    entry: Mapping[str, Any] = next((entry for entry in entries if entry["id"] == service.model), {})
    parts = []
    if owner := entry.get("owned_by"):
        parts.append(f"owned by {owner}")
    meta = entry.get("meta")
    context = meta.get("n_ctx") if isinstance(meta, Mapping) else None  # llama.cpp
    if length := entry.get("max_model_len") or entry.get("context_length") or context:
        parts.append(f"model length {length}")
    return ", ".join(parts)

"""Read Triton's models, check that the chosen one is ready, and read its inputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from aisb import ServiceError, ServiceInfo, UsageError
from aisb.helpers import listed

if TYPE_CHECKING:
    from aisb_backend_triton import Triton

UNAVAILABLE_STATUSES = (403, 404, 405, 501)
"""Statuses of a gateway for a path that it does not forward."""
ENSEMBLE = "ensemble"
"""TensorRT-LLM's name of the model that takes text; its parts, which take tokens, are separate models."""


async def probe(service: Triton) -> ServiceInfo:
    """Determine the model, and check that it is ready.

    Raises:
        ServiceError: the service does not answer, or the model is missing or not ready.
        UsageError: several models are there and none is chosen.
    """
    where = service.address
    about = (await service.probe_path("/v2")).json()
    there = await _models(service)
    notes = []
    if service.model is None:
        service.model, note = _choose(where, there)
        notes.append(note)
    ready = await service.fetch(f"{service.model_path()}/ready")
    if ready.status in UNAVAILABLE_STATUSES and not service.check_model:
        notes.append(f"it is unknown whether the model is ready: {where} has no such path ({ready.status})")
    elif ready.status != 200:
        if there and service.check_model and service.model not in there:
            raise service.unlisted_model_error("", there)
        words = service.error_message(ready.status, ready.body)
        raise ServiceError(
            f"{where}: the model {service.model!r} is not ready ({ready.status}: {words}); check its name "
            f"and version, or try again when it is loaded{_pass_over(ready.status)}"
        )
    model = (await service.probe_path(service.model_path())).json()
    if isinstance(model, Mapping):
        service.take_inputs(str(entry.get("name")) for entry in model.get("inputs") or ())
    return ServiceInfo(
        models=tuple(there) or (service.model,), detail=_detail(about, model), notes=tuple(notes)
    )


def _pass_over(status: int) -> str:
    if status not in UNAVAILABLE_STATUSES:
        return ""
    return "\n  if a gateway does not forward this path: --set model.check_model=false"


async def _models(service: Triton) -> Sequence[str]:
    """Return the models in the repository, or those of an OpenAI front end; empty if neither lists any."""
    index = (await service.fetch("/v2/repository/index", body={})).json()
    if isinstance(index, list):
        return [
            entry["name"]
            for entry in index
            if isinstance(entry, Mapping) and "name" in entry and entry.get("state", "READY") == "READY"
        ]
    models = (await service.fetch("/v1/models")).json()
    entries = models.get("data") if isinstance(models, Mapping) else None
    return [str(entry["id"]) for entry in entries or () if isinstance(entry, Mapping) and "id" in entry]


def _choose(where: str, there: Sequence[str]) -> tuple[str, str]:
    if len(there) == 1:
        return there[0], f"no model is chosen: {there[0]}, the only one"
    if not there or ENSEMBLE in there:
        return ENSEMBLE, f"no model is chosen: {ENSEMBLE}, TensorRT-LLM's name of the model that takes text"
    raise UsageError(f"{where} has several models; choose one with --model-name: {listed(there)}")


def _detail(about: Any, model: Any) -> str:
    said = []
    if isinstance(about, Mapping) and about.get("version"):
        said.append(f"version {about['version']}")
    if isinstance(model, Mapping) and model.get("platform"):
        said.append(f"platform {model['platform']}")
    return ", ".join(said)

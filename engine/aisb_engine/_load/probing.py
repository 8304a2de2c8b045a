"""Probe the models before the first request: can they be reached, and what do they serve?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from aisb._backend import Backend, HttpBackend
from aisb._errors import ServiceError, UsageError
from aisb._types import ServiceInfo
from aisb_engine._faults import RAISED, calling, is_stop
from aisb_engine._http.likelihood import try_scores
from aisb_engine._http.waiting import waiting_for
from aisb_engine._load.placing import Placing
from aisb_engine._load.stage import InferenceStage
from aisb_engine._masking import mask_secrets, mask_url

IDENTITY_SECONDS = 10


async def probe_models(stage: InferenceStage, placing: Placing) -> None:
    """Probe each backend, and record in the manifest what it serves.

    Raises:
        ServiceError: a service cannot be reached, or does not serve the model.
        UsageError: a backend lacks something that its subtasks need.
    """
    for name, backend in stage.backends.items():
        subtasks = [one for one in stage.subtasks if one.backend is backend]
        # Each worker loads its own copy of the model, so this process has none to probe.
        if subtasks and all(placing.loads_in_workers(one) for one in subtasks):
            stage.manifest.note("models", name, _model_facts(backend, ServiceInfo()))
            continue
        if backend.local:
            stage.display.say(f"{name}: loading {getattr(backend, 'model', name)}")
        try:
            async with waiting_for(backend, stage.spec.run.wait, _say_for(stage, name)):
                with calling(stage.plugins, "backend", stage.spec.models[name].backend, "probe"):
                    info = _checked(await backend.probe())
            if isinstance(backend, HttpBackend) and any(one.task.mode == "logprob" for one in subtasks):
                await try_scores(backend)
        except ServiceError as error:
            raise ServiceError(mask_secrets(f"{name}: {error}")) from error
        except UsageError as error:
            if backend.local or type(error) is not UsageError:  # these name the model or the key themselves
                raise
            raise UsageError(mask_secrets(f"{name}: {error}")) from error
        stage.manifest.note("models", name, {**_model_facts(backend, info), **await _identity(backend)})
        for line in info.notes:
            stage.display.say(mask_secrets(f"{name}: {line}"))


def _say_for(stage: InferenceStage, name: str) -> Callable[[str], None]:
    return lambda line: stage.display.say(mask_secrets(f"{name}: {line}"))


async def close_backends(stage: InferenceStage) -> None:
    """Close every backend, after everything is sent and recorded."""
    for backend in stage.backends.values():
        try:
            await backend.aclose()
        except RAISED as error:
            if is_stop(error):
                raise


def _model_facts(backend: Backend, info: ServiceInfo) -> dict[str, Any]:
    """Return the facts about a model for the manifest."""
    served = getattr(backend, "model", None)
    facts: dict[str, Any] = {"served": served, "detail": mask_secrets(info.detail) or None}
    if isinstance(backend, HttpBackend):
        facts["url"] = mask_url(backend.url)
    return facts


async def _identity(backend: Backend) -> dict[str, Any]:
    """Return what a backend knows about the server and the weights; empty if it fails or takes too long."""
    try:
        found = await asyncio.wait_for(backend.identity(), IDENTITY_SECONDS)
        return {"identity": {str(key): _plain(value) for key, value in found.items()}} if found else {}
    except Exception:  # noqa: BLE001 - the identity is optional, so any failure is ignored
        return {}


def _plain(value: Any) -> Any:
    return value if isinstance(value, bool | int | float | None) else mask_secrets(str(value))


def _checked(info: object) -> ServiceInfo:
    """Return the result of a probe, after a check of its type."""
    notes = info.notes if isinstance(info, ServiceInfo) else None
    if not isinstance(info, ServiceInfo) or not isinstance(notes, tuple | list):
        raise TypeError(f"it returned {info!r:.80}; a probe must return a ServiceInfo with a list of notes")
    return info

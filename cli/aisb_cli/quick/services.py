"""Find a model service at the usual loopback ports, and determine its kind."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from aisb import AisbError, HttpBackend, ServiceError
from aisb_cli.doctor.service import make_backend, recognize
from aisb_engine import Plugins, mask_secrets

PORTS = (8000, 8080, 30000, 11434, 1234, 3000, 23333)
"""vLLM, llama.cpp and TGI, SGLang, Ollama, LM Studio, TGI in a container, LMDeploy."""
CONNECT_SECONDS = 0.5
KINDS: Mapping[str, str] = {
    "vllm": "vLLM",
    "sglang": "SGLang",
    "llamacpp": "llama.cpp",
    "library": "Ollama",
    "lmdeploy": "LMDeploy",
    "organization_owner": "LM Studio",
    "aisb": "aisb mock serve",
}
"""The kind of server by `owned_by` in its list of models."""


@dataclass(frozen=True, slots=True)
class Service:
    """A service that answers: `asked_as` is the model file that fits it, `models` are all that it serves."""

    url: str
    asked_as: str
    kind: str
    model: str | None
    models: tuple[str, ...] = ()
    detail: str = ""


async def look_at(url: str, plugins: Plugins, asked_as: str | None, options: Mapping[str, Any]) -> Service:
    """Return a service's description. The first of several models is chosen unless `options` name one.

    Raises:
        ServiceError: the service does not answer, or refuses.
    """
    name = asked_as or await recognize(url, plugins)
    listing = make_backend(url, plugins, name, options)
    try:
        models = await _models(listing)
    finally:
        await listing.aclose()
    if options.get("model") is None and len(models) > 1:
        options = {**options, "model": models[0]}
    backend = make_backend(url, plugins, name, options)
    try:
        info = await backend.probe()
    finally:
        await backend.aclose()
    owner = info.detail.partition("owned by ")[2].split(",")[0]
    kind = KINDS.get(owner.lower(), owner or name)
    return Service(url, name, kind, getattr(backend, "model", None), info.models or models, info.detail)


async def find_services(
    plugins: Plugins, asked_as: str | None, options: Mapping[str, Any], ports: Sequence[int] = PORTS
) -> list[Service]:
    """Return the model services at the loopback ports.

    Raises:
        ServiceError: there is none; the message says what was found at each port.
    """
    listening = [
        port
        for port, is_open in zip(ports, await asyncio.gather(*map(_is_open, ports)), strict=True)
        if is_open
    ]
    found: list[Service] = []
    refused: list[str] = []
    for port in listening:
        try:
            service = await look_at(f"http://127.0.0.1:{port}", plugins, asked_as, options)
        except AisbError as error:
            refused.append(f"\n  port {port}: {mask_secrets(str(error).splitlines()[0])}")
        else:
            found.append(service)
    if not found:
        looked = ", ".join(map(str, ports))
        raise ServiceError(
            f"no model service answers at the loopback ports {looked}: name one with --url URL"
            + "".join(refused)
        )
    return found


async def _is_open(port: int) -> bool:
    with suppress(OSError, TimeoutError):
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), CONNECT_SECONDS)
        writer.close()
        return True
    return False


async def _models(backend: HttpBackend) -> tuple[str, ...]:
    """Return the models that an OpenAI-compatible service lists; none where it has no such list."""
    with suppress(AisbError, ValueError, LookupError, TypeError, RecursionError):
        answer = await backend.fetch("/v1/models")
        if answer.status == 200:
            return tuple(str(entry["id"]) for entry in json.loads(answer.body)["data"])
    return ()

"""Find model services at the usual loopback ports of this machine."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any

from aisb import AisbError, ServiceError
from aisb_cli.services import COMPLETIONS_FILE, Connection, Service, describe_service, detect_service
from aisb_engine import Plugins, mask_secrets

PORTS = (8000, 8080, 30000, 11434, 1234, 3000, 23333)
"""vLLM, llama.cpp and TGI, SGLang, Ollama, LM Studio, TGI in a container, LMDeploy."""
CONNECT_SECONDS = 0.5


async def service_at(url: str, plugins: Plugins, asked_as: str | None, options: Mapping[str, Any]) -> Service:
    """Return a service's description. The first of several models is chosen unless `options` name one.

    Without `asked_as`, its kind is detected as for `aisb run --url URL`.

    Raises:
        ServiceError: the service does not answer, or refuses.
    """
    connection = Connection(options)
    if asked_as is not None:
        return await describe_service(url, plugins, asked_as, connection, first=True)
    service, no_chat = await detect_service(url, plugins, connection, first=True)
    return replace(service, asked_as=COMPLETIONS_FILE) if no_chat else service


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
            service = await service_at(f"http://127.0.0.1:{port}", plugins, asked_as, options)
        except AisbError as error:
            refused.append(f"\n  port {port}: {mask_secrets(str(error).splitlines()[0])}")
        else:
            found.append(service)
    if not found:
        tried = ", ".join(map(str, ports))
        raise ServiceError(
            f"no model service answers at the loopback ports {tried}: name one with --url URL"
            + "".join(refused)
        )
    return found


async def _is_open(port: int) -> bool:
    with suppress(OSError, TimeoutError):
        _, writer = await asyncio.wait_for(asyncio.open_connection("127.0.0.1", port), CONNECT_SECONDS)
        writer.close()
        return True
    return False

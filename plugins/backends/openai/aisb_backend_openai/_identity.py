"""What a service reports about the server, the weights and the chat template behind a model's name.

Each kind of server has its own endpoint for this, and all of them are optional.
"""

from __future__ import annotations

import asyncio
import copy
import hashlib
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from aisb import Fetched, ServiceError

if TYPE_CHECKING:
    from aisb import HttpBackend
    from aisb_backend_openai._service import OpenAIService

IDENTITY_SECONDS = 3.0
MAX_VALUE_LENGTH = 300
Facts = dict[str, Any]


def _vllm(page: Mapping[str, Any]) -> Facts:
    version = page.get("version")
    return {"server": "vllm", "server_version": version} if isinstance(version, str) else {}


def _sglang(page: Mapping[str, Any]) -> Facts:
    """Read only some entries of `/get_server_info`, since others include the server's key."""
    args = page.get("server_args")
    reported = {**args, **page} if isinstance(args, Mapping) else page
    if not ("model_path" in reported and "version" in reported):
        return {}
    return {
        "server": "sglang",
        "server_version": reported["version"],
        "revision": reported.get("revision") or reported.get("weight_version"),
        "weights": reported["model_path"],
        "tokenizer": reported.get("tokenizer_path"),
        "quantization": reported.get("quantization"),
        "dtype": reported.get("dtype"),
        "chat_template": reported.get("chat_template"),
    }


def _tgi(page: Mapping[str, Any]) -> Facts:
    if "model_id" not in page:
        return {}
    return {
        "server": "tgi",
        "server_version": page.get("version"),
        "server_revision": page.get("sha"),
        "revision": page.get("model_sha"),
        "weights": page["model_id"],
        "dtype": page.get("model_dtype"),
    }


def _llamacpp(page: Mapping[str, Any]) -> Facts:
    if not ("chat_template" in page or "build_info" in page):
        return {}
    return {
        "server": "llama.cpp",
        "server_version": page.get("build_info"),
        "weights": page.get("model_path"),
        "chat_template_sha256": template_hash(page.get("chat_template")),
    }


PAGES: Mapping[str, tuple[str, Callable[[Mapping[str, Any]], Facts]]] = {
    "vllm": ("/version", _vllm),
    "sglang": ("/get_server_info", _sglang),
    "sglang, newer": ("/server_info", _sglang),
    "tgi": ("/info", _tgi),
    "llamacpp": ("/props", _llamacpp),
}
"""The endpoint of each kind of server and its parser; the kinds are the `owned_by` of model lists."""


async def service_identity(service: OpenAIService, *, tries_all: bool) -> Facts:
    """Return what a service reports about itself and its model.

    The server's own endpoint is read if the list of models tells its kind; otherwise, with `tries_all`, the
    endpoints of all kinds.
    """
    entry = await _entry(service)
    facts: Facts = {
        "weights": entry.get("root") if entry.get("root") != service.model else None,
        "parent": entry.get("parent"),
        "revision": entry.get("revision") or entry.get("sha"),
        "created": entry.get("created") if entry.get("owned_by") in {"openai", "system"} else None,
    }
    owner = str(entry.get("owned_by") or "").lower()
    kinds = [kind for kind in PAGES if owner and kind.partition(",")[0] == owner] or list(PAGES) * tries_all
    for reported in await asyncio.gather(*(_page(service, *PAGES[kind]) for kind in kinds)):
        facts |= {
            key: value for key, value in reported.items() if value is not None and facts.get(key) is None
        }
    return recordable_facts(facts)


def recordable_facts(facts: Mapping[str, Any]) -> Facts:
    """Return the facts that are fit for the record: short texts and numbers."""
    return {
        key: value[:MAX_VALUE_LENGTH] if isinstance(value, str) else value
        for key, value in facts.items()
        if isinstance(value, str | int | float) and value != ""
    }


def template_hash(template: Any) -> str | None:
    """Return the SHA-256 of a chat template, or of several named templates together."""
    if isinstance(template, Mapping):
        template = "\0".join(f"{name}\0{text}" for name, text in sorted(template.items()))
    if not isinstance(template, str) or not template:
        return None
    return hashlib.sha256(template.encode("utf-8", "replace")).hexdigest()


async def _entry(service: OpenAIService) -> Mapping[str, Any]:
    data = await _fetched(service, service.api_path("/models"))
    entries = data.get("data")
    listed = entries if isinstance(entries, list) else []
    found = [one for one in listed if isinstance(one, Mapping) and one.get("id") == service.model]
    return found[0] if found else {}


async def _page(service: OpenAIService, path: str, read: Callable[[Mapping[str, Any]], Facts]) -> Facts:
    root = copy.copy(service)
    root.url = re.sub(r"/v\d+$", "", service.url)  # a server's own endpoints are above its API path
    return read(await _fetched(root, path))


async def _fetched(service: HttpBackend, path: str) -> Mapping[str, Any]:
    try:
        answer: Fetched = await service.fetch(path, timeout=IDENTITY_SECONDS)
    except ServiceError:
        return {}
    data = answer.json()
    return data if isinstance(data, Mapping) else {}

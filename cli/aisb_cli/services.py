"""Detect the kind of a service from its address, its models, and the model file to use for it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import click

from aisb import AisbError, HttpBackend, Message, Request, ServiceError, UsageError
from aisb_engine import (
    Catalog,
    Plugins,
    Resolver,
    RunInput,
    connect_backend,
    mask_url,
    wait_for_service,
)

CHAT_FILE = "vllm_api_stream_chat"
COMPLETIONS_FILE = "vllm_api_general_stream"
"""The model files for the two APIs of a service of OpenAI's kind."""
NO_CHAT = (400, 404, 405, 501)
"""Statuses of a service without a chat API, or whose model has no chat template."""
FILES_BY_PAGE: Mapping[str, str] = {
    "/v1/models": CHAT_FILE,
    "/info": "tgi_stream_api_general",
    "/v2": "triton_stream_api_general",
}
"""A page that identifies one kind of service, and the model file for that kind."""
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
KINDS_BY_FILE: Mapping[str, str] = {
    CHAT_FILE: "an OpenAI-compatible service",
    "tgi_stream_api_general": "Text Generation Inference",
    "triton_stream_api_general": "Triton",
}
CONNECTION_OPTIONS = frozenset((
    "headers", "headers_env", "api_key_env", "api_key_file", "verify", "ca_file", "transport",
))  # fmt: skip
"""Options of every backend for services that decide whether a service can be reached."""


@dataclass(frozen=True, slots=True)
class Service:
    """A reachable service: `asked_as` is the model file to use, `models` are all models that it serves."""

    url: str
    asked_as: str
    kind: str
    model: str | None
    models: tuple[str, ...] = ()
    detail: str = ""


def _print(line: str) -> None:
    click.echo(line, err=True)


@dataclass(frozen=True, slots=True)
class Connection:
    """How to reach a service: options of its backend, settings (`model.verify=false`), seconds to wait.

    `say` is called with a line while aisb waits for the service.
    """

    options: Mapping[str, Any]
    sets: Sequence[str] = ()
    wait: float = 0.0
    say: Callable[[str], None] = _print

    def connecting_sets(self) -> list[str]:
        """Return the settings that decide whether a service can be reached."""
        return [text for text in self.sets if _option(text) in CONNECTION_OPTIONS]


async def detect_service(
    url: str, plugins: Plugins, connection: Connection, *, tests_chat: bool = True, first: bool = False
) -> tuple[Service, str]:
    """Return what a service is, and why its chat API cannot be used; "" if it can.

    With `tests_chat`, a service of OpenAI's kind is asked for one token through its chat API, and if it
    refuses, through its completions API; without, its chat API is taken to work. `first` is as in
    `describe_service`.

    Raises:
        ServiceError: the service does not answer, or is of no known kind.
        UsageError: it serves several models and none is chosen, or the key's variable is not set.
        UsageError: the model file is not installed.
    """
    file = await recognize(url, plugins, connection)
    if file is None:
        raise ServiceError(
            f"{mask_url(url)} answers, but is not a kind of service that aisb recognizes: it has none of "
            f"the endpoints {', '.join(FILES_BY_PAGE)}\n  check the address, or name the model file to "
            "use: --models NAME --url URL (aisb run --search shows all names)"
        )
    service = await describe_service(url, plugins, file, connection, first=first)
    if not tests_chat or file != CHAT_FILE:
        return service, ""
    refusal = await _refusal(service, plugins, connection, CHAT_FILE)
    if refusal and not await _refusal(service, plugins, connection, COMPLETIONS_FILE):
        return service, refusal
    return service, ""


async def _refusal(service: Service, plugins: Plugins, connection: Connection, file: str) -> str:
    """Return how an API refuses a request for one token; empty if it does not."""
    options = {**connection.options, "model": service.model}
    sets = [*connection.connecting_sets(), "model.stream=false"]
    backend = make_backend(service.url, plugins, file, options, sets)
    chat = backend.prompt_form == "chat"
    request = Request(
        "probe",
        messages=(Message("user", "Say yes."),) if chat else None,
        text=None if chat else "Say yes.",
        params={"max_tokens": 1},
    )
    try:
        call = backend.encode(request)
        body = call.body if isinstance(call.body, Mapping) else None
        answer = await backend.fetch(call.path, body=body, timeout=60)
    except ServiceError:
        return ""
    finally:
        await backend.aclose()
    if answer.status not in NO_CHAT:
        return ""
    words = backend.error_message(answer.status, answer.body)
    return words if words == f"HTTP {answer.status}" else f"{answer.status}: {words}"


async def recognize(url: str, plugins: Plugins, connection: Connection | None = None) -> str | None:
    """Return the model file that fits a service's pages; None if it has none of them.

    Raises:
        ServiceError: the service does not answer.
        UsageError: the model file is not installed.
    """
    known = {entry.name for entry in Catalog(plugins).entries("model")}
    usable = [name for name in FILES_BY_PAGE.values() if name in known]
    if not usable:
        raise UsageError(_not_installed(url, CHAT_FILE, plugins))
    connection = connection or Connection({})
    key = {"api_key_env": connection.options.get("api_key_env")}
    looking = make_backend(url, plugins, usable[0], key, connection.connecting_sets())
    try:
        async with wait_for_service(looking, connection.wait, connection.say):
            for page, name in FILES_BY_PAGE.items():
                answer = await looking.fetch(page)
                if answer.status in (200, 401, 403):
                    if name not in known:
                        raise UsageError(_not_installed(url, name, plugins))
                    return name
    finally:
        await looking.aclose()
    return None


def make_backend(
    url: str, plugins: Plugins, name: str, options: Mapping[str, Any], sets: Sequence[str] = ()
) -> HttpBackend:
    """Make the backend of a model file, or a bare one, for an address.

    Raises:
        UsageError: there is none of that name, or it is not one for services.
    """
    given = {key: value for key, value in options.items() if value is not None}
    table = Resolver(plugins, Catalog(plugins), RunInput(options=given, sets=sets)).model(name).table
    of_model = {**table.get("options", {}), "url": url}
    made = connect_backend(
        plugins.make("backend", table["backend"], of_model, where="the address of the service")
    )
    if not isinstance(made, HttpBackend):
        raise UsageError(f"{name} is not a model of a service, so it takes no address")
    return made


async def describe_service(
    url: str, plugins: Plugins, asked_as: str, connection: Connection, *, first: bool = False
) -> Service:
    """Return a service's description. Of several models, `options` name one, or `first` takes the first.

    Raises:
        ServiceError: the service does not answer, or refuses.
        UsageError: it serves several models and none is chosen, or the key's variable is not set.
    """
    options, sets = dict(connection.options), connection.connecting_sets()
    models: tuple[str, ...] = ()
    if first and options.get("model") is None:
        listing = make_backend(url, plugins, asked_as, options, sets)
        try:
            models = await _models(listing)
        finally:
            await listing.aclose()
        if len(models) > 1:
            options["model"] = models[0]
    backend = make_backend(url, plugins, asked_as, options, sets)
    try:
        async with wait_for_service(backend, connection.wait, connection.say):
            info = await backend.probe()
    finally:
        await backend.aclose()
    owner = info.detail.partition("owned by ")[2].split(",")[0]
    kind = KINDS.get(owner.lower(), owner or KINDS_BY_FILE.get(asked_as, asked_as))
    return Service(url, asked_as, kind, getattr(backend, "model", None), info.models or models, info.detail)


async def _models(backend: HttpBackend) -> tuple[str, ...]:
    """Return the models that an OpenAI-compatible service lists; none where it has no such list."""
    with suppress(AisbError, ValueError, LookupError, TypeError, RecursionError):
        answer = await backend.fetch("/v1/models")
        if answer.status == 200:
            return tuple(str(entry["id"]) for entry in json.loads(answer.body)["data"])
    return ()


def _option(setting: str) -> str:
    """Return the option of a model that a setting like `model.verify=false` sets; empty if it sets none."""
    path = setting.partition("=")[0].strip().removeprefix("model.options.").removeprefix("model.")
    return "" if path == setting else path.partition(".")[0]


def _not_installed(url: str, name: str, plugins: Plugins) -> str:
    lines = [
        f"{mask_url(url)} needs the model file {name}, which is not installed",
        *plugins.why_missing(name),
    ]
    return "\n  ".join(lines)

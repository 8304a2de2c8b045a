"""The common part of the chat and completions APIs: addresses, parameters, usage, errors, and the probe."""

from __future__ import annotations

import os
import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

from aisb import (
    AttemptFailed,
    Chunk,
    ChunkKind,
    EndpointPath,
    Failure,
    HttpCall,
    LoraAdapters,
    Request,
    ServedModel,
    ServiceInfo,
    Usage,
    UsageError,
)

FINISH_REASONS = {
    "function_call": "tool_calls",
    "eos_token": "stop",
    "stop_sequence": "stop",
    "max_length": "length",
    "model_length": "length",  # Mistral
    "model_context_window_exceeded": "length",  # Zhipu
    "sensitive": "content_filter",  # Zhipu
}
"""Finish reasons under other names, each with the name in OpenAI's API."""

_VERSION = re.compile(r"v\d\w*")
_REFUSAL = re.compile(
    r"unsupported|not supported|does not support|unrecogni[sz]ed|unknown|unexpected|forbidden"
    r"|not permitted|not allowed|additional propert|invalid param",
    re.IGNORECASE,
)
_LENGTH_NAME = re.compile(r"\bmax_(?:completion_)?tokens\b")


@dataclass(kw_only=True, eq=False)
class OpenAIService(EndpointPath, ServedModel, LoraAdapters):
    """A service that speaks one of OpenAI's text APIs, as its API reference describes them.

    https://platform.openai.com/docs/api-reference
    """

    stream: Annotated[bool, "stream the reply instead of receiving it as a whole"] = True
    max_tokens_name: Annotated[
        Literal["max_tokens", "max_completion_tokens"], "the service's name of the maximum reply length"
    ] = "max_tokens"

    params: ClassVar[frozenset[str] | Literal["any"]] = "any"
    endpoint: ClassVar[str]
    """The API's path below its version, such as `/chat/completions`."""

    default_api_key_env: ClassVar[str | None] = "OPENAI_API_KEY"
    """The environment variable of the default key; it may be unset, and is never sent over plain HTTP."""

    _ask_usage: bool = field(default=True, init=False, repr=False)
    _refused_names: set[str] = field(default_factory=set, init=False, repr=False)

    def __post_init__(self) -> None:
        super().__post_init__()
        self.model, self.path = self.model or None, self.path or None
        self.url = self.url.removesuffix(self.endpoint)
        if self.path is None:
            # Users write the URL with or without the version. Without it, /metrics can be reached, too.
            self.url = self.url.removesuffix("/v1")

    def api_path(self, path: str) -> str:
        """Return an API path below `url`, which may end with its own version (`…/paas/v4`)."""
        return _api_path(self.url, path)

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Refuse `extra_body`, which is an option of a client library and not part of any service's API.

        Raises:
            UsageError: the message says what to write instead.
        """
        if "extra_body" in params:
            raise UsageError(
                "params.extra_body belongs to OpenAI's Python client; write its keys under [params]"
            )

    def encode(self, request: Request) -> HttpCall:
        """Put the prompt, the model and the unchanged parameters into one JSON body."""
        model = self.adapter(request) or self.model
        body: dict[str, Any] = {"model": model} if model else {}
        body |= self.prompt(request)
        body |= request.params
        body.pop("num_return_sequences", None)
        if self.max_tokens_name != "max_tokens" and "max_tokens" in body:
            body[self.max_tokens_name] = body.pop("max_tokens")
        elif "max_completion_tokens" in self._refused_names and "max_completion_tokens" in body:
            body["max_tokens"] = body.pop("max_completion_tokens")
        body["stream"] = self.stream
        if not self._ask_usage:
            body.pop("stream_options", None)
        elif self.stream:
            body.setdefault("stream_options", {"include_usage": True})
        return HttpCall(self.path or self.api_path(self.endpoint), body)

    @abstractmethod
    def prompt(self, request: Request) -> dict[str, Any]:
        """Return the prompt's part of the body."""

    def adapt(self, status: int, message: str) -> str | None:
        """Drop `stream_options`, or rename `max_tokens`, if a service rejects it."""
        del status
        if "stream_options" in message and self.stream and self._ask_usage:
            self._ask_usage = False
            return "the service refuses stream_options: not sent, so streamed replies have no token counts"
        named = _LENGTH_NAME.search(message)
        if named and _REFUSAL.search(message) and named.group() not in self._refused_names:
            refused = named.group()
            self._refused_names.add(refused)
            other: Literal["max_tokens", "max_completion_tokens"] = (
                "max_completion_tokens" if refused == "max_tokens" else "max_tokens"
            )
            if other not in self._refused_names:
                self.max_tokens_name = other
                return f"the service refuses {refused}: sent as {other}"
        return None

    def state(self) -> Mapping[str, Any]:
        """Return what `adapt` learned."""
        return {**super().state(), "_ask_usage": self._ask_usage, "_refused_names": self._refused_names}

    def api_key(self) -> str | None:
        """Return the key that the options name, or else that of `OPENAI_API_KEY`, if set."""
        if key := super().api_key():
            return key
        if self.default_api_key_env and may_carry_secrets(self.url):
            return os.environ.get(self.default_api_key_env, "").strip() or None
        return None

    async def probe(self) -> ServiceInfo:
        """Read the list of models, and determine which one the run uses."""
        from aisb_backend_openai._probe import probe

        return await probe(self)

    tries_all_endpoints: ClassVar[bool] = False
    """Whether `identity` tries the endpoints of every kind of server if the kind is unknown."""

    async def identity(self) -> Mapping[str, Any]:
        """Return what the service reports about its server, its weights and its chat template."""
        from aisb_backend_openai._identity import service_identity

        return await service_identity(self, tries_all=self.tries_all_endpoints)

    def decode_without_choices(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate an event without choices: usage, an error, or no content."""
        if failure := failure_in(event):
            raise AttemptFailed(failure)
        if usage := usage_in(event):
            return Chunk("usage", usage=usage)
        if "choices" not in event and not self.stream:
            words = str(dict(event))[:200]
            raise AttemptFailed(
                Failure("protocol", f"the reply has no choices, so it is not of this API: {words}")
            )
        return None


@lru_cache(maxsize=64)
def _api_path(url: str, path: str) -> str:
    has_version = _VERSION.fullmatch(url.rpartition("/")[2]) is not None
    return path if has_version else f"/v1{path}"


def may_carry_secrets(url: str) -> bool:
    """Return whether the default key may be sent to this address: over TLS, or on this machine."""
    from urllib.parse import urlsplit

    parts = urlsplit(url)
    return parts.scheme == "https" or parts.hostname in ("localhost", "127.0.0.1", "::1")


def kind_of(
    text: str, tool_calls: Sequence[Any], reasoning: str, finish: str | None, role: str | None
) -> ChunkKind:
    """Return the kind of a chunk with several contents: tokens take precedence over a finish reason."""
    if text:
        return "content"
    if tool_calls:
        return "tool"
    if reasoning:
        return "reasoning"
    if finish:
        return "finish"
    return "role" if role else "usage"


def failure_in(event: Mapping[str, Any]) -> Failure | None:
    """Return the error that a service reports inside a reply with a success status.

    Its forms: `{"error": {"message", "code", "type"}}`, `{"error": "text"}`, and the flat
    `{"object": "error", "message", "code"}` of vLLM before 0.10.
    """
    error = event.get("error")
    if not error:
        if event.get("object") != "error":
            return None
        error = event
    if not isinstance(error, Mapping):
        return Failure("protocol", str(error))
    message = str(error.get("message") or error.get("detail") or dict(error))
    code = error.get("code", error.get("status"))
    if isinstance(code, str) and code.isdigit():
        code = int(code)
    if isinstance(code, int) and 400 <= code < 600:
        return Failure("status", message, status=code)
    return Failure("protocol", message)


def usage_in(event: Mapping[str, Any]) -> Usage | None:
    """Return the token counts of an event; some services give running counts in every event.

    llama.cpp gives them under `timings` (`timings_per_token`), where `prompt_n` excludes cached tokens; Groq
    under `x_groq`.
    """
    if usage := event.get("usage"):
        return read_usage(usage)
    groq = event.get("x_groq")
    if isinstance(groq, Mapping) and isinstance(usage := groq.get("usage"), Mapping):
        return read_usage(usage)
    timings = event.get("timings")
    if not timings or not isinstance(timings, Mapping) or "predicted_n" not in timings:
        return None
    evaluated, cached = timings.get("prompt_n"), timings.get("cache_n")
    if type(evaluated) is int and type(cached) is int:
        return Usage(evaluated + cached, timings["predicted_n"], cached)
    return Usage(None, timings["predicted_n"], None)


def count_tokens(event: Mapping[str, Any], choice: Mapping[str, Any]) -> int | None:
    """Return the number of tokens in an event, from its token ids or log-probabilities."""
    tokens = choice.get("token_ids")
    if not tokens and (logprobs := choice.get("logprobs")):
        tokens = logprobs.get("content") or logprobs.get("tokens")
    tokens = tokens or event.get("tokens")  # llama.cpp's return_tokens
    return len(tokens) if isinstance(tokens, list) and tokens else None


def read_usage(usage: Mapping[str, Any]) -> Usage:
    """Translate token counts; missing counts stay None."""
    prompt = usage.get("prompt_tokens_details") or {}
    completion = usage.get("completion_tokens_details") or {}
    return Usage(
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        prompt.get("cached_tokens"),
        completion.get("reasoning_tokens", usage.get("reasoning_tokens")),
    )

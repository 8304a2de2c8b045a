"""The base classes of backends: `HttpBackend` for a service behind HTTP, `Backend` for anything else.

A backend translates between aisb's requests and chunks and the API of a service or library. It does not
measure time and does not retry; the engine does both. Its options are the keyword parameters of its factory;
for a class these are the dataclass fields, each `Annotated` with its help text.
"""

from __future__ import annotations

import os
import time
import warnings
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

from aisb._deprecated import Renamed
from aisb._errors import ServiceError, UsageError
from aisb._types import Chunk, Message, Prediction, Request, ServiceInfo, TokenScores

NOT_READY = (502, 503, 504)


class HttpCall(NamedTuple):
    """One HTTP request: a path relative to the service's URL, a JSON body (or bytes), and extra headers."""

    path: str
    body: Mapping[str, Any] | bytes | None = None
    headers: Mapping[str, str] = {}
    method: str = "POST"


class Fetched(NamedTuple):
    """The response to a request that is not measured. Header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return the parsed body; None if the status is not 200 or the body is not JSON."""
        import json

        try:
            return json.loads(self.body) if self.status == 200 else None
        except (ValueError, RecursionError):
            return None


class Client(Protocol):
    """Sends requests that are not measured: probes, model lists, counters."""

    async def fetch(
        self,
        backend: HttpBackend,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - the client underneath applies it
    ) -> Fetched:
        """Send one request: GET, or POST if there is a body. An error status raises nothing.

        Raises:
            ServiceError: the service did not answer; the message says what to try.
        """
        ...


class Backend(ABC):
    """A service or a local model that answers requests."""

    concurrency: ClassVar[int | None] = None
    """The default number of concurrent requests; None selects the default of the load."""

    prompt_form: ClassVar[Literal["chat", "text"]] = "chat"
    """Whether a request holds messages or one text. The engine converts prompts to this form."""

    @property
    def has_chat_template(self) -> bool:
        """Whether a backend that takes texts also accepts messages, by its own chat template."""
        return False

    takes, renders = Renamed("prompt_form"), Renamed("has_chat_template")

    local: ClassVar[bool] = False
    """Whether the model runs in this process. If so, `probe` loads it; parallel subtasks are processes."""

    clock: Callable[[], int] = staticmethod(time.perf_counter_ns)
    """The engine's clock in nanoseconds, for chunks with a `stamp_ns`. The engine sets it."""

    client: Client | None = None
    """The client of `HttpBackend.fetch`. The engine sets it when it creates a backend; a test may set one."""

    @abstractmethod
    def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Answer one request, chunk by chunk. Raise `AttemptFailed` if that fails."""

    params: ClassVar[frozenset[str] | Literal["any"]] = frozenset()
    """The generation parameters that this backend sends, by OpenAI's names: `max_tokens`, `stop`, `seed` …

    `"any"` passes all parameters through, for an API that has its own names. If a user sets a parameter that
    is not declared here, the run stops before the first request. If a task sets one, it is not sent, and the
    run prints a note.
    """

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Raise `UsageError` if this backend cannot send the value of a declared parameter."""
        del params

    async def logprob(self, request: Request) -> Sequence[TokenScores]:
        """Score the context of a request alone, then followed by each of its continuations.

        Only backends without HTTP implement it. The engine uses only the tokens of the first result. Raise
        `AttemptFailed` if there are no scores.
        """
        del request
        raise UsageError(f"{type(self).__name__} returns no log-probabilities, which this task needs")

    def live(self) -> str:
        """Return the current activity of a local model in one short line; empty if there is none to show."""
        return ""

    def summary(self) -> str:
        """Return one line for the run's log on the work that a local model has done."""
        return ""

    def pin(self, worker: int, workers: int) -> Mapping[str, str]:
        """Return the environment variables that give a worker process its own devices.

        `worker` counts from 0.

        Raises:
            UsageError: the machine has fewer devices than the workers need.
        """
        del worker, workers
        return {}

    def state(self) -> Mapping[str, Any]:
        """Return attributes that a worker's backend needs and cannot derive from its options.

        A worker creates its backend from the same options, with the current values of those that are
        dataclass fields. Anything else that `probe` or `adapt` learned must be in `state`. Values must be
        picklable.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Set the attributes that `state` returned in the main process."""
        vars(self).update(state)

    async def probe(self) -> ServiceInfo:
        """Check that requests can be sent; raise `ServiceError` that says what to try if they cannot."""
        return ServiceInfo()

    async def identity(self) -> Mapping[str, Any]:
        """Return facts that identify the server and its model, such as versions; called after `probe`.

        A run keeps them in its manifest. Nothing depends on them, and exceptions are ignored. Standard names
        are `server`, `server_version`, `revision` (of the served weights) and `chat_template_sha256`.
        """
        return {}

    async def counters(self) -> Mapping[str, float]:
        """Return the server's counters by name. A run keeps their increase; exceptions are ignored.

        Use these names for counters that the server has:

        - `drafts`, `draft_tokens`, `accepted_tokens`, `accepted_tokens_at_0` (and `_at_1` …): speculative
          decoding: drafts, tokens drafted and accepted, and those accepted at each position of a draft
        - `prefix_cache_queries`, `prefix_cache_hits`: tokens looked up and found in the prefix cache
        - `running`, `waiting`: the current number of requests at the server; these may decrease

        Other counters may have any name, preferably with the server's prefix, and must never decrease.
        """
        return {}

    def __init_subclass__(cls, **options: Any) -> None:
        """Give the attributes that a subclass defines under an old name their new one."""
        super().__init_subclass__(**options)
        for old, new in (("takes", "prompt_form"), ("renders", "has_chat_template")):
            if old in vars(cls):
                setattr(cls, new, vars(cls)[old])
                warnings.warn(f"{cls.__name__}.{old} is now {new}; 0.4 removes it", DeprecationWarning, 3)

    async def aclose(self) -> None:
        """Release the resources of the backend. The creator of the backend calls it once."""
        return


@dataclass(kw_only=True, eq=False)
class HttpBackend(Backend):
    """A service behind HTTP. A subclass only translates: the engine owns sockets, timing and retries."""

    url: Annotated[str, "address of the service: scheme, host, port, and a path prefix if it has one"] = (
        "http://127.0.0.1:8000"
    )
    headers: Annotated[Mapping[str, str], "extra headers of every request"] = field(default_factory=dict)
    headers_env: Annotated[
        Mapping[str, str], "extra headers whose values are in environment variables: header to variable"
    ] = field(default_factory=dict)
    plain_headers: Annotated[
        Sequence[str], "headers whose values a run folder may keep; all others are masked there"
    ] = ()
    api_key_env: Annotated[str | None, "environment variable that holds the API key"] = None
    api_key_file: Annotated[str | None, "file that holds the API key and nothing else"] = None
    verify: Annotated[bool, "check the service's TLS certificate"] = True
    ca_file: Annotated[str | None, "certificates (PEM) to trust instead of the system's"] = None
    transport: Annotated[
        Literal["native", "httpx"], "HTTP client that sends the requests; httpx supports proxies"
    ] = "native"

    stream_end: ClassVar[Literal["finish", "close", "final"]] = "finish"
    """What ends a complete stream: a finish reason or `[DONE]` ("finish"), or the close of the connection
    ("close"). "final" is "finish", and no event follows the one with the finish reason."""

    stream_format: ClassVar[Literal["sse", "json"]] = "sse"
    """The format of a stream: server-sent events, or JSON values, each ended by a newline or a NUL."""

    error_statuses: ClassVar[Mapping[str, int]] = {}
    """The HTTP status equivalent to an `error_type` in a reply with status 200. It decides whether
    the request is retried."""

    copies_text: ClassVar[bool] = False
    """Whether `decode` copies the text of an event unchanged, and does not use the id of the event.

    If so, the engine parses only the first of the events that differ in nothing but their text or their id.
    """

    @abstractmethod
    def encode(self, request: Request) -> HttpCall:
        """Translate a request into an HTTP call."""

    @abstractmethod
    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate one event of a stream, or a whole reply; return None for an event without content.

        Raise `AttemptFailed` for an error that the service reports inside a successful reply.
        """

    def finalize(self, prediction: Prediction, request: Request) -> Prediction:
        """Correct a prediction after the whole reply has arrived.

        For example, remove the prompt if the service repeats it, or the stop text if it is left at the end.
        """
        del request
        return prediction

    def encode_logprob(self, prompt: str | Sequence[Message]) -> HttpCall:
        """Translate a request for the log-probability of each token of a prompt, without generation.

        The prompt is a text, or messages if the backend takes chat. If the last message is the assistant's,
        it is an option to compare: nothing may follow its text, not even the token that ends a turn.

        Raises:
            UsageError: the service does not offer it, or this backend does not support it.
        """
        del prompt
        raise UsageError(
            f"{type(self).__name__} returns no log-probabilities of a prompt, which this task needs; use a "
            "completions backend of a service that has them, or a local one"
        )

    def decode_logprob(self, event: Mapping[str, Any]) -> TokenScores:
        """Translate the reply to `encode_logprob`; raise `AttemptFailed` if it has no log-probabilities."""
        del event
        raise UsageError(
            f"{type(self).__name__} requests log-probabilities but cannot read them: it has no decode_logprob"
        )

    def error_message(self, status: int, body: bytes) -> str:
        """Return the service's error message from a reply with an error status."""
        return error_text(body) or f"HTTP {status}"

    def adapt(self, status: int, message: str) -> str | None:
        """Stop sending an optional part of requests that the service refuses.

        Called after status 400 or 422. If there is a part to leave out from now on, return one line that
        names it, and the engine sends the request again. Else return None.
        """
        del status, message
        return None

    def auth_headers(self) -> Mapping[str, str]:
        """Return the headers with the API key; empty without one."""
        key = self.api_key()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def api_key(self) -> str | None:
        """Return the API key from the environment variable or file that the options name.

        Raises:
            UsageError: the variable is not set, or the file cannot be read or is empty.
        """
        if self.api_key_file:
            from pathlib import Path

            name = f"the API key file {self.api_key_file}"
            try:
                key = Path(self.api_key_file).expanduser().read_text(encoding="utf-8").strip()
            except OSError as error:
                raise UsageError(f"{name} cannot be read: {error.strerror}") from error
            if not key or "\n" in key:
                raise UsageError(f"{name} must hold the key and nothing else, on one line")
            return key
        if self.api_key_env:
            if key := os.environ.get(self.api_key_env, "").strip():
                return key
            raise UsageError(
                f"the environment variable {self.api_key_env}, which should hold the API key, is not set; "
                f"set it, or name another with --api-key-env"
            )
        return None

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Raise `UsageError`: the engine calls `encode` and `decode` instead."""
        del request
        raise UsageError(
            f"{type(self).__name__} only translates: the engine sends what encode() returns, and parses "
            "the reply with decode()"
        )
        yield  # makes the function an async generator, as the base class declares

    async def fetch(
        self,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - the client underneath applies it
    ) -> Fetched:
        """Send one request that is not measured: GET, or POST if there is a body.

        Raises:
            ServiceError: the service did not answer; the message says what to try.
        """
        if self.client is None:
            raise UsageError(
                f"{type(self).__name__} has no client to send with: the engine sets one when it creates "
                "a backend; elsewhere set `backend.client` (aisb_testing does)"
            )
        return await self.client.fetch(self, path, body=body, timeout=timeout)

    async def probe_path(self, path: str, *, body: Mapping[str, Any] | None = None) -> Fetched:
        """Fetch a page that describes the service, for a probe. A status such as 404 or 403 raises nothing.

        Raises:
            ServiceError: nothing answers, the key is missing or wrong, it redirects, or it is not ready yet.
        """
        response = await self.fetch(path, body=body)
        where = self.address + path
        message = self.error_message(response.status, response.body)
        if response.status == 401:
            raise ServiceError(self._key_refused(message))
        if response.status in NOT_READY:
            raise ServiceError(f"{where} is not ready ({response.status}: {message}); try again when it is")
        if 300 <= response.status < 400:
            target = response.headers.get("location", "another address")
            raise ServiceError(f"{where} redirects to {target}; set url to its target")
        return response

    look = Renamed("probe_path")

    @property
    def address(self) -> str:
        """Host, port and path of the service, without a user name or key that the URL may contain."""
        return host_and_port(self.url) + urlsplit(self.url).path

    def _key_refused(self, message: str) -> str:
        detail = "" if message == "HTTP 401" else f": {message}"
        if self.api_key_file:
            return f"{self.address} refuses the API key in {self.api_key_file} (401{detail})"
        if self.api_key() is None:
            return (
                f"{self.address} requires an API key (401{detail}); put it into an environment variable "
                f"and give that variable's name with --api-key-env"
            )
        variable = self.api_key_env or getattr(self, "default_api_key_env", None)
        return f"{self.address} refuses the API key in the environment variable {variable} (401{detail})"

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            url = _without_user(self.url)
            scheme, separator, rest = url.partition("://")
            problem, rest = (f"is {scheme}, not HTTP", rest) if separator else ("has no scheme", url)
            raise UsageError(f"url = {url!r} {problem}; write http://{rest} or https://{rest}")
        self.url = self.url.rstrip("/")


def host_and_port(url: str) -> str:
    """Return the host and port of a URL, without a user name or key that it may contain.

    Raises:
        UsageError: the port is not a number from 1 to 65535.
    """
    parts = urlsplit(url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{host}:{port_of(url)}"


def port_of(url: str) -> int:
    """Return the port of a URL.

    Raises:
        UsageError: it is not a number from 1 to 65535.
    """
    parts = urlsplit(url)
    try:
        return parts.port or (443 if parts.scheme == "https" else 80)
    except ValueError as error:
        raise UsageError(
            f"url = {_without_user(url)!r}: the port must be a number from 1 to 65535, as in http://127.0.0.1:8000"
        ) from error


def _without_user(url: str) -> str:
    """Mask what may be secret in an invalid URL, for an error: all before the last `@`, and the query."""
    scheme, separator, rest = url.rpartition("://")
    _, at, rest = rest.rpartition("@")
    rest, query, _ = rest.partition("?")
    return f"{scheme}{separator}{'***@' if at else ''}{rest}{'?***' if query else ''}"


def error_text(body: bytes) -> str:
    """Return the message in the body of an error: from JSON in the usual forms, else text without HTML tags.

    The JSON may be in a server-sent event: Triton sends it so if the request was for a stream.
    """
    import json
    import re

    text = body.decode("utf-8", "replace").strip()
    try:
        data: Any = json.loads(text.removeprefix("data:"))
    except (ValueError, RecursionError):
        # Cut first: with tags that are never closed, the pattern takes time quadratic in the length.
        start = text[:20_000]
        plain = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", start, flags=re.DOTALL | re.IGNORECASE)
        return " ".join(plain.split())[:500]
    for key in ("error", "detail", "message", "error_msg", "msg"):
        if isinstance(data, Mapping) and data.get(key):
            data = data[key]
    message = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    if message.startswith("Traceback (most recent call last)"):
        message = message.rstrip().rpartition("\n")[2]  # the last line has the exception's message
    return message[:500]

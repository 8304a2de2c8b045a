"""What a backend subclasses: `Backend` for anything that answers, `HttpBackend` for a service behind HTTP.

A backend translates between aisb's requests and chunks and what a service or library understands. It never
reads a clock and never retries: the engine does. Options are keyword parameters of the factory; for a class
they are its dataclass fields, each `Annotated` with its help text.
"""

from __future__ import annotations

import os
import time
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal, NamedTuple, Protocol
from urllib.parse import urlsplit

from aisb._errors import ServiceError, UsageError
from aisb._types import Chunk, Prediction, Request, ServiceInfo, TokenScores

NOT_READY = (502, 503, 504)


class HttpCall(NamedTuple):
    """One HTTP request: a path below the service's URL, a JSON body (or bytes), and extra headers."""

    path: str
    body: Mapping[str, Any] | bytes | None = None
    headers: Mapping[str, str] = {}
    method: str = "POST"


class Fetched(NamedTuple):
    """The answer to a request outside the hot path. Names of headers are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Return what the answer says; None when its status is not 200, or its body is not JSON."""
        import json

        try:
            return json.loads(self.body) if self.status == 200 else None
        except (ValueError, RecursionError):
            return None


class Client(Protocol):
    """Sends requests to a service outside the hot path: probes, model lists, counters."""

    async def fetch(
        self,
        backend: HttpBackend,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - the client underneath applies it
    ) -> Fetched:
        """Send one request: GET, or POST when there is a body. A status that is no success is an answer.

        Raises:
            ServiceError: nothing answered; the message says what to try.
        """
        ...


class Backend(ABC):
    """Something that answers requests."""

    concurrency: ClassVar[int | None] = None
    """How many requests at a time suit this backend; None leaves it to the load."""

    takes: ClassVar[Literal["chat", "text"]] = "chat"
    """Whether a request should hold messages or one text; the engine turns one into the other."""

    @property
    def renders(self) -> bool:
        """Whether it is handed messages although it takes texts: it has a chat template for them."""
        return False

    local: ClassVar[bool] = False
    """Whether the model itself is in the process: a probe loads it, and subtasks at once are processes."""

    clock: Callable[[], int] = staticmethod(time.perf_counter_ns)
    """The engine's clock, which it hands in, for chunks that carry their own stamp."""

    client: Client | None = None
    """What `HttpBackend.fetch` sends with: set by the engine when it makes a backend; a test may set one."""

    @abstractmethod
    def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Answer one request, chunk by chunk. Raise `AttemptFailed` when there is no answer."""

    params: ClassVar[frozenset[str] | Literal["any"]] = frozenset()
    """The generation parameters that this backend sends, by OpenAI's names: `max_tokens`, `stop`, `seed` …

    `"any"` is for an API that takes parameters by their own names: they are passed through. What a user sets
    outside of these is an error before the first request. What a task sets outside of them is not sent, and
    the run says so.
    """

    def check_params(self, params: Mapping[str, Any]) -> None:
        """Raise `UsageError` for values of declared parameters that this backend cannot send as they read."""
        del params

    async def logprob(self, request: Request) -> Sequence[TokenScores]:
        """Score a request's context alone, then with each of its continuations; for backends without HTTP.

        Of the context alone only the tokens are looked at. Raise `AttemptFailed` when there are no scores.
        """
        del request
        raise UsageError(f"{type(self).__name__} gives no log-probabilities, which this task compares")

    def live(self) -> str:
        """Return what a local model does at the moment, in one short line; empty where nothing is to say."""
        return ""

    def summary(self) -> str:
        """Return what a local model has done in all, for a run's log."""
        return ""

    def pin(self, worker: int, workers: int) -> Mapping[str, str]:
        """Return the environment that gives one of several worker processes devices of its own.

        Raises:
            UsageError: the machine has not as many devices as all workers need.
        """
        del worker, workers
        return {}

    def state(self) -> Mapping[str, Any]:
        """Return what a worker's backend must know beside its options: what `probe` or `adapt` learned.

        A worker makes a backend from the same options. Dataclass fields that are options have there the
        values that they have here; for all else a backend overrides this. Values must be picklable.
        """
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned in the run's own process: attributes by name."""
        vars(self).update(state)

    async def probe(self) -> ServiceInfo:
        """Say whether requests can be sent at all; raise `ServiceError` with what to try when they cannot."""
        return ServiceInfo()

    async def identity(self) -> Mapping[str, Any]:
        """Return what tells what answers from others of its name, after `probe`; `{}` where nothing does.

        A run keeps it in its manifest. Best effort: nothing depends on it, and what it raises is passed over.
        These names have a meaning: `server`, `server_version`, `revision` (of the weights served),
        `chat_template_sha256`.
        """
        return {}

    async def counters(self) -> Mapping[str, float]:
        """Return server-side counters by name; a run keeps what they gained. Best effort: `{}` when none.

        These names have a meaning to aisb, and the backend translates to them what its server counts:

        - `drafts`, `draft_tokens`, `accepted_tokens`, `accepted_tokens_at_0` (and `_at_1` …): speculative
          decoding; drafts made, tokens drafted and accepted, accepted at each position of a draft
        - `prefix_cache_queries`, `prefix_cache_hits`: tokens looked up and found in the prefix cache
        - `running`, `waiting`: requests at the server at the moment, which may fall

        All others only grow; they are kept under any name, best with a prefix of the server's own.
        """
        return {}

    async def aclose(self) -> None:
        """Let go of what the backend holds. Called once, by whoever made it."""
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
        Literal["native", "httpx"], "what carries requests; httpx where a proxy is needed"
    ] = "native"

    stream_end: ClassVar[Literal["finish", "close", "final"]] = "finish"
    """How a whole stream is told from one cut short: by a finish reason or `[DONE]`, or by its close; "final"
    means that the event with the finish reason is the last."""

    stream_format: ClassVar[Literal["sse", "json"]] = "sse"
    """What a stream is made of: server-sent events, or JSON values, each ended by a newline or a NUL."""

    error_statuses: ClassVar[Mapping[str, int]] = {}
    """Which HTTP status an `error_type` inside a reply with status 200 stands for: whether to try again."""

    copies_text: ClassVar[bool] = False
    """Whether `decode` copies a chunk's text out of its event as it stands, whatever the text says.

    Then events of one reply that differ in their text alone are not parsed again.
    """

    @abstractmethod
    def encode(self, request: Request) -> HttpCall:
        """Translate a request into an HTTP call."""

    @abstractmethod
    def decode(self, event: Mapping[str, Any]) -> Chunk | None:
        """Translate one streamed event, or the one whole reply; None for an event that says nothing.

        Raise `AttemptFailed` for an error that the service reports inside a successful reply.
        """

    def finalize(self, prediction: Prediction, request: Request) -> Prediction:
        """Return a prediction as it is meant, once all of a reply is there.

        For what no single event shows: a service that repeats the prompt, or leaves the stop text at the end.
        """
        del request
        return prediction

    def encode_logprob(self, text: str) -> HttpCall:
        """Ask for the log-probability of each token of a text, with nothing generated.

        Raises:
            UsageError: the service does not offer it, or this backend does not know how.
        """
        del text
        raise UsageError(
            f"{type(self).__name__} gives no log-probabilities of a prompt, which this task compares; use a "
            "completions backend of a service that has them, or a local one"
        )

    def decode_logprob(self, event: Mapping[str, Any]) -> TokenScores:
        """Translate the reply to `encode_logprob`; raise `AttemptFailed` where it holds none."""
        del event
        raise UsageError(
            f"{type(self).__name__} asks for log-probabilities and cannot read them: no decode_logprob"
        )

    def error_message(self, status: int, body: bytes) -> str:
        """Return the service's own words for a reply that is not a success."""
        return error_text(body) or f"HTTP {status}"

    def adapt(self, status: int, message: str) -> str | None:
        """Change how requests are encoded when the service refuses a part it need not have.

        Called on a 400 or 422. Return one line that says what is left out from now on, and the request is
        sent again; None when there is nothing to leave out.
        """
        del status, message
        return None

    def auth_headers(self) -> Mapping[str, str]:
        """Return the headers that carry the API key; empty without one."""
        key = self.api_key()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def api_key(self) -> str | None:
        """Return the API key from the environment variable or file that the options name.

        Raises:
            ServiceError: the variable is not set, or the file cannot be read or is empty.
        """
        if self.api_key_file:
            from pathlib import Path

            try:
                key = Path(self.api_key_file).expanduser().read_text(encoding="utf-8").strip()
            except OSError as error:
                raise ServiceError(
                    f"the API key file {self.api_key_file} cannot be read: {error.strerror}"
                ) from error
            if not key or "\n" in key:
                raise ServiceError(
                    f"the API key file {self.api_key_file} must hold the key and nothing else, on one line"
                )
            return key
        if self.api_key_env:
            if key := os.environ.get(self.api_key_env, "").strip():
                return key
            raise ServiceError(
                f"the API key is looked for in the environment variable {self.api_key_env}, "
                f"which is not set; set it, or name another with --api-key-env"
            )
        return None

    async def generate(self, request: Request) -> AsyncIterator[Chunk]:
        """Raise: the engine sends what `encode` returns, and gives the reply to `decode`, event by event."""
        del request
        raise UsageError(
            f"{type(self).__name__} only translates: a run sends what encode() returns and reads by decode()"
        )
        yield  # what makes this an iterator, as any other backend's

    async def fetch(
        self,
        path: str,
        *,
        body: Mapping[str, Any] | None = None,
        timeout: float = 10.0,  # noqa: ASYNC109 - the client underneath applies it
    ) -> Fetched:
        """Send one request outside the hot path: GET, or POST when there is a body.

        Raises:
            ServiceError: nothing answered; the message says what to try.
        """
        if self.client is None:
            raise UsageError(
                f"{type(self).__name__} has no client to send with: the engine sets one when a run makes it; "
                "elsewhere set `backend.client` (aisb_testing does)"
            )
        return await self.client.fetch(self, path, body=body, timeout=timeout)

    async def look(self, path: str, *, body: Mapping[str, Any] | None = None) -> Fetched:
        """Fetch a page on the service itself, for a probe. A status such as 404 or 403 is an answer.

        Raises:
            ServiceError: nothing answers, the key is missing or wrong, it redirects, or it is not ready yet.
        """
        answer = await self.fetch(path, body=body)
        where = self.address + path
        words = self.error_message(answer.status, answer.body)
        if answer.status == 401:
            raise ServiceError(self._key_refused(words))
        if answer.status in NOT_READY:
            raise ServiceError(f"{where} is not ready ({answer.status}: {words}); try again when it is")
        if 300 <= answer.status < 400:
            target = answer.headers.get("location", "another address")
            raise ServiceError(f"{where} redirects to {target}; set url to where that leads")
        return answer

    @property
    def address(self) -> str:
        """Where the service is: host, port and path, without a user name or key that the URL may hold."""
        return host_and_port(self.url) + urlsplit(self.url).path

    def _key_refused(self, words: str) -> str:
        said = "" if words == "HTTP 401" else f": {words}"
        if self.api_key_file:
            return f"{self.address} refuses the API key in {self.api_key_file} (401{said})"
        if self.api_key() is None:
            return (
                f"{self.address} wants an API key (401{said}); put it into an environment variable "
                f"and give that variable's name with --api-key-env"
            )
        variable = self.api_key_env or getattr(self, "default_api_key_env", None)
        return f"{self.address} refuses the API key in the environment variable {variable} (401{said})"

    def __post_init__(self) -> None:
        if not self.url.startswith(("http://", "https://")):
            url = _without_user(self.url)
            scheme, separator, rest = url.partition("://")
            raise UsageError(
                f"url = {url!r} is {scheme}, not HTTP; write http://{rest} or https://{rest}"
                if separator
                else f"url = {url!r} has no scheme; write http://{url} or https://{url}"
            )
        self.url = self.url.rstrip("/")


def host_and_port(url: str) -> str:
    """Return the host and port of a URL, without a user name or key that it may hold.

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
    """Return a URL that is not valid as an error may show it: nothing before the last `@`, no query."""
    scheme, separator, rest = url.rpartition("://")
    _, at, rest = rest.rpartition("@")
    rest, query, _ = rest.partition("?")
    return f"{scheme}{separator}{'***@' if at else ''}{rest}{'?***' if query else ''}"


def error_text(body: bytes) -> str:
    """Return the message inside an error body: JSON in the usual shapes, else the text without HTML tags.

    The JSON may stand in an event, as Triton sends it where a stream was asked for.
    """
    import json
    import re

    text = body.decode("utf-8", "replace").strip()
    try:
        data: Any = json.loads(text.removeprefix("data:"))
    except (ValueError, RecursionError):
        # No more of it than any message has: what is never closed would be looked for from every mark on.
        start = text[:20_000]
        plain = re.sub(r"<(script|style).*?</\1>|<[^>]*>", " ", start, flags=re.DOTALL | re.IGNORECASE)
        return " ".join(plain.split())[:500]
    for key in ("error", "detail", "message", "error_msg", "msg"):
        if isinstance(data, Mapping) and data.get(key):
            data = data[key]
    words = data if isinstance(data, str) else json.dumps(data, ensure_ascii=False)
    if words.startswith("Traceback (most recent call last)"):
        words = words.rstrip().rpartition("\n")[2]  # what it ends with says what happened
    return words[:500]

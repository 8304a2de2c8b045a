"""The exchanges of a backend's check: replies as services send them, complete, late, unusual and broken."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import orjson

from aisb import TOKEN_KINDS, HttpBackend, Message, Prediction, Request, UsageError
from aisb_engine import ENGINE_PARAMS, KNOWN_PARAMS, ServiceClient, sends
from aisb_mock import Ask, Dialect, Event, Refused, Reply, ToolCall
from aisb_testing._cases import CheckedCase, exception_case
from aisb_testing._scripted import ScriptedService
from aisb_testing._steps import LAST_CHUNK, Step, chunk, sized

PROMPT = "How much is 6 x 7?"
WORDS = ["It", " is", " 42", ",", " I", " am", " quite", " sure", " of", " it"]
MADE_UP = "aisb_made_up"
"""A parameter that no service knows."""
ANY_VALUES: Sequence[Any] = (17, 0.25, "low", True, False, [7], ["x"], {"x": 1})
"""The values tried for an unknown parameter."""
HALT = object()
"""A step of a script: send nothing more, and keep the connection open."""
SHUT = object()
"""A step of a script: close the connection at once."""
STALL_SECONDS = 0.4
"""The timeout in seconds of a client that must detect a stalled reply."""
CLIENT_SECONDS = 60.0
"""The timeout in seconds of all other clients."""

Script = Sequence[Any]
"""Bytes to send, seconds to wait, `HALT` or `SHUT`."""


@dataclass(slots=True)
class UnevenReply(Reply):
    """A reply whose first chunk holds more tokens than the others."""

    first: int = 5

    def chunks(self) -> Iterator[tuple[bool, str, int]]:
        """Yield the first tokens together, then each alone."""
        yield False, "".join(self.pieces[: self.first]), self.first
        for token in self.pieces[self.first :]:
            yield False, token, 1


@dataclass(slots=True)
class Case:
    """One exchange: the bytes sent, the reason, the expected result; `failures` are the accepted kinds."""

    name: str
    reason: str
    script: Script
    reply: Reply | None = None
    streamed: bool = True
    tokens: tuple[int, ...] = ()
    failures: tuple[str, ...] = ()
    words: str = ""
    partial: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)


class NoDialectError(AssertionError):
    """The mock server has no endpoint with the path of a backend."""


async def run_exchanges(
    factory: Callable[..., HttpBackend], dialect: Dialect | None, options: Mapping[str, Any]
) -> list[CheckedCase]:
    """Run a backend through every exchange; return the result of each.

    Raises:
        NoDialectError: no dialect is given, and the mock server knows none for the backend's path.
    """
    probe = factory(url="http://127.0.0.1:9", **options)
    call = probe.encode(request_for(probe))
    body = call.body if isinstance(call.body, bytes) else orjson.dumps(call.body)
    if dialect is None:
        from aisb_mock import dialect_of

        dialect = dialect_of(call.path, body)
        if dialect is None:
            raise NoDialectError(
                f"the mock server has no endpoint {call.path}; give check_backend a dialect for it"
            )
    reason = "a parameter that is silently not sent, or sent without being declared, changes scores"
    checked = [CheckedCase("parameters", reason, tuple(undeclared_parameters(probe)))]
    try:
        ask = dialect.read(orjson.loads(body), call.path)
        for case in cases(dialect, ask, probe):
            problems = await _run(case, factory, dialect, options)
            checked.append(CheckedCase(case.name, case.reason, tuple(problems)))
    except Exception as error:  # noqa: BLE001 - whatever a dialect raises is a finding
        checked.append(exception_case(error))
    return checked


def request_for(backend: HttpBackend) -> Request:
    """Return the request of every exchange, in the form that the backend takes."""
    params = {"max_tokens": 64, "temperature": 0, "stop": ["\n\n"]}
    params = {name: value for name, value in params.items() if sends(backend, name)}
    if backend.prompt_form == "chat":
        return Request("17", messages=(Message("user", PROMPT),), params=params)
    return Request("17", text=PROMPT, params=params)


def undeclared_parameters(backend: HttpBackend) -> Iterator[str]:
    """Yield a line for each parameter that `params` declares but `encode` drops, and vice versa."""
    if backend.params == "any":
        if not _changes(backend, MADE_UP, 17):
            yield f'params is "any", and {MADE_UP} is not sent; declare the set of names that are'
        return
    for name in sorted(backend.params - ENGINE_PARAMS):
        values = [KNOWN_PARAMS[name].example] if name in KNOWN_PARAMS else []
        if not any(_changes(backend, name, value) for value in (*values, *ANY_VALUES)):
            yield f"params declares {name}, which does not change the request"
    if _passes_on(backend, MADE_UP, 17):  # it sends any parameter, so its declaration cannot be checked
        if not backend.params:
            yield 'it sends every parameter that it gets and declares none; write params = "any"'
        return
    for name in sorted(KNOWN_PARAMS.keys() - backend.params - ENGINE_PARAMS):
        if _passes_on(backend, name, KNOWN_PARAMS[name].example):
            yield f"{name} is sent, and params does not declare it"


def _changes(backend: HttpBackend, name: str, value: Any) -> bool:
    """Return whether a parameter changes what a backend sends."""
    plain = replace(request_for(backend), params={})
    try:
        return backend.encode(replace(plain, params={name: value})) != backend.encode(plain)
    except UsageError:  # it validates values
        return False


def _passes_on(backend: HttpBackend, name: str, value: Any) -> bool:
    """Return whether a backend sends a parameter that it does not declare. It may raise: no run does this."""
    try:
        return _changes(backend, name, value)
    except Exception:  # noqa: BLE001 - any exception is right: it sends nothing
        return False


def cases(dialect: Dialect, ask: Ask, backend: HttpBackend) -> Iterator[Case]:
    """Yield every exchange that makes sense in a dialect."""
    yield from streams(dialect, ask, events=backend.stream_format == "sse")
    yield from documents(dialect, ask)
    yield from failure_cases(dialect, ask, sse=backend.stream_format == "sse")


def streams(dialect: Dialect, ask: Ask, *, events: bool) -> Iterator[Case]:
    """Yield the golden streams, each in the dialect's own bytes."""
    make = partial(write_exchange, ask)
    plain = make(WORDS)
    yield stream_case("plain", "the usual reply", dialect, plain)
    early = "some services send the role at once, and the first token much later"
    yield stream_case("early role-only chunk", early, dialect, plain, pause_after="role")
    late = "usage may come after the finish reason, in an event of its own"
    yield stream_case("usage late", late, dialect, plain, pause_after="finish")
    yield stream_case("no usage", "not every service counts tokens", dialect, make(WORDS, usage=False))
    for name in ("reasoning_content", "reasoning"):
        reason = "services use either name for the field of reasoning"
        reply = make(WORDS, reasoning=["Hm", " so"], reasoning_field=name)
        yield stream_case(name, reason, dialect, reply)
    cut = make([], reasoning=["Hm", " so", " on"], finish_reason="length")
    reason = "a model may use all its tokens for reasoning"
    yield stream_case("reasoning only, cut by length", reason, dialect, cut)
    reason = "services bundle tokens under load, and with speculative decoding"
    yield stream_case("4 tokens a chunk", reason, dialect, make(WORDS, tokens_per_chunk=4))
    uneven = UnevenReply(**{name: getattr(plain, name) for name in Reply.__slots__})
    yield stream_case("5 tokens in the first chunk", reason, dialect, uneven)
    if dialect.calls_tools:
        call = make(['{"a":', " 1}"], tool=ToolCall("call_1", "add", '{"a": 1}'), tokens_per_chunk=2)
        reason = "some services send a whole tool call in one event"
        yield stream_case("tool call in one chunk", reason, dialect, call)
    data = b"".join(event.data for event in dialect.events(plain))
    if events:
        odd = b": ping\n\n" + data.replace(b"\n\n", b"\n\n: ping\n\n")
        reason = "gateways end lines with CRLF, and send comments to keep connections open"
        pieces = [odd.replace(b"\n", b"\r\n")]
        yield case_from_bytes("CRLF and keep-alive comments", reason, dialect, plain, pieces)
    foreign = make(["你好", "🙂", " ä"])
    letters = b"".join(event.data for event in dialect.events(foreign))
    for size in (1, 7):
        split = [letters[at : at + size] for at in range(0, len(letters), size)]
        reason = "a network cuts bytes anywhere, also within a character"
        yield case_from_bytes(f"cut into pieces of {size}", reason, dialect, foreign, split)
    reason = "a proxy may collect a stream"
    yield case_from_bytes("all events in one packet", reason, dialect, plain, [data])
    reason = "an event can be longer than any buffer"
    yield stream_case("an event of 1 MB", reason, dialect, make(["a", "x" * 1_000_000, "b"]))
    yield stream_case("N = 1", "answers of one token are common: A, B, yes", dialect, make(["42"]))
    reason = "a truncated answer is distinguished from a wrong one"
    yield stream_case("cut by length", reason, dialect, make(WORDS, finish_reason="length"))
    if b"data: [DONE]" in data:
        reason = "some gateways leave the connection open after the last event"
        script = [head(dialect), chunk(data), HALT]
        yield Case("silence after [DONE]", reason, script, plain, tokens=tokens_of(dialect.events(plain)))


def documents(dialect: Dialect, ask: Ask) -> Iterator[Case]:
    """Yield whole replies; even a backend that requests a stream may receive one."""
    for name, reply in (
        ("not streamed", write_exchange(ask, WORDS)),
        ("not streamed, cut by length", write_exchange(ask, WORDS, finish_reason="length")),
    ):
        reason = "gateways may answer a request for a stream with one document"
        yield Case(name, reason, [http_reply(200, dialect.whole(reply))], reply, streamed=False)


def failure_cases(dialect: Dialect, ask: Ask, *, sse: bool) -> Iterator[Case]:
    """Yield every way in which a service fails, with the accepted failure kinds of each."""
    for status, text in (
        (400, "the prompt is too long: 5000 tokens, the most is 4096"),
        (401, "no such key"),
        (403, "not allowed"),
        (404, "no such model"),
        (429, "too many requests"),
        (500, "the request timed out"),
        (503, "the model is loading"),
    ):
        body = dialect.error(Refused(status, text))
        said = "" if b"unknown model" in body else text
        reason = "the user needs the service's message"
        script = [http_reply(status, body)]
        yield Case(f"status {status}", reason, script, failures=("status",), words=said)
    page = b"<html><head><title>Welcome</title></head><body>It works</body></html>"
    protocol, reason = ("protocol",), "what cannot be read is a failure, never an answer"
    yield Case("HTML", reason, [http_reply(200, page, "text/html")], failures=protocol, words="web page")
    yield Case("nothing at all", reason, [http_reply(200, b"")], failures=protocol, words="empty")
    yield Case("not JSON", reason, [http_reply(200, b'{"a": ')], failures=protocol, words="JSON")
    latin = [http_reply(200, '{"ä": 1}'.encode("latin-1"))]
    yield Case("another encoding", reason, latin, failures=protocol)
    yield Case("closed without a reply", "services restart", [SHUT], failures=("cut", "connect"))
    yield Case("never answered", "services hang", [HALT], failures=("timeout",))
    events = [event.data for event in dialect.events(write_exchange(ask, WORDS))]
    half = b"".join(events[: len(events) // 2])
    failed = dialect.error_event(Refused(500, "out of memory"))
    for name, reason, steps, kinds in (
        ("cut mid-stream", "an incomplete answer is a failure", [chunk(half), SHUT], ("cut",)),
        ("stopped mid-stream", "services hang", [chunk(half), HALT], ("timeout",)),
        (
            "an event that is not JSON",
            "what cannot be read is a failure",
            [chunk(half + dialect.garbage), LAST_CHUNK],
            ("protocol", "cut"),
        ),
        (
            "an error inside the stream",
            "a service that has begun to answer can only report an error inside the stream",
            [chunk(half + failed), LAST_CHUNK],
            ("protocol", "status"),
        ),
    ):
        yield Case(
            name, reason, [head(dialect), *steps], write_exchange(ask, WORDS), failures=kinds, partial=True
        )
    if sse:
        named = chunk(half + b'event: error\ndata: {"message": "out of memory", "status": 500}\n\n')
        reason, kinds = "an event can be an error by its name", ("status",)
        script = [head(dialect), named, LAST_CHUNK]
        reply = write_exchange(ask, WORDS)
        yield Case("an event named error", reason, script, reply, failures=kinds, partial=True)


def write_exchange(ask: Ask, said: list[str], **more: Any) -> Reply:
    """Return a reply with these tokens."""
    given = {"finish_reason": "stop", "include_usage": ask.include_usage, **more}
    echo = ask.prompt if ask.echo else ""
    return Reply(1, ask.model or "mock", 1, list(said), prompt_tokens=6, echo=echo, **given)


def stream_case(name: str, reason: str, dialect: Dialect, reply: Reply, *, pause_after: str = "") -> Case:
    """Return the case of a stream whose events arrive one by one."""
    steps: list[Any] = [head(dialect)]
    for event in dialect.events(reply):
        steps.append(chunk(event.data))
        if event.kind == pause_after:
            steps.append(0.02)
    return Case(name, reason, [*steps, LAST_CHUNK], reply, tokens=tokens_of(dialect.events(reply)))


def case_from_bytes(name: str, reason: str, dialect: Dialect, reply: Reply, pieces: Sequence[bytes]) -> Case:
    """Return the case of a stream whose bytes arrive in these pieces."""
    script = [head(dialect), *(chunk(piece) for piece in pieces), LAST_CHUNK]
    return Case(name, reason, script, reply, tokens=tokens_of(dialect.events(reply)))


def tokens_of(events: Iterator[Event]) -> tuple[int, ...]:
    """Return the numbers of tokens of events with tokens."""
    return tuple(event.tokens for event in events if event.tokens)


def head(dialect: Dialect) -> bytes:
    """Return the head of a streamed reply."""
    kind = b"Content-Type: " + dialect.stream_type + b"\r\n" if dialect.stream_type else b""
    return b"HTTP/1.1 200 OK\r\n" + kind + b"Transfer-Encoding: chunked\r\n\r\n"


def http_reply(status: int, body: bytes, kind: str = "application/json") -> bytes:
    """Return a whole HTTP reply."""
    return sized(body, status=status, content_type=kind)


async def _run(
    case: Case,
    factory: Callable[..., HttpBackend],
    dialect: Dialect,
    options: Mapping[str, Any],
) -> list[str]:
    with ScriptedService([_steps(case.script)]) as service:
        backend = factory(url=service.url, **options)
        waits = "never" in case.name or "stopped" in case.name
        limit = STALL_SECONDS if waits else CLIENT_SECONDS
        client = ServiceClient(backend, first_byte=limit, between_bytes=limit)
        try:
            made = await client.ask(request_for(backend))
        finally:
            await client.aclose()
    if case.failures:
        return list(_not_failed(case, made))
    assert case.reply is not None  # noqa: S101 - only failures have none
    return list(_not_as_sent(case, case.reply, made, backend, dialect))


def _not_failed(case: Case, made: Prediction) -> Iterator[str]:
    failure = made.failure
    if failure is None:
        yield f"it is treated as an answer: {made.text[:60]!r}"
        return
    if failure.kind not in case.failures:
        yield f"a failure of kind {failure.kind} instead of {' or '.join(case.failures)}: {failure.message}"
    if not failure.message or "\n" in failure.message:
        yield f"the failure's message is not one line: {failure.message!r}"
    if case.words not in failure.message:
        yield f"the failure's message lacks {case.words!r}: {failure.message}"
    if case.partial and case.reply is not None:
        whole = "".join(case.reply.reasoning) + case.reply.text
        if not whole.startswith(made.text):
            yield f"the partial text is not kept: {made.text[:60]!r}"


def _not_as_sent(
    case: Case, reply: Reply, made: Prediction, backend: HttpBackend, dialect: Dialect
) -> Iterator[str]:
    if made.failure is not None:
        yield f"it failed: {made.failure.message}"
        return
    yield from _not_as_said(reply, made, dialect)
    reason = "tool_calls" if reply.tool else reply.finish_reason
    if made.finish_reason != reason and (backend.stream_end != "close" or made.finish_reason):
        yield f"the finish reason is {made.finish_reason!r}, not {reason!r}"
    counted = made.usage and made.usage.output_tokens
    if counted is not None and counted != (reply.output_tokens if reply.usage else None):
        yield f"{counted} output tokens in the usage, not {reply.output_tokens if reply.usage else 'none'}"
    yield from _not_as_timed(case, reply, made)


def _not_as_said(reply: Reply, made: Prediction, dialect: Dialect) -> Iterator[str]:
    said, thought = reply.text, "".join(reply.reasoning)
    if reply.tool:
        calls = [{"id": reply.tool.id, "name": reply.tool.name, "arguments": reply.tool.arguments}]
        if [dict(call) for call in made.tool_calls] != calls:
            yield f"the tool calls are {made.tool_calls}, not {calls}"
    elif dialect.separates_reasoning:
        if made.text != said:
            yield f"the text is {made.text[:60]!r}, not {said[:60]!r}"
        if made.reasoning != thought:
            yield f"the reasoning is {made.reasoning[:60]!r}, not {thought[:60]!r}"
    elif made.reasoning + made.text != thought + said:
        yield f"the text is {made.text[:60]!r}, not {(thought + said)[:60]!r}"


def _not_as_timed(case: Case, reply: Reply, made: Prediction) -> Iterator[str]:
    timing = made.timing
    if timing.streamed != case.streamed:
        yield f"the reply is taken as {'streamed' if timing.streamed else 'whole'}, and was not"
    if not case.streamed:
        return
    holding = [kind for kind in timing.chunk_kinds if kind in TOKEN_KINDS]
    # The name of a tool may be in a separate event.
    if not len(case.tokens) <= len(holding) <= len(case.tokens) + bool(reply.tool):
        yield f"{len(holding)} chunks hold tokens, not {len(case.tokens)}"
    if sum(timing.chunk_tokens) > reply.output_tokens:
        yield f"the chunks count {sum(timing.chunk_tokens)} tokens of {reply.output_tokens}"


def _steps(script: Script) -> list[Step]:
    """Convert a script with pauses between bytes to steps with times."""
    at, steps = 0.0, []
    for step in script:
        if step is HALT:
            steps.append(Step(at, "silence"))
        elif step is SHUT:
            steps.append(Step(at, "close"))
        elif isinstance(step, bytes):
            steps.append(Step(at, step))
        else:
            at += step
    return steps

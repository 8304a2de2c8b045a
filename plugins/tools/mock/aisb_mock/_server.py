"""The mock server: dispatches requests and answers them."""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Mapping, Sequence

import orjson

from aisb_mock._author import Author
from aisb_mock._connection import HttpMessage, MockConnection
from aisb_mock._delivery import Delivery, Plan, faulty, plan_refusal, plan_stream, reply_bytes, whole
from aisb_mock._gate import Gate
from aisb_mock._generate import OLD_GENERATE, TEXT_GENERATION
from aisb_mock._openai import OPENAI, model_list
from aisb_mock._options import MockOptions
from aisb_mock._pace import ChunkPacer
from aisb_mock._peers import ask_peers
from aisb_mock._record import RecordedRequest, RequestRecorder, merged, prometheus, summarize_record
from aisb_mock._rehearsed import Rehearsed, Repertoire, Rerun
from aisb_mock._replies import Ask, Dialect, Refused
from aisb_mock._triton import GENERATE, TRITON, about

METRICS_CONTENT_TYPE = b"text/plain; version=0.0.4; charset=utf-8"
WITH_PEERS = {(b"GET", "/metrics"), (b"GET", "/record"), (b"POST", "/reset")}
ENDPOINTS: Mapping[str, Dialect] = {**OPENAI, **TEXT_GENERATION}
"""The dialect of each endpoint, except Triton's, whose paths contain the model."""
PATHS = {"/v1/models", "/health"} | {path for _, path in WITH_PEERS}


class Server:
    """Answers requests by the options. `peers` are the private ports of the other processes."""

    def __init__(
        self, options: MockOptions, author: Author, pacer: ChunkPacer, peers: Sequence[int] = ()
    ) -> None:
        self.options = options
        self.author = author
        self.pacer = pacer
        self.record = RequestRecorder(options.record_size)
        self.connections: set[MockConnection] = set()
        self._gate = Gate(options) if options.is_limited else None
        is_plain = author.repeats and self._gate is None and not options.corrupt_share
        self._repertoire = Repertoire() if is_plain else None
        self._peers = peers
        self._since = int(time.time())
        self._tasks: set[asyncio.Task[None]] = set()

    def serve(self, connection: MockConnection, message: HttpMessage) -> None:
        """Answer one request."""
        dialect = dialect_of(message.path, message.body)
        if self._wants_key(message.path) and not self._has_key(message):
            connection.reply(reply_bytes(401, b'{"error":"Unauthorized"}'))
        elif dialect is not None and message.method == b"POST":
            self._generate(connection, message, dialect)
        elif message.method == b"GET" and message.path in ("/v1/models", "/health"):
            found = message.path == "/v1/models"
            body = model_list(self.options.models, self._since, self.options.max_model_len) if found else b""
            connection.reply(reply_bytes(200, body))
        elif message.method == b"GET" and message.path == "/info":
            connection.reply(reply_bytes(200, self._info()))
        elif (said := about(message.method, message.path, self.options.models)) is not None:
            connection.reply(reply_bytes(*said))
        elif (message.method, message.path) in WITH_PEERS:
            task = asyncio.get_running_loop().create_task(self._with_peers(connection, message))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)
        elif dialect is not None or message.path in PATHS:
            connection.reply(reply_bytes(405, b'{"detail":"Method Not Allowed"}'))
        else:
            connection.reply(reply_bytes(404, b'{"detail":"Not Found"}'))

    def serve_peer(self, path: str) -> bytes:
        """Answer another process of the same server: its state, its counters, or a reset."""
        if path == "/reset":
            self.record.clear()
            self.author.forget()
        return orjson.dumps(self.record.state(entries=path == "/record"))

    def _info(self) -> bytes:
        said = {"model_id": self.options.models[0], "version": "3.3.6", "max_best_of": 1}
        return orjson.dumps(said | {"max_total_tokens": self.options.max_model_len})

    def _wants_key(self, path: str) -> bool:
        return path.startswith(("/v1", "/v2", "/infer", "/generate")) or path in ("/", "/info")

    def _has_key(self, message: HttpMessage) -> bool:
        if self.options.api_key is None:
            return True
        given = message.headers.get(b"authorization", b"")
        return hmac.compare_digest(given, b"Bearer " + self.options.api_key.encode())

    async def _with_peers(self, connection: MockConnection, message: HttpMessage) -> None:
        states = [self.serve_peer(message.path)]
        try:
            states += await ask_peers(self._peers, message.path)
        except OSError as error:
            connection.reply(
                reply_bytes(500, f"another process of this server: {error}".encode(), METRICS_CONTENT_TYPE)
            )
            return
        state = merged([orjson.loads(one) for one in states])
        if message.path == "/metrics":
            connection.reply(
                reply_bytes(200, prometheus(state, self.options.models[0]), METRICS_CONTENT_TYPE)
            )
        elif message.path == "/record":
            connection.reply(reply_bytes(200, orjson.dumps(summarize_record(state))))
        else:
            connection.reply(reply_bytes(200, b"{}"))

    def _generate(self, connection: MockConnection, message: HttpMessage, dialect: Dialect) -> None:
        request_id = message.headers.get(b"x-request-id", b"").decode("latin-1") or None
        entry = self.record.begin(message.path, message.arrival, request_id)
        self.record.running += 1
        if self._gate is None:
            self._begin(connection, message, dialect, entry)
            return
        refused = self._gate.refuse(message.arrival)
        if refused is not None:
            entry.status = refused.status
            plan = plan_refusal(dialect, message.arrival, refused, self.options.retry_after)
            connection.deliver(Delivery(connection, plan, entry, self.record, self._ended))
            return
        self._gate.enter(entry.number, lambda: self._begin_late(connection, message, dialect, entry))

    def _begin_late(
        self, connection: MockConnection, message: HttpMessage, dialect: Dialect, entry: RecordedRequest
    ) -> None:
        """Begin a reply that has waited for a slot; end it if its client has disconnected meanwhile."""
        if connection.gone:
            self._ended(entry, "client")
        else:
            self._begin(connection, message._replace(arrival=time.monotonic_ns()), dialect, entry)

    def _begin(
        self, connection: MockConnection, message: HttpMessage, dialect: Dialect, entry: RecordedRequest
    ) -> None:
        ready = self._repertoire.get(message.path, message.body) if self._repertoire else None
        if ready is not None:
            for name, value in ready.facts.items():
                setattr(entry, name, value)
            self.record.prompt_tokens += entry.prompt_tokens
            connection.deliver(Rerun(connection, ready, entry, self.record, self._ended))
            return
        try:
            plan = self._plan(message, dialect, entry)
        except Refused as refused:
            entry.status = refused.status
            self._ended(entry, "complete")
            connection.reply(reply_bytes(refused.status, dialect.error(refused)))
            return
        connection.deliver(Delivery(connection, plan, entry, self.record, self._ended))

    def _plan(self, message: HttpMessage, dialect: Dialect, entry: RecordedRequest) -> Plan:
        ask = read_body(dialect, message.body, message.path)
        entry.model = ask.model or self.options.models[0]
        entry.stream, entry.seed, entry.prompt_tokens = ask.stream, ask.seed, ask.prompt_tokens
        entry.adapter = ask.adapter
        if entry.model not in self.options.models:
            raise Refused(404, f"The model `{entry.model}` does not exist.", "NotFoundError")
        question, entry.question = self.author.question(ask)
        entry.attempt = self.author.attempt(question, ask)
        seed = self.options.seed
        key = question if ask.seed is None else f"{question}\0{ask.seed}"
        fault = entry.fault = self.author.faults.choose(seed, key, entry.attempt, entry.number)
        if fault is not None:
            plan = faulty(dialect, message.arrival, fault, self.options.retry_after)
            if plan is not None:
                if fault not in ("refuse", "hang"):
                    entry.status = int(fault[-3:]) if fault.startswith("status-") else 200
                return plan
        reply = self.author.write(
            ask, question, known=entry.question is not None, number=entry.number, model=entry.model
        )
        if self.options.corrupt_share and self.record.running > self.options.corrupt_above:
            reply = self.author.corrupt(ask, question, reply, self.options.corrupt_share)
        entry.id, entry.status, entry.finish_reason = dialect.reply_id(reply), 200, reply.finish_reason
        self.record.prompt_tokens += ask.prompt_tokens
        pace = self.author.pace(question, ask, entry.attempt, slow=fault == "slow")
        if self._gate is not None:
            pace = pace._replace(slowdown=self._gate.slowdown)
        if ask.stream and self._repertoire and self._repertoire.wants(message.path, message.body):
            rehearsal = plan_stream(dialect, reply, pace, 0, None)
            self._repertoire.keep(message.path, message.body, Rehearsed(rehearsal, entry))
        send = plan_stream if ask.stream else whole
        return send(dialect, reply, pace, message.arrival, None if fault == "slow" else fault)

    def _ended(self, entry: RecordedRequest, how: str) -> None:
        entry.closed = how
        self.record.running -= 1
        if entry.finish_reason is not None:
            self.record.finished[entry.finish_reason if how == "complete" else "abort"] += 1
        if self._gate is not None:
            self._gate.leave(entry.number)


def dialect_of(path: str, body: bytes) -> Dialect | None:
    """Return the dialect of the endpoint at a path; early vLLM and TGI share one path."""
    if path == "/generate" and b'"inputs"' not in body:
        return OLD_GENERATE
    return ENDPOINTS.get(path) or (TRITON if GENERATE.fullmatch(path) else None)


def read_body(dialect: Dialect, body: bytes, path: str) -> Ask:
    """Read the body of a request; raise `Refused` if it is not a JSON object."""
    try:
        data = orjson.loads(body)
    except ValueError as error:
        raise Refused(400, f"JSON decode error: {error}", "Bad Request") from error
    if not isinstance(data, dict):
        raise Refused(400, "the body must be a JSON object")
    return dialect.read(data, path)

"""What reading a streamed reply costs the client, with every event a piece of its own.

    python benchmarks/lockstep.py [ROUNDS]

A live server's events arrive alone on a calm machine and in bundles on a busy one, and a bundle is cheaper to
read. Here one thread does both sides: it sends one event to each of N sockets, lets the event loop deliver
them all, and goes on to the next event. Counted is the CPU time of this thread without the time of sending
(`time.thread_time_ns`). Replies have the bytes of an OpenAI chat service: a role chunk, text chunks, a finish
chunk, the usage and `[DONE]`, in HTTP chunks.

Contestants run in turn, each in a process of its own, in alternating order; ratios are taken within a round
and their medians are printed.

- `bare` is the least there can be: an `asyncio.Protocol` that parses HTTP with httptools, stamps each piece
  with `perf_counter_ns` and keeps the bodies. It reads no events.
- `aiohttp` is the loop of common benchmark clients: the content line by line, JSON parsed, tokens stamped.
- `plain` and `compiled` are aisb without and with aisb-speedups: encode a request, send it, read the reply,
  make a prediction of it, append its record to a log on disk. `compiled` runs where aisb-speedups is
  installed.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from client import kept, stolen

TOKENS = 100
WORDS = ("the", "sea", "was", "calm", "and", "a", "long", "way", "off", "lay", "the", "island", "there")
PROMPT = "Tell me of the sea."
SECONDS = 60
"""A contestant that takes longer than this to send its requests hangs."""


class Cell(NamedTuple):
    """What the streams of a cell are, and its limits: (contestant, other, ratio)."""

    streams: int
    waves: int
    tokens: int
    title: str
    limits: tuple[tuple[str, str, float], ...]

    @property
    def units(self):
        """How many events are measured, or requests where replies have one token."""
        return self.streams * self.waves * (self.tokens + 4 if self.tokens > 1 else 1)


CELLS = {
    "64": Cell(
        64, 8, TOKENS, f"64 streams of {TOKENS} tokens, µs an event",
        (("compiled", "bare", 1.45), ("compiled", "aiohttp", 0.40), ("plain", "aiohttp", 0.45)),
    ),
    "512": Cell(
        512, 1, TOKENS, f"512 streams of {TOKENS} tokens, µs an event",
        (("compiled", "bare", 1.45), ("compiled", "aiohttp", 0.40), ("plain", "aiohttp", 0.45)),
    ),
    "one": Cell(
        64, 40, 1, "64 streams of one token, µs a request (aim: 2.5 x bare, 0.30 x aiohttp)",
        tuple((ours, other, limit) for ours in ("compiled", "plain")
              for other, limit in (("bare", 3.5), ("aiohttp", 0.45))),
    ),
}  # fmt: skip


def reply(number, tokens):
    """Return the pieces of a reply: its head, then one for each event."""
    head = (
        b"HTTP/1.1 200 OK\r\ndate: Mon, 02 Mar 2026 09:00:00 GMT\r\nserver: uvicorn\r\n"
        b"content-type: text/event-stream; charset=utf-8\r\ntransfer-encoding: chunked\r\n\r\n"
    )
    common = {"id": f"chatcmpl-{number:032x}", "object": "chat.completion.chunk", "created": 1772442000}

    def event(choices, **more):
        table = {**common, "model": "mock", "choices": choices, **more}
        return f"data: {json.dumps(table, separators=(',', ':'))}\n\n".encode()

    def choice(delta, finish=None):
        return [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]

    words = (f" {WORDS[(number + n) % len(WORDS)]}" for n in range(tokens))
    usage = {"prompt_tokens": 13, "total_tokens": 13 + tokens, "completion_tokens": tokens}
    events = [
        event(choice({"role": "assistant", "content": ""})),
        *(event(choice({"content": word})) for word in words),
        event(choice({}, "length")),
        event([], usage=usage),
        b"data: [DONE]\n\n",
    ]
    pieces = [b"%x\r\n%b\r\n" % (len(data), data) for data in events]
    return [head + pieces[0], *pieces[1:-1], pieces[-1] + b"0\r\n\r\n"]


class Feeder:
    """The server's side: reads requests, sends replies in lockstep, and adds up its own CPU time."""

    def __init__(self, cell):
        self.cell = cell
        self.replies = [reply(number, cell.tokens) for number in range(cell.streams)]
        self.listening = socket.create_server(("127.0.0.1", 0), backlog=1024)
        self.listening.setblocking(False)
        self.connections = []
        self.received = {}
        self.own_ns = 0

    @property
    def port(self):
        return self.listening.getsockname()[1]

    async def serve(self, waves):
        """Answer each wave of requests, one from every stream, once all of it has come."""
        for _ in range(waves):
            until = time.monotonic() + SECONDS
            while len(ready := self.ready()) < self.cell.streams:
                if time.monotonic() > until:
                    sys.exit(f"only {len(ready)} of {self.cell.streams} requests came within {SECONDS} s")
                await asyncio.sleep(0)
            self.received.clear()
            for pieces in zip(*self.replies, strict=True):
                self.send(ready, pieces)
                # Once to poll the sockets, once for the tasks that these woke, once for what they put off.
                for _ in range(3):
                    await asyncio.sleep(0)

    def ready(self):
        """Read what has come; return the connections with a whole request."""
        began = time.thread_time_ns()
        with suppress(BlockingIOError):
            while True:
                connection, _ = self.listening.accept()
                connection.setblocking(False)
                connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                self.connections.append(connection)
        for connection in self.connections:
            if not whole(self.received.get(connection, b"")):
                with suppress(BlockingIOError):
                    self.received[connection] = self.received.get(connection, b"") + connection.recv(65536)
        ready = [connection for connection, data in self.received.items() if whole(data)]
        self.own_ns += time.thread_time_ns() - began
        return ready

    def send(self, connections, pieces):
        began = time.thread_time_ns()
        for connection, piece in zip(connections, pieces, strict=True):
            connection.send(piece)
        self.own_ns += time.thread_time_ns() - began


def whole(data):
    """Say whether these bytes are a request with its whole body."""
    head, found, body = data.partition(b"\r\n\r\n")
    if not found:
        return False
    length = head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(body) == int(length or 0)


async def aisb_client(port, cell, waves, prompt=PROMPT):
    """Send through the engine's own loop, with the log on disk.

    All the private names of aisb stand here and in `compiled_reader`.
    """
    from aisb import Request
    from aisb_backend_openai import OpenAIChat
    from aisb_engine._load.clock import RunClock
    from aisb_engine._load.runner import SubtaskRunner
    from aisb_engine._load.share import LoadShare
    from aisb_engine._progress import Progress
    from aisb_engine._record.log import LogWriter
    from aisb_engine._spec import Load

    clock, count = RunClock(time.perf_counter_ns()), cell.streams * waves
    requests = ((0, Request(str(n), text=prompt, params={"max_tokens": cell.tokens})) for n in range(count))
    share = LoadShare(Load(concurrency=cell.streams, retries=0), cell.streams)
    backend = OpenAIChat(url=f"http://127.0.0.1:{port}", model="mock")

    async def start():
        return clock()

    with tempfile.TemporaryDirectory() as folder:
        progress = Progress("m", "t", Path(folder) / "out", total=count)
        with LogWriter(share.log_file(Path(folder))) as log:
            runner = SubtaskRunner(
                backend, share, clock, progress, print, asyncio.Event(), log,
                share.health_file(Path(folder)),
            )  # fmt: skip
            await runner.run(lambda: requests, start)
        if progress.received != count:
            sys.exit(f"{progress.received} of {count} replies: {progress.first_failure}")


def compiled_reader():
    """Say whether there is a compiled reader that fits the engine's own."""
    from aisb_engine._stream import compiled_module

    return compiled_module() is not None


def request_body(cell):
    return {
        "model": "mock", "messages": [{"role": "user", "content": PROMPT}], "max_tokens": cell.tokens,
        "stream": True, "stream_options": {"include_usage": True},
    }  # fmt: skip


async def aiohttp_client(port, cell, waves):
    import aiohttp

    body, replies = request_body(cell), []

    async def client(session):
        for _ in range(waves):
            sent, stamps, text = time.perf_counter(), [], ""
            async with session.post(f"http://127.0.0.1:{port}/v1/chat/completions", json=body) as reply:
                async for line in reply.content:
                    data = line.strip().decode().removeprefix("data: ")
                    if not data or data == "[DONE]":
                        continue
                    now = time.perf_counter()
                    table = json.loads(data)
                    if choices := table["choices"]:
                        stamps.append(now)
                        text += choices[0]["delta"].get("content") or ""
                    elif usage := table.get("usage"):
                        tokens = usage["completion_tokens"]
            if tokens != cell.tokens:
                sys.exit(f"aiohttp read {tokens} tokens")
            replies.append((sent, stamps, text))

    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        await asyncio.gather(*(client(session) for _ in range(cell.streams)))


class Bare(asyncio.Protocol):
    """HTTP parsed by httptools, every piece stamped and its body kept, the end found."""

    def __init__(self):
        import httptools

        self.parser_type = httptools.HttpResponseParser
        self.kept = []

    def connection_made(self, transport):
        self.transport = transport

    def ask(self, data):
        self.done = asyncio.get_running_loop().create_future()
        self.parser = self.parser_type(self)
        self.stamps, self.bodies = [], []
        self.transport.write(data)
        return self.done

    def data_received(self, data):
        self.stamps.append(time.perf_counter_ns())
        self.parser.feed_data(data)

    def on_body(self, body):
        self.bodies.append(body)

    def on_message_complete(self):
        self.kept.append((self.stamps, self.bodies))
        self.done.set_result(None)


async def bare_client(port, cell, waves):
    body = json.dumps(request_body(cell)).encode()
    head = (
        f"POST /v1/chat/completions HTTP/1.1\r\nhost: 127.0.0.1:{port}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    pieces = Counter()

    async def client():
        connect = asyncio.get_running_loop().create_connection
        transport, protocol = await connect(Bare, "127.0.0.1", port)
        for _ in range(waves):
            await protocol.ask(head.encode() + body)
        pieces.update(len(stamps) for stamps, _ in protocol.kept)
        transport.close()

    await asyncio.gather(*(client() for _ in range(cell.streams)))
    together = 1 - sum(n * count for n, count in pieces.items()) / cell.units if cell.tokens > 1 else 0
    if waves == cell.waves and together > 0.001:
        print(f"{together:.1%} of the events came together with another", file=sys.stderr)


CLIENTS = {"bare": bare_client, "aiohttp": aiohttp_client, "plain": aisb_client, "compiled": aisb_client}


async def measure(name, cell):
    """Return the µs of CPU of this thread for each unit of the cell, without the feeder's own."""
    # Imports and memory that grows for the first time are not what is measured.
    warm = Feeder(cell)
    await asyncio.gather(warm.serve(1), CLIENTS[name](warm.port, cell, 1))
    feeder = Feeder(cell)
    began = time.thread_time_ns()
    await asyncio.gather(feeder.serve(cell.waves), CLIENTS[name](feeder.port, cell, cell.waves))
    return (time.thread_time_ns() - began - feeder.own_ns) / 1000 / cell.units


def contend(name, cell):
    """Measure one contestant in this process."""
    import uvloop

    # The engine keeps the garbage collector back while it measures: so it is for every contestant.
    gc.freeze()
    gc.set_threshold(50_000, 20, 50)
    print(uvloop.run(measure(name, CELLS[cell])))


def run(name, cell):
    """Run one contestant in a process of its own; return what it printed."""
    environment = os.environ | {"AISB_COMPILED": str(int(name == "compiled"))}
    words = [sys.executable, __file__, "contend", name, cell]
    ended = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    if ended.returncode:
        sys.exit(f"{name}: {ended.stdout}{ended.stderr}")
    if ended.stderr:
        print(f"  {name}: {ended.stderr.strip()}")
    return float(ended.stdout)


def print_cell(cell, names, rounds):
    """Measure a cell and print it; return its limits as (words, ratio, limit)."""
    found, before = {name: [] for name in names}, stolen()
    print(f"{CELLS[cell].title} ({rounds} rounds, medians)")
    for number in range(rounds):
        for name in names if number % 2 == 0 else reversed(names):
            found[name].append(run(name, cell))

    def ratio(ours, theirs):
        return statistics.median(a / b for a, b in zip(found[ours], found[theirs], strict=True))

    for name in names:
        median, spread = statistics.median(found[name]), f"{min(found[name]):.1f} to {max(found[name]):.1f}"
        line = f"  {name:9}{median:7.2f} µs ({spread})"
        print(f"{line:36}{ratio(name, 'bare'):6.2f} x bare  {ratio(name, 'aiohttp'):6.2f} x aiohttp")
    stolen_line = kept(before)
    print(f"{stolen_line}\n" if stolen_line else "")
    return [
        (f"{cell} streams: {ours} ÷ {other}".replace("one streams", "one token"), ratio(ours, other), limit)
        for ours, other, limit in CELLS[cell].limits
        if ours in names
    ]


def main(rounds):
    names = list(CLIENTS)
    if not compiled_reader():
        print("aisb-speedups is not installed, or was compiled from another reader: `compiled` is left out")
        names.remove("compiled")
    limits = [limit for cell in CELLS for limit in print_cell(cell, names, rounds)]
    for words, ratio, limit in limits:
        print(f"{words:32} {ratio:5.2f}   {'OVER' if ratio > limit else 'within'} the limit of {limit}")
    return 1 if any(ratio > limit for _, ratio, limit in limits) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["contend"]:
        contend(sys.argv[2], sys.argv[3])
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))

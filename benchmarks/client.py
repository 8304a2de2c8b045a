"""What the client costs, next to minimal loops that do the same work, on one mock server in one run.

    python benchmarks/client.py [ROUNDS]

Every contender runs in a process of its own, in turn, round after round, so that a busy machine slows all of
them; ratios are taken within a round, and their medians are printed. The loops split events, parse JSON with
orjson and stamp each chunk; `bare` is an asyncio.Protocol that parses HTTP with httptools, stamps each piece
and finds the end. `aisb` is the whole engine with timing, parsing and the log on disk.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

# Programs that are measured keep compiled modules, as those that pip installed do.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

STREAMS = 512
TOKENS = 100
TTFT_MS = 20
TPOT_MS = 5
CALM_MS = 50
CALM_TOKENS = 20
"""Where stamps are compared, the server is on time: what is off is the client. Requests begin one after
another, as many in flight as elsewhere: begun at once, each would wait for the bytes of all before it."""
SHORT = 6_000
SERVERS = max(1, (os.cpu_count() or 2) - 1)
"""Processes of the server: the client, which is one, has a core of its own."""

BODY = {
    "model": "mock",
    "messages": [{"role": "user", "content": "Tell me of the sea."}],
    "max_tokens": TOKENS,
    "ignore_eos": True,
    "stream": True,
    "stream_options": {"include_usage": True},
}


def stamps_of(payloads, stamps):
    """What a loop must find out of each event: is it a token, and when did it come."""
    import orjson

    for payload, stamp in payloads:
        choices = orjson.loads(payload)["choices"]
        if choices and choices[0]["delta"].get("content"):
            stamps.append(stamp)


async def drive(client, count, streams, rate):
    """Run clients that take numbers in turn; with a rate, one client a number, each at its time."""
    waiting = iter(range(count))
    if not rate:
        await asyncio.gather(*(client(waiting) for _ in range(streams)))
        return
    loop = asyncio.get_running_loop()
    start, tasks = loop.time(), []
    for number in waiting:
        await asyncio.sleep(start + number / rate - loop.time())
        tasks.append(asyncio.create_task(client((number,))))
    await asyncio.gather(*tasks)


async def aiohttp_loop(url, count, streams, body, rate):
    import aiohttp

    first = {}
    connector = aiohttp.TCPConnector(limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:

        async def client(numbers):
            for number in numbers:
                sent, stamps, rest = time.perf_counter_ns(), [], b""
                headers = {"x-request-id": str(number)}
                async with session.post(f"{url}/v1/chat/completions", json=body, headers=headers) as reply:
                    if not body["stream"]:
                        stamps_of([], stamps)
                        await reply.json(loads=json.loads)
                        continue
                    async for data in reply.content.iter_any():
                        now = time.perf_counter_ns()
                        *events, rest = (rest + data).split(b"\n\n")
                        stamps_of(((e[6:], now) for e in events if e != b"data: [DONE]"), stamps)
                first[number] = (sent, stamps[0])

        await drive(client, count, streams, rate)
    return first


async def httpx_loop(url, count, streams, body, rate):
    import httpx

    first = {}
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(limits=limits, timeout=600, trust_env=False) as session:

        async def client(numbers):
            for number in numbers:
                sent, stamps, rest = time.perf_counter_ns(), [], b""
                headers = {"x-request-id": str(number)}
                async with session.stream(
                    "POST", f"{url}/v1/chat/completions", json=body, headers=headers
                ) as reply:
                    async for data in reply.aiter_raw():
                        now = time.perf_counter_ns()
                        *events, rest = (rest + data).split(b"\n\n")
                        stamps_of(((e[6:], now) for e in events if e != b"data: [DONE]"), stamps)
                first[number] = (sent, stamps[0])

        await drive(client, count, streams, rate)
    return first


class Bare(asyncio.Protocol):
    """HTTP parsed by httptools, every piece stamped, the end found."""

    def __init__(self):
        import httptools

        self.new = httptools.HttpResponseParser
        self.transport = None
        self.parser = None
        self.stamps = []
        self.done = None

    def connection_made(self, transport):
        self.transport = transport

    async def ask(self, data):
        self.done = asyncio.get_running_loop().create_future()
        self.stamps = []
        self.parser = self.new(self)
        sent = time.perf_counter_ns()
        self.transport.write(data)
        await self.done
        return sent

    def data_received(self, data):
        self.now = time.perf_counter_ns()
        self.parser.feed_data(data)

    def on_body(self, body):
        self.stamps.append((self.now, body))

    def on_message_complete(self):
        self.done.set_result(None)


async def bare_loop(url, count, streams, body, rate):
    import orjson

    parts = urlsplit(url)
    first = {}
    idle = []
    data = orjson.dumps(body)

    async def connected():
        loop = asyncio.get_running_loop()
        return idle.pop() if idle else (await loop.create_connection(Bare, parts.hostname, parts.port))[1]

    async def client(numbers):
        protocol = await connected()
        for number in numbers:
            head = (
                f"POST /v1/chat/completions HTTP/1.1\r\nhost: {parts.netloc}\r\nx-request-id: {number}\r\n"
                f"content-type: application/json\r\ncontent-length: {len(data)}\r\n\r\n"
            )
            sent = await protocol.ask(head.encode() + data)
            first[number] = (sent, protocol.stamps[0][0])
        idle.append(protocol)

    await drive(client, count, streams, rate)
    for protocol in idle:
        protocol.transport.close()
    return first


async def aisb_loop(url, count, streams, body, rate):
    from aisb import Request
    from aisb._types import Message
    from aisb_backend_openai import OpenAIChat
    from aisb_engine._load.clock import RunClock
    from aisb_engine._load.connection_limits import raise_limit
    from aisb_engine._load.runner import SubtaskRunner
    from aisb_engine._load.share import LoadShare
    from aisb_engine._progress import Progress
    from aisb_engine._record.log import LogWriter
    from aisb_engine._spec import Load

    class Named(OpenAIChat):
        """The chat backend, with the request's number in a header: so both sides' times can be matched."""

        def encode(self, request):
            return super().encode(request)._replace(headers={"x-request-id": request.sample_id})

    params = {key: value for key, value in body.items() if key in {"max_tokens", "ignore_eos"}}
    messages = tuple(Message(**message) for message in body["messages"])
    backend = Named(url=url, model="mock", stream=body["stream"])
    raise_limit()
    clock = RunClock(time.perf_counter_ns())

    async def start():
        return clock()

    with tempfile.TemporaryDirectory() as folder:
        progress = Progress("m", "t", Path(folder) / "out", total=count)
        share = LoadShare(Load(concurrency=None if rate else streams, request_rate=rate, retries=0), streams)

        def requests():
            for n in range(count):
                yield (
                    round(n / rate * 1e9) if rate else 0,
                    Request(str(n), messages=messages, params=params),
                )

        health_file = share.health_file(Path(folder))
        with LogWriter(share.log_file(Path(folder))) as log:
            runner = SubtaskRunner(backend, share, clock, progress, print, asyncio.Event(), log, health_file)
            await runner.run(requests, start)
        assert progress.failed == 0, progress.first_failure
        used = resource.getrusage(resource.RUSAGE_SELF), most_memory()
        from aisb_engine._record.log import read_file

        first = {}
        for record in read_file(Path(folder) / "worker-0"):
            timing = record.prediction.timing
            tokens = [s for s, k in zip(timing.chunk_ns, timing.chunk_kinds, strict=True) if k == "content"]
            first[int(record.prediction.sample_id)] = (timing.sent_ns, tokens[0])
        return first, used


LOOPS = {"bare": bare_loop, "aisb": aisb_loop, "aiohttp": aiohttp_loop, "httpx": httpx_loop}


def contend(name, url, count, streams, body, rate, result):
    """Run one contender in this process; write CPU seconds, and (sent, first token) of each request."""
    import uvloop

    # Imports and the first connections are not what is measured.
    warm = {**body, "max_tokens": 1}
    uvloop.run(LOOPS[name](url, 4, 2, warm, None))
    before = resource.getrusage(resource.RUSAGE_SELF)
    first = uvloop.run(LOOPS[name](url, count, streams, body, rate))
    after, memory = resource.getrusage(resource.RUSAGE_SELF), most_memory()
    if isinstance(first, tuple):  # what reads the log again afterwards does not count
        first, (after, memory) = first
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    Path(result).write_text(json.dumps({"cpu": cpu, "first": first, "memory": memory}))


def most_memory():
    """Return the most memory that this process has had, in kB.

    Not `ru_maxrss`, in which what started this process counts, too.
    """
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))


def run(name, url, count, streams, body, rate=None):
    """Run one contender in a process of its own; add the server's own times to what it printed."""
    import httpx

    httpx.post(f"{url}/reset", trust_env=False)
    with tempfile.NamedTemporaryFile("r") as result:
        words = [sys.executable, __file__, "contend", name, url, str(count), str(streams)]
        ended = subprocess.run(
            [*words, json.dumps(body), json.dumps(rate), result.name],
            capture_output=True,
            text=True,
            check=False,
        )
        if ended.returncode:
            sys.exit(ended.stderr)
        found = json.loads(result.read())
    record = httpx.get(f"{url}/record", trust_env=False, timeout=60).json()
    served = {
        int(entry["request_id"]): entry["first_ns"] - entry["arrival_ns"]
        for entry in record["requests"][-count:]
        if entry["first_ns"]
    }
    found["errors_ms"] = [
        (first - sent - served[int(number)]) / 1e6
        for number, (sent, first) in found.pop("first").items()
        if int(number) in served
    ]
    found["late_ms"] = record["lateness_ms"]["p99"] if "lateness_ms" in record else None
    return found


def stolen():
    """Return the CPU time that the host kept from this machine, and all there would have been, in ticks."""
    try:
        times = [int(word) for word in Path("/proc/stat").read_text().split("\n", 1)[0].split()[1:9]]
    except (OSError, ValueError):
        return 0, 0
    return times[7], sum(times)


def kept(before):
    """Say how much of this machine's CPU time the host kept for others since then; nothing where little."""
    then, now = before, stolen()
    share = (now[0] - then[0]) / max(1, now[1] - then[1])
    return (
        f"  the host kept {share:.0%} of this machine's CPU time for others  (noisy)" if share > 0.02 else ""
    )


def cell(title, rounds, names, count, streams, body, unit, *, tpot_ms=TPOT_MS, rate=None):
    """Run a cell; print CPU per chunk or request of each contender, and the ratios of aisb to the others."""
    from aisb_mock import MockOptions, start_mock

    results = {name: [] for name in names}
    before = stolen()
    options = MockOptions(ttft_ms=TTFT_MS if body["stream"] else 0, tpot_ms=tpot_ms, processes=SERVERS)
    for number in range(rounds):
        for name in names:
            slow = name == "httpx"  # some 250 µs a chunk, which is not near its limit: once, and less of it
            if slow and number:
                continue
            sent = streams if slow else count
            with start_mock(options) as mock:
                found = run(name, mock.url, sent, streams, body, rate)
            found["cpu"] *= 1e6 / (sent * (body["max_tokens"] if unit == "chunk" else 1))
            results[name].append(found)
    print(f"\n{title} ({rounds} rounds, medians)")
    cpu = {name: [r["cpu"] for r in found] for name, found in results.items()}
    ttft = {}
    for name in names:
        errors = [e for r in results[name] for e in r["errors_ms"]]
        ttft[name] = errors
        line = f"  {name:8} {statistics.median(cpu[name]):9.1f} µs of CPU a {unit}"
        if name != "aisb":
            ratios = [ours / theirs for ours, theirs in zip(cpu["aisb"], cpu[name], strict=False)]
            line += f"   aisb is {statistics.median(ratios):.2f} of it"
        if len(errors) > 100:
            cuts = statistics.quantiles(errors, n=100)
            line += f"   TTFT off by {statistics.median(errors):.2f} ms, p99 {cuts[98]:.2f} ms"
        print(line)
    late = [r["late_ms"] for found in results.values() for r in found if r["late_ms"] is not None]
    if late:
        median = statistics.median(late)
        print(f"  the server's own lateness p99: {median:.2f} ms{'  (noisy)' if median > 1 else ''}")
    if line := kept(before):
        print(line)
    ratios = {
        name: statistics.median(a / b for a, b in zip(cpu["aisb"], cpu[name], strict=False)) for name in names
    }
    return ratios, ttft


def main(rounds):
    streamed, _ = cell(
        f"{STREAMS} streams, {TTFT_MS} ms to the first token, {TPOT_MS} ms a token, {TOKENS} tokens",
        rounds, ["bare", "aisb", "aiohttp", "httpx"], STREAMS * 4, STREAMS, BODY, "chunk",
    )  # fmt: skip
    short = {**BODY, "max_tokens": 1}
    one, _ = cell("64 streams of one token", rounds, ["bare", "aisb", "aiohttp"], SHORT, 64, short, "request")
    calm = {**BODY, "max_tokens": CALM_TOKENS}
    seconds = (TTFT_MS + CALM_MS * (CALM_TOKENS - 1)) / 1000
    _, ttft = cell(
        f"{STREAMS} streams in flight, begun one by one, {CALM_MS} ms a token: the server keeps up",
        1, ["bare", "aisb", "aiohttp"], STREAMS * 8, STREAMS, calm, "chunk",
        tpot_ms=CALM_MS, rate=STREAMS / seconds,
    )  # fmt: skip
    middle, p99 = statistics.median(ttft["aisb"]), statistics.quantiles(ttft["aisb"], n=100)[98]
    limits = [
        ("streamed, aisb ÷ aiohttp", streamed["aiohttp"], 0.65),
        ("streamed, aisb ÷ httpx", streamed["httpx"], 0.08),
        ("streamed, aisb ÷ bare", streamed["bare"], 1.4),
        ("one token, aisb ÷ aiohttp", one["aiohttp"], 0.8),
        ("TTFT off by, median, ms", middle, 0.5),
        ("TTFT off by, p99, ms", p99, 5.0),
        ("TTFT off by, aisb ÷ aiohttp", middle / statistics.median(ttft["aiohttp"]), 1.0),
    ]
    print()
    for name, ratio, limit in limits:
        print(f"{name:28} {ratio:5.2f}   {'OVER' if ratio > limit else 'within'} the limit of {limit}")
    return 1 if any(ratio > limit for _, ratio, limit in limits) else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["contend"]:
        name, url, count, streams, body, rate, result = sys.argv[2:]
        contend(name, url, int(count), int(streams), json.loads(body), json.loads(rate), result)
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))

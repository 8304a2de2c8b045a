"""What the command costs around the engine: CPU a request of a whole performance run.

    python benchmarks/command.py [ROUNDS]

`aisb run --mode perf` sends synthetic prompts of 512 tokens, one token a reply, 64 in flight, and writes its
reports, as a user would start it. Counted is the CPU time, user and system, of the process and its children
(`wait4`); the server is another process. What a run costs whatever it sends is left out: a run of 10,000
requests is compared with one of 2,000, and the difference is divided by 8,000.

The engine's own part is measured in the same way, with a program that does nothing but send as many requests
of that length through one worker, with its log on disk. The first limit holds for the rest: making the
prompts and requests, the run folder, progress, and computing and writing the reports.

The second limit is for the CPU of the whole command over 10,000 requests, start-up and report included, as a
ratio to a program that sends as many requests of that length with aiohttp, its imports included, stamps the
first token of each, and reports nothing.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from client import kept, stolen
from lockstep import Cell, aisb_client, reply, whole

AISB = Path(sys.executable).with_name("aisb")
FEW, MANY, STREAMS, INPUT = 2_000, 10_000, 64, 512
LIMIT = 120
RATIO = 1.4
"""Of the whole command to the aiohttp loop; the aim is 1.2."""
NOT_FOUND = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n"


class Answering(asyncio.Protocol):
    """A server that answers each whole request at once, with a recorded reply of one token.

    It answers no questions about its models or its counters.
    """

    def connection_made(self, transport):
        self.transport = transport
        self.received = b""
        self.reply = b"".join(reply(0, 1))

    def data_received(self, data):
        self.received += data
        if whole(self.received):
            asked = self.received.startswith(b"POST")
            self.received = b""
            self.transport.write(self.reply if asked else NOT_FOUND)


def serve(pipe):
    """Serve until this process is ended; send the port first."""
    import uvloop

    async def main():
        server = await asyncio.get_running_loop().create_server(Answering, "127.0.0.1", 0)
        pipe.send(server.sockets[0].getsockname()[1])
        await server.serve_forever()

    uvloop.run(main())


def command(port, count, folder):
    """Return the words of the whole command."""
    return [
        str(AISB), "run", "--mode", "perf", "--models", "vllm_api_stream_chat", "--datasets", "synthetic",
        "--url", f"http://127.0.0.1:{port}", "--model-name", "mock", "--num-prompts", str(count),
        "--set", f"task.dataset.input={INPUT}", "--set", "task.dataset.output=1",
        "--num-warmups", "0", "--set", f"load.concurrency={STREAMS}", "--work-dir", folder,
    ]  # fmt: skip


def engine(port, count, _):
    """Return the words that send as many requests through the engine alone."""
    return [sys.executable, __file__, "engine", str(port), str(count)]


def send(port, count):
    """Send that many requests through the engine, in this process."""
    import uvloop

    prompt = " ".join(["word"] * INPUT)
    cell = Cell(STREAMS, 1, 1, "", ())
    uvloop.run(aisb_client(port, cell, count // STREAMS, prompt))


def aiohttp_words(port, count, _):
    """Return the words that send as many requests with aiohttp."""
    return [sys.executable, __file__, "aiohttp", str(port), str(count)]


def send_with_aiohttp(port, count):
    """Send that many requests with aiohttp, in this process: the loop of `lockstep.py`, with this prompt."""
    import lockstep
    import uvloop

    lockstep.PROMPT = " ".join(["word"] * INPUT)
    cell = Cell(STREAMS, 1, 1, "", ())
    uvloop.run(lockstep.aiohttp_client(port, cell, count // STREAMS))


def cpu(words, port, count):
    """Run a program to its end; return the seconds of CPU of it and its children."""
    with tempfile.TemporaryDirectory() as folder, (Path(folder) / "printed").open("w+") as printed:
        process = subprocess.Popen(words(port, count, folder), stdout=printed, stderr=printed)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            printed.seek(0)
            sys.exit(printed.read()[-2000:])
    return usage.ru_utime + usage.ru_stime


def main(rounds):
    ours, theirs = multiprocessing.Pipe()
    server = multiprocessing.get_context("spawn").Process(target=serve, args=(theirs,), daemon=True)
    server.start()
    port = ours.recv()
    costs, before = {command: [], engine: []}, stolen()
    wholes, theirs_too = [], []
    try:
        for program in (*costs, aiohttp_words):  # the first run of each compiles modules
            cpu(program, port, STREAMS)
        for number in range(rounds):
            for program in costs if number % 2 == 0 else reversed(costs):
                few, many = cpu(program, port, FEW), cpu(program, port, MANY)
                costs[program].append((many - few) * 1e6 / (MANY - FEW))
                if program is command:
                    wholes.append(many)
            theirs_too.append(cpu(aiohttp_words, port, MANY))
    finally:
        server.terminate()
    print(f"one-token requests, {MANY:,} against {FEW:,} of them ({rounds} rounds, medians)")
    whole_run, alone = (statistics.median(found) for found in costs.values())
    around = statistics.median(a - b for a, b in zip(*costs.values(), strict=True))
    print(f"  the whole command   {whole_run:6.0f} µs of CPU a request")
    print(f"  the engine alone    {alone:6.0f} µs")
    verdict = "OVER" if around > LIMIT else "within"
    print(f"  around the engine   {around:6.0f} µs   {verdict} the limit of {LIMIT} µs")
    ratio = statistics.median(a / b for a, b in zip(wholes, theirs_too, strict=True))
    print(f"{MANY:,} requests, start-up and report included")
    print(f"  the whole command   {statistics.median(wholes):6.2f} s of CPU")
    print(f"  an aiohttp loop     {statistics.median(theirs_too):6.2f} s")
    verdict = "OVER" if ratio > RATIO else "within"
    print(f"  ratio               {ratio:6.2f}   {verdict} the limit of {RATIO}")
    if line := kept(before):
        print(line)
    return 1 if around > LIMIT or ratio > RATIO else 0


if __name__ == "__main__":
    if sys.argv[1:2] == ["engine"]:
        send(int(sys.argv[2]), int(sys.argv[3]))
    elif sys.argv[1:2] == ["aiohttp"]:
        send_with_aiohttp(int(sys.argv[2]), int(sys.argv[3]))
    else:
        sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))

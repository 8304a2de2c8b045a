"""How far the client's stamps are from the server's truth, for each kind of reply that services send.

    python benchmarks/golden.py [ROUNDS]

The streams are those of `tests/engine/test_golden_streams.py`. A server in a thread of its own sends
each piece at its time and notes when it handed it to the socket; the client's stamp of the event that a piece
completes is compared with that.
"""

import asyncio
import socket
import statistics
import sys
import threading
import time
from pathlib import Path

from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._spec import Timeouts

TESTS = Path(__file__).parents[1] / "tests"

LIMIT_MS, QUIET_MS = 5.0, 1.0


def play(connection, golden, truth):
    """Read a request, send the pieces at their times, and note when: the latest time by the piece's own."""
    got = b""
    while b"\r\n\r\n" not in got:
        got += connection.recv(65536)
    began = time.perf_counter_ns()
    kind = b"text/event-stream" if golden.streamed else b"application/json"
    connection.sendall(
        b"HTTP/1.1 200 OK\r\nContent-Type: " + kind + b"\r\nTransfer-Encoding: chunked\r\n\r\n"
    )
    late = 0
    for at, data in golden.pieces:
        due = began + at * 1_000_000
        while (left := due - time.perf_counter_ns()) > 0:
            time.sleep(left / 1e9 if left > 200_000 else 0)
        truth[at] = now = time.perf_counter_ns()
        late = max(late, now - due)
        connection.sendall(b"%x\r\n%b\r\n" % (len(data), data))
    if not golden.failure:
        connection.sendall(b"0\r\n\r\n")
    connection.close()
    truth["late"] = late


async def errors(golden, chat, request):
    """Ask once; return how far each stamp was from the truth, in ms, and how late the server itself was."""
    listening = socket.create_server(("127.0.0.1", 0))
    truth = {}

    def serve():
        connection, _ = listening.accept()
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        play(connection, golden, truth)

    server = threading.Thread(target=serve)
    server.start()
    backend = chat(url=f"http://127.0.0.1:{listening.getsockname()[1]}", model="m")
    transport = open_transport(
        backend, TransportSettings(timeouts=Timeouts(), clock=time.perf_counter_ns, limit=1)
    )
    prediction = await ask(backend, transport, request)
    await transport.aclose()
    server.join()
    listening.close()
    stamps = prediction.timing.chunk_ns
    assert len(stamps) == len(golden.kinds), prediction
    found = [(stamp - truth[at]) / 1e6 for stamp, (at, _) in zip(stamps, golden.kinds, strict=True)]
    return found, truth["late"] / 1e6


def main(rounds):
    sys.path.insert(0, str(TESTS / "servers"))
    from minimal import Chat

    from golden import GOLDEN, REQUEST

    try:
        import uvloop
    except ImportError:
        run = asyncio.run
    else:
        run = uvloop.run
    broken = 0
    for name, golden in GOLDEN.items():
        rows = [run(errors(golden, Chat, REQUEST)) for _ in range(rounds)]
        # The round in which the machine was quietest: what the client adds, not what others do.
        found, late = min(rows, key=lambda row: max(map(abs, row[0])))
        worst = max(map(abs, found))
        broken += worst > LIMIT_MS
        verdict = "OVER" if worst > LIMIT_MS else "within"
        noisy = "  (noisy)" if late > QUIET_MS else ""
        middle = statistics.median(found)
        print(
            f"{name:40} off by {middle:5.2f} ms, at most {worst:5.2f} ms   {verdict} {LIMIT_MS:g} ms{noisy}"
        )
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))

"""The life of the mock server: its sockets, its processes, and its end."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence

from aisb import UsageError
from aisb_mock._author import Author
from aisb_mock._connection import MockConnection
from aisb_mock._options import MockOptions
from aisb_mock._pace import ChunkPacer
from aisb_mock._peers import answer_peers
from aisb_mock._server import Server

BACKLOG = 4_096
"""The backlog of connections; the event loops' default is 100."""


def serve(options: MockOptions, announce: Callable[[str, Author], None]) -> None:
    """Serve until a signal or the end of the parent. `announce` gets the address.

    Raises:
        UsageError: the port cannot be used.
        DataError: the file of answers cannot be read.
    """
    author = Author(options)
    listening = listen(options)
    host, port = listening[0].getsockname()[:2]
    private = [socket.create_server(("127.0.0.1", 0)) for _ in listening] if len(listening) > 1 else []
    ports = [one.getsockname()[1] for one in private]
    watched = sys.stdin.fileno() if options.parent_pipe else None
    end, keep = os.pipe()
    children = []
    sys.stdout.flush()
    for place in range(1, len(listening)):
        child = os.fork()
        if child == 0:
            os.close(keep)
            _run(
                author,
                options=options,
                listening=listening[place],
                private=private[place],
                peers=ports[:place] + ports[place + 1 :],
                watched=end,
                ready=lambda: None,
            )
            os._exit(0)
        children.append(child)
    os.close(end)
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
    try:
        _run(
            author,
            options=options,
            listening=listening[0],
            private=private[0] if private else None,
            peers=ports[1:],
            watched=watched,
            ready=lambda: announce(url, author),
        )
    finally:
        os.close(keep)
        for child in children:
            os.waitpid(child, 0)


def listen(options: MockOptions) -> list[socket.socket]:
    """Return a listening socket for each process.

    Linux spreads connections over sockets that share a port; elsewhere the processes share one socket.
    """
    family = socket.AF_INET6 if ":" in options.host else socket.AF_INET
    several = options.processes > 1 and sys.platform == "linux"
    address = (options.host, options.port)
    sockets: list[socket.socket] = []
    try:
        for _ in range(options.processes if several else 1):
            sockets.append(socket.create_server(address, family=family, backlog=BACKLOG, reuse_port=several))
            address = sockets[0].getsockname()[:2]
    except OSError as error:
        reason = os.strerror(error.errno) if error.errno and error.errno > 0 else str(error)
        raise UsageError(
            f"port {options.port} on {options.host} cannot be used: {reason}; "
            "choose another with --port, or 0 for any free one"
        ) from error
    return sockets if several else sockets * options.processes


def _run(
    author: Author,
    *,
    options: MockOptions,
    listening: socket.socket,
    private: socket.socket | None,
    peers: Sequence[int],
    watched: int | None,
    ready: Callable[[], None],
) -> None:
    """Run one process until a signal, or the end of the watched file."""

    async def main() -> None:
        loop = asyncio.get_running_loop()
        over = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, over.set)
        if watched is not None:
            loop.add_reader(watched, lambda: None if os.read(watched, 4_096) else over.set())
        pacer = ChunkPacer(loop)
        server = Server(options, author, pacer, peers)
        await loop.create_server(lambda: MockConnection(server), sock=listening, backlog=BACKLOG)
        if private is not None:
            await answer_peers(private, server.serve_peer)
        # Freeze loaded objects: a garbage collection over them would delay chunks.
        gc.freeze()
        gc.set_threshold(100_000, 50, 50)
        ready()
        await over.wait()
        pacer.close()
        for connection in tuple(server.connections):
            connection.abort()

    with asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(main())


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    return uvloop.new_event_loop

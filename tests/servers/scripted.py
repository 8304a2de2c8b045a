"""A server on a loopback port that plays a script: exact bytes, pauses, closes and resets.

    server = await serve([[HEAD, 0.05, BODY], [HEAD, "reset"]])     # the fixture of conftest.py

One list a request, in the order in which requests come, whatever their connection; the last is played again
for every later request. A step is bytes to send (one write each), seconds to wait, `"close"`, `"reset"`,
`"eof"` (half a close), or `"silence"` (nothing more until the client goes away).
"""

import asyncio
import socket
import ssl
import struct


class Scripted:
    """The server, and what it saw."""

    def __init__(self, replies, *, tls=None, host="127.0.0.1", read=True):
        self.replies = replies
        self.requests = []  # (head, body) as bytes
        self.connections = 0
        self.open = 0
        self.most_open = 0
        self._tls = tls
        self._host = host
        self._read = read
        self._tasks = set()
        self._none_open = asyncio.Event()

    async def start(self):
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        self._server = await asyncio.start_server(
            self._serve, self._host, 0, ssl=self._tls, family=family, limit=1 << 26, backlog=1024
        )
        self.port = self._server.sockets[0].getsockname()[1]
        host = f"[{self._host}]" if ":" in self._host else self._host
        self.url = f"{'https' if self._tls else 'http'}://{host}:{self.port}"
        return self

    async def stop(self):
        self._server.close()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def left_alone(self):
        """Wait until no connection is open."""
        await asyncio.wait_for(self._none_open.wait(), 5)

    @property
    def bodies(self):
        return [body for _, body in self.requests]

    async def _serve(self, reader, writer):
        task = asyncio.current_task()
        self._tasks.add(task)
        self.connections += 1
        self.open += 1
        self._none_open.clear()
        self.most_open = max(self.open, self.most_open)
        try:
            await self._play(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client went away, or the test is over
        finally:
            self.open -= 1
            if not self.open:
                self._none_open.set()
            self._tasks.discard(task)
            writer.transport.abort()

    async def _play(self, reader, writer):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            length = 0
            for line in head.split(b"\r\n"):
                name, _, value = line.partition(b":")
                if name.lower() == b"content-length":
                    length = int(value)
            body = await reader.readexactly(length) if self._read else b""
            self.requests.append((head, body))
            script = self.replies[min(len(self.requests), len(self.replies)) - 1]
            for step in script:
                if isinstance(step, bytes):
                    writer.write(step)
                    await writer.drain()
                elif step == "close":
                    writer.close()
                    await writer.wait_closed()
                    return
                elif step == "eof":
                    writer.write_eof()
                elif step == "reset":
                    raw = writer.get_extra_info("socket")
                    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    writer.transport.abort()
                    return
                elif step == "silence":
                    await reader.read()
                    return
                else:
                    await asyncio.sleep(step)


def sized(body, content_type=b"application/json", status=b"200 OK", more=b""):
    """One whole reply with a Content-Length."""
    return b"HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %d\r\n%s\r\n%s" % (
        status, content_type, len(body), more, body,
    )  # fmt: skip


def chunked(*pieces, end=True, content_type=b"text/event-stream", more=b""):
    """The steps of a chunked reply: the head, a step for each piece, and the last chunk."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: %s\r\nTransfer-Encoding: chunked\r\n%s\r\n" % (
        content_type,
        more,
    )
    return [head, *(chunk(piece) if isinstance(piece, bytes) else piece for piece in pieces)] + (
        [b"0\r\n\r\n"] if end else []
    )


def chunk(data):
    """Bytes as one HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)

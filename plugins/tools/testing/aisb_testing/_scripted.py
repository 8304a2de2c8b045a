"""A service that plays a script for each request, and records the true events.

    def script(request):
        if request.number % 2:
            return [Step(1.0, "reset")]
        return chat_stream(10, first=0.1, gap=0.02)

    with ScriptedService(script) as service:
        run("--url", service.url, …)
    assert service.truth().received == 20

A step is an action with its time, in seconds after the request was read. The service runs in its own thread,
on a loopback port; its times are `time.monotonic_ns()`, the clock of a run's log on this machine.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from typing import Any, Self

from aisb_testing._steps import Step, sized
from aisb_testing._truth import ExpectedEnd, ServedRequest, ServiceTruth, Written

ReplyScript = Callable[[ServedRequest], Iterable[Step]]

_LINGER = struct.pack("ii", 1, 0)  # makes the close send a reset
_LARGEST_REQUEST = 1 << 26


class ScriptedService:
    """A service on a loopback port that plays a script for each request that it gets with POST.

    `script` is a function from a request to its steps, or a list of the steps of each request in the order in
    which they come; the last is played again for every later one. GET is answered from `pages`, a status and
    bytes by path; the list of models is one of them.

    Attributes: `requests`, in the order in which they came, `connections`, how many were opened, and `url`.
    """

    def __init__(
        self,
        script: ReplyScript | Sequence[Sequence[Step]],
        *,
        models: Iterable[str] = ("mock",),
        pages: Mapping[str, tuple[int, bytes]] | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.requests: list[ServedRequest] = []
        self.connections = 0
        self.url = ""
        self._script = script if callable(script) else _in_order(script)
        listed = {"object": "list", "data": [{"id": name, "object": "model"} for name in models]}
        self._pages = {"/v1/models": (200, json.dumps(listed).encode()), **(pages or {})}
        self._host, self._port, self._tls = host, port, tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._serve, name="scripted service", daemon=True)
        self._started: Future[None] = Future()
        self._stopping = asyncio.Event()
        self._tasks: set[asyncio.Task[Any]] = set()
        self._problem: Exception | None = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> Self:
        """Begin to serve."""
        self._thread.start()
        self._started.result()
        return self

    def stop(self) -> None:
        """Close every connection, and stop serving; keep the record. Raise an exception of the script."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
        self._thread.join()
        if self._problem is not None:
            raise self._problem

    def truth(self, start_ns: int | None = None, end_ns: int | None = None) -> ServiceTruth:
        """Return the true numbers of the requests so far, or of the part of them in a window."""
        return ServiceTruth(tuple(self.requests), start_ns, end_ns)

    def _serve(self) -> None:
        try:
            self._loop.run_until_complete(self._run())
        except Exception as error:  # noqa: BLE001 - the port is taken, or is none: who starts it is told
            self._started.set_exception(error)
        finally:
            self._loop.close()

    async def _run(self) -> None:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        server = await asyncio.start_server(
            self._connected, self._host, self._port, ssl=self._tls, family=family,
            limit=_LARGEST_REQUEST, backlog=4096,
        )  # fmt: skip
        host = f"[{self._host}]" if ":" in self._host else self._host
        port = server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://{host}:{port}"
        self._started.set_result(None)
        await self._stopping.wait()
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - this is one
        self._tasks.add(task)
        number, place = self.connections, 0
        self.connections += 1
        try:
            while True:
                method, request = await _read_request(reader)
                if method == "GET":
                    status, body = self._pages.get(request.path, (404, b'{"detail": "Not Found"}'))
                    writer.write(sized(body, status=status))
                    continue
                place += 1
                request.number, request.connection, request.place = len(self.requests), number, place
                self.requests.append(request)
                if not await _play(self._script(request), request, reader, writer):
                    return
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError, asyncio.CancelledError):
            pass  # the client disconnected, or the service stops
        except Exception as error:  # noqa: BLE001 - whatever the script raises, the test is to see it
            self._problem = self._problem or error
        finally:
            self._tasks.discard(task)
            writer.close()


def _in_order(scripts: Sequence[Sequence[Step]]) -> ReplyScript:
    return lambda request: scripts[min(request.number, len(scripts) - 1)]


async def _read_request(reader: asyncio.StreamReader) -> tuple[str, ServedRequest]:
    """Read one request. Its number and its place are not known here."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.strip().split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    received_ns = time.monotonic_ns()
    method, path, _ = first.split(" ", 2)
    return method, ServedRequest(path, headers, body, received_ns)


async def _play(
    steps: Iterable[Step], request: ServedRequest, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> bool:
    """Play a script. Return whether the connection can carry another request."""
    end: ExpectedEnd = "played"
    try:
        for step in steps:
            if (wait := step.at - (time.monotonic_ns() - request.received_ns) / 1e9) > 0:
                await asyncio.sleep(wait)
            if isinstance(step.what, str):
                end = step.what
                if end == "reset":
                    writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER)
                    writer.transport.abort()
                elif end == "fin":  # half-close: further data of the client is read, but not answered
                    writer.write_eof()
                if end != "close":
                    request.ended_ns = time.monotonic_ns()
                    await reader.read()
                return False
            if reader.at_eof():
                raise ConnectionResetError
            request.written.append(Written(time.monotonic_ns(), step))
            writer.write(step.what)
            await writer.drain()
        return True
    except (ConnectionError, ssl.SSLError):
        end = "client left" if end == "played" else end
        raise
    except asyncio.CancelledError:
        end = "stopped" if end == "played" else end
        raise
    finally:
        request.end = end
        request.ended_ns = request.ended_ns or time.monotonic_ns()

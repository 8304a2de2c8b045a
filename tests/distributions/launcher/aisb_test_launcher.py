"""A launcher written with aisb-core alone, and backends that have to be made again in other processes."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
import pickle
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

from aisb import Backend, Channel, Chunk, HttpBackend, HttpCall, Launcher, RunError, ServiceInfo, hookimpl


class Pipe(Channel):
    """A connection to the run's process."""

    def __init__(self, connection) -> None:
        self._connection = connection
        self._messages = asyncio.Queue()
        asyncio.get_running_loop().add_reader(connection.fileno(), self._read)

    def _read(self) -> None:
        try:
            self._messages.put_nowait(self._connection.recv())
        except EOFError:
            asyncio.get_running_loop().remove_reader(self._connection.fileno())
            self._messages.put_nowait(None)

    def send(self, message) -> None:
        self._connection.send(message)

    async def receive(self):
        return await self._messages.get()


def work(payload, connection, folder) -> None:
    """Be a worker: this is the main function of its process."""

    async def run() -> None:
        channel = Pipe(connection)
        await pickle.loads(payload).run(channel, folder)
        plugins = sorted({name.partition(".")[0] for name in sys.modules if name.startswith("aisb_")})
        channel.send({"note": f"this process has {' '.join(plugins)}"})

    asyncio.run(run())


@contextmanager
def environment(variables):
    """Set variables for the processes that are started meanwhile."""
    before = dict(os.environ)
    os.environ.update(variables)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)


class Spawned(Launcher):
    """Starts each job with multiprocessing."""

    def __init__(
        self, *, elsewhere: Annotated[bool, "work in another folder, as another machine would"] = False
    ):
        self._elsewhere = elsewhere
        self._jobs = ()
        self._folders = []
        self._processes = []
        self._connections = []
        self._stopped = False

    def inspect(self):
        where = "another folder" if self._elsewhere else "this folder"
        yield {"name": "place", "state": "ok", "text": where}
        yield {"name": "code", "state": "problem", "text": "it is older", "remedy": "install the same there"}

    async def start(self, jobs) -> None:
        self._jobs = jobs
        context = multiprocessing.get_context("spawn")
        for job in jobs:
            folder = Path(tempfile.mkdtemp()) if self._elsewhere else None
            self._folders.append(folder)
            for file in job.reads if folder else ():
                shutil.copy(file, folder)
            mine, theirs = context.Pipe()
            process = context.Process(target=work, args=(pickle.dumps(job), theirs, folder), daemon=True)
            with environment(job.environment):
                process.start()
            theirs.close()
            self._processes.append(process)
            self._connections.append(mine)

    async def watch(self):
        messages = asyncio.Queue()
        loop = asyncio.get_running_loop()

        def read(number, connection) -> None:
            try:
                messages.put_nowait((number, connection.recv()))
            except (EOFError, ConnectionError):
                loop.remove_reader(connection.fileno())
                messages.put_nowait((number, None))

        for number, connection in enumerate(self._connections):
            loop.add_reader(connection.fileno(), read, number, connection)
        left = len(self._connections)
        try:
            while left:
                number, message = await messages.get()
                if message is not None:
                    yield number, message
                    continue
                left -= 1
                await asyncio.to_thread(self._processes[number].join)
                code = self._processes[number].exitcode
                if code and not self._stopped:
                    raise RunError(f"process {number} ended with {code}")
        finally:
            for connection in self._connections:
                loop.remove_reader(connection.fileno())

    async def send(self, message) -> None:
        for connection, process in zip(self._connections, self._processes, strict=True):
            if process.is_alive():
                connection.send(message)

    async def stop(self, patience: float = 10.0) -> None:
        self._stopped = True
        for process in self._processes:
            await asyncio.to_thread(process.join, patience)
            process.kill()

    async def collect(self) -> None:
        for process, connection in zip(self._processes, self._connections, strict=True):
            await asyncio.to_thread(process.join)
            connection.close()
        for job, folder in zip(self._jobs, self._folders, strict=True):
            for file in job.writes if folder else ():
                if (folder / file.name).exists():
                    shutil.copy(folder / file.name, file)
            if folder:
                shutil.rmtree(folder)


class Broken(Launcher):
    """Fails in its own way."""

    async def start(self, jobs) -> None:
        raise KeyError("no such host")

    async def watch(self):
        return
        yield

    async def send(self, message) -> None:
        raise KeyError("no host to send to")

    async def stop(self, patience: float = 10.0) -> None:
        """Stop nothing."""

    async def collect(self) -> None:
        """Collect nothing."""


class Idle(Broken):
    """Starts nothing, and says that all is done."""

    async def start(self, jobs) -> None:
        """Start nothing."""

    async def send(self, message) -> None:
        """Send nothing."""


class Slow(Idle):
    """Takes ten minutes to start."""

    async def start(self, jobs) -> None:
        await asyncio.to_thread(Path("starting").touch)
        await asyncio.sleep(600)


class Miscounting(Idle):
    """Speaks of a worker that it was not given."""

    async def watch(self):
        yield 7, {"ready": True}
        await asyncio.sleep(60)


class Learner(HttpBackend):
    """Asks for the model whose name the probe learned, by a key that no option holds."""

    learned = "nothing"

    async def probe(self) -> ServiceInfo:
        listed = (await self.look("/v1/models")).json()
        self.learned = listed["data"][0]["id"]
        return ServiceInfo()

    def state(self) -> Mapping[str, object]:
        return {**super().state(), "learned": self.learned}

    def encode(self, request) -> HttpCall:
        words = request.messages[0].content
        body = {"model": self.learned, "stream": False, "messages": [{"role": "user", "content": words}]}
        return HttpCall("/v1/chat/completions", body)

    def decode(self, event) -> Chunk:
        return Chunk("content", event["choices"][0]["message"]["content"], finish_reason="stop")


def learner(*, url: Annotated[str, "address of the service"]) -> Backend:
    """A backend that a plain function makes."""
    return Learner(url=url)


@hookimpl
def aisb_launchers() -> Mapping[str, Callable[..., Launcher] | str]:
    return {
        "spawned": "aisb_test_launcher:Spawned",
        "broken": Broken,
        "idle": Idle,
        "miscounting": Miscounting,
        "slow": Slow,
    }


@hookimpl
def aisb_backends() -> Mapping[str, Callable[..., Backend]]:
    return {"learner": learner, "nameless": lambda url="http://127.0.0.1:1": Learner(url=url)}

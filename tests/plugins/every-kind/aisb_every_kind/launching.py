"""Start each job in a process of its own, with multiprocessing."""

import asyncio
import multiprocessing
import os
import pickle

from aisb import Channel, Launcher, RunError


class Pipe(Channel):
    """The end of a pipe that a worker has."""

    def __init__(self, connection):
        self._connection = connection

    def send(self, message):
        self._connection.send(message)

    async def receive(self):
        try:
            return await asyncio.to_thread(self._connection.recv)
        except EOFError:
            return None


def work(payload, connection, environment):
    """Run a job: this is the main function of a worker's process."""
    os.environ.update(environment)
    asyncio.run(pickle.loads(payload).run(Pipe(connection)))
    connection.close()
    os._exit(0)  # a thread may still wait for a message


class Spawn(Launcher):
    """Start each job in a process of its own."""

    def __init__(self):
        self._workers = []
        self._stopped = False

    async def start(self, jobs):
        context = multiprocessing.get_context("spawn")
        for job in jobs:
            mine, theirs = context.Pipe()
            arguments = (pickle.dumps(job), theirs, dict(job.environment))
            process = context.Process(target=work, args=arguments, daemon=True)
            process.start()
            theirs.close()
            self._workers.append((process, mine))

    async def watch(self):
        messages = asyncio.Queue()
        readers = [asyncio.create_task(self._read(number, messages)) for number in range(len(self._workers))]
        for _ in readers:
            while (item := await messages.get()) is not None:
                yield item
        for reader in readers:
            await reader

    async def _read(self, number, messages):
        process, connection = self._workers[number]
        try:
            while True:
                messages.put_nowait((number, await asyncio.to_thread(connection.recv)))
        except (EOFError, OSError):
            await asyncio.to_thread(process.join)
            messages.put_nowait(None)
        if process.exitcode and not self._stopped:
            raise RunError(f"worker {number} ended with exit code {process.exitcode}")

    async def send(self, message):
        for process, connection in self._workers:
            if process.is_alive():
                connection.send(message)

    async def stop(self, patience=10.0):
        self._stopped = True
        for process, _ in self._workers:
            await asyncio.to_thread(process.join, patience)
            process.kill()

    async def collect(self):
        for process, connection in self._workers:
            await asyncio.to_thread(process.join)
            connection.close()

"""Start each job in a process of its own, with multiprocessing."""

import asyncio
import multiprocessing
import os
import pickle

from aisb import Channel, Launcher, RunError


def read_into(queue, connection, number):
    """Put what a connection receives into a queue, and None at its end."""
    loop = asyncio.get_running_loop()

    def read():
        try:
            queue.put_nowait((number, connection.recv()))
        except (EOFError, OSError):
            loop.remove_reader(connection.fileno())
            queue.put_nowait((number, None))

    loop.add_reader(connection.fileno(), read)


class Pipe(Channel):
    """The end of a pipe that a worker has."""

    def __init__(self, connection):
        self._connection = connection
        self._messages = asyncio.Queue()
        read_into(self._messages, connection, 0)

    def send(self, message):
        self._connection.send(message)

    async def receive(self):
        return (await self._messages.get())[1]


def work(payload, connection, environment):
    """Run a job: this is the main function of a worker's process."""

    async def run():
        await pickle.loads(payload).run(Pipe(connection))

    os.environ.update(environment)
    asyncio.run(run())


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
        for number, (_, connection) in enumerate(self._workers):
            read_into(messages, connection, number)
        running = len(self._workers)
        while running:
            number, message = await messages.get()
            if message is not None:
                yield number, message
                continue
            running -= 1
            process = self._workers[number][0]
            await asyncio.to_thread(process.join)
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

"""The protocol between the processes of one mock server: a line with a path, and a JSON reply."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence


async def answer_peers(listening: socket.socket, answer: Callable[[str], bytes]) -> None:
    """Answer requests of the other processes on a private port."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readline()).decode().strip()
        writer.write(answer(path))
        await writer.drain()
        writer.close()

    await asyncio.start_server(serve, sock=listening)


async def ask_peers(ports: Sequence[int], path: str) -> list[bytes]:
    """Ask all other processes; raise `OSError` if one does not answer."""

    async def ask(port: int) -> bytes:
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(f"{path}\n".encode())
        reply = await reader.read()
        writer.close()
        return reply

    return list(await asyncio.gather(*map(ask, ports)))

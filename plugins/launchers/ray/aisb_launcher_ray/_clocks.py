"""Measure the offset of another machine's clock by echoes, with its uncertainty."""

from __future__ import annotations

import asyncio
import secrets
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

EXCHANGES = 40
ECHO_TIMEOUT = 0.25
"""UDP counts as blocked after this many seconds without an echo."""


@dataclass(frozen=True, slots=True)
class ClockOffset:
    """The offset from a node's clock to ours; its uncertainty is half of the shortest round trip."""

    offset_ns: int
    uncertainty_ns: int
    way: Literal["udp", "call"]


class Echo(asyncio.DatagramProtocol):
    """Answers a datagram that begins with the token with the current time."""

    def __init__(self, token: bytes) -> None:
        self._token = token
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport."""
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        """Return the datagram with the current time."""
        now = time.perf_counter_ns()
        if self._transport is not None and data.startswith(self._token):
            self._transport.sendto(data + now.to_bytes(8, "big"), addr)


def measure_clock(host: str, port: int, token: bytes, call: Callable[[], int]) -> ClockOffset:
    """Measure the offset of a node's clock by UDP, or by remote calls if UDP gets no answer."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as wire:
        wire.settimeout(ECHO_TIMEOUT)

        def echo() -> int:
            question = token + secrets.token_bytes(8)
            wire.send(question)
            while not (answer := wire.recv(64)).startswith(question):
                pass
            return int.from_bytes(answer[len(question) :], "big")

        try:
            wire.connect((host, port))
            return _measure_offset(echo, "udp")
        except OSError:
            return _measure_offset(call, "call")


def _measure_offset(ask: Callable[[], int], way: Literal["udp", "call"]) -> ClockOffset:
    """Request the time repeatedly; use the middle of the exchange with the shortest round trip."""
    shortest = 1 << 62
    offset = 0
    for _ in range(EXCHANGES):
        sent = time.perf_counter_ns()
        there = ask()
        received = time.perf_counter_ns()
        if received - sent < shortest:
            shortest = received - sent
            offset = (sent + received) // 2 - there
    return ClockOffset(offset, (shortest + 1) // 2, way)

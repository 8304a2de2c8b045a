"""Both transports against exact bytes on real sockets: every way in which a service can misbehave."""

import asyncio
import contextlib
import gc
import gzip
import itertools
import socket
import threading
import time
import warnings
import zlib

import httpx
import pytest
import uvloop
from minimal import DONE, Chat, event
from scripted import chunk, chunked, sized

from aisb._errors import AttemptFailed, ServiceError, UsageError
from aisb._types import Failure
from aisb_engine._http.fetch import fetch, proxy_for
from aisb_engine._http.reply import document
from aisb_engine._http.transport import (
    OUT_OF_STEP,
    Exchange,
    TransportSettings,
    WireRequest,
    is_close_race,
    open_transport,
    reuse_given_up,
)
from aisb_engine._http.transport_httpx import has_surplus
from aisb_engine._spec import Timeouts
from aisb_engine._stream import StreamReader

pytestmark = pytest.mark.filterwarnings("ignore:Overriding the .event_loop_policy. fixture")


@pytest.fixture(params=["asyncio", "uvloop"])
def event_loop_policy(request):
    return asyncio.DefaultEventLoopPolicy() if request.param == "asyncio" else uvloop.EventLoopPolicy()


@pytest.fixture(params=["native", "httpx"])
def carrier(request):
    return request.param


@pytest.fixture
async def connect(carrier):
    """Open a transport to a URL; it is closed with the test."""
    opened = []

    def open_one(url, *, limit=4, timeouts=None, clock=time.monotonic_ns, **options):
        backend = Chat(url=url, transport=options.pop("transport", carrier), **options)
        limits = Timeouts(**(timeouts or {}))
        opened.append(open_transport(backend, TransportSettings(timeouts=limits, clock=clock, limit=limit)))
        return opened[-1]

    yield open_one
    for transport in opened:
        await transport.aclose()


def post(url, body=b"{}", method="POST", target="/x"):
    return WireRequest(
        method, target, (("host", url.partition("//")[2]), ("content-type", "application/json")), body
    )


PATIENCE = 60
"""Seconds after which an exchange that hangs fails its test: a timer of the test's own cannot stop uvloop."""


async def get(transport, url, **options):
    exchange = Exchange(StreamReader())
    async with asyncio.timeout(PATIENCE):
        await transport.exchange(post(url, **options), exchange)
    document(exchange)
    return exchange


async def fail(transport, url, **options):
    """Return the failure of one exchange, and what had arrived."""
    exchange = Exchange(StreamReader())

    async def whole():
        await transport.exchange(post(url, **options), exchange)
        return document(exchange)

    with pytest.raises(AttemptFailed) as caught:
        await whole()
    return caught.value.failure, body(exchange)


def body(exchange):
    return exchange.reader.document()


def ticking():
    """Return a clock that counts its looks: on it nothing takes long, however busy the machine is."""
    return itertools.count(1).__next__


# Replies that are well.


async def test_a_sized_reply_arrives_with_its_stamps_in_order(serve, connect):
    server = await serve([[sized(b'{"a": 1}', more=b"X-A: 1\r\n")]])
    exchange = await get(connect(server.url), server.url, body=b'{"q": 2}')
    assert (exchange.reader.status, body(exchange), exchange.reader.headers["x-a"]) == (200, b'{"a": 1}', "1")
    stamps = [
        exchange.connected_ns,
        exchange.sent_ns,
        exchange.reader.headers_ns,
        exchange.reader.last_ns,
        exchange.reader.done_ns,
    ]
    assert stamps == sorted(stamps)
    head, sent = server.requests[0]
    assert sent == b'{"q": 2}'
    assert head.startswith(b"POST /x HTTP/1.1\r\n")


async def test_a_connection_is_used_again_and_connecting_is_stamped_once(serve, connect):
    server = await serve(
        [[sized(b"1")], chunked(b"2", b"3"), [sized(b"", status=b"204 No Content")], [sized(b"4")]]
    )
    transport = connect(server.url)
    exchanges = [await get(transport, server.url) for _ in range(4)]
    assert [body(exchange) for exchange in exchanges] == [b"1", b"23", b"", b"4"]
    assert server.connections == 1
    assert [exchange.connected_ns is None for exchange in exchanges] == [False, True, True, True]


async def test_a_reply_that_ends_with_its_connection_is_whole(serve, connect):
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"
    server = await serve([[head, b"abc", 0.02, b"def", "close"]])
    transport = connect(server.url)
    for _ in range(2):
        assert body(await get(transport, server.url)) == b"abcdef"
    assert server.connections == 2


async def test_connection_close_and_http_1_0_are_obeyed(serve, connect):
    old = b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n2"
    server = await serve(
        [[sized(b"1", more=b"Connection: close\r\n"), "close"], [old, "close"], [sized(b"3")]]
    )
    transport = connect(server.url)
    assert [body(await get(transport, server.url)) for _ in range(3)] == [b"1", b"2", b"3"]
    assert server.connections == 3


async def test_interim_replies_and_trailers_are_passed_over(serve, connect):
    script = [
        b"HTTP/1.1 100 Continue\r\n\r\n",
        b"HTTP/1.1 103 Early Hints\r\nX-Early: 1\r\n\r\n",
        *chunked(b"abc")[:-1],
    ]
    server = await serve([[*script, b"0\r\nX-Late: 1\r\n\r\n"], [sized(b"2")]])
    transport = connect(server.url)
    exchange = await get(transport, server.url)
    assert (exchange.reader.status, body(exchange)) == (200, b"abc")
    assert "x-early" not in exchange.reader.headers
    assert "x-late" not in exchange.reader.headers
    assert body(await get(transport, server.url)) == b"2"
    assert server.connections == 1


async def test_chunks_cut_anywhere_give_the_same_body(serve, connect):
    stream = b"".join(chunked(b"hello", b" ", b"w" * 300, more=b"X-A: 1\r\n"))
    server = await serve(
        [
            [stream[n : n + 1] for n in range(len(stream))],
            [stream[n : n + 7] for n in range(0, len(stream), 7)],
        ]
    )
    transport = connect(server.url)
    for _ in range(2):
        assert body(await get(transport, server.url)) == b"hello " + b"w" * 300


async def test_compressed_replies_are_decoded(serve, connect):
    raw = zlib.compressobj(wbits=-15)
    bodies = {
        b"gzip": zlib.compressobj(wbits=31),
        b"deflate": zlib.compressobj(),
        b" DEFLATE": raw,
    }
    scripts = []
    for coding, packer in bodies.items():
        packed = packer.compress(b"word " * 1000) + packer.flush()
        scripts.append(
            chunked(packed[:1], packed[1:20], packed[20:], more=b"Content-Encoding: %s\r\n" % coding)
        )
    members = [gzip.compress(b"word " * 400), gzip.compress(b"word " * 600)]
    scripts.append(chunked(*members, more=b"Content-Encoding: gzip\r\n"))
    server = await serve(scripts)
    transport = connect(server.url)
    for _ in scripts:
        assert body(await get(transport, server.url)) == b"word " * 1000


async def test_ipv6_addresses_work(serve, connect):
    try:
        server = await serve([[sized(b"6")]], host="::1")
    except OSError:
        pytest.skip("no IPv6 on this machine")
    assert body(await get(connect(server.url), server.url)) == b"6"


async def test_a_large_request_is_sent_when_its_last_byte_is(serve, connect):
    server = await serve([[sized(b"ok")]])
    exchange = await get(connect(server.url), server.url, body=b"x" * 20_000_000)
    assert len(server.bodies[0]) == 20_000_000
    assert exchange.sent_ns <= exchange.reader.headers_ns


async def test_no_more_connections_are_open_than_allowed(serve, connect):
    server = await serve([[0.005, sized(b"1")]])
    transport = connect(server.url, limit=3)
    exchanges = await asyncio.gather(*[get(transport, server.url) for _ in range(20)])
    assert [body(exchange) for exchange in exchanges] == [b"1"] * 20
    assert server.most_open <= 3


async def test_a_cancelled_exchange_gives_its_place_to_the_next(serve, connect):
    server = await serve([["silence"], ["silence"], [sized(b"3")]])
    transport = connect(server.url, limit=1)
    first = asyncio.create_task(get(transport, server.url))
    waiting = asyncio.create_task(get(transport, server.url))
    third = asyncio.create_task(get(transport, server.url))
    await asyncio.sleep(0.05)
    waiting.cancel()
    first.cancel()
    done = await asyncio.gather(first, waiting, return_exceptions=True)
    assert [type(error) for error in done] == [asyncio.CancelledError] * 2
    server.replies = [[sized(b"3")]]
    assert body(await third) == b"3"


# Replies that are not.


async def test_a_port_where_nobody_listens_is_told_in_words(connect):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        failure, _ = await fail(connect(url), url)
    place = url.removeprefix("http://")
    assert failure == Failure(
        "connect", f"{place} refused the connection; is the service running, and on this port?"
    )


async def test_a_name_that_does_not_exist_is_told_in_words(connect):
    failure, _ = await fail(connect("http://no-such-host.invalid:80"), "http://no-such-host.invalid:80")
    assert failure.kind == "connect"
    assert failure.message.startswith("the host name of no-such-host.invalid:80 cannot be resolved (")


async def test_a_certificate_that_is_not_trusted_says_what_to_do(serve, connect, server_tls, certificate):
    server = await serve([[sized(b"1")]], tls=server_tls)
    failure, _ = await fail(connect(server.url), server.url)
    place = server.url.removeprefix("https://")
    assert failure.kind == "connect"
    assert failure.message.startswith(f"the TLS certificate of {place} is not trusted (self")
    assert failure.message.endswith("; name its authority with ca_file, or set verify = false")
    assert body(await get(connect(server.url, ca_file=str(certificate)), server.url)) == b"1"
    assert body(await get(connect(server.url, verify=False), server.url)) == b"1"


async def test_tls_asked_of_a_plain_server_is_a_failure_to_connect(serve, connect):
    server = await serve([[b"HTTP/1.1 400 Bad Request\r\n\r\n", "close"]])
    url = server.url.replace("http://", "https://")

    async def answer(reader, writer):
        await reader.read(100)
        writer.write(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
        await writer.drain()
        writer.close()

    plain = await asyncio.start_server(answer, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{plain.sockets[0].getsockname()[1]}"
    failure, _ = await fail(connect(url), url)
    plain.close()
    assert failure.kind == "connect"
    assert failure.message.startswith(f"no TLS connection to {url.removeprefix('https://')} (")
    assert failure.message.endswith("; does it speak http:// instead?")


async def test_a_server_that_never_finishes_connecting_meets_the_connect_timeout(connect):
    async def mute(reader, writer):
        await reader.read()
        writer.close()

    server = await asyncio.start_server(mute, "127.0.0.1", 0)
    url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    failure, _ = await fail(connect(url, timeouts={"connect": 0.1}), url)
    server.close()
    assert failure == Failure("connect", f"no connection to {url.removeprefix('https://')} within 0.1 s")


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_new_connection_closed_without_a_reply_is_a_cut(serve, connect, end):
    server = await serve([[end]])
    failure, _ = await fail(connect(server.url), server.url)
    assert failure == Failure("cut", "the connection was closed before the reply began")
    assert len(server.requests) == 1


@pytest.mark.parametrize("end", ["close", "reset"])
async def test_a_kept_connection_closed_before_the_reply_is_no_failure_and_sent_once_more(
    serve, connect, end
):
    server = await serve([[sized(b"1")], [end], [sized(b"2")]])
    transport = connect(server.url, clock=ticking())
    await get(transport, server.url)
    exchange = await get(transport, server.url)
    assert body(exchange) == b"2"
    assert exchange.resent
    assert exchange.sent_ns < exchange.connected_ns  # of the first time
    assert (len(server.requests), server.connections) == (3, 2)


async def test_a_request_is_never_sent_more_than_once_more(serve, connect):
    server = await serve([[sized(b"1")], ["close"]])
    transport = connect(server.url, clock=ticking())
    await get(transport, server.url)
    failure, _ = await fail(transport, server.url)
    assert failure.kind == "cut"
    assert len(server.requests) == 3


@pytest.mark.parametrize("end", ["close", "eof", "reset"])
async def test_a_request_that_was_worked_on_and_dropped_is_a_cut_on_a_kept_connection_too(
    serve, connect, end
):
    server = await serve([[sized(b"1")], [0.3, end], [sized(b"2")]])
    transport = connect(server.url)
    await get(transport, server.url)
    exchange = Exchange(StreamReader())
    with pytest.raises(AttemptFailed) as caught:
        await transport.exchange(post(server.url), exchange)
    assert caught.value.failure == Failure("cut", "the connection was closed before the reply began")
    assert not exchange.resent
    assert (len(server.requests), server.connections) == (2, 1)
    assert body(await get(transport, server.url)) == b"2"


async def test_a_close_race_is_as_long_as_two_connects_where_those_take_longer(carrier):
    exchange = Exchange(StreamReader())
    assert is_close_race(exchange, 0, 10**12)  # it could not be written
    exchange.sent_ns = 0
    assert is_close_race(exchange, 1_000_000, 10_000_000)
    assert not is_close_race(exchange, 1_000_000, 10_000_001)
    assert is_close_race(exchange, 30_000_000, 60_000_000)
    assert not is_close_race(exchange, 30_000_000, 60_000_001)
    exchange.reader.feed(1, b"HTTP/1.1 100 Continue\r\n")
    assert not is_close_race(exchange, 0, 1)


async def test_a_large_request_that_could_not_be_written_is_sent_again(connect):
    """The service reads a part of it and closes: what it did not get it cannot have worked on."""
    requests = []

    async def serve(reader, writer):
        for _ in range(2):
            await reader.readuntil(b"\r\n\r\n")
            requests.append(None)
            if len(requests) == 2:
                await asyncio.sleep(0.3)
                writer.transport.abort()
                return
            await reader.readexactly(2 if len(requests) == 1 else 20_000_000)
            writer.write(sized(b"%d" % len(requests)))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = connect(url, transport="native")
    await get(transport, url)
    exchange = await get(transport, url, body=b"x" * 20_000_000)
    assert (body(exchange), exchange.resent) == (b"3", True)
    assert exchange.sent_ns < exchange.connected_ns
    server.close()


# After the last event.

SAID = [event("4"), event("2"), event(finish="stop")]


async def answer(transport, url):
    """Return the exchange of a chat stream, and the seconds that it took."""
    exchange = Exchange(StreamReader(Chat(url=url)))
    begun = time.monotonic()
    async with asyncio.timeout(PATIENCE):
        await transport.exchange(post(url), exchange)
    exchange.reader.end()
    return exchange, time.monotonic() - begun


@pytest.mark.parametrize("framing", ["chunked", "close"])
@pytest.mark.parametrize("end", ["silence", "reset", "close", "late"])
async def test_a_reply_is_whole_with_done_whatever_the_connection_does_next(serve, connect, end, framing):
    after = [20, "close"] if end == "late" else [end]
    if framing == "chunked":
        script = chunked(*SAID, DONE, end=False)
    else:
        script = [b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n", *SAID, DONE]
    server = await serve([[*script, *after]])
    transport = connect(server.url, limit=1, timeouts={"between_bytes": 20})
    for _ in range(3):
        exchange, seconds = await answer(transport, server.url)
        assert (exchange.reader.columns.all_text(), exchange.reader.failure) == ("42", None)
        assert exchange.reader.done_ns >= exchange.reader.body_ns
        assert seconds < 15  # it waits for neither the close nor the timeout


async def test_a_connection_whose_reply_ends_right_after_done_is_used_again(serve, connect):
    server = await serve([[*chunked(*SAID, DONE, end=False), 0.001, b"0\r\n\r\n"]])
    transport = connect(server.url, transport="native")
    for _ in range(10):
        exchange, _ = await answer(transport, server.url)
        assert exchange.reader.columns.all_text() == "42"
    assert server.connections < 10  # on a machine that stands still for a moment the end comes too late


async def test_a_connection_whose_reply_ended_late_is_used_again_when_it_has(serve, connect):
    server = await serve([[*chunked(*SAID, DONE, end=False), 0.5, b"0\r\n\r\n"]])
    transport = connect(server.url, transport="native")
    await answer(transport, server.url)
    await answer(transport, server.url)
    assert server.connections == 2  # the second did not wait for the end of the first
    async with asyncio.timeout(PATIENCE):
        while not transport._idle:  # noqa: ASYNC110 - the transport tells nobody
            await asyncio.sleep(0.05)
    await answer(transport, server.url)
    assert server.connections == 2


async def test_usage_right_after_done_is_still_read(serve, connect):
    server = await serve([chunked(*SAID, DONE, event(choices=False, usage=(5, 2)))])
    exchange, _ = await answer(connect(server.url), server.url)
    assert exchange.reader.columns.usage.output_tokens == 2


async def test_what_cannot_be_read_after_done_spoils_nothing(serve, connect):
    for surplus in ([b"zz\r\n"], [chunk(b"data: {\n\n")], [chunk(b'data: {"error": "late"}\n\n')]):
        server = await serve([[*chunked(*SAID, DONE, end=False), *surplus, "close"]])
        exchange, _ = await answer(connect(server.url), server.url)
        assert (exchange.reader.columns.all_text(), exchange.reader.failure) == ("42", None)


async def test_a_failed_stream_is_over_with_done_too(serve, connect):
    script = chunked(event("4"), b'data: {"error": "boom"}\n\n', DONE, end=False)
    server = await serve([[*script, "silence"]])
    exchange, seconds = await answer(connect(server.url, timeouts={"between_bytes": 20}), server.url)
    assert "boom" in exchange.reader.failure.message
    assert seconds < 15


async def test_a_kept_connection_closed_after_a_byte_of_the_reply_is_a_cut(serve, connect):
    server = await serve([[sized(b"1")], [sized(b"22")[:-1], "close"]])
    transport = connect(server.url)
    await get(transport, server.url)
    failure, arrived = await fail(transport, server.url)
    assert failure == Failure("cut", "the connection was closed in the middle of the reply", 200)
    assert arrived == b"2"
    assert len(server.requests) == 2


async def test_a_kept_connection_that_the_server_closed_meanwhile_is_not_used(serve, connect):
    server = await serve([[sized(b"1"), "close"], [sized(b"2")]])
    transport = connect(server.url)
    await get(transport, server.url)
    await asyncio.sleep(0.05)
    assert body(await get(transport, server.url)) == b"2"
    assert (len(server.requests), server.connections) == (2, 2)


@pytest.mark.parametrize("end", ["close", "reset"])
@pytest.mark.parametrize(
    "script",
    [[sized(b"abcdef")[:-3]], chunked(b"abc", end=False), [*chunked(end=False), chunk(b"abcdef")[:-5]]],
    ids=["sized", "between chunks", "in a chunk"],
)
async def test_a_reply_cut_short_is_a_cut_that_keeps_what_came(serve, connect, script, end):
    server = await serve([[*script, 0.05, end]])
    failure, arrived = await fail(connect(server.url), server.url)
    assert failure == Failure("cut", "the connection was closed in the middle of the reply", 200)
    assert arrived == b"abc"


@pytest.mark.parametrize(
    "script",
    [
        [chunked()[0], b"zz\r\nabc\r\n0\r\n\r\n"],
        [chunked()[0], b"-5\r\nabc\r\n0\r\n\r\n"],
        [b"+OK this is not a web server\r\n\r\n"],
        [b"HTTP/1.1 200 OK\r\nContent-Length: five\r\n\r\nabcde"],
    ],
    ids=["bad chunk size", "negative chunk size", "another protocol", "bad length"],
)
async def test_what_is_not_http_is_a_protocol_failure(serve, connect, script):
    server = await serve([[*script, "silence"]])
    failure, _ = await fail(connect(server.url), server.url)
    assert failure.kind == "protocol"
    assert failure.message.startswith("the reply is not valid HTTP (")


async def test_what_is_not_http_is_shown(serve, connect):
    server = await serve([[b"SSH-2.0-OpenSSH_9.6\r\n", "silence"]])
    failure, _ = await fail(connect(server.url, transport="native"), server.url)
    assert failure.message.endswith(r": b'SSH-2.0-OpenSSH_9.6\r\n'")


async def test_broken_or_unknown_compression_is_a_protocol_failure(serve, connect):
    packed = zlib.compress(b"word " * 100)
    server = await serve(
        [
            [sized(b"not zlib at all", more=b"Content-Encoding: gzip\r\n")],
            [sized(packed, more=b"Content-Encoding: br\r\n")],
            [sized(packed[:-8], more=b"Content-Encoding: deflate\r\n")],
        ]
    )
    transport = connect(server.url)
    failure, _ = await fail(transport, server.url)
    assert failure.kind == "protocol"
    assert failure.message.startswith("the compressed reply is damaged (")
    failure, _ = await fail(transport, server.url)
    assert failure.message == "the reply is compressed with 'br', although the request accepts no compression"
    failure, _ = await fail(transport, server.url)
    assert failure == Failure("cut", "the compressed reply ends in the middle", 200)


async def test_bytes_after_a_reply_end_the_connection_and_not_the_reply(serve, connect):
    server = await serve([[sized(b"1") + b"garbage"], [sized(b"2") + sized(b"surplus")], [sized(b"3")]])
    transport = connect(server.url, transport="native")
    assert [body(await get(transport, server.url)) for _ in range(3)] == [b"1", b"2", b"3"]
    assert server.connections == 3


async def test_a_redirect_is_not_followed(serve, connect):
    server = await serve(
        [[sized(b"", status=b"307 Temporary Redirect", more=b"Location: http://elsewhere/\r\n")]]
    )
    exchange = await get(connect(server.url), server.url)
    assert (exchange.reader.status, exchange.reader.headers["location"]) == (307, "http://elsewhere/")
    assert len(server.requests) == 1


# Deadlines.


async def test_a_silent_server_meets_the_first_byte_timeout_headers_or_not(serve, connect):
    server = await serve([["silence"], [chunked()[0], "silence"]])
    transport = connect(server.url, timeouts={"first_byte": 0.15})
    assert (await fail(transport, server.url))[0] == Failure(
        "timeout", "no first byte within 0.15 s (load.timeouts.first_byte)"
    )
    assert (await fail(transport, server.url))[0] == Failure(
        "timeout", "no first byte within 0.15 s (load.timeouts.first_byte)", 200
    )


async def test_comments_do_not_count_as_the_first_byte(serve, connect):
    comments = [step for _ in range(40) for step in (b": ping\n\n", 0.02)]
    server = await serve([chunked(*comments)])
    failure, _ = await fail(
        connect(server.url, timeouts={"first_byte": 0.2, "between_bytes": 0.1}), server.url
    )
    assert failure == Failure("timeout", "no first byte within 0.2 s (load.timeouts.first_byte)", 200)


async def test_comments_do_count_between_bytes(serve, connect):
    steps = [b"data: 1\n\n", *[step for _ in range(20) for step in (b": ping\n\n", 0.02)], b"data: 2\n\n"]
    server = await serve([chunked(*steps)])
    exchange = await get(connect(server.url, timeouts={"first_byte": 0.3, "between_bytes": 0.3}), server.url)
    assert body(exchange).endswith(b"data: 2\n\n")


async def test_a_stall_in_the_middle_meets_the_between_bytes_timeout_and_keeps_what_came(serve, connect):
    server = await serve([[*chunked(b"data: 1\n\n", 0.05, b"data: 2\n\n", end=False), "silence"]])
    failure, arrived = await fail(connect(server.url, timeouts={"between_bytes": 0.15}), server.url)
    assert failure == Failure(
        "timeout", "nothing came for 0.15 s in the middle of the reply (load.timeouts.between_bytes)", 200
    )
    assert arrived == b"data: 1\n\ndata: 2\n\n"


async def test_an_endless_reply_meets_the_total_timeout(serve, connect):
    server = await serve([chunked(*[b"data: 1\n\n", 0.02] * 100)])
    failure, arrived = await fail(connect(server.url, timeouts={"total": 0.2}), server.url)
    assert failure == Failure(
        "timeout", "the reply was not complete after 0.2 s in all (load.timeouts.total)", 200
    )
    assert arrived.startswith(b"data: 1\n\n")


async def test_each_request_of_a_connection_has_its_own_deadlines(serve, connect):
    """The first one's reply goes on for longer than a first byte may take, and leaves a timer for later."""
    slow = chunked(b"data: 1\n\n", 0.3, b"data: 2\n\n")
    server = await serve([slow, [sized(b"2")], ["silence"]])
    transport = connect(server.url, limit=1, timeouts={"first_byte": 0.2, "between_bytes": 5})
    assert body(await get(transport, server.url)) == b"data: 1\n\ndata: 2\n\n"
    assert body(await get(transport, server.url)) == b"2"
    async with asyncio.timeout(3):
        failure, _ = await fail(transport, server.url)
    assert failure == Failure("timeout", "no first byte within 0.2 s (load.timeouts.first_byte)")


async def test_a_late_reply_does_not_reach_the_next_request(serve, connect):
    server = await serve([[1.5, sized(b"late")], [sized(b"2")]])
    transport = connect(server.url, timeouts={"first_byte": 0.8})
    await fail(transport, server.url)
    assert body(await get(transport, server.url)) == b"2"


# The end.


async def test_closing_leaves_no_warnings_and_no_connections(serve, connect, server_tls, certificate):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for tls in (None, server_tls):
            server = await serve([[sized(b"1")], ["silence"]], tls=tls)
            transport = connect(server.url, ca_file=str(certificate) if tls else None)
            await get(transport, server.url)
            task = asyncio.create_task(get(transport, server.url))
            await asyncio.sleep(0.05)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            await transport.aclose()
            await server.left_alone()
        del transport
        gc.collect()


async def test_a_closed_transport_fails_the_exchange_under_way_and_every_later_one(serve, connect):
    server = await serve([["silence"]])
    transport = connect(server.url, transport="native")
    under_way = asyncio.create_task(fail(transport, server.url))
    await asyncio.sleep(0.05)
    await transport.aclose()
    assert (await under_way)[0].kind in ("cut", "connect")
    assert (await fail(transport, server.url))[0] == Failure("connect", "the transport is closed")


async def test_a_reply_that_nobody_asked_for_is_not_given_to_the_next_request(connect):
    """It arrives while the loop is busy, so that nothing has read it when the next request is sent."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(10)

    def serve():
        for replies in ([sized(b"1"), sized(b"unasked")], [sized(b"2")]):
            connection, _ = listening.accept()
            connection.recv(65_536)
            for reply in replies:
                connection.sendall(reply)
                time.sleep(0.1)
            connections.append(connection)

    connections = []
    server = threading.Thread(target=serve)
    server.start()
    url = f"http://127.0.0.1:{listening.getsockname()[1]}"
    transport = connect(url, transport="native")
    assert body(await get(transport, url)) == b"1"
    time.sleep(0.5)  # noqa: ASYNC251 - the loop is busy
    assert body(await asyncio.wait_for(get(transport, url), 10)) == b"2"
    server.join()
    for one in (*connections, listening):
        one.close()


async def test_after_a_reply_that_nobody_asked_for_connections_are_not_kept_any_more():
    """The server answers the first request of each connection once, and the second twice."""
    connections, said = [], []

    async def serve(reader, writer):
        connections.append(writer)
        for replies in itertools.count(1):
            with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
                await reader.readuntil(b"{}")
                for _ in range(min(replies, 2)):
                    writer.write(sized(b"%d" % replies))
                    await writer.drain()
                    await asyncio.sleep(0.05)
                continue
            writer.close()
            return

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = open_transport(
        Chat(url=url, transport="native"),
        TransportSettings(
            timeouts=Timeouts(),
            clock=time.monotonic_ns,
            limit=4,
            say=said.append,
        ),
    )
    first = [await get(transport, url), await get(transport, url)]
    assert [body(one) for one in first] == [b"1", b"2"]
    while not said:  # noqa: ASYNC110 - the reply that nobody asked for is on its way
        await asyncio.sleep(0.01)
    (line,) = said
    assert line == (
        "the service sent a reply that no request asked for: each request has a connection of its own from now "
        "on; up to 2 earlier replies may be those of other requests"
    )
    assert [body(await get(transport, url)) for _ in range(3)] == [b"1"] * 3
    assert len(connections) == 4
    await transport.aclose()
    server.close()


async def test_httpx_detects_a_reply_that_nobody_asked_for_when_it_arrives_with_the_one_before():
    """The server answers the first request of each connection once, and the second twice, in one write."""
    connections, said = [], []

    async def serve(reader, writer):
        connections.append(writer)
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            for replies in (1, 2, 1):
                await reader.readuntil(b"{}")
                writer.write(sized(b"%d" % replies) * replies)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = open_transport(
        Chat(url=url, transport="httpx"),
        TransportSettings(
            timeouts=Timeouts(),
            clock=time.monotonic_ns,
            limit=4,
            say=said.append,
        ),
    )
    assert [body(await get(transport, url)) for _ in range(2)] == [b"1", b"2"]
    assert len(connections) == 1
    failure, _ = await fail(transport, url)
    assert failure == Failure("cut", OUT_OF_STEP)
    assert said == [reuse_given_up(2)]
    assert [body(await get(transport, url)) for _ in range(3)] == [b"1"] * 3
    assert len(connections) == 4
    await transport.aclose()
    server.close()


@pytest.mark.parametrize(
    ("then", "found"), [(sized(b"unasked"), True), (b"HTTP/1.1 408 Late\r\n\r\n", False), (b"", False)]
)
async def test_httpx_sees_what_waits_behind_a_reply(then, found):
    read = asyncio.Event()

    async def serve(reader, writer):
        await reader.readuntil(b"\r\n\r\n")
        writer.write(sized(b"1"))
        await read.wait()
        writer.write(then)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    async with httpx.AsyncClient(trust_env=False) as client, client.stream("GET", url) as reply:
        assert await reply.aread() == b"1"
        assert not has_surplus(reply)
        read.set()
        while not reply.extensions["network_stream"].get_extra_info("is_readable"):  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        assert has_surplus(reply) == found
    server.close()


async def test_a_request_under_way_on_a_kept_connection_fails_when_the_service_is_out_of_step():
    release = asyncio.Event()
    connections = []

    async def serve(reader, writer):
        connections.append(writer)
        is_second = len(connections) == 2
        with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
            await reader.readuntil(b"{}")
            await asyncio.sleep(0.2 * is_second)  # so that it is idle for a shorter time
            writer.write(sized(b"1"))
            if is_second:
                await release.wait()
                writer.write(sized(b"unasked"))
            await reader.read()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    transport = open_transport(
        Chat(url=url, transport="native"),
        TransportSettings(timeouts=Timeouts(), clock=time.monotonic_ns, limit=4),
    )
    await asyncio.gather(get(transport, url), get(transport, url))
    waiting = asyncio.create_task(fail(transport, url))  # on the first of the two, which is idle the longest
    await asyncio.sleep(0.1)
    release.set()
    failure, _ = await asyncio.wait_for(waiting, PATIENCE)
    assert failure.kind == "cut"
    assert failure.message == (
        "the service sent a reply that no request asked for: this one may be that of another request"
    )
    assert failure.message == OUT_OF_STEP
    await transport.aclose()
    server.close()


async def test_a_transport_that_closes_while_a_connection_is_made_leaves_none_open(serve, connect):
    server = await serve([["silence"]])
    transport = connect(server.url, transport="native")
    under_way = asyncio.create_task(fail(transport, server.url))
    await asyncio.sleep(0)  # it has begun to connect
    await transport.aclose()
    failure, _ = await asyncio.wait_for(under_way, 20)
    assert failure.kind in ("connect", "cut")


# Proxies.


@pytest.fixture
def environment(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    return monkeypatch


async def test_a_proxy_of_the_environment_is_used_for_other_machines(serve, connect, environment):
    server = await serve([[sized(b"by proxy")]])
    environment.setenv("HTTP_PROXY", server.url)
    url = "http://model.example:8000"
    assert body(await get(connect(url, transport="native"), url)) == b"by proxy"
    assert server.requests[0][0].startswith(b"POST http://model.example:8000/x HTTP/1.1\r\n")
    assert (await fetch(Chat(url=url), "/v1/models")).body == b"by proxy"


def test_a_proxy_never_stands_before_this_machine_or_what_no_proxy_names(environment):
    environment.setenv("ALL_PROXY", "proxy.example:3128")
    environment.setenv("NO_PROXY", "inside.example")
    assert proxy_for("http://model.example:8000") == "http://proxy.example:3128"
    assert proxy_for("https://model.example") == "http://proxy.example:3128"
    for host in ("127.0.0.1", "127.8.8.8", "[::1]", "localhost", "inside.example"):
        assert proxy_for(f"http://{host}:8000") is None


def test_a_proxy_of_an_unknown_kind_is_told_in_words(environment):
    environment.setenv("ALL_PROXY", "gopher://proxy.example:70")
    with pytest.raises(ServiceError, match="the proxy that the environment names cannot be used: "):
        open_transport(
            Chat(url="http://model.example"),
            TransportSettings(timeouts=Timeouts(), clock=time.monotonic_ns, limit=1),
        )


# Outside the hot path.


async def test_fetch_gives_any_status_as_an_answer(serve):
    server = await serve([[sized(b'{"data": []}')], [sized(b"no", status=b"404 Not Found")]])
    backend = Chat(url=server.url + "/pre")
    assert (await fetch(backend, "/v1/models"))[::2] == (200, b'{"data": []}')
    assert (await fetch(backend, "/v1/x", body={"a": 1})).status == 404
    assert [head.split(b"\r\n")[0] for head, _ in server.requests] == [
        b"GET /pre/v1/models HTTP/1.1",
        b"POST /pre/v1/x HTTP/1.1",
    ]


async def test_fetch_says_what_to_try_when_nobody_answers(serve, server_tls):
    silent = await serve([["silence"]])
    with pytest.raises(
        ServiceError, match=r"accepted a connection but did not answer /health within 0\.1 s; it may"
    ):
        await fetch(Chat(url=silent.url), "/health", timeout=0.1)
    await silent.stop()
    with pytest.raises(
        ServiceError, match=r"refused the connection; is the service running, and on this port\?"
    ):
        await fetch(Chat(url=silent.url), "/health")
    with pytest.raises(ServiceError, match=r"the host name of no-such-host\.invalid:80 cannot be resolved"):
        await fetch(Chat(url="http://no-such-host.invalid"), "/health")
    tls = await serve([[sized(b"1")]], tls=server_tls)
    with pytest.raises(
        ServiceError, match=r"is not trusted .* name its authority with ca_file, or set verify = false"
    ):
        await fetch(Chat(url=tls.url), "/health")


def test_a_wrong_port_and_a_wrong_certificate_file_are_told_before_anything_is_sent(tmp_path):
    with pytest.raises(UsageError, match=r"url = 'http://h:x': the port must be a number from 1 to 65535"):
        open_transport(
            Chat(url="http://h:x"), TransportSettings(timeouts=Timeouts(), clock=time.monotonic_ns, limit=1)
        )
    file = tmp_path / "ca.pem"
    file.write_text("no certificate")
    for name in (file, tmp_path / "absent.pem"):
        backend = Chat(url="https://h", ca_file=str(name))
        with pytest.raises(UsageError, match="is not a file of certificates in PEM form"):
            open_transport(backend, TransportSettings(timeouts=Timeouts(), clock=time.monotonic_ns, limit=1))

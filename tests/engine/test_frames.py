"""Replies whose HTTP framing is taken off late or never: the same text, kinds and order, however they are cut."""

import asyncio
import itertools
import random
import time

import orjson
import pytest

from aisb import Request
from aisb_backend_openai import OpenAIChat
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._spec import Timeouts

HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"
    b"Connection: keep-alive\r\n\r\n"
)
WORDS = [
    " the",
    " sea",
    "\n",
    ' "so"',
    " \\",
    " größer",
    " 海",
    " a much longer piece of text than others",
    "é",
]


def event(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    body = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "choices": [choice]} | more
    return b"data: " + orjson.dumps(body) + b"\n\n"


def chunk(body, size=b"%x"):
    return size % len(body) + b"\r\n" + body + b"\r\n"


def reply_of(words):
    return [event({"role": "assistant", "content": ""}), *(event({"content": word}) for word in words)]


def end():
    return [event({}, "stop"), b"data: [DONE]\n\n"]


async def answers(*replies, timeouts=None, close=False, clock=None):
    """Serve each reply, a list of writes, to one request after another; return the predictions."""
    waiting = iter(replies)

    async def serve(reader, writer):
        while True:
            try:
                await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError:
                break
            await reader.readexactly(2)
            for piece in next(waiting):
                writer.write(piece)
                for _ in range(4):  # so that the client reads it alone
                    await asyncio.sleep(0)
            if close:
                break
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    backend = Plain(url=f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1", model="m")
    ticks = itertools.count(1_000)
    transport = open_transport(
        backend,
        TransportSettings(timeouts=timeouts or Timeouts(), clock=clock or (lambda: next(ticks)), limit=1),
    )
    try:
        return [
            await ask(backend, transport, Request(str(number), text="?")) for number in range(len(replies))
        ]
    finally:
        await transport.aclose()
        server.close()
        await server.wait_closed()


class Plain(OpenAIChat):
    """The chat backend with a body of two bytes, so that a server of a few lines can read it."""

    def encode(self, request):
        return super().encode(request)._replace(body=b"{}")


def cut(data, draw):
    """Cut bytes at random places."""
    at = sorted(draw.sample(range(1, len(data)), min(60, len(data) - 1)))
    return [data[a:b] for a, b in itertools.pairwise([0, *at, len(data)])]


def joined(pieces, draw):
    """Send some pieces together."""
    made = []
    while pieces:
        count = draw.choice((1, 1, 1, 2, 3, 7))
        made.append(b"".join(pieces[:count]))
        pieces = pieces[count:]
    return made


@pytest.mark.parametrize("size", [b"%x", b"%X", b"%04x", b"%x;name=value"])
@pytest.mark.parametrize("seed", range(6))
async def test_a_reply_is_the_same_however_its_chunks_are_sent(size, seed):
    draw = random.Random(seed)
    words = draw.choices(WORDS, k=300)
    frames = [chunk(body, size) for body in (*reply_of(words), *end())]
    whole = b"".join(frames)
    apart = [HEAD, *frames, b"0\r\n\r\n"]
    ways = [apart, [HEAD, *joined(frames, draw), b"0\r\n\r\n"], cut(HEAD + whole + b"0\r\n\r\n", draw)]
    found = await answers(*ways)
    for prediction in found:
        assert prediction.failure is None
        assert prediction.text == "".join(words)
        assert prediction.timing.chunk_kinds == ("role", *["content"] * len(words), "finish")
        assert prediction.finish_reason == "stop"
        stamps = prediction.timing.chunk_ns
        assert all(a <= b for a, b in itertools.pairwise(stamps))
    # Each frame came alone, so each has a stamp of its own.
    assert len(set(found[0].timing.chunk_ns)) == len(words) + 2


async def test_bytes_that_look_like_chunks_inside_a_chunk_are_text_of_the_reply():
    words = [" the", " sea"] * 20
    alike = [chunk(body) for body in reply_of(words)]
    trap = chunk(event({"content": " trap"}))
    # One chunk, sent in three pieces, of which the middle one is a frame to the byte.
    first, last = event({"content": " before"}), event({"content": " after"})
    inside = first + b": " + trap[:-2] + b"\n" + last
    big = chunk(inside)
    at = big.index(trap[:-2])
    ways = [HEAD, *alike, big[:at], big[at : at + len(trap) - 2] + b"\n", big[at + len(trap) - 1 :]]
    (found,) = await answers([*ways, *map(chunk, end()), b"0\r\n\r\n"])
    assert found.failure is None
    assert found.text == "".join(words) + " before trap after"


async def test_a_frame_whose_size_is_wrong_is_not_valid_http():
    alike = [chunk(body) for body in reply_of([" a", " b"] * 20)]
    wrong = event({"content": " c"})
    broken = b"%x\r\n" % (len(wrong) - 1) + wrong + b"\r\n"
    (found,) = await answers([HEAD, *alike, broken, *alike, b"0\r\n\r\n"], close=True)
    assert found.failure.kind == "protocol"
    assert "not valid HTTP" in found.failure.message
    assert found.text == " a b" * 20


@pytest.mark.parametrize("literal", [b'"a","b"', b'"a" ', b'"a', b"1", b'"\\ud800"', b'"a\\"'])
async def test_what_stands_in_place_of_one_text_is_read_as_it_is(literal):
    alike = [chunk(body) for body in reply_of([" a", " b"] * 20)]
    odd = event({"content": "@"}).replace(b'"@"', literal)
    (found,) = await answers([HEAD, *alike, chunk(odd), *alike[1:], *map(chunk, end()), b"0\r\n\r\n"])
    said = {b'"a" ': "a", b'"\\ud800"': "\ufffd"}.get(literal)
    if said is None:
        assert found.failure is not None
        assert found.text == " a b" * 20
    else:
        assert found.failure is None
        assert found.text == " a b" * 20 + said + " a b" * 20


async def test_what_waits_is_kept_when_the_reply_is_cut_or_too_late():
    frames = [HEAD, *(chunk(body) for body in reply_of([" a", " b"] * 10))]
    (found,) = await answers(frames, close=True)
    assert (found.failure.kind, found.text) == ("cut", " a b" * 10)
    (found,) = await answers(frames, timeouts=Timeouts(total=0.3), clock=time.perf_counter_ns)
    assert (found.failure.kind, found.text) == ("timeout", " a b" * 10)


async def test_comments_do_not_count_as_a_first_byte_among_frames():
    quiet = [chunk(b": still there\n\n")] * 5
    words = [" a"] * 30
    frames = [chunk(body) for body in reply_of(words)]
    mixed = [frame for pair in zip(frames, itertools.cycle(quiet), strict=False) for frame in pair]
    (found,) = await answers([HEAD, *quiet, *mixed, *map(chunk, end()), b"0\r\n\r\n"])
    assert found.failure is None
    assert found.text == " a" * 30
    assert found.timing.chunk_kinds.count("keepalive") == 5 + 31


@pytest.mark.parametrize("at_once", [2, 5, 17, 1000])
async def test_a_reply_that_comes_many_events_at_a_time_is_the_same_reply(at_once):
    words = [*WORDS, " so"] * 12
    frames = [chunk(body) for body in [*reply_of(words), *end()]]
    stream = [b"".join(frames[at : at + at_once]) for at in range(0, len(frames), at_once)]
    for first, *others in ([HEAD, *stream], [HEAD + stream[0], *stream[1:]]):
        (found,) = await answers([first, *others[:-1], (others or [b""])[-1] + b"0\r\n\r\n"])
        assert found.failure is None
        assert found.text == "".join(words)
        assert found.finish_reason == "stop"
        assert len(found.timing.chunk_ns) == len(words) + 2


async def test_an_event_that_is_unlike_the_rest_may_come_in_the_middle_of_a_piece():
    words = [f" w{number}" for number in range(90)]
    bodies = [*reply_of(words), *end()]
    bodies[40] = event({"content": words[39]}, usage={"prompt_tokens": 3, "completion_tokens": 40})
    frames = [chunk(body) for body in bodies]
    pieces = [b"".join(frames[at : at + 7]) for at in range(0, len(frames), 7)]
    (found,) = await answers([HEAD, *pieces, b"0\r\n\r\n"])
    assert found.failure is None
    assert found.text == "".join(words)
    assert found.usage.input_tokens == 3


async def test_a_size_that_cannot_be_is_not_valid_http_however_much_came_before_it():
    frames = [chunk(body) for body in reply_of([" a", " b"] * 20)]
    for size in (b"-5", b"zz", b"", b"1_0"):
        body = event({"content": " c"})
        broken = size + b"\r\n" + body + b"\r\n"
        (found,) = await answers([HEAD, b"".join(frames), broken, b"0\r\n\r\n"], close=True)
        assert found.failure.kind == "protocol"
        assert found.text == " a b" * 20

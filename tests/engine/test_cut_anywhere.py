"""However a streamed reply is cut into events, chunks and reads, and whichever form reads it, it says the same."""

from __future__ import annotations

import json
from itertools import pairwise

import orjson
from hypothesis import given, settings
from hypothesis import strategies as st
from memory import MemoryLoop

from aisb import Request
from aisb_backend_openai import OpenAIChat
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._record.log import decode, encode, extents
from aisb_engine._spec import Timeouts
from aisb_engine._stream import KnownEvents, compiled_module, reader

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
WORDS = st.sampled_from(
    [" and", " é", "\n", ' "so"', " 漢字", "\\", " \U0001f600", "the", "\t", "x" * 90, ""]
)


def event(delta, finish=None, **more):
    choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
    return b"data: %b\n\n" % orjson.dumps(
        {"id": "chatcmpl-" + "7" * 32, "model": "m", "choices": [choice], **more}
    )


def running(count):
    """The usage of an event that says a running count."""
    return {"usage": {"prompt_tokens": 7, "total_tokens": 7 + count, "completion_tokens": count}}


ODD = [
    event({"role": "assistant", "content": ""}),
    event({"reasoning_content": "hm"}),
    event({"content": "counted"}, usage={"prompt_tokens": 1, "completion_tokens": 2}),
    event({"content": "x"}).replace(b": ", b":"),
    event({"content": "y"}).replace(b"\n", b"\r\n"),
    event({"content": "z"}).replace(b'"z"', b'"\\ud83d\\ude00"'),
    json.dumps({"choices": [{"index": 0, "delta": {"content": "spaced"}}]}).join(["data: ", "\n\n"]).encode(),
    b": still here\n\n",
    b"id: 7\nevent: message\n" + event({"content": "named"}),
    event({"tool_calls": [{"index": 0, "id": "c", "function": {"name": "f", "arguments": "{}"}}]}),
]
EVENTS = st.lists(
    st.one_of(WORDS.map(lambda word: event({"content": word})), st.sampled_from(ODD)), max_size=6
)


@st.composite
def bodies(draw):
    """The events of a reply, and how they lie in chunks: mostly one each, as services send them."""
    words, step = draw(st.lists(WORDS, min_size=8, max_size=40)), draw(st.integers(0, 3))
    counts = [running(step * place) if step else {} for place in range(1, len(words) + 1)]
    alike_ones = [event({"content": word}, **count) for word, count in zip(words, counts, strict=True)]
    body = b"".join([*draw(EVENTS), *alike_ones, *draw(EVENTS), *alike_ones[:9]])
    body += event({"content": ""}, "stop") + b"data: [DONE]\n\n"
    ends = [at + 2 for at in range(len(body)) if body[at : at + 2] == b"\n\n"]
    moved = draw(st.lists(st.tuples(st.integers(0, len(ends) - 1), st.integers(-40, 40)), max_size=3))
    for place, by in moved:
        ends[place] = min(max(ends[place] + by, 1), len(body))
    for place in draw(st.lists(st.integers(0, len(ends) - 1), max_size=4)):
        ends[place] = ends[max(place - 1, 0)]  # two in one chunk
    return [body[a:b] for a, b in pairwise(sorted({0, len(body), *ends}))]


def said(reply, cuts, known=None):
    """Return what a reply says that is read in these pieces: the text, the kinds, how it ended."""
    ends = sorted({0, len(reply), *(cut % len(reply) for cut in cuts)})
    loop = MemoryLoop()
    loop.script = [reply[a:b] for a, b in pairwise(ends)], "open"
    backend = OpenAIChat(url="http://127.0.0.1:9", model="m")

    async def one():
        transport = open_transport(
            backend, TransportSettings(timeouts=Timeouts(), clock=loop.nanoseconds, limit=1)
        )
        try:
            return await ask(backend, transport, Request("1", text="?"), known=known)
        finally:
            await transport.aclose()

    try:
        made = loop.run_until_complete(one())
    finally:
        loop.close()
    record = encode(made, final=True, session=0)
    ((start, end),) = extents(record)
    assert decode(memoryview(record)[start:end]).prediction == made  # the log keeps it whole
    assert len(made.timing.chunk_ns) == len(made.timing.chunk_kinds)
    assert [*made.timing.chunk_ns] == sorted(made.timing.chunk_ns)
    return (
        made.text, made.reasoning, made.tool_calls, made.finish_reason, made.usage, made.failure,
        [*made.timing.chunk_kinds],
    )  # fmt: skip


COMPILED = compiled_module()
FORMS = [reader.StreamReader, *([COMPILED.StreamReader] if COMPILED else [])]
KNOWN = KnownEvents()  # of all replies that were read before


def read(form, reply, cuts, *, stamps=False):
    """Return what a form of the reader makes of a reply that comes in these pieces."""
    ends = sorted({0, len(reply), *(cut % len(reply) for cut in cuts)})
    made = form(OpenAIChat(url="http://127.0.0.1:9", model="m"))
    for stamp, (a, b) in enumerate(pairwise(ends), start=1):
        made.feed(stamp, reply[a:b])
    rest, columns = made.end(), made.columns
    return (
        rest, columns.all_text(), columns.all_reasoning(), columns.calls, columns.finish_reason, columns.usage,
        columns.runs(), columns.tokens(), made.failure, made.done, made.status, made.keep_alive,
        columns.all_stamps() if stamps else len(columns.all_stamps()),
    )  # fmt: skip


@settings(deadline=None, max_examples=60)
@given(
    chunks=bodies(),
    size=st.sampled_from([b"%x", b"%X", b"0%x"]),
    cuts=st.lists(st.integers(0, 100_000), max_size=12),
)
def test_a_reply_says_the_same_however_it_is_cut(chunks, size, cuts):
    framed = [b"%b\r\n%b\r\n" % (size % len(chunk), chunk) for chunk in chunks]
    reply = HEAD + b"".join(framed) + b"0\r\n\r\n"
    by_chunks, at = [len(HEAD)], len(HEAD)
    for chunk in framed:
        at += len(chunk)
        by_chunks.append(at)
    wanted = said(reply, [])
    assert said(reply, by_chunks) == said(reply, by_chunks + cuts) == said(reply, cuts) == wanted
    assert said(reply, by_chunks, KNOWN) == said(reply, cuts, KNOWN) == wanted
    assert wanted[5] is None
    for form in FORMS:
        assert read(form, reply, by_chunks) == read(form, reply, by_chunks + cuts) == read(form, reply, cuts)
    for places in ([], by_chunks, by_chunks + cuts, cuts):
        assert all(read(form, reply, places, stamps=True) == read(FORMS[0], reply, places, stamps=True)
                   for form in FORMS)  # fmt: skip

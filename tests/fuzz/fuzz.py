"""Feed bytes that no service should send to what reads replies, guided by the code that they reach.

    python tests/fuzz/fuzz.py replies|events [options of libFuzzer]     such as -max_total_time=60

`replies` sends whole HTTP replies (heads, framing, compression, events, JSON) through the transport and every backend's
`decode`, cut into pieces twice: there must be a prediction that the log can keep, and the same one both times.
`events` holds the compiled form of the reader to the plain one, and events that are read by a template to decoded ones.
What is found is written to a file, which reproduces it when it is given as the last argument.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
import zlib
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import Any

import atheris

sys.path.insert(0, str(Path(__file__).parent))
with atheris.instrument_imports(include=["aisb", "aisb_backend_openai", "aisb_backend_vllm", "aisb_backend_tgi",
                                         "aisb_backend_triton", "aisb_backend_mindie"]):  # fmt: skip
    from memory import MemoryLoop

    from aisb._backend import HttpBackend
    from aisb._types import Prediction
    from aisb_backend_mindie import MindIE, MindIEStream
    from aisb_backend_openai import OpenAIChat, OpenAICompletions
    from aisb_backend_tgi import TGI, TGIStream
    from aisb_backend_triton import Triton, TritonStream
    from aisb_backend_vllm import VLLMChat, VLLMCompletions, VLLMGenerate
    from aisb_engine._http.assembly import ask
    from aisb_engine._http.transport import TransportSettings, open_transport
    from aisb_engine._record.log import decode, encode, extents
    from aisb_engine._spec import Timeouts
    from aisb_engine._stream import compiled_module, reader
    from aisb_mock._server import dialect_of
    from aisb_testing._exchanges import request_for

URL = "http://127.0.0.1:9"
BACKENDS: list[HttpBackend] = [
    OpenAIChat(url=URL, model="m"),
    OpenAIChat(url=URL, model="m", stream=False),
    OpenAICompletions(url=URL, model="m"),
    OpenAICompletions(url=URL, model="m", stream=False),
    VLLMChat(url=URL, model="m", returns_tool_calls=False),
    VLLMCompletions(url=URL, model="m"),
    VLLMGenerate(url=URL),
    VLLMGenerate(url=URL, stream=True),
    VLLMGenerate(url=URL, stream=True, cumulative=False),
    TGI(url=URL),
    TGIStream(url=URL),
    Triton(url=URL, model="ensemble"),
    TritonStream(url=URL, model="ensemble"),
    TritonStream(url=URL, model="ensemble", cumulative=True, echoes_prompt=True),
    MindIE(url=URL),
    MindIEStream(url=URL),
]
HEADS = (
    b"",  # the input has a head of its own
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"HTTP/1.1 500 X\r\nContent-Length: %d\r\n\r\n",
)
COMPILED = compiled_module()
FORMS = [reader.StreamReader, *([COMPILED.StreamReader] if COMPILED else [])]
ENDS = ("open", "close", "reset")
TIMEOUTS = Timeouts(connect=1, first_byte=2, between_bytes=2, total=9)
LOOP = MemoryLoop()
asyncio.set_event_loop(LOOP)


def replies(data: bytes) -> None:
    """Send a reply through transport and decoding, in two ways of cutting it."""
    if len(data) < 4:
        return
    backend = BACKENDS[data[0] % len(BACKENDS)]
    head, end = HEADS[data[1] % len(HEADS)], ENDS[data[2] % len(ENDS)]
    raw = framed(head, data[4:])
    first = answer(backend, cut(raw, data[3]), end)
    second = answer(backend, cut(raw, 255 - data[3]), end)
    for made in (first, second):
        check(made)
    if said(first) != said(second):
        raise AssertionError(f"cut otherwise, it says something else:\n{said(first)}\n{said(second)}")


def framed(head: bytes, body: bytes) -> bytes:
    """Return a reply: the head with the body as it wants it."""
    if b"gzip" in head:
        packer = zlib.compressobj(1, zlib.DEFLATED, 31)
        body = packer.compress(body) + packer.flush()
    if b"chunked" in head:
        # A chunk for each event, as services send them; the input can hold any other framing by itself.
        parts = [part for part in re.split(rb"(?<=\n\n)", body) if part]
        return head + b"".join(b"%x\r\n%b\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return (head % len(body) if b"%d" in head else head) + body


def cut(raw: bytes, seed: int) -> list[bytes]:
    """Return the bytes in pieces: all at once, one by one, an event at a time, or at places drawn."""
    if seed % 4 == 0 or not raw:
        return [raw]
    if seed % 4 == 1 and len(raw) < 256:
        return [raw[at : at + 1] for at in range(len(raw))]
    if seed % 4 == 2:
        return [piece for piece in re.split(rb"(?<=\n\n\r\n)|(?<=\r\n\r\n)|(?<=\n\n)(?!\r\n)", raw) if piece]
    random = Random(seed)
    places = sorted(
        {random.randrange(len(raw) + 1) for _ in range(1 + len(raw) // (8 + seed))} | {0, len(raw)}
    )
    return [raw[a:b] for a, b in pairwise(places)]


def answer(backend: HttpBackend, pieces: list[bytes], end: str) -> Prediction:
    """Ask once over the loop without sockets."""
    LOOP.script = (pieces, end)
    fresh = unlearnt(backend)

    async def once() -> Prediction:
        transport = open_transport(
            fresh, TransportSettings(timeouts=TIMEOUTS, clock=LOOP.nanoseconds, limit=1)
        )
        try:
            return await ask(fresh, transport, request_for(fresh))
        finally:
            await transport.aclose()

    return LOOP.run_until_complete(once())


def unlearnt(backend: HttpBackend) -> HttpBackend:
    """Return a backend that has learnt nothing from replies before."""
    made = object.__new__(type(backend))
    made.__dict__.update({k: set(v) if isinstance(v, set) else v for k, v in backend.__dict__.items()})
    return made


def check(made: Prediction) -> None:
    """Hold a prediction to what all that comes after takes for granted."""
    for text in (made.text, made.reasoning):
        if not isinstance(text, str):
            raise TypeError(f"a text is {text!r}")
        text.encode()  # no halves of characters
    if made.failure:
        if not made.failure.message or not isinstance(made.failure.message, str):
            raise AssertionError(f"a failure without words: {made.failure}")
        if "\n" in made.failure.message:
            raise AssertionError(f"a failure of several lines: {made.failure.message!r}")
    if made.finish_reason is not None and not isinstance(made.finish_reason, str):
        raise TypeError(f"the finish reason is {made.finish_reason!r}")
    for name in ("input_tokens", "output_tokens", "cached_tokens", "reasoning_tokens"):
        count = getattr(made.usage, name, None)
        if count is not None and (type(count) is not int or count < 0):
            raise TypeError(f"{name} is {count!r}")
    data = encode(made, final=True, session=0)
    ((start, end),) = extents(data)
    kept = decode(memoryview(data)[start:end])
    if (kept.prediction.text, kept.prediction.failure) != (made.text, made.failure):
        raise AssertionError("the log keeps something else")


def said(made: Prediction) -> tuple[Any, ...]:
    """Return what must not depend on how the bytes were cut; words of a failure may name what came last."""
    failure = made.failure and (made.failure.kind, made.failure.status)
    return (made.text, made.reasoning, made.tool_calls, made.finish_reason, made.usage, failure)


def events(data: bytes) -> None:
    """Compare the two forms of the reader, with and without a template, on a whole reply cut in two ways."""
    if len(data) < 3:
        return
    backend, head = BACKENDS[data[0] % len(BACKENDS)], HEADS[data[1] % len(HEADS)]
    raw = framed(head, data[3:])
    for pieces in (cut(raw, data[2]), cut(raw, data[2] + 1)):
        found = [read(form, backend, pieces, copies=copies) for form in FORMS for copies in (True, False)]
        for one in found:
            if one != found[0]:
                raise AssertionError(f"two ways of reading differ:\n{found[0]}\n{one}")


def read(form: Any, backend: HttpBackend, pieces: list[bytes], *, copies: bool) -> tuple[Any, ...]:
    """Return everything that a form of the reader makes of the pieces of a reply, with a template or without."""
    fresh = unlearnt(backend)
    if not copies:
        fresh.__dict__["copies_text"] = False
    made = form(fresh)
    ended = [made.feed(stamp, piece) for stamp, piece in enumerate(pieces, start=1)]
    rest, columns = made.end(), made.columns
    return (
        ended, rest, columns.all_text(), columns.all_reasoning(), columns.all_stamps(), columns.runs(), columns.tokens(),
        columns.calls, columns.finish_reason, columns.usage, made.failure, made.status, made.headers, made.done_ns,
        made.keep_alive,
    )  # fmt: skip


ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**400,
    "",
    "x",
    "\ud800",
    "\n",
    [],
    [None],
    [[]],
    {},
    {"x": 1},
    "1",
]


def mutate(data: bytes, longest: int, seed: int) -> bytes:
    """Change bytes as libFuzzer does; or take a value inside the JSON of a reply for one of another type."""
    random = Random(seed)
    places = [found.span() for found in re.finditer(rb"\{.*\}", data[4:])]
    if not places or random.random() < 0.5:
        return bytes(atheris.Mutate(data, longest))
    start, end = random.choice(places)
    try:
        value = json.loads(data[4 + start : 4 + end])
    except ValueError:
        return bytes(atheris.Mutate(data, longest))
    holders = [one for one in held(value) if one]
    for _ in range(random.randrange(1, 4) if holders else 0):
        holder = random.choice(holders)
        key = random.choice(list(holder) if isinstance(holder, dict) else range(len(holder)))
        holder[key] = random.choice([*ODD, *holders]) if random.random() < 0.8 else random.getrandbits(40)
    try:
        text = json.dumps(value, separators=(",", ":")).encode()
    except ValueError:  # a value inside itself
        return bytes(atheris.Mutate(data, longest))
    return (data[: 4 + start] + text + data[4 + end :])[:longest]


def held(value: Any) -> Iterator[Any]:
    """Yield the tables and lists of a value, itself first."""
    if isinstance(value, dict | list):
        yield value
        for one in value.values() if isinstance(value, dict) else value:
            yield from held(one)


def seeds(folder: Path) -> None:
    """Write what services really send, in each dialect, for the fuzzer to begin with."""
    import orjson

    from aisb_testing._exchanges import cases

    for number, backend in enumerate(BACKENDS):
        call = backend.encode(request_for(backend))
        dialect = dialect_of(call.path, orjson.dumps(call.body))
        assert dialect is not None
        asked = dialect.read(orjson.loads(orjson.dumps(call.body)), call.path)
        for position, case in enumerate(cases(dialect, asked, backend)):
            steps = [step for step in case.script if isinstance(step, bytes)]
            raw = b"".join(steps)
            if len(raw) > 10_000:
                continue
            (folder / f"{number}-{position}").write_bytes(bytes([number, 0, 1, position]) + raw)
            if case.reply is None:
                continue
            # Once more without the head and the framing, which `framed` puts back around what is changed.
            kind = 1 if case.streamed else 3
            parts = [step.split(b"\r\n", 1)[1][:-2] for step in steps[1:] if case.streamed and len(step) > 5]
            body = b"".join(parts) or raw.partition(b"\r\n\r\n")[2]
            (folder / f"{number}-{position}-body").write_bytes(bytes([number, kind, 1, position]) + body)


def words(folder: Path) -> Path:
    """Write the words that mean something in replies, for the fuzzer to try."""
    known = [
        "data: ", "data:", ": ping", "event: ", "[DONE]", "\\x0a\\x0a", "\\x0d\\x0a", "HTTP/1.1 200 OK\\x0d\\x0a",
        "Transfer-Encoding: chunked", "Content-Length: ", "Content-Encoding: gzip", "text/event-stream",
        "application/json", '\\"choices\\":', '\\"delta\\":', '\\"content\\":', '\\"text\\":', '\\"message\\":', '\\"usage\\":',
        '\\"prompt_tokens\\":', '\\"completion_tokens\\":', '\\"finish_reason\\":', '\\"tool_calls\\":', '\\"function\\":',
        '\\"arguments\\":', '\\"index\\":', '\\"id\\":', '\\"error\\":', '\\"error_type\\":', '\\"token\\":', '\\"generated_text\\":',
        '\\"details\\":', '\\"text_output\\":', '\\"reasoning_content\\":', '\\"logprobs\\":', '\\"token_ids\\":', '\\"code\\":',
        "null", "NaN", "[]", "{}", "-1", "1e999", "\\\\\\\\ud83d", "true",
    ]  # fmt: skip
    file = folder / "words.dict"
    file.write_text("".join(f'"{word}"\n' for word in known))
    return file


if __name__ == "__main__":
    targets = {"replies": replies, "events": events}
    if len(sys.argv) < 2 or sys.argv[1] not in targets:
        sys.exit(__doc__)
    target, given = targets[sys.argv[1]], sys.argv[2:]
    folder = Path(mkdtemp(prefix="aisb-fuzz-"))
    corpus = folder / "corpus"
    corpus.mkdir()
    seeds(corpus)
    options = [f"-dict={words(folder)}", "-timeout=20", "-rss_limit_mb=2048", "-max_len=20000"]
    files = [word for word in given if not word.startswith("-")]
    more = {"custom_mutator": mutate} if target is replies else {}
    atheris.Setup([sys.argv[0], *options, *given] + ([] if files else [str(corpus)]), target, **more)
    atheris.Fuzz()

"""The golden streams: each kind of reply that services send, with its exact times."""

from dataclasses import dataclass, field

from minimal import DONE, document, event

from aisb._types import Request, Usage

MS = 1_000_000
REQUEST = Request("17", text="6 x 7?")


@dataclass
class Golden:
    """A stream: (milliseconds after the request was sent, body bytes), and what must be made of it."""

    pieces: list
    kinds: list = field(default_factory=list)  # (ms, kind)
    text: str = ""
    reasoning: str = ""
    finish: str | None = "stop"
    usage: Usage | None = None
    tokens: list = field(default_factory=list)
    calls: tuple = ()
    failure: str | None = None
    streamed: bool = True


def content(start, count, gap=20):
    return [(start + n * gap, event(f"t{n} ")) for n in range(count)]


def words(count):
    return "".join(f"t{n} " for n in range(count))


def kinds(start, count, kind="content", gap=20):
    return [(start + n * gap, kind) for n in range(count)]


ROLE = event("", role="assistant")
STOP = event(finish="stop")
USAGE = event(choices=False, usage=(5, 10))
BIG = "x" * 1_000_000
CHAR = event("你好🙂")
CUT_AT = CHAR.index("好".encode()) + 1

GOLDEN = {
    "plain": Golden(
        [(480, ROLE), *content(500, 10), (700, STOP), (700, USAGE), (701, DONE)],
        [(480, "role"), *kinds(500, 10), (700, "finish"), (700, "usage")],
        words(10),
        usage=Usage(5, 10),
    ),
    "early role-only chunk": Golden(
        [(50, ROLE), *content(500, 10), (680, STOP + DONE)],
        [(50, "role"), *kinds(500, 10), (680, "finish")],
        words(10),
    ),
    "usage chunk 200 ms late": Golden(
        [*content(100, 10), (280, STOP), (480, USAGE), (480, DONE)],
        [*kinds(100, 10), (280, "finish"), (480, "usage")],
        words(10),
        usage=Usage(5, 10),
    ),
    "no usage": Golden([*content(100, 3), (160, STOP)], [*kinds(100, 3), (160, "finish")], words(3)),
    "reasoning_content": Golden(
        [
            (100, event(reasoning_content="hm ")),
            (120, event(reasoning_content="so")),
            (140, event("42", finish="stop")),
        ],
        [(100, "reasoning"), (120, "reasoning"), (140, "content")],
        "42",
        "hm so",
    ),
    "reasoning": Golden(
        [(100, event(reasoning="hm ")), (120, event(reasoning="so")), (140, event("42", finish="stop"))],
        [(100, "reasoning"), (120, "reasoning"), (140, "content")],
        "42",
        "hm so",
    ),
    "reasoning only, cut by length": Golden(
        [(100, event(reasoning_content="hm ")), (120, event(finish="length")), (121, DONE)],
        [(100, "reasoning"), (120, "finish")],
        "",
        "hm ",
        finish="length",
    ),
    "4 tokens a chunk": Golden(
        [
            (100, event("abcd", token_ids=[1, 2, 3, 4])),
            (180, event("efgh", token_ids=[5, 6, 7, 8], finish="stop")),
        ],
        [(100, "content"), (180, "content")],
        "abcdefgh",
        tokens=[4, 4],
    ),
    "5 tokens in the first chunk": Golden(
        [(100, event("abcde", token_ids=[1, 2, 3, 4, 5])), (120, event("f", token_ids=[6])), (140, STOP)],
        [(100, "content"), (120, "content"), (140, "finish")],
        "abcdef",
        tokens=[5, 1, 0],
    ),
    "tokens known for some chunks only": Golden(
        [(100, event("a", token_ids=[1])), (120, event("b")), (140, STOP)],
        [(100, "content"), (120, "content"), (140, "finish")],
        "ab",
    ),
    "tool call in one chunk": Golden(
        [
            (
                100,
                event(
                    tool_calls=[
                        {"index": 0, "id": "c1", "function": {"name": "add", "arguments": '{"a":1}'}}
                    ],
                    finish="tool_calls",
                ),
            ),
            (110, DONE),
        ],
        [(100, "tool")],
        finish="tool_calls",
        calls=({"id": "c1", "name": "add", "arguments": '{"a":1}'},),
    ),
    "two tool calls in pieces": Golden(
        [
            (100, event(tool_calls=[{"index": 0, "id": "c1", "function": {"name": "add", "arguments": ""}}])),
            (120, event(tool_calls=[{"index": 0, "function": {"arguments": '{"a"'}}])),
            (
                140,
                event(tool_calls=[{"index": 1, "id": "c2", "function": {"name": "sub", "arguments": "{}"}}]),
            ),
            (160, event(tool_calls=[{"index": 0, "function": {"arguments": ":1}"}}])),
            (180, event(finish="tool_calls")),
        ],
        [*kinds(100, 4, "tool"), (180, "finish")],
        finish="tool_calls",
        calls=(
            {"id": "c1", "name": "add", "arguments": '{"a":1}'},
            {"id": "c2", "name": "sub", "arguments": "{}"},
        ),
    ),
    "CRLF and keep-alive comments": Golden(
        [
            (50, b": ping\r\n\r\n"),
            *((stamp, data.replace(b"\n", b"\r\n")) for stamp, data in content(100, 3)),
            (150, b": ping\r\n\r\n"),
            (160, STOP.replace(b"\n", b"\r\n") + DONE.replace(b"\n", b"\r\n")),
        ],
        [(50, "keepalive"), *kinds(100, 3), (150, "keepalive"), (160, "finish")],
        words(3),
    ),
    "a UTF-8 character split across packets": Golden(
        [(100, CHAR[:CUT_AT]), (130, CHAR[CUT_AT:]), (140, STOP)],
        [(130, "content"), (140, "finish")],
        "你好🙂",
    ),
    "two events in one packet": Golden(
        [(100, event("a") + event("b")), (120, event("c") + STOP + DONE)],
        [(100, "content"), (100, "content"), (120, "content"), (120, "finish")],
        "abc",
    ),
    "an event of 1 MB": Golden(
        [
            (100, event("a")),
            (120, event(BIG)[:400_000]),
            (140, event(BIG)[400_000:]),
            (160, STOP),
            (160, DONE),
        ],
        [(100, "content"), (140, "content"), (160, "finish")],
        "a" + BIG,
    ),
    "cut mid-stream": Golden(
        [*content(100, 3), (150, event("lost")[:30])], kinds(100, 3), words(3), finish=None, failure="cut"
    ),
    "N = 1": Golden(
        [(100, event("42")), (101, event(finish="stop", usage=(5, 1))), (101, DONE)],
        [(100, "content"), (101, "finish")],
        "42",
        usage=Usage(5, 1),
    ),
    "not streamed": Golden(
        [(100, document()[:40]), (120, document()[40:])],
        [(120, "content")],
        "42",
        usage=Usage(5, 1),
        streamed=False,
    ),
    "half characters sent apart": Golden(
        [
            (100, event("X").replace(b"X", b"\\ud83d")),
            (120, event("X").replace(b"X", b"\\ude42")),
            (140, STOP),
        ],
        [(100, "content"), (120, "content"), (140, "finish")],
        "🙂",
    ),
}

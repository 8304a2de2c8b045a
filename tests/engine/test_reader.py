"""The reader of replies, plain and compiled: any cut, any line ending, events of any size, and the same from both."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
import time
import zlib
from itertools import pairwise
from pathlib import Path
from typing import Any, ClassVar

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from minimal import Chat

from aisb._types import Chunk, Usage
from aisb_engine._stream import compiled_module, reader
from aisb_engine._stream.known import event_start
from golden import GOLDEN

COMPILED = compiled_module()
FORMS = {"plain": reader.StreamReader} | ({"compiled": COMPILED.StreamReader} if COMPILED else {})
HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(params=FORMS)
def form(request):
    return FORMS[request.param]


class Echo(Chat):
    """A service whose events hold numbers: each is the text of a chunk."""

    copies_text: ClassVar = False

    def decode(self, event):
        return Chunk("content", json.dumps(event["n"]))


class EchoValues(Echo):
    stream_format: ClassVar = "json"


def read(form, pieces, backend=None, *, head=True, sink=None):
    """Return a reader that has read (stamp, bytes), and what it had left at the end."""
    made = form(backend or Echo(), sink)
    if head:
        made.begin(200, {"content-type": "text/event-stream"}, 0)
    for stamp, data in pieces:
        made.feed(stamp, data)
    made.close()
    return made, made.end()


def facts(made, rest) -> dict[str, Any]:
    """Return everything that a reader found."""
    columns = made.columns
    return {
        "rest": rest,
        "text": columns.all_text(),
        "reasoning": columns.all_reasoning(),
        "stamps": columns.all_stamps(),
        "runs": columns.runs(),
        "tokens": columns.tokens(),
        "calls": columns.calls,
        "finish": columns.finish_reason,
        "usage": columns.usage,
        "failure": made.failure,
        "done": made.done,
        "head": (made.status, made.headers, made.headers_ns, made.done_ns, made.keep_alive),
        "body": made.document(),
        "streamed": made.streamed,
    }


def chunks_of(form, *pieces, stamps=None):
    """Return (stamp, text) of each chunk; None for a comment."""
    found = []
    made, rest = read(
        form,
        zip(stamps or range(len(pieces)), pieces, strict=True),
        sink=lambda chunk: found.append(chunk.text if chunk.kind == "content" else None),
    )
    assert made.failure is None
    if rest and rest != b"[DONE]":
        made.read_event(rest, made.body_ns)
    return [*zip(made.columns.all_stamps(), found, strict=True)]


def n(number):
    return b'{"n":%d}' % number


def test_whole_events_in_one_piece_each_carry_its_stamp(form):
    pieces = [b"data: %b\n\n" % n(1), b"data: %b\n\n" % n(2)]
    assert chunks_of(form, *pieces, stamps=[10, 25]) == [(10, "1"), (25, "2")]


def test_several_events_in_one_piece_share_its_stamp(form):
    pieces = [
        b"data: %b\n\n" % n(1),
        b"data: %b\n\ndata: %b\n\n: hm\n\ndata: %b\n\n" % (n(2), n(3), n(4)),
    ]
    assert chunks_of(form, *pieces, stamps=[1, 7]) == [(1, "1"), (7, "2"), (7, "3"), (7, None), (7, "4")]


def test_an_event_has_the_stamp_of_the_piece_that_completes_it(form):
    pieces = [b"data: %b\n\n" % n(1), b'data: {"n"', b":", b"23}\n", b"\ndata: %b\n\n" % n(4)]
    assert chunks_of(form, *pieces, stamps=[1, 2, 3, 4, 5]) == [(1, "1"), (5, "23"), (5, "4")]


def test_crlf_cr_and_lf_all_end_lines(form):
    stream = b"data: 1\r\n\r\ndata: 2\r\rdata: 3\n\ndata: 4\r\n\n".replace(b": ", b': {"n":')
    stream = b"".join(line if line.strip() == b"" else line.rstrip() + b"}" + line[len(line.rstrip()) :]
                      for line in stream.splitlines(keepends=True))  # fmt: skip
    assert [text for _, text in chunks_of(form, stream)] == ["1", "2", "3", "4"]


def test_a_crlf_cut_in_the_middle_ends_one_line_and_the_event_is_complete_at_the_cr(form):
    pieces = [b"data: %b\r" % n(1), b"\n\r", b"\ndata: %b\r\n\r\n" % n(2)]
    assert chunks_of(form, *pieces, stamps=[1, 2, 3]) == [(2, "1"), (3, "2")]


def test_several_data_lines_are_joined_by_newlines(form):
    assert [text for _, text in chunks_of(form, b'data: {"n":\ndata:\ndata\ndata:  7}\n\n')] == ["7"]


def test_comments_are_chunks_and_other_fields_are_not(form):
    pieces = [b": ping\n\n", b"event: x\nid: 7\nretry: 10\ndata: %b\n\n" % n(1), b":\n"]
    assert chunks_of(form, *pieces, stamps=[1, 2, 3]) == [(1, None), (2, "1"), (3, None)]


def test_an_event_without_data_or_with_empty_data_says_nothing(form):
    pieces = [b"data: %b\n\n" % n(1), b"event: ping\n\n", b"data:\n\n", b"data: \n\n", b"\n\n\n"]
    assert [text for _, text in chunks_of(form, *pieces)] == ["1"]


def test_a_byte_order_mark_counts_at_the_start_only(form):
    mark = b"\xef\xbb\xbf"
    pieces = [
        mark[:1],
        mark[1:] + b"data: %b\n\n" % n(1),
        mark + b"data: %b\n\n" % n(2),
        b"data: %b\n\n" % n(3),
    ]
    assert [text for _, text in chunks_of(form, *pieces)] == ["1", "3"]


def test_the_last_event_counts_without_its_blank_line_and_without_any_line_ending(form):
    assert [text for _, text in chunks_of(form, b"data: %b\n\ndata: %b\n" % (n(1), n(2)))] == ["1", "2"]
    made, rest = read(form, [(1, b"data: %b\n\n" % n(1)), (2, b"data: [DO"), (3, b"NE]")])
    assert (made.columns.all_text(), rest) == ("1", b"[DONE]")


def test_a_character_cut_across_pieces_comes_out_whole(form):
    text = 'data: {"n":"你好 🙂"}\n\n'.encode()
    for cut in range(1, len(text)):
        assert json.loads(chunks_of(form, text[:cut], text[cut:])[0][1]) == "你好 🙂"


def test_an_event_named_error_is_the_failure_of_its_request(form):
    made, _ = read(form, [(1, b'event: error\ndata: {"message":"out of memory"}\n\n')])
    assert made.failure.kind == "protocol"
    assert "out of memory" in made.failure.message
    made, _ = read(form, [(1, b"event: chunk\ndata: %b\n\n" % n(1))])
    assert made.failure is None


@pytest.mark.parametrize("end", [b"\0", b"\n", b"\r\n"], ids=["NUL", "LF", "CRLF"])
@pytest.mark.parametrize("cut", [1, 7, 1000])
def test_json_values_are_found_whatever_ends_them_and_however_they_arrive(form, end, cut):
    data = n(1) + end + b"data: " + n(2) + end + n(3)
    pieces = [(at, data[at : at + cut]) for at in range(0, len(data), cut)]
    made = form(EchoValues())
    made.begin(200, {"content-type": "text/plain"}, 0)
    for stamp, piece in pieces:
        made.feed(stamp, piece)
    assert (made.end(), made.columns.all_text()) == (n(3), "12")
    stamps = made.columns.all_stamps()
    assert list(stamps) == sorted(stamps)


def test_an_event_of_four_megabytes_in_small_pieces_takes_linear_time(form):
    def seconds(size):
        stream = b'data: {"n":"' + b"x" * size + b'"}\n\n'
        begun = time.process_time()
        made, _ = read(form, [(at, stream[at : at + 100]) for at in range(0, len(stream), 100)])
        assert len(made.columns.all_text()) == size + 2
        return time.process_time() - begun

    seconds(100_000)
    small = min(seconds(500_000) for _ in range(3))
    large = min(seconds(4_000_000) for _ in range(3))
    assert large < small * 30  # 8 times the size; a quadratic reader takes 64 times as long


def standard(stream):
    """The standard's rules, a line at a time over the whole stream: events, and None for comments."""
    lines = stream.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    events, data = [], []
    for line in [*lines, b""]:
        if not line:
            joined = b"\n".join(data)
            events += [joined] if joined else []
            data = []
        elif line.startswith(b":"):
            events.append(None)
        else:
            name, _, value = line.partition(b":")
            if name == b"data":
                data.append(value.removeprefix(b" "))
    return events


def expected(stream):
    """Return the chunks of a stream, up to the first event that cannot be read; after [DONE] none matters."""
    found, done = [], False
    for event in standard(stream):
        if event is None:
            found.append(None)
        elif event == b"[DONE]":
            done = True
        else:
            try:
                found.append(json.dumps(json.loads(event)["n"]))
            except (ValueError, TypeError, KeyError):
                if not done:
                    return found, True
    return found, False


fragments = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b"data", b'{"n":1}', b"\n", b"\n\n", b"\r\n", b"\r", b":", b" ", b"event: x", b"x",
         b"\xef\xbb\xbf", b'{"n":"\xc3\xa9"}', b'data: {"n":2}\n\n', b"data: [DONE]\n\n"]
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


@given(stream=fragments, data=st.data())
@settings(max_examples=150, deadline=None)
def test_any_split_of_any_stream_gives_what_the_standard_says(stream, data):
    stream = b": begin\n\n" + stream  # so that it is a stream
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in pairwise([0, *cuts, len(stream)])]
    for form in FORMS.values():
        found = []
        made, rest = read(
            form,
            enumerate(pieces),
            sink=lambda chunk, found=found: found.append(chunk.text if chunk.kind == "content" else None),
        )
        if rest:
            made.read_event(rest, 0)
        wanted, broken = expected(stream)
        # After an event that cannot be read only comments are still reported.
        assert found[: len(wanted)] == wanted
        assert (made.failure is not None) == broken
        assert broken or len(found) == len(wanted)


# Both forms, and every cut.


def framed(pieces, size=b"%x"):
    return b"".join(size % len(piece) + b"\r\n%b\r\n" % piece for piece in pieces) + b"0\r\n\r\n"


def wire(golden, framing):
    """Return the bytes of a golden stream with a head, as a service would send them."""
    pieces = [data for _, data in golden.pieces]
    body = b"".join(pieces)
    kind = b"text/event-stream" if golden.streamed else b"application/json"
    head = b"HTTP/1.1 200 OK\r\nDate: Mon, 30 Nov 2026 08:00:00 GMT\r\nContent-Type: %b\r\n" % kind
    if framing == "sized":
        return head + b"Content-Length: %d\r\n\r\n%b" % (len(body), body)
    if framing == "close":
        return head + b"\r\n" + body
    if framing == "gzip":
        return (
            head
            + b"Content-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
            + framed([gzip.compress(body)])
        )
    return head + b"Transfer-Encoding: chunked\r\n\r\n" + framed(pieces)


def outcome(form, data, cuts, backend=None):
    ends = sorted({0, len(data), *cuts})
    made = form(backend or Chat())
    for stamp, (a, b) in enumerate(pairwise(ends), start=1):
        made.feed(stamp, data[a:b])
    made.close()
    return facts(made, made.end())


def without_stamps(found):
    status, headers, _, _, keep = found["head"]
    return found | {"stamps": len(found["stamps"]), "head": (status, headers, keep)}


@pytest.mark.parametrize("framing", ["chunked", "sized", "close", "gzip"])
@pytest.mark.parametrize("name", GOLDEN)
def test_a_golden_stream_cut_anywhere_is_the_same_in_both_forms(name, framing):
    data = wire(GOLDEN[name], framing)
    whole = outcome(FORMS["plain"], data, [])
    size = sum(len(piece) for _, piece in GOLDEN[name].pieces)
    step = max(1, len(data) // (400 if size < 100_000 else 12))
    for cut in range(1, len(data), step):
        found = [outcome(form, data, [cut]) for form in FORMS.values()]
        assert all(one == found[0] for one in found)
        assert without_stamps(found[0]) == without_stamps(whole)
    if size < 5_000:
        found = [outcome(form, data, range(len(data))) for form in FORMS.values()]
        assert all(one == found[0] for one in found)
        assert without_stamps(found[0]) == without_stamps(whole)


TWO = [b"data: %b\n\n" % n(1), b"data: %b\n\n" % n(2)]


@pytest.mark.parametrize("size", [b"10", b"0010", b"10;name=value", b"010 ;a;b", b"%032x" % 16])
def test_the_size_of_a_chunk_may_have_zeros_before_it_and_an_extension_after_it(form, size):
    event = b"data: " + n(12345678901) + b"\n\n"  # 25 bytes: a chunk of 16, and one of 9
    chunks = size + b"\r\n" + event[:16] + b"\r\n9\r\n" + event[16:] + b"\r\n000;last\r\n\r\n"
    made = form(Echo())
    made.feed(1, HEAD + chunks)
    assert made.failure is None
    assert made.done_ns == 1
    assert made.columns.all_text() == "12345678901"


SIZED = HEAD.replace(b"Transfer-Encoding: chunked", b"Content-Length: %b")
JSON_HEAD = HEAD.replace(b"text/event-stream", b"application/json")
RAW = zlib.compress(b"".join(TWO), wbits=-15)
LONG = b"X: %b\r\nTransfer-Encoding" % (b"y" * 70_000)
ODD_REPLIES = {
    "empty lines before the head": (b"\r\n\r\n\n" + HEAD + framed(TWO), "12", None),
    "no CR in the head": (HEAD.replace(b"\r", b"") + framed(TWO), "12", None),
    "a header of two lines": (HEAD.replace(b"Tr", b"X: a\r\n\t b\r\nTr") + framed(TWO), "12", None),
    "a later minor version": (HEAD.replace(b"1.1", b"1.2") + framed(TWO), "12", None),
    "a length twice": (SIZED % b"30, 30" + b"".join(TWO), "12", None),
    "two lengths": (SIZED % b"30, 31" + b"".join(TWO), "", "is not a number"),
    "a status of two digits": (b"HTTP/1.1 20\r\n\r\n" + HEAD + framed(TWO), "", "not a status line"),
    "a status of four digits": (HEAD.replace(b"200", b"2000") + framed(TWO), "", "not a status line"),
    "a long head": (HEAD.replace(b"Transfer-Encoding", LONG) + framed(TWO), "", "longer than 65536 bytes"),
    "sizes with zeros": (HEAD + framed(TWO, b"%020X \t;a=b;c"), "12", None),
    "a size of nothing": (HEAD + b";a=b\r\n" + framed(TWO), "", "is not a number"),
    "a size without CR": (HEAD + b"5;a\nhello\r\n" + framed(TWO), "", "ends without CRLF"),
    "a long extension": (HEAD + b"5;" + b"a" * 5_000 + b"\r\nhello\r\n", "", "ends without CRLF"),
    "white space before events": (JSON_HEAD + framed([b" " * 9, b"\r\n" * 9, *TWO]), "12", None),
    "white space before a document": (HEAD + framed([b"\n" * 20, n(1)]), "", None),
    "an error of several chunks": (HEAD + framed([TWO[0], b"event: error\n", *TWO]), "1", "reports an error"),
    "an error without data": (HEAD + framed([TWO[0], b"event: error\n", b"data:\n\n", TWO[1]]), "1", "reports"),
    "an error that says it is done": (
        HEAD + framed([TWO[0], b"event: error\n", b"data: [DONE]\n\n", TWO[1]]), "1", "reports an error"
    ),
    "an error as a field of its own": (HEAD + framed([TWO[0], b'error: {"code":500}\n\n']), "1", "reports an error"),
    "an error after nothing": (HEAD + framed([b'error: {"code":500}\n\n', *TWO]), "", "reports an error"),
    "an error in a bare line": (HEAD + framed([TWO[0], b'{"error": "boom"}\n', TWO[1]]), "1", "boom"),
    "an error after [DONE]": (HEAD + framed([*TWO, b"data: [DONE]\n\n", b"event: error\ndata: x\n\n"]), "12", None),
    "gzip in members": (
        HEAD.replace(b"Tr", b"Content-Encoding: gzip\r\nTr")
        + framed([*map(gzip.compress, TWO), b"\0\0", gzip.compress(b"padding ends it")]),
        "12",
        None,
    ),
    "deflate without its header": (
        HEAD.replace(b"Tr", b"Content-Encoding: deflate\r\nTr") + framed([RAW]), "12", None
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ODD_REPLIES)
def test_an_odd_reply_cut_anywhere_says_the_same(form, name):
    data, text, problem = ODD_REPLIES[name]
    whole = without_stamps(outcome(form, data, [], Echo()))
    assert whole["text"] == text
    assert problem in whole["failure"].message if problem else whole["failure"] is None
    # What the failure shows of the bytes may depend on how many had come.
    known = {"failure": whole["failure"] and whole["failure"].kind}
    step = max(1, len(data) // 400)
    for cuts in ([], *([cut] for cut in range(1, len(data), step)), range(0, len(data), step)):
        found = without_stamps(outcome(form, data, cuts, Echo()))
        found["failure"] = found["failure"] and found["failure"].kind
        assert {**found, "rest": whole["rest"]} == whole | known


def test_a_failure_of_the_framing_or_the_compression_has_the_status(form):
    for body in (b"zz\r\nabc\r\n", framed([b"no gzip"])):
        made = form(Echo())
        assert made.feed(1, HEAD.replace(b"Tr", b"Content-Encoding: gzip\r\nTr") + body)
        assert (made.failure.kind, made.failure.status) == ("protocol", 200)


def test_a_template_is_learnt_for_reasoning_and_then_for_text(form):
    def event(**delta):
        return b"data: %b\n\n" % orjson.dumps({"choices": [{"delta": delta, "finish_reason": None}]})

    bodies = [event(reasoning_content=f"r{i} ") for i in range(60)] + [
        event(content=f"t{i} ") for i in range(60)
    ]
    made = form(Chat())
    made.feed(1, HEAD)
    for stamp, body in enumerate(bodies, start=2):
        made.feed(stamp, b"%x\r\n%b\r\n" % (len(body), body))
    made.feed(999, b"0\r\n\r\n")
    made.end()
    assert made.columns.all_text() == "".join(f"t{i} " for i in range(60))
    assert made.columns.all_reasoning() == "".join(f"r{i} " for i in range(60))
    assert made.columns.runs() == [("reasoning", 60), ("content", 60)]
    assert list(made.columns.all_stamps()) == [*range(2, 122)]


@pytest.mark.parametrize("names", ["pct", "ctp", "cp", "pc"])  # prompt, completion, total: in which order
@pytest.mark.parametrize("field", ["content", "reasoning_content"])
def test_a_running_count_is_read_by_the_template_as_by_decoding(form, names, field):
    def event(word, count):
        numbers = {
            "p": ("prompt_tokens", 7),
            "c": ("completion_tokens", count),
            "t": ("total_tokens", 7 + count),
        }
        choice = {"delta": {field: word}, "finish_reason": None}
        return b"data: %b\n\n" % orjson.dumps({"choices": [choice], "usage": dict(numbers[n] for n in names)})

    tail = event("", 3).rpartition(b'"%b":""' % field.encode())[2].decode()
    words = ["a", "b", "c", *("w" * (n % 9) for n in range(200)), f'"{tail}', '\\"', "\u6f22", "\U0001f642"]
    counts = [min(n, 150) + n // 9 for n in range(1, len(words) + 1)]  # one more, two more, and none
    counts[60], counts[70] = 3, 10**14
    decoded = form(Chat(), lambda _: None)  # a sink rules the template out
    matched = form(Chat())
    for made in (decoded, matched):
        made.feed(1, HEAD)
        for stamp, (word, count) in enumerate(zip(words, counts, strict=True), start=2):
            made.feed(stamp, framed([event(word, count)])[:-5])
        made.feed(999, b"0\r\n\r\n")
        made.end()
    for made in (decoded, matched):
        assert made.columns.all_text() + made.columns.all_reasoning() == "".join(words)
    assert matched.columns.counts == decoded.columns.counts
    assert matched.columns.runs() == decoded.columns.runs()
    assert matched.columns.tokens() == decoded.columns.tokens()
    assert sum(matched.columns.tokens()) == counts[-1]
    assert matched.columns.usage == decoded.columns.usage == Usage(7, counts[-1])


@pytest.mark.parametrize("odd", [b"1.5", b"-3", b"null", b'"7"', b"1" * 40])
def test_a_count_that_is_no_number_of_tokens_is_passed_over(form, odd):
    event = b'{"choices":[{"delta":{"content":"w%d"},"finish_reason":null}],"usage":{"prompt_tokens":7,"completion_tokens":%b}}'
    counts = [b"%d" % n for n in range(1, 40)]
    counts[20] = odd
    made = form(Chat())
    made.feed(1, HEAD)
    for place, count in enumerate(counts):
        made.feed(place + 2, framed([b"data: " + event % (place, count) + b"\n\n"])[:-5])
    made.end()
    assert made.columns.all_text() == "".join(f"w{n}" for n in range(39))
    assert made.columns.usage == Usage(7, 39)
    assert list(made.columns.tokens()) == [*[1] * 20, 0, 2, *[1] * 17]


def said_by_text(words, *others):
    """Return events that differ in their text, each as one chunk of HTTP, and then other pieces."""
    events = [
        b"data: %b\n\n" % orjson.dumps({"choices": [{"delta": {"content": word}, "finish_reason": None}]})
        for word in words
    ]
    return [HEAD, *(framed([body])[:-5] for body in [*events, *others, events[0]]), b"0\r\n\r\n"]


def test_pieces_of_hundreds_of_lengths_are_all_read(form):
    words = ["x" * (length * 7 % 300 + 1) for length in range(900)]
    made = form(Chat())
    for stamp, piece in enumerate(said_by_text(words)):
        made.feed(stamp, piece)
    assert made.end() == b""
    assert made.columns.all_text() == "".join(words) + words[0]
    assert list(made.columns.all_stamps()) == [*range(1, 902)]


@pytest.mark.parametrize("apart", [False, True])
def test_an_event_named_error_is_one_also_where_its_data_looks_like_text(form, apart):
    words = [f"w{i}" for i in range(9)]
    data = said_by_text(["late"])[1].partition(b"\r\n")[2][:-2]
    others = [b"event: error\n", data] if apart else [b"event: error\n" + data]
    made = form(Chat())
    for stamp, piece in enumerate(said_by_text(words, *others)):
        made.feed(stamp, piece)
    assert made.columns.all_text().startswith("".join(words))
    assert "late" not in made.columns.all_text()
    assert made.failure.message.startswith("the service reports an error inside its reply")


def test_a_text_that_stands_elsewhere_in_its_event_too_teaches_no_template(form):
    event = b'data: {"id":"x","choices":[{"delta":{"content":"%b"},"finish_reason":null}]}\n\n'
    made, _ = read(
        form, [(i, event % text) for i, text in enumerate([b"a", b":", b",", b"x", b"b", b":"])], Chat()
    )
    assert (made.columns.all_text(), made.failure) == ("a:,xb:", None)


# Events that are known from earlier replies.


class Counting(Echo):
    """Counts the events that it decodes."""

    copies_text: ClassVar = True
    decoded: ClassVar = 0

    def decode(self, event):
        type(self).decoded += 1
        return super().decode(event)


def with_known(form, *events):
    """Return the texts of replies of one event each, which share what is known, and how many were decoded."""
    known = sys.modules[form.__module__].KnownEvents()
    Counting.decoded, texts = 0, []
    for event in events:
        made = form(Counting(), None, known)
        made.begin(200, {"content-type": "text/event-stream"}, 0)
        made.feed(1, b"data: %b\n\n" % event)
        assert made.failure is None
        texts.append(made.columns.all_text())
    return texts, Counting.decoded


def test_an_event_that_differs_in_its_id_alone_is_decoded_once(form):
    events = [b'{"id":"one","n":1}', b'{"id":"two","n":1}', b'{"id":"","n":1}', b'{"id":"one","n":2}']
    assert with_known(form, *events) == (["1", "1", "1", "2"], 2)


@pytest.mark.parametrize(
    "other",
    [
        rb'{"id":"x\",\"n\":1}","n":2}',  # what could be the rest of the event is a part of its id
        rb'{"id":"x\\","n":2}',
        b'{"id":7,"n":2}',
        b'{"id":{"id":"one","n":1},"n":2}',
        b'{ "id":"one","n":2}',
        b'{"n":2}',
    ],
)
def test_an_event_whose_id_is_none_of_the_usual_is_not_taken_for_another_one(form, other):
    texts, _ = with_known(form, b'{"id":"one","n":1}', other, b'{"id":"one","n":1}', other)
    assert texts == ["1", "2", "1", "2"]


def test_few_and_short_events_are_known(form):
    numbers = [b'{"id":"one","n":%d}' % number for number in range(600)]
    assert with_known(form, *numbers, *numbers[-50:])[1] <= 650
    long = b'{"id":"one","n":%d}' % 10**2000
    assert with_known(form, long, long) == ([str(10**2000)] * 2, 2)


def http_chunk(data):
    return b"%x\r\n%b\r\n" % (len(data), data)


def chunked_reply(form, known, pieces, transfer=b"transfer-encoding: chunked\r\n"):
    """Read a reply whose events come after a first one, each piece as it is; return what was read."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n%b\r\n" % transfer
    first = b'data: {"id":"first","n":0}\n\n'
    made = form(Counting(), None, known)
    made.feed(0, head + (http_chunk(first) if transfer else first))
    ends = [made.feed(stamp, piece) for stamp, piece in enumerate(pieces, 1)]
    rest = made.end()
    columns = made.columns
    return columns.all_text(), list(columns.all_stamps()), made.done, made.done_ns, ends, rest, made.failure


WHOLE = http_chunk(b'data: {"id":"abc","n":1}\n\n')
SAME_LENGTH = http_chunk(b'data: {"id":"xyz","n":1}\n\n')
END = b"e\r\ndata: [DONE]\n\n\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    "pieces",
    [
        [WHOLE, END],
        [SAME_LENGTH, WHOLE, END],
        [http_chunk(b'data: {"id":"longer id","n":1}\n\n'), END],
        [WHOLE.replace(b"abc", b"a\nc"), END],
        [WHOLE.replace(b"abc", b"a\rc"), END],
        [WHOLE.replace(b"abc", b'a\\"'), END],
        [WHOLE.replace(b"abc", b'"":'), END],
        [WHOLE.replace(b"abc", b"abcd"), END],  # longer than its size says
        [WHOLE[:-2], b"\r\n", END],
        [WHOLE[:7], WHOLE[7:], END],
        [WHOLE + END],
        [b"1;ext\r\n:\r\n", WHOLE, END],  # a comment that is no whole line
        [http_chunk(b"event: error\n"), WHOLE, END],
        [http_chunk(b"data: "), WHOLE, END],
        [WHOLE, WHOLE, END, WHOLE],
        [END[:-5], b"0\r\n\r\n"],
        [END[:-7] + b"\r\n", b"\r\n"],
    ],
)
@pytest.mark.parametrize("transfer", [b"transfer-encoding: chunked\r\n", b""])
def test_a_known_piece_is_read_as_if_it_were_new(form, pieces, transfer):
    known = sys.modules[form.__module__].KnownEvents()
    for _ in range(3):  # learn the event, then the piece, then use it
        chunked_reply(form, known, [WHOLE, END])
    expected = chunked_reply(form, None, pieces, transfer)
    assert chunked_reply(form, known, pieces, transfer) == expected


@pytest.mark.parametrize("status", [b"200 OK", b"500 Broken"])
@pytest.mark.parametrize("more", [b"", b"content-encoding: gzip\r\n"])
@pytest.mark.parametrize(
    "first", [WHOLE, END, SAME_LENGTH + WHOLE, WHOLE[:9], http_chunk(b"\xef\xbb\xbfdata: 1")]
)
def test_a_known_piece_that_comes_with_the_head_is_read_as_if_it_were_new(form, status, more, first):
    def whole_reply(known):
        head = b"HTTP/1.1 %b\r\ntransfer-encoding: chunked\r\n%b\r\n" % (status, more)
        made = form(Counting(), None, known)
        ended = made.feed(1, head + first)
        columns = made.columns
        read = columns.all_text(), list(columns.all_stamps()), made.body_ns, made.done, made.done_ns
        return ended, *read, made.answer_began(), made.end(), made.streamed, made.failure

    known = sys.modules[form.__module__].KnownEvents()
    for _ in range(3):
        chunked_reply(form, known, [WHOLE, END])
    assert whole_reply(known) == whole_reply(None)


def test_many_interim_heads_in_one_piece_are_passed_over(form):
    known = sys.modules[form.__module__].KnownEvents()
    made = form(Counting(), None, known)
    head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
    made.feed(1, b"HTTP/1.1 102 Processing\r\n\r\n" * 5_000 + head + WHOLE)
    assert (made.columns.all_text(), made.failure) == ("1", None)


def test_a_known_piece_is_read_without_its_framing(form):
    known = sys.modules[form.__module__].KnownEvents()
    for _ in range(2):
        chunked_reply(form, known, [WHOLE])
    assert known.piece(WHOLE, event_start(WHOLE)) is not None
    assert known.piece(SAME_LENGTH, event_start(SAME_LENGTH)) is known.piece(WHOLE, event_start(WHOLE))
    assert known.piece(WHOLE[:-1], event_start(WHOLE)) is None


def test_an_error_is_found_in_every_reply_that_has_it(form):
    known = sys.modules[form.__module__].KnownEvents()
    for number in range(3):
        made = form(Counting(), None, known)
        made.begin(200, {"content-type": "text/event-stream"}, 0)
        made.feed(1, b'data: {"id":"%d","error":{"message":"no memory left"}}\n\n' % number)
        assert "no memory left" in made.failure.message


# Which form is used.


def chosen(**environment):
    code = "from aisb_engine._stream import COMPILED, StreamReader; print(COMPILED, StreamReader.__module__)"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return ended.stdout.split()


def test_the_compiled_form_is_used_where_it_is_there_and_wanted():
    if COMPILED:
        assert chosen(AISB_COMPILED="") == ["True", "aisb_speedups.reader"]
    assert chosen(AISB_COMPILED="0") == ["False", "aisb_engine._stream.reader"]


def test_a_reader_that_was_compiled_from_another_source_is_not_used(tmp_path):
    package = tmp_path / "aisb_speedups"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "reader.py").write_text("StreamReader = None")
    (package / "_source.py").write_text("SHA256 = 'of another file'")
    assert chosen(PYTHONPATH=str(tmp_path)) == ["False", "aisb_engine._stream.reader"]


@pytest.mark.slow
def test_what_holds_for_replies_holds_for_the_plain_form():
    """The tests of transports and of whole replies once more, which use the compiled reader elsewhere."""
    names = ("transport", "golden_streams", "golden_numbers", "frames", "assembly", "odd_replies", "engine",
             "failures_in_replies")  # fmt: skip
    files = [Path(__file__).parent / f"test_{name}.py" for name in names]
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *map(str, files)]
    ended = subprocess.run(
        words, env=os.environ | {"AISB_COMPILED": "0"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:]

"""The compiled form and the plain one do the same; without a compiler the plain one is used, and all else is equal."""

import os
import subprocess
import sys
from array import array
from pathlib import Path
from types import SimpleNamespace

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aisb_engine._stream import compiled
from aisb_engine._stream.arrivals import PlainArrivals
from aisb_engine._stream.gaps import plain_gaps
from aisb_engine._stream.pattern import PlainPattern
from aisb_engine._stream.sse import EventParser

_compiled = pytest.importorskip("aisb_speedups._compiled", reason="no C compiler was there at installation")

ARRIVALS = pytest.mark.parametrize("arrivals", [PlainArrivals, _compiled.Arrivals], ids=["plain", "compiled"])
PATTERNS = pytest.mark.parametrize("pattern", [PlainPattern, _compiled.Pattern], ids=["plain", "compiled"])
HEAD, TAIL = b'data: {"choices":[{"delta":{"content":', b'},"finish_reason":null}]}\n\n'
SIZES = {"lower": b"%x", "upper": b"%X", "unframed": b""}


def event(text, size=b"%x", head=HEAD, tail=TAIL):
    """An event with this text, in a chunk of HTTP where there is one."""
    body = head + (text if isinstance(text, bytes) else orjson.dumps(text)) + tail
    return b"%b\r\n%b\r\n" % (size % len(body), body) if size else body


def read(pattern, datas, size=b"%x"):
    stamps, text, whole, part = pattern(HEAD, TAIL, size, orjson.loads).read([*range(len(datas))], datas)
    return array("q", stamps).tolist(), text, whole, part


@PATTERNS
@pytest.mark.parametrize("size", SIZES.values(), ids=SIZES)
def test_events_that_differ_in_their_text_are_read_whole(pattern, size):
    words = ["With", " with", " a\nline", ' a "quote"', " é漢字", " tab\t", "\\", " \u2028"]
    apart = [event(word, size) for word in words]
    assert read(pattern, apart, size) == ([0, 1, 2, 3, 4, 5, 6, 7], "".join(words), 8, 0)
    together = [b"".join(apart[:3]), apart[3], b"".join(apart[4:])]
    assert read(pattern, together, size) == ([0, 0, 0, 1, 2, 2, 2, 2], "".join(words), 3, 0)


UNLIKE = {
    "another member": event("b", head=HEAD.replace(b"delta", b"dolta")),
    "another end": event("b", tail=TAIL.replace(b"null", b'"stop"')),
    "nothing in it": event(""),
    "a number": event(b"17"),
    "two strings": event(b'"a","b"'),
    "half of a pair": event(b'"\\ud83d"'),
    "a broken escape": event(b'"\\x"'),
    "an escape that does not end": event(b'"\\"'),
    "a line end": event(b'"a\nb"'),
    "a NUL": event(b'"a\0b"'),
    "half of a character": event(b'"\xc3"'),
    "the other half": event(b'"\xa9"'),
    "a size that is too small": event("b").replace(b"\r\n", b"0\r\n", 1)[1:],
    "a size with a zero before it": b"0" + event("b"),
    "a size with an extension": event("b").replace(b"\r\n", b";x=1\r\n", 1),
    "no size": b"\r\n" + event("b").partition(b"\r\n")[2],
    "a size beyond everything": b"ffffffffffffffff" + event("b").partition(b"\r\n")[2],
    "no end": event("b")[:-1],
    "less than an event": b"4\r\nabcd\r\n",
}


@PATTERNS
@pytest.mark.parametrize("other", UNLIKE.values(), ids=UNLIKE)
def test_what_is_unlike_is_left_for_the_usual_way(pattern, other):
    stamps, text, whole, part = read(pattern, [event("a"), other + event("c")])
    if stamps:
        assert (stamps, text, whole, part) == ([0], "a", 1, 0)
    else:  # what is no text at all may take its neighbours with it
        assert (text, whole, part) == ("", 0, 0)


@PATTERNS
def test_a_pattern_that_nothing_is_like_finds_nothing(pattern):
    assert read(pattern, [event("a", size=b"%X", head=HEAD + b" " * 200)]) == ([], "", 0, 0)
    assert read(pattern, []) == ([], "", 0, 0)


TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), min_size=1, max_size=12)
PIECES = st.one_of(TEXTS.map(event), st.sampled_from([*UNLIKE.values()]), st.binary(max_size=40))


@settings(deadline=None, max_examples=300)
@given(st.lists(PIECES, max_size=8), st.lists(st.booleans(), min_size=8, max_size=8))
def test_both_read_the_same_events(parts, joins):
    datas = [b""]
    for part, join in zip(parts, joins, strict=False):
        if join:
            datas[-1] += part
        else:
            datas.append(part)
    plain, quick = (read(pattern, datas) for pattern in (PlainPattern, _compiled.Pattern))
    shared = min(len(plain[0]), len(quick[0]))
    assert plain[0][:shared] == quick[0][:shared]
    assert plain[1].startswith(quick[1]) or quick[1].startswith(plain[1])
    # Where one of them stops sooner, the usual way reads what it left. That may be for escapes, which the
    # compiled form leaves alone where they are codes.
    for stamps, text, whole, part in (plain, quick):
        assert bool(stamps) == bool(text)
        events = b"".join(datas[:whole]) + (datas[whole][:part] if part else b"")
        assert events.count(b"data: ") == len(stamps)


@PATTERNS
def test_a_pattern_says_what_it_cannot_read(pattern):
    made = pattern(HEAD, TAIL, b"%x", orjson.loads)
    with pytest.raises(TypeError):
        made.read([0], ["text"])
    with pytest.raises(TypeError):
        made.read(None, None)


EVENTS = {
    "one": [b'10\r\ndata: {"a": 1}\n\n\r\n'],
    "several in a chunk": [b"13\r\ndata: 1\n\ndata: 22\n\n\r\n"],
    "several chunks": [event("a") + event("b"), event("c", b"%X")],
    "an event without data": [b"8\r\ndata: \n\n\r\n" + event("a")],
}


@pytest.mark.parametrize("datas", EVENTS.values(), ids=EVENTS)
def test_events_of_one_line_are_found_in_whole_chunks(datas):
    events, whole, part = _compiled.events_in([*range(len(datas))], datas)
    assert (whole, part) == (len(datas), 0)
    assert events == EventParser().feed(unchunked(datas))


def unchunked(datas):
    """Take the framing of HTTP off whole chunks."""
    for stamp, data in enumerate(datas):
        at = 0
        while at < len(data):
            line = data.index(b"\r\n", at)
            size = int(data[at:line], 16)
            yield stamp, data[line + 2 : line + 2 + size]
            at = line + 2 + size + 2


def framed(body):
    return b"%x\r\n%b\r\n" % (len(body), body)


OTHERS = {
    "a comment": framed(b": still here\n\n"),
    "two lines": framed(b"data: 1\ndata: 2\n\n"),
    "carriage returns": framed(b"data: 1\r\n\r\n"),
    "no space": framed(b"data:1\n\n"),
    "another field": framed(b"event: ping\n\n"),
    "half of an event": framed(b"data: 1"),
    "an event, and half of one": framed(b"data: 1\n\ndata: 2"),
    "the end": b"0\r\n\r\n",
    "no chunk": b"data: 1\n\n",
}


@pytest.mark.parametrize("other", OTHERS.values(), ids=OTHERS)
def test_anything_else_is_left_to_the_parsers(other):
    events, whole, part = _compiled.events_in([7, 8], [event("a"), event("b") + other + event("c")])
    assert [stamp for stamp, _ in events] == [7, 8]
    assert (whole, part) == (1, len(event("b")))
    assert compiled._no_events([7], [event("a")]) == ([], 0, 0)


GAPS = pytest.mark.parametrize("gaps", [plain_gaps, _compiled.gaps], ids=["plain", "compiled"])


@GAPS
def test_gaps_are_what_lies_between_stamps(gaps):
    stamps = array("q", [5, 5, 7, 7 + 2**32 - 1])
    assert array("I", gaps(stamps)).tolist() == [0, 2, 2**32 - 1]
    assert gaps(array("q", [5])) == gaps(array("q")) == b""


@GAPS
@pytest.mark.parametrize("stamps", [[5, 4], [0, 2**32], [-(2**63), 2**63 - 1], [2**63 - 1, -(2**63)]])
def test_a_gap_that_32_bits_do_not_hold_is_said(gaps, stamps):
    assert gaps(array("q", stamps)) is None


def test_gaps_are_of_stamps_alone():
    with pytest.raises(TypeError, match="stamps are an array of type q"):
        _compiled.gaps(array("d", [1.0, 2.0]))


@ARRIVALS
def test_what_goes_on_is_kept_with_its_stamp_and_the_rest_handed_over(arrivals):
    seen, times = [], iter(range(100))
    made = arrivals(times.__next__, lambda *taken: seen.append(taken), lambda: seen.append("full"))
    goes_on, pieces, stamps = event("a"), [], []
    made.receive(goes_on)
    assert seen == [(0, goes_on)]  # nothing is kept before it is said where
    made.keep(pieces, stamps, 2 * len(goes_on), None)
    made.receive(goes_on)
    made.receive(b"half of ")
    assert (pieces, stamps, seen[1:]) == ([goes_on], [1], [(2, b"half of ")])
    made.receive(goes_on)
    assert (pieces, stamps, seen[2:]) == ([goes_on, goes_on], [1, 3], ["full"])
    made.receive(goes_on)  # there is no more room
    assert (len(pieces), seen[3:]) == (2, [(4, goes_on)])
    made.keep(pieces, stamps, 1000, None)
    made.stop()
    made.receive(goes_on)
    assert (len(pieces), seen[4:]) == (2, [(5, goes_on)])


def test_what_is_like_the_pattern_is_read_as_it_comes():
    seen, times, pieces, stamps = [], iter(range(100)), [], []
    made = _compiled.Arrivals(times.__next__, lambda *taken: seen.append(taken), lambda: seen.append("full"))
    pattern = _compiled.Pattern(HEAD, TAIL, b"%x", orjson.loads)
    assert made.latest() is None
    made.keep(pieces, stamps, 1000, pattern)
    made.receive(event("a") + event("\n"))
    made.receive(event(" é"))
    assert (pieces, seen, made.latest()) == ([], [], 1)
    read, text = made.read()
    assert (array("q", read).tolist(), text) == ([0, 0, 1], "a\n é")
    assert made.read() == (b"", "")
    made.receive(event("b") + event(""))  # the half that is like it is not read either
    made.receive(event("c"))  # and what follows waits behind it
    assert (len(pieces), stamps, made.read(), made.latest()) == (2, [2, 3], (b"", ""), 3)
    made.keep([], [], 18, pattern)
    made.receive(event("d"))
    assert seen == []
    made.receive(event("e"))
    assert seen == ["full"]
    made.keep([], [], 1000, None)  # what was read is not lost
    assert made.read()[1] == "de"
    made.stop()
    assert made.latest() is None


@pytest.mark.parametrize("other", UNLIKE.values(), ids=UNLIKE)
def test_what_is_unlike_is_kept_or_handed_over(other):
    seen, pieces = [], []
    made = _compiled.Arrivals(lambda: 1, lambda *taken: seen.append(taken), lambda: None)
    made.keep(pieces, [], 1000, _compiled.Pattern(HEAD, TAIL, b"%x", orjson.loads))
    made.receive(event("a"))
    made.receive(other)
    made.receive(event("b"))
    assert made.read()[1] == ("ab" if seen else "a")
    assert pieces + [data for _, data in seen] in ([other, event("b")], [other])


def test_arrivals_keep_nothing_that_they_cannot():
    made = _compiled.Arrivals(lambda: 1, print, print)
    for wrong in (PlainPattern(HEAD, TAIL, b"%x", orjson.loads), "pattern"):
        with pytest.raises(TypeError, match="a Pattern is needed, or None"):
            made.keep([], [], 1000, wrong)
    assert made.read() == (b"", "")


@ARRIVALS
def test_arrivals_are_stamped_by_the_clock_of_the_run(arrivals):
    from time import perf_counter_ns

    from aisb_engine._load.clock import RunClock

    clock, seen = RunClock(perf_counter_ns() - 5_000), []
    made = arrivals(clock, lambda stamp, _: seen.append(stamp), lambda: None)
    before = clock()
    made.receive(b"x")
    assert before <= seen[0] <= clock()
    stamps = []
    made.keep([], stamps, 1000, None)
    made.receive(event("a"))
    assert seen[0] <= stamps[0] <= clock()


@ARRIVALS
def test_an_error_in_what_is_called_is_not_lost(arrivals):
    def broken(*_):
        raise RuntimeError("broken")

    for made in (arrivals(lambda: 1, broken, broken), arrivals(broken, print, print)):
        with pytest.raises(RuntimeError, match="broken"):
            made.receive(b"x")
    with pytest.raises(TypeError):
        arrivals()


def chosen(**environment):
    code = "from aisb_engine._stream import compiled; print(compiled.COMPILED, compiled.Pattern.__name__)"
    ended = subprocess.run(
        [sys.executable, "-c", code], env=os.environ | environment, capture_output=True, text=True, check=True
    )
    return ended.stdout.split()


def test_the_compiled_form_is_used_where_it_is_there_and_wanted():
    assert chosen() == ["True", "Pattern"]
    assert chosen(AISB_COMPILED="0") == ["False", "PlainPattern"]


def test_a_compiled_module_of_another_revision_is_not_used(monkeypatch):
    import importlib

    left = SimpleNamespace(REVISION=compiled.REVISION - 1)
    monkeypatch.setitem(sys.modules, "aisb_speedups._compiled", left)
    monkeypatch.setattr("aisb_speedups._compiled", left)
    try:
        assert not importlib.reload(compiled).COMPILED
    finally:
        monkeypatch.undo()
        assert importlib.reload(compiled).COMPILED


@pytest.mark.slow
def test_what_holds_for_replies_holds_for_the_plain_form():
    """The tests of the transport and of the golden streams once more, which use what is compiled elsewhere."""
    here = Path(__file__).parent
    files = [
        here / f"test_{name}.py"
        for name in ("transport", "golden_streams", "golden_numbers", "sse", "engine")
    ]
    words = [sys.executable, "-m", "pytest", "-q", "-n", "0", "-p", "no:cacheprovider", *map(str, files)]
    ended = subprocess.run(
        words, env=os.environ | {"AISB_COMPILED": "0"}, capture_output=True, text=True, check=False
    )
    assert ended.returncode == 0, ended.stdout[-3000:]

"""The event parser: any byte split, any line ending, events of any size."""

import time

from hypothesis import given, settings
from hypothesis import strategies as st

from aisb_engine._stream.sse import EventParser


def parse(*pieces, stamps=None):
    parser = EventParser()
    stamped = list(zip(stamps or range(len(pieces)), pieces, strict=True))
    return parser.feed(stamped) + parser.close()


def data_of(*pieces):
    return [data for _, data in parse(*pieces)]


def test_whole_events_in_one_piece_each_carry_its_stamp():
    assert parse(b'data: {"a":1}\n\n', b'data: {"a":2}\n\n', stamps=[10, 25]) == [
        (10, b'{"a":1}'),
        (25, b'{"a":2}'),
    ]


def test_several_events_in_one_piece_share_its_stamp():
    assert parse(b"data: 1\n\n", b"data: 2\n\ndata: 3\n\n: hm\n\ndata: 4\n\n", stamps=[1, 7]) == [
        (1, b"1"),
        (7, b"2"),
        (7, b"3"),
        (7, None),
        (7, b"4"),
    ]


def test_an_event_has_the_stamp_of_the_piece_that_completes_it():
    assert parse(b"data: 1\n\n", b"data: a", b"b", b"c\n", b"\ndata: 2\n\n", stamps=[1, 2, 3, 4, 5]) == [
        (1, b"1"),
        (5, b"abc"),
        (5, b"2"),
    ]


def test_crlf_cr_and_lf_all_end_lines():
    assert data_of(b"data: 1\r\n\r\ndata: 2\r\rdata: 3\n\ndata: 4\r\n\n") == [b"1", b"2", b"3", b"4"]


def test_a_crlf_cut_in_the_middle_ends_one_line_and_the_event_is_complete_at_the_cr():
    assert parse(b"data: 1\r", b"\n\r", b"\ndata: 2\r\n\r\n", stamps=[1, 2, 3]) == [(2, b"1"), (3, b"2")]


def test_several_data_lines_are_joined_by_newlines():
    assert data_of(b"data: a\ndata:b\ndata\ndata:  c\n\n") == [b"a\nb\n\n c"]


def test_comments_are_reported_and_other_fields_are_not():
    assert parse(b": ping\n\n", b"event: x\nid: 7\nretry: 10\ndata: 1\n\n", b":\n", stamps=[1, 2, 3]) == [
        (1, None),
        (2, b"1"),
        (3, None),
    ]


def test_an_event_without_data_or_with_empty_data_says_nothing():
    assert data_of(b"data: x\n\n", b"event: ping\n\n", b"data:\n\n", b"data: \n\n", b"\n\n\n") == [b"x"]


def test_a_byte_order_mark_counts_at_the_start_only():
    assert data_of(b"\xef", b"\xbb\xbfdata: 1\n\n", b"\xef\xbb\xbfdata: 2\n\ndata: 3\n\n") == [b"1", b"3"]


def test_the_last_event_counts_without_its_blank_line_and_without_any_line_ending():
    assert data_of(b"data: 1\n\ndata: 2\n") == [b"1", b"2"]
    assert data_of(b"data: 1\n\n", b"data: [DO", b"NE]") == [b"1", b"[DONE]"]


def test_a_character_cut_across_pieces_comes_out_whole():
    text = "data: 你好 🙂\n\n".encode()
    for cut in range(len(text)):
        assert data_of(text[:cut], text[cut:]) == ["你好 🙂".encode()]


def test_an_event_of_four_megabytes_in_small_pieces_takes_linear_time():
    def seconds(size):
        stream = b"data: " + b"x" * size + b"\n\n"
        pieces = [(n, stream[n : n + 100]) for n in range(0, len(stream), 100)]
        begun = time.process_time()
        ((_, data),) = EventParser().feed(pieces)
        assert len(data) == size
        return time.process_time() - begun

    seconds(100_000)
    small = min(seconds(500_000) for _ in range(3))
    large = min(seconds(4_000_000) for _ in range(3))
    assert large < small * 30  # 8 times the size; a quadratic parser takes 64 times as long


def reference(stream):
    """The standard's rules, a line at a time over the whole stream, with comments and an unfinished last event."""
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


fragments = st.lists(
    st.sampled_from(
        [b"data: ", b"data:", b"data", b'{"a":1}', b"\n", b"\n\n", b"\r\n", b"\r", b":", b" ", b"event: x", b"x",
         b"\xef\xbb\xbf", "é".encode(), b"data: {}\n\n", b"[DONE]"]
    ),
    max_size=30,
).map(b"".join)  # fmt: skip


@given(stream=fragments, data=st.data())
@settings(max_examples=600, deadline=None)
def test_any_split_of_any_stream_gives_what_the_standard_says(stream, data):
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=12)))
    pieces = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert data_of(*pieces) == reference(stream)

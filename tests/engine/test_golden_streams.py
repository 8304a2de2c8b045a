"""The golden streams: each kind of reply that services send, with its exact times, and over real sockets."""

import orjson
import pytest
from minimal import Chat
from played import Played
from scripted import chunked, sized

from aisb._types import Failure
from aisb_engine._http.assembly import ask
from aisb_engine._http.transport import TransportSettings, open_transport
from aisb_engine._spec import Timeouts
from golden import GOLDEN, MS, REQUEST


def played(golden):
    """Return a transport that plays a golden stream by its stamps."""
    return Played(
        [((1000 + stamp) * MS, data) for stamp, data in golden.pieces],
        headers={"content-type": "text/event-stream" if golden.streamed else "application/json"},
        sent_ns=1000 * MS,
        headers_ns=1001 * MS,
        failure=Failure(golden.failure, "as the script says", 200) if golden.failure else None,
    )


def check(golden, prediction):
    assert prediction.text == golden.text
    assert prediction.reasoning == golden.reasoning
    assert prediction.finish_reason == golden.finish
    assert prediction.usage == golden.usage
    assert prediction.tool_calls == golden.calls
    assert list(prediction.timing.chunk_tokens) == golden.tokens
    assert prediction.timing.streamed == golden.streamed
    assert (prediction.failure and prediction.failure.kind) == golden.failure
    stamps = [stamp for stamp, _ in golden.kinds]
    assert list(prediction.timing.chunk_kinds) == [kind for _, kind in golden.kinds]
    return stamps


@pytest.mark.parametrize("name", GOLDEN)
async def test_a_golden_stream_is_read_exactly(name):
    golden = GOLDEN[name]
    prediction = await ask(Chat(), played(golden), REQUEST, planned_ns=990 * MS)
    stamps = check(golden, prediction)
    assert [(stamp / MS) - 1000 for stamp in prediction.timing.chunk_ns] == stamps
    assert prediction.timing.planned_ns == 990 * MS
    assert prediction.timing.sent_ns == 1000 * MS
    assert prediction.timing.done_ns == (None if golden.failure else (1000 + golden.pieces[-1][0]) * MS)


async def test_the_early_role_chunk_has_a_ttft_of_500_a_tpot_of_20_and_an_e2el_of_680():
    timing = (await ask(Chat(), played(GOLDEN["early role-only chunk"]), REQUEST)).timing
    tokens = [
        (stamp - timing.sent_ns) / MS
        for stamp, kind in zip(timing.chunk_ns, timing.chunk_kinds, strict=True)
        if kind == "content"
    ]
    assert (timing.chunk_ns[0] - timing.sent_ns) / MS == 50
    assert (tokens[0], tokens[-1]) == (500, 680)
    assert (tokens[-1] - tokens[0]) / (10 - 1) == 20


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize("carrier", ["native", "httpx"])
@pytest.mark.parametrize("name", GOLDEN)
async def test_a_golden_stream_arrives_whole_over_a_socket(
    name, carrier, tls, serve, server_tls, certificate
):
    golden = GOLDEN[name]
    pieces = [data for _, data in golden.pieces]
    if not golden.streamed:
        script = [sized(b"".join(pieces))]
    else:
        paused = [step for piece in pieces for step in (piece, 0.002)]
        script = chunked(*paused, end=not golden.failure) + (["close"] if golden.failure else [])
    server = await serve([script], tls=server_tls if tls else None)
    backend = Chat(url=server.url, ca_file=str(certificate) if tls else None, transport=carrier)
    ticks = iter(range(1, 1 << 40))
    transport = open_transport(
        backend, TransportSettings(timeouts=Timeouts(), clock=lambda: next(ticks), limit=2)
    )
    try:
        for _ in range(2):
            prediction = await ask(backend, transport, REQUEST)
            check(golden, prediction)
            timing = prediction.timing
            order = [timing.sent_ns, timing.headers_ns, *timing.chunk_ns]
            assert order == sorted(order)
            if not golden.failure:
                assert timing.done_ns >= order[-1]
    finally:
        await transport.aclose()
    assert orjson.loads(server.bodies[0])["messages"] == [{"role": "user", "content": "6 x 7?"}]

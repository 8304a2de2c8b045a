"""`ScriptedService` does what its script says, records what really happened, and gives the true numbers."""

import json
import socket
import struct
import time
from http.client import HTTPConnection

import pytest

from aisb_testing import (
    DONE,
    ScriptedService,
    ServedRequest,
    ServiceTruth,
    Step,
    chat_event,
    chat_stream,
    event_stream,
    sse,
    whole_reply,
)
from aisb_testing._truth import Written

MS = 1_000_000
BODY = b'{"stream": true}'
POST = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%b" % (len(BODY), BODY)


def connect(service):
    return socket.create_connection(("127.0.0.1", int(service.url.rpartition(":")[2])), timeout=5)


def read_all(connection):
    data = b""
    while piece := connection.recv(65536):
        data += piece
    return data


def test_bytes_are_written_at_their_times_and_recorded():
    with ScriptedService(lambda request: chat_stream(3, first=0.05, gap=0.03)) as service:
        connection = HTTPConnection(service.url.removeprefix("http://"))
        connection.request("POST", "/v1/chat/completions", BODY)
        text = connection.getresponse().read()
        connection.request("GET", "/v1/models")
        models = json.loads(connection.getresponse().read())
        connection.close()
    (request,) = service.requests
    assert text.endswith(DONE)
    assert text.count(b" t") == 3
    assert [model["id"] for model in models["data"]] == ["mock"]
    assert (request.body, request.tokens, request.end) == ({"stream": True}, 3, "played")
    due = [step.at * 1e3 for _, step in request.written]
    late = [(ns - request.received_ns) / MS - at for (ns, _), at in zip(request.written, due, strict=True)]
    assert min(late) >= -0.001
    assert request.ttft_ms >= 50
    assert request.e2el_ms >= 110
    assert request.whole_ns == request.written[-1].ns


def test_each_end_reaches_the_client_as_what_it_is():
    begun = event_stream([(0.0, chat_event("a"))], ended=False)
    ends = ["close", "fin", "reset", "silence"]
    with ScriptedService([[*begun, Step(0.02, end)] for end in ends]) as service:
        for _ in ends[:2]:
            with connect(service) as connection:
                connection.sendall(POST)
                assert b'"a"' in read_all(connection)
        with connect(service) as connection:
            connection.sendall(POST)
            with pytest.raises(ConnectionResetError):
                read_all(connection)
        with connect(service) as connection:
            connection.sendall(POST)
            connection.settimeout(0.1)
            with pytest.raises(TimeoutError):
                read_all(connection)
    assert [request.end for request in service.requests] == ends
    assert [request.whole_ns for request in service.requests] == [None] * 4
    assert service.truth().answered == 0


def test_requests_know_their_place_on_their_connection():
    with ScriptedService(lambda request: whole_reply({"number": request.number})) as service:
        for _ in range(2):
            connection = HTTPConnection(service.url.removeprefix("http://"))
            for _ in range(2):
                connection.request("POST", "/x", BODY)
                connection.getresponse().read()
            connection.close()
    assert [(r.connection, r.place) for r in service.requests] == [(0, 1), (0, 2), (1, 1), (1, 2)]
    assert service.connections == 2


def test_a_client_that_leaves_is_recorded():
    with ScriptedService(lambda request: chat_stream(50, first=0.0, gap=0.02)) as service:
        with connect(service) as connection:
            connection.sendall(POST)
            connection.recv(10)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        deadline = time.monotonic() + 5
        while service.requests[0].end is None and time.monotonic() < deadline:
            time.sleep(0.01)
    assert service.requests[0].end == "client left"
    assert service.requests[0].tokens < 50


def test_what_a_script_raises_is_raised_when_the_service_stops():
    def script(request):
        raise LookupError(request.path)

    service = ScriptedService(script).start()
    with connect(service) as connection:
        connection.sendall(POST)
        assert read_all(connection) == b""
    with pytest.raises(LookupError, match="/v1/chat/completions"):
        service.stop()


def test_a_port_that_is_taken_is_an_error_at_the_start():
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(OSError, match="in use"):
        ScriptedService([[]], port=taken.getsockname()[1]).start()


def test_a_stream_that_ends_with_its_connection_is_whole_with_its_last_event():
    steps = event_stream(
        [(0.0, sse({"error": "x"}, name="error")), (0.1, chat_event("b"), 1)], framing="close"
    )
    assert steps[0].what.endswith(b'event: error\ndata: {"error":"x"}\n\n')
    assert b"chunked" not in steps[0].what
    assert [(step.at, step.tokens, step.whole) for step in steps] == [
        (0.0, 0, False),
        (0.1, 1, True),
        (0.1, 0, False),
    ]
    assert steps[2].what == "close"


def served(received, *stamps, whole=True, ended=None):
    """A request that was received at a millisecond and wrote a token at each of others."""
    steps = [Step(0.0, b"x", 1, whole and stamp == stamps[-1]) for stamp in stamps]
    written = [Written(stamp * MS, step) for stamp, step in zip(stamps, steps, strict=True)]
    return ServedRequest("/", {}, b"{}", received * MS, written=written, ended_ns=(ended or stamps[-1]) * MS)


def test_the_true_numbers_credit_each_request_by_its_share_of_the_window():
    requests = (
        served(0, 100, 200, 300),
        served(100, 200, 300, 500),
        served(300, whole=False, ended=700),  # dropped
    )
    truth = ServiceTruth(requests)
    assert (truth.seconds, truth.received, truth.answered, truth.tokens) == (0.7, 3, 2, 6)
    assert (truth.request_rate, truth.token_rate) == pytest.approx((2 / 0.7, 6 / 0.7))
    assert (truth.mean_in_flight, truth.most_in_flight) == pytest.approx(((300 + 400 + 400) / 700, 2))
    part = ServiceTruth(requests, 150 * MS, 300 * MS)
    assert part.answered == pytest.approx(150 / 300 + 150 / 400)
    assert (part.received, part.tokens) == (1, 4)
    assert part.mean_in_flight == pytest.approx(2.0)


def test_times_of_a_request_are_of_its_tokens():
    request = served(0, 100, 120, 140)
    assert (request.ttft_ms, request.e2el_ms, request.tpot_ms) == (100, 140, 20)
    silent = served(0, whole=False, ended=1000)
    assert (silent.ttft_ms, silent.e2el_ms, silent.tpot_ms, silent.over_ns) == (None, None, None, 1000 * MS)

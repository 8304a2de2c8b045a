"""What a load means: who sends what when, and what this machine cannot hold."""

from __future__ import annotations

import pytest
from minimal import Chat

from aisb import Backend, Message, Request, Sample
from aisb._errors import ConfigError
from aisb_engine._load.connection_limits import ConnectionLimits, check_connections
from aisb_engine._load.loads import check_load, client_starts, is_open, part_of, requested_load, worker_count
from aisb_engine._load.prefix_cache import with_mark
from aisb_engine._load.share import read_requests, write_requests
from aisb_engine._spec import Load


class Local(Backend):
    async def generate(self, request):
        yield


def test_a_part_for_each_worker_adds_up_and_none_has_two_more_than_another() -> None:
    for total in (1, 7, 64_000):
        for count in (1, 3, 8):
            parts = [part_of(total, worker, count) for worker in range(count)]
            assert sum(parts) == total
            assert max(parts) - min(parts) <= 1


def test_more_files_than_a_process_may_open_are_refused_with_the_highest_value() -> None:
    with pytest.raises(ConfigError) as caught:
        check_connections(5000, 1, ConnectionLimits(files=1024, ports=None))
    assert str(caught.value) == (
        "load.concurrency: 5,000 cannot be in flight: a process may open 1,024 files, so at most 960; "
        "raise `ulimit -Hn`, or give more --workers"
    )
    with pytest.raises(ConfigError, match="each of 2 processes may open 1,024 files, so at most 1,920"):
        check_connections(5000, 2, ConnectionLimits(files=1024, ports=None))
    check_connections(5000, 6, ConnectionLimits(files=1024, ports=None))


def test_more_ports_than_there_are_are_refused_with_the_highest_value() -> None:
    with pytest.raises(ConfigError, match="there are 28,232 local ports, so at most 28,232; widen net"):
        check_connections(40_000, 1, ConnectionLimits(files=None, ports=28_232))
    check_connections(64_000, 1, ConnectionLimits(files=None, ports=None))


def test_few_streams_take_one_process_and_a_worker_never_stays_without_work() -> None:
    notes: list[str] = []
    service = Chat(url="http://127.0.0.1:1")
    assert worker_count(Load(concurrency=500), service, 10_000, notes) == 1
    assert worker_count(Load(concurrency=500, workers=3), service, 10_000, notes) == 3
    assert notes == []
    assert worker_count(Load(concurrency=8, workers=4), service, 2, notes) == 2
    assert notes == ["4 workers were requested, but at most 2 requests are in flight: 2 workers are used"]
    assert worker_count(Load(concurrency=2, request_rate=50, workers=3), service, 100, []) == 2
    assert worker_count(Load(request_rate=50, workers=3), service, 100, []) == 3


def test_a_backend_without_a_service_stays_in_one_process() -> None:
    assert worker_count(Load(concurrency=5000), Local(), 10_000, []) == 1
    with pytest.raises(
        ConfigError, match=r"load.workers: a backend that is not a service runs in the command's own"
    ):
        worker_count(Load(workers=2), Local(), 10, [])


def test_pressure_adds_its_clients_over_a_tenth_of_the_time_or_at_the_rate() -> None:
    even = client_starts(Load(pressure_time=100), 21)
    assert even[0] == 0
    assert even[-1] == pytest.approx(20 / 2.1 * 1e9)
    assert client_starts(Load(pressure_time=100, request_rate=4), 21)[-1] == pytest.approx(5e9)


def test_what_was_not_asked_is_null_and_pressure_is_no_open_loop() -> None:
    service = Chat(url="http://127.0.0.1:1")
    closed = requested_load(Load(concurrency=9), service, 1, {})
    assert (closed["concurrency"], closed["request_rate"], closed["arrival"]) == (9, None, None)
    opened = requested_load(Load(request_rate=5, burstiness=2), service, 1, {"max_tokens": 100})
    assert (opened["concurrency"], opened["arrival"], opened["burstiness"]) == (None, "gamma", 2)
    assert is_open(Load(request_rate=5))
    assert is_open(Load(use_timestamp=True))
    assert not is_open(Load(request_rate=5, pressure_time=9))
    assert not is_open(Load(request_rate=0))
    check_load(Load(request_rate=0))


def test_what_rows_share_declares_how_much_the_cache_should_have_unless_it_is_said() -> None:
    rows = [{"input_tokens_asked": 80, "shared_tokens": 60 if n else 0} for n in range(4)]
    samples = [Sample(str(n), row) for n, row in enumerate(rows)]

    def declared(load: Load, samples: list[Sample]) -> float | None:
        return requested_load(load, Chat(url="http://127.0.0.1:1"), 1, {}, samples)["cache_share"]

    assert declared(Load(), samples) == 180 / 320
    assert declared(Load(cache_share=0), samples) == 0
    assert declared(Load(), [Sample("0", {"input_tokens_asked": 80})]) is None
    facts = requested_load(Load(), Chat(url="http://127.0.0.1:1"), 1, {}, samples)
    assert facts["min_cache_share"] == 0  # a server keeps no part of a block
    assert "min_cache_share" not in requested_load(
        Load(cache_share=0), Chat(url="http://127.0.0.1:1"), 1, {}, samples
    )


def test_a_nonce_stands_first_and_leaves_prompts_of_exact_length_alone() -> None:
    chat = Request("0", messages=(Message("system", "Be brief."), Message("user", "Hi")))
    assert [m.content for m in with_mark(chat, "[n]").messages] == ["[n]\nBe brief.", "Hi"]
    assert with_mark(Request("0", text="Hi"), "[n]").text == "[n]\nHi"
    exact = Request("0", text="Hi", facts={"input_tokens_asked": 1})
    assert with_mark(exact, "[n]") is exact
    ids = Request("0", tokens=(1, 2))
    assert with_mark(ids, "[n]") is ids


def test_a_share_is_read_back_as_it_was_written(tmp_path) -> None:
    from aisb import Part

    requests = [
        Request(
            "0",
            1,
            2,
            messages=(Message("user", (Part("text", "Wäs?"), Part("image", "data:,"))),),
            params={"stop": ["\n"]},
        ),
        Request("1", text="t", followups=("a", "b"), at=1.5, facts={"input_exact": True}),
        Request("2", tokens=(1, 2, 3)),
    ]
    with write_requests(tmp_path / "share") as write:
        for number, request in enumerate(requests):
            write(number * 10**12, request)
    assert list(read_requests(tmp_path / "share")) == [(n * 10**12, r) for n, r in enumerate(requests)]

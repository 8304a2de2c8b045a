"""Offsets of clocks and hashes of packages, without a cluster."""

import asyncio
import socket
import threading
import time

from aisb_launcher_ray import _versions as versions
from aisb_launcher_ray._clocks import Echo, measure_clock


async def test_an_echo_measures_a_clock_within_what_it_says():
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: Echo(b"token"), local_addr=("127.0.0.1", 0))
    port = transport.get_extra_info("sockname")[1]
    found = await asyncio.to_thread(measure_clock, "127.0.0.1", port, b"token", time.perf_counter_ns)
    transport.close()
    assert found.way == "udp"
    assert abs(found.offset_ns) <= found.uncertainty_ns < 10_000_000


def test_a_network_without_udp_is_measured_by_calls():
    ahead = 5_000_000_000
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as deaf:
        deaf.bind(("127.0.0.1", 0))
        found = measure_clock(
            "127.0.0.1", deaf.getsockname()[1], b"token", lambda: time.perf_counter_ns() + ahead
        )
    assert found.way == "call"
    assert abs(found.offset_ns + ahead) <= found.uncertainty_ns


def test_an_echo_with_another_token_is_not_answered():
    loop = asyncio.new_event_loop()
    transport, _ = loop.run_until_complete(
        loop.create_datagram_endpoint(lambda: Echo(b"token"), local_addr=("127.0.0.1", 0))
    )
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    port = transport.get_extra_info("sockname")[1]
    assert measure_clock("127.0.0.1", port, b"other", time.perf_counter_ns).way == "call"
    loop.call_soon_threadsafe(transport.close)
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


def test_only_packages_that_a_job_names_are_compared():
    names = versions.needed([b"...aisb_backend_openai.chat..."])
    assert {"aisb", "aisb_engine", "aisb_launcher_ray", "aisb_backend_openai"} <= set(names)
    assert "aisb_backend_tgi" not in names


def test_what_differs_on_a_node_is_said():
    ours = versions.hashes(["aisb", "aisb_engine"])
    assert versions.version_differences(ours, ours) == []
    theirs = {"aisb": "", "aisb_engine": "0123456789ab", "python": "3.9"}
    assert versions.version_differences(ours, theirs) == [
        "aisb is not installed there",
        f"aisb_engine is another version there (0123456789ab, here {ours['aisb_engine']})",
        f"it runs Python 3.9, this command {ours['python']}",
    ]

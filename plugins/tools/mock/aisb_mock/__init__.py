"""A mock inference server: real HTTP on a loopback port, seeded answers, set latency, faults on demand.

    with start_mock(MockOptions(accuracy=0.8, ttft_ms=20, faults=("status-429:0.1",))) as mock:
        ask(mock.url)

The same server runs as `python -m aisb_mock --port 0` and as `aisb mock serve`.
"""

from aisb_mock._options import Behaviour, MockOptions
from aisb_mock._process import MockProcess, start_mock

__all__ = ["Behaviour", "MockOptions", "MockProcess", "start_mock"]

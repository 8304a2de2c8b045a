"""The contract of a plugin and its backends, checked by the suites that ship with aisb."""

import pytest

from aisb_backend_openai import OpenAIChat, OpenAICompletions
from aisb_testing import check_backend, check_plugin


@pytest.mark.parametrize("transport", ["native", pytest.param("httpx", marks=pytest.mark.slow)])
@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("factory", [OpenAIChat, OpenAICompletions])
def test_it_reads_whatever_a_service_sends(factory, stream, transport):
    assert len(check_backend(factory, stream=stream, transport=transport)) > 30


def test_the_plugin_keeps_the_contract():
    assert "file openai.toml" in check_plugin("aisb-backend-openai")

"""The API of vLLM's first server."""

import pytest

from aisb import Prediction, Request
from aisb_backend_vllm import VLLMChat, VLLMCompletions, VLLMGenerate
from aisb_engine._http.assembly import stream_once
from aisb_mock import MockOptions, start_mock
from aisb_testing import check_backend, check_plugin


def test_the_body_is_the_prompt_with_the_parameters_beside_it(tmp_path):
    file = tmp_path / "lora.json"
    file.write_text('{"17": "sql"}')
    params = {"max_tokens": 8, "temperature": 0, "num_return_sequences": 2}
    call = VLLMGenerate(lora_map=str(file)).encode(Request("17", text="6 x 7?", params=params))
    assert call.path == "/generate"
    sent = {"prompt": "6 x 7?", "max_tokens": 8, "temperature": 0, "stream": False, "model": "sql"}
    assert call.body == sent
    assert VLLMGenerate(url="http://h:1/generate").url == "http://h:1"


def test_the_prompt_is_taken_away():
    made = VLLMGenerate().finalize(Prediction("17", text="6 x 7? 42"), Request("17", text="6 x 7?"))
    assert made.text == " 42"


def test_pieces_repeat_what_was_said_or_go_on():
    assert VLLMGenerate(stream=True).decode({"text": ["a b"]}).whole == "a b"
    assert VLLMGenerate(stream=True, cumulative=False).decode({"text": [" b"]}).text == " b"
    assert VLLMGenerate().decode({"other": 1}) is None


@pytest.mark.parametrize("stream", [False, True])
async def test_both_forms_answer_alike(stream):
    with start_mock(MockOptions(tokens=12)) as mock:
        backend = VLLMGenerate(url=mock.url, stream=stream)
        assert (await backend.probe()).notes == ()
        request = Request("0", text="Tell me", params={"seed": 1})
        chunks = [chunk async for chunk in stream_once(backend, request)]
    said = "".join(chunk.text for chunk in chunks)  # chunk by chunk, the prompt still stands before it
    assert said.startswith("Tell me")
    assert len(said.removeprefix("Tell me").split()) == 12


@pytest.mark.parametrize(
    ("factory", "options"),
    [
        (VLLMGenerate, {"stream": False}),
        (VLLMGenerate, {"stream": True}),
        (VLLMChat, {}),
        (VLLMCompletions, {}),
        (VLLMCompletions, {"transport": "httpx"}),
    ],
)
def test_it_reads_whatever_a_service_sends(factory, options):
    assert len(check_backend(factory, **options)) > 30


def test_the_plugin_keeps_the_contract():
    assert "backend vllm-generate" in check_plugin("aisb-backend-vllm")

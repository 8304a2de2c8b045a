"""MindIE's own API: what is sent, what is read, and the contract."""

import pytest

from aisb import Request, ServiceError
from aisb_backend_mindie import MindIE, MindIEStream
from aisb_engine._http.assembly import stream_once
from aisb_testing import check_backend, check_plugin

# The events of MindIE's own documentation, shortened: the last token has its text in the whole alone.
EVENTS = (
    {"prefill_time": 45.54, "decode_time": None, "token": {"id": [626], "text": "am"}},
    {"prefill_time": None, "decode_time": 128.32, "token": {"id": [263, 5176], "text": " a French"}},
    {
        "prefill_time": None,
        "decode_time": 16.8,
        "generated_text": "am a French photographer",
        "details": {"finish_reason": "length", "generated_tokens": 4, "seed": 846930886},
        "token": {"id": [17739], "text": None},
    },
)


def test_the_body_is_that_of_tgi_with_stream_beside_the_text(tmp_path):
    file = tmp_path / "lora.json"
    file.write_text('{"17": "sql"}')
    request = Request("17", text="6 x 7?", params={"max_tokens": 8, "temperature": 0, "seed": 0})
    call = MindIEStream(lora_map=str(file)).encode(request)
    assert call.path == "/infer"
    assert call.body == {
        "inputs": "6 x 7?",
        "stream": True,
        "parameters": {"details": True, "max_new_tokens": 8, "do_sample": False, "adapter_id": "sql"},
    }
    assert MindIE().encode(request).body["stream"] is False
    assert MindIE(url="http://h:1025/infer").url == "http://h:1025"


def test_events_say_how_many_tokens_they_hold_and_the_last_one_the_whole_text():
    first, second, last = map(MindIEStream().decode, EVENTS)
    assert (first.kind, first.text, first.tokens) == ("content", "am", 1)
    assert (second.text, second.tokens) == (" a French", 2)
    assert (last.kind, last.tokens, last.finish_reason) == ("content", 1, "length")
    assert (last.whole, last.usage.output_tokens) == ("am a French photographer", 4)


def test_an_older_server_gives_single_ids_and_no_details():
    backend = MindIEStream()
    assert backend.decode({"token": {"id": 626, "text": "am"}}).tokens == 1
    last = backend.decode({"generated_text": "am", "details": None, "token": {"id": 2, "text": None}})
    assert (last.whole, last.finish_reason, last.usage) == ("am", "stop", None)


async def test_a_probe_compares_the_model_with_the_list(mock):
    backend = MindIE(url=mock(models=("m",)).url)
    assert (await backend.probe()).models == ("m",)
    assert backend.model == "m"
    with pytest.raises(ServiceError, match="does not list a model 'n'"):
        await MindIE(url=backend.url, model="n").probe()
    info = await MindIE(url=backend.url + "/elsewhere").probe()
    assert info.notes == ("the service has no list of models (404)",)


@pytest.mark.parametrize("factory", [MindIE, MindIEStream])
async def test_both_forms_answer_alike(mock, factory):
    backend = factory(url=mock(tokens=12, tokens_per_chunk=5).url)
    chunks = [chunk async for chunk in stream_once(backend, Request("0", text="Tell me", params={"seed": 1}))]
    assert (chunks[-1].finish_reason, chunks[-1].usage.output_tokens) == ("stop", 12)
    assert len("".join(chunk.text for chunk in chunks).split()) == 12


@pytest.mark.parametrize("factory", [MindIE, MindIEStream])
def test_it_reads_whatever_a_service_sends(factory):
    assert len(check_backend(factory)) > 30


def test_the_plugin_keeps_the_contract():
    assert "backend mindie-stream" in check_plugin("aisb-backend-mindie")

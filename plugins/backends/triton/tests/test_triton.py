"""Triton's generate extension: what is sent, what is read, and the contract."""

from dataclasses import replace

import pytest

from aisb import Prediction, Request, ServiceError, UsageError
from aisb_backend_triton import Triton, TritonStream
from aisb_engine._http.assembly import stream_once
from aisb_testing import check_backend, check_plugin


def body(backend=None, **params):
    return (backend or Triton()).encode(Request("17", text="6 x 7?", params=params)).body


def test_parameters_are_inputs_by_the_names_of_tensorrt_llm():
    sent = body(max_tokens=8, temperature=0.5, top_p=0.9, stop=["a", "b"], bad_words=["c"], end_id=2, seed=3)
    assert sent == {
        "text_input": "6 x 7?", "max_tokens": 8, "temperature": 0.5, "top_p": 0.9, "stop_words": ["a", "b"],
        "bad_words": "c", "end_id": 2, "seed": 3, "stream": False,
    }  # fmt: skip


def test_a_temperature_of_zero_is_one_candidate():
    assert body(temperature=0, top_p=0.5) == {
        "text_input": "6 x 7?", "temperature": 1.0, "top_k": 1, "stream": False
    }  # fmt: skip


def test_a_seed_has_the_name_that_the_model_has_an_input_for():
    backend = Triton()
    backend.take_inputs(["text_input", "random_seed"])
    assert body(backend, seed=3)["random_seed"] == 3
    backend.take_inputs(["text_input", "seed"])
    assert body(backend, seed=3)["seed"] == 3


def test_paths_name_the_model_and_its_version():
    request = Request("17", text="x")
    assert Triton(model="my model").encode(request).path == "/v2/models/my%20model/generate"
    call = TritonStream(model="m", version="2").encode(request)
    assert (call.path, call.body["stream"]) == ("/v2/models/m/versions/2/generate_stream", True)


def test_mindie_takes_parameters_in_a_table_of_their_own():
    sent = body(Triton(parameters="nested"), max_tokens=8, temperature=0)
    parameters = {"details": True, "max_new_tokens": 8, "do_sample": False}
    assert sent == {"text_input": "6 x 7?", "parameters": parameters}


def test_a_sample_has_the_adapter_that_the_map_gives_it(tmp_path):
    file = tmp_path / "lora.json"
    file.write_text('{"17": 4}')
    assert body(Triton(lora_map=str(file)))["lora_task_id"] == 4


def test_events_are_deltas_or_repeat_what_was_said():
    event = {"model_name": "m", "model_version": "1", "text_output": "It is"}
    assert TritonStream().decode(event).text == "It is"
    assert TritonStream(cumulative=True).decode(event).whole == "It is"
    assert TritonStream().decode(event | {"text_output": [" 42"]}).text == " 42"
    assert TritonStream().decode(event | {"text_output": ""}).kind == "role"


def test_a_prompt_that_is_repeated_is_taken_away_where_the_option_says_so():
    made, request = Prediction("17", text="6 x 7? 42"), Request("17", text="6 x 7?")
    assert Triton().finalize(made, request) == made
    assert Triton(echoes_prompt=True).finalize(made, request) == replace(made, text=" 42")


async def test_a_probe_takes_the_only_model_and_says_so(mock):
    backend = Triton(url=mock(models=("m",)).url)
    info = await backend.probe()
    assert (info.models, info.detail, backend.model) == (("m",), "version 2.51.0, platform mock", "m")
    assert info.notes == ("no model is chosen: m, the only one",)


async def test_of_several_models_the_ensemble_is_taken(mock):
    backend = Triton(url=mock(models=("preprocessing", "ensemble")).url)
    await backend.probe()
    assert backend.model == "ensemble"


async def test_of_several_models_without_an_ensemble_one_must_be_chosen(mock):
    url = mock(models=("a", "b")).url
    with pytest.raises(UsageError, match="has several models; choose one with --model-name: a, b"):
        await Triton(url=url).probe()
    with pytest.raises(ServiceError, match="does not list a model 'c'"):
        await Triton(url=url, model="c").probe()
    with pytest.raises(ServiceError, match=r"the model 'c' is not ready \(400: Model version not ready\)"):
        await Triton(url=url, model="c", check_model=False).probe()


@pytest.mark.parametrize("factory", [Triton, TritonStream])
async def test_both_forms_answer_alike(mock, factory):
    backend = factory(url=mock(models=("m",), tokens=12).url, model="m")
    chunks = [chunk async for chunk in stream_once(backend, Request("0", text="Tell me", params={"seed": 1}))]
    assert len("".join(chunk.text for chunk in chunks).split()) == 12


@pytest.mark.parametrize("options", [{}, {"parameters": "nested"}])
@pytest.mark.parametrize("factory", [Triton, TritonStream])
def test_it_reads_whatever_a_service_sends(factory, options):
    assert len(check_backend(factory, **options)) > 30


def test_the_plugin_keeps_the_contract():
    assert "backend triton-stream" in check_plugin("aisb-backend-triton")

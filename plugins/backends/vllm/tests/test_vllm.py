import tomllib

import pytest

from aisb import Request, UsageError
from aisb._options import bind, options
from aisb_backend_vllm import VLLMChat, VLLMCompletions, VLLMGenerate, aisb_backends, aisb_configs
from aisb_backend_vllm._server import read_counters, translated

METRICS = r"""# HELP vllm:num_requests_running Number of requests in model execution batches.
# TYPE vllm:num_requests_running gauge
vllm:num_requests_running{engine="0",model_name="m"} 3.0
# HELP vllm:prompt_tokens_total Number of prefill tokens processed.
# TYPE vllm:prompt_tokens_total counter
vllm:prompt_tokens_total{engine="0",model_name="a \"b\" } c"} 100.0
vllm:prompt_tokens_total{engine="1",model_name="m"} 20.0
# TYPE vllm:prompt_tokens_created gauge
vllm:prompt_tokens_created{engine="0",model_name="m"} 1.7e+09
# TYPE vllm:request_success_total counter
vllm:request_success_total{finished_reason="stop"} 4.0
vllm:request_success_total{finished_reason="length"} 1.0
# TYPE vllm:time_to_first_token_seconds histogram
vllm:time_to_first_token_seconds_bucket{le="0.001"} 0.0
vllm:time_to_first_token_seconds_bucket{le="+Inf"} 5.0
vllm:time_to_first_token_seconds_count 5.0
vllm:time_to_first_token_seconds_sum 0.25 1795304556000
# TYPE vllm:spec_decode_num_accepted_tokens_per_pos_total counter
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="0"} 9.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="1",model_name="m",position="0"} 1.0
vllm:spec_decode_num_accepted_tokens_per_pos_total{engine="0",model_name="m",position="1"} 6.0
# TYPE vllm:num_requests_waiting gauge
vllm:num_requests_waiting{engine="0",model_name="m"} 1.0
vllm:num_requests_waiting{engine="1",model_name="m"} 2.0
# TYPE vllm:kv_cache_usage_perc gauge
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5
# TYPE python_gc_objects_collected_total counter
python_gc_objects_collected_total{generation="0"} 9.0
"""


def test_what_grows_and_what_runs_and_waits_is_kept_and_summed_over_its_labels():
    assert read_counters(METRICS) == {
        "vllm:num_requests_running": 3.0,
        "vllm:num_requests_waiting": 3.0,
        'vllm:spec_decode_num_accepted_tokens_per_pos_total{position="0"}': 10.0,
        'vllm:spec_decode_num_accepted_tokens_per_pos_total{position="1"}': 6.0,
        "vllm:prompt_tokens_total": 120.0,
        "vllm:request_success_total": 5.0,
        "vllm:time_to_first_token_seconds_count": 5.0,
        "vllm:time_to_first_token_seconds_sum": 0.25,
    }


def test_counters_have_the_names_that_reports_understand():
    assert translated(read_counters(METRICS)) == {
        "running": 3.0,
        "waiting": 3.0,
        "accepted_tokens_at_0": 10.0,
        "accepted_tokens_at_1": 6.0,
    }
    assert translated({"sglang:num_running_reqs": 2.0, "sglang:num_queue_reqs": 1.0}) == {
        "running": 2.0,
        "waiting": 1.0,
    }


def test_earlier_versions_of_vllm_have_another_name_for_their_prefix_cache():
    counted = {"vllm:gpu_prefix_cache_queries_total": 8.0, "vllm:gpu_prefix_cache_hits_total": 6.0}
    assert translated(counted) == {"prefix_cache_queries": 8.0, "prefix_cache_hits": 6.0}


def test_the_openmetrics_form_leaves_total_out_of_the_type():
    assert read_counters("# TYPE sglang:prompt_tokens counter\nsglang:prompt_tokens_total 7\n# EOF\n") == {
        "sglang:prompt_tokens_total": 7.0
    }


@pytest.mark.parametrize(
    "text", ["", "<html>no metrics</html>", "# TYPE\nvllm:a b c", "# TYPE vllm:a counter\nvllm:a x"]
)
def test_what_is_no_metrics_gives_no_counters(text):
    assert read_counters(text) == {}


@pytest.mark.parametrize("factory", [VLLMChat, VLLMCompletions])
async def test_a_probe_says_version_and_model_length(answering, factory):
    service = answering({
        "/v1/models": (200, {"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 2048}]}),
        "/version": (200, {"version": "0.11.0"}),
        "/metrics": (200, METRICS),
    })  # fmt: skip
    backend = factory(url=f"{service.url}/v1")
    info = await backend.probe()
    assert (backend.model, info.models) == ("m", ("m",))
    assert info.detail == "version 0.11.0, owned by vllm, model length 2048"
    counted = await backend.counters()
    assert (counted["vllm:prompt_tokens_total"], counted["running"]) == (120.0, 3.0)


@pytest.mark.parametrize(
    "version", [(404, "Not Found"), (200, "<html>"), (200, ["0.1"]), (200, {"version": None})]
)
async def test_a_server_without_version_and_metrics_does_as_well(answering, version):
    service = answering({"/v1/models": (200, {"data": [{"id": "m"}]}), "/version": version})
    backend = VLLMChat(url=service.url)
    assert (await backend.probe()).detail == ""
    assert await backend.counters() == {}


async def test_an_adapter_listed_beside_its_base_must_be_chosen(answering):
    service = answering({"/v1/models": (200, {"data": [{"id": "base"}, {"id": "lora-1", "parent": "base"}]})})
    with pytest.raises(UsageError) as raised:
        await VLLMChat(url=service.url).probe()
    assert str(raised.value) == (
        f"{service.place}/v1/models lists several models; choose one with --model-name: base, lora-1"
    )


def test_the_key_of_openai_is_not_sent_to_vllm(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-default")
    assert VLLMChat(url="https://h").auth_headers() == {}
    assert VLLMCompletions(url="https://h").auth_headers() == {}
    assert VLLMChat(url="http://h", api_key_env="OPENAI_API_KEY").auth_headers() == {
        "Authorization": "Bearer sk-default"
    }


def test_sampling_parameters_of_vllm_pass_through():
    params = {"max_tokens": 8, "ignore_eos": True, "top_k": 10, "min_p": 0.1, "repetition_penalty": 1.03}
    for factory in (VLLMChat, VLLMCompletions):
        body = factory(model="m").encode(Request("0", text="Hi", params=params)).body
        assert params.items() <= body.items()


@pytest.mark.parametrize(
    ("name", "factory", "stream", "path"),
    [
        ("vllm_api_general", VLLMCompletions, False, "/v1/completions"),
        ("vllm_api_general_stream", VLLMCompletions, True, "/v1/completions"),
        ("vllm_api_general_chat", VLLMChat, False, "/v1/chat/completions"),
        ("vllm_api_stream_chat", VLLMChat, True, "/v1/chat/completions"),
        ("vllm_api_stream_chat_multiturn", VLLMChat, True, "/v1/chat/completions"),
        ("vllm_api_function_call_chat", VLLMChat, False, "/v1/chat/completions"),
        ("vllm_api_old", VLLMGenerate, False, "/generate"),
    ],
)
def test_a_model_file_is_what_its_name_says(name, factory, stream, path):
    (folder,) = aisb_configs()
    model = tomllib.loads((folder / "models" / f"{name}.toml").read_text(encoding="utf-8"))
    assert model.keys() == {"summary", "backend", "abbr", "options", "params"}
    assert aisb_backends()[model["backend"]] is factory
    assert model["abbr"] == name.replace("_", "-")
    call = factory(**bind(factory, model["options"])).encode(Request("0", text="Hi", params=model["params"]))
    assert (call.path, call.body["stream"]) == (path, stream)
    assert (call.body["max_tokens"], call.body["temperature"]) == (512, 0)


def test_no_model_file_is_left_untested():
    (folder,) = aisb_configs()
    assert len(list((folder / "models").iterdir())) == 7


def test_every_option_has_its_help():
    for factory in aisb_backends().values():
        assert [option.name for option in options(factory) if not option.help] == []

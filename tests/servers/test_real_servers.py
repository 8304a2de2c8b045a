"""Real servers asked by the command: accuracy, performance, log-probabilities, and what each refuses.

Nothing here depends on what the small model says: greedy answers differ between engines on near ties.
"""

from __future__ import annotations

import json

import pytest
from real_servers import FOLDER

pytestmark = [pytest.mark.servers, pytest.mark.timeout(900)]

OPENAI = ("vllm_api_general", "vllm_api_general_stream", "vllm_api_general_chat", "vllm_api_stream_chat")
NAMES = {
    "llamacpp": OPENAI,
    "transformers": OPENAI,
    "vllm": OPENAI,
    "triton": ("triton_api_general", "triton_stream_api_general"),
}
MODEL = {"transformers": ("--model-name", str(FOLDER))}
"""`transformers serve` lists no models, and knows its own by the path alone."""

DEMO = ("--datasets", "demo_gsm8k", "--num-prompts", "3", "--set", "params.max_tokens=24")
LENGTHS = (
    "--num-prompts",
    "6",
    "--concurrency",
    "2",
    "--set",
    "task.dataset.input=64",
    "--set",
    "task.dataset.output=16",
)
CHOICES = """
[tasks.sky]
summary = "Options by their likelihood"
mode = "logprob"
dataset.path = "./rows.jsonl"
sample = { choices = "{options}", target_index = "{right}" }
prompt = { user = "{question}", style = "text" }
logprob = { continuation = " {choice}", normalise = "tokens" }
evaluate = [{ use = "exact-match" }]
"""
ROWS = [
    {"question": "The opposite of hot is", "options": ["cold", "piano"], "right": 0},
    {"question": "Two plus two is", "options": ["seventeen", "four"], "right": 1},
    {"question": "Dogs bark, and cats", "options": ["meow", "decide"], "right": 0},
    {"question": "Paris is the capital of", "options": ["shoes", "France"], "right": 1},
]


def servers(*names: str) -> pytest.MarkDecorator:
    """Run a test against these servers."""
    return pytest.mark.parametrize("real", names, indirect=True)


def abbr(name: str) -> str:
    """Return a model's name as a run folder has it."""
    return name.replace("_", "-")


@servers("llamacpp", "transformers", "triton", "vllm")
def test_an_accuracy_task_is_answered_in_every_form(real, aisb):
    names = NAMES[real.name]
    ran = aisb("--models", *names, *DEMO, *MODEL.get(real.name, ()))
    assert ran.code == 0, ran.err
    for name in names:
        lines = ran.predictions(abbr(name), "demo_gsm8k")
        assert [(line["failure"], line["attempts"]) for line in lines] == [(None, 1)] * 3
        assert any(line["prediction"].strip() for line in lines)
        results = ran.read(f"results/{abbr(name)}/demo_gsm8k.json")
        assert (results["predictions"], results["outcomes"]["error"]) == (3, 0)
        if real.name != "triton":  # which says neither
            assert {line["finish_reason"] for line in lines} <= {"stop", "length"}
            assert all(0 < line["usage"]["output_tokens"] <= 24 for line in lines)


@servers("llamacpp", "transformers", "triton", "vllm")
def test_a_short_performance_run_has_its_figures(real, aisb):
    name = NAMES[real.name][-1]
    known = () if real.name in ("llamacpp", "vllm") else ("--set", "params.ignore_eos=")
    ran = aisb(
        "--models",
        name,
        "--datasets",
        "synthetic",
        "--mode",
        "perf",
        *LENGTHS,
        *known,
        *MODEL.get(real.name, ()),
    )
    assert ran.code == 0, ran.err
    metrics = ran.read(f"performances/{abbr(name)}/synthetic.json")
    assert metrics["Success Requests"]["total"] == 6
    assert metrics["Failed Requests"]["total"] == 0
    made = (ran.work / "outputs").glob(f"default/*/performances/{abbr(name)}/synthetic_requests.csv")
    head, *rows = next(made).read_text().splitlines()
    columns = [dict(zip(head.split(","), row.split(","), strict=True)) for row in rows]
    assert all(float(row["ttft_ms"]) <= float(row["e2el_ms"]) for row in columns)
    if not known:
        assert {row["output_tokens"] for row in columns} == {"16"}
        counters = ran.read(f"log/{abbr(name)}/synthetic/load.json")["counters"]
        counter = {"llamacpp": "llamacpp:tokens_predicted_total", "vllm": "vllm:generation_tokens_total"}[
            real.name
        ]
        assert counters["after"][counter] - counters["before"][counter] == 96


@servers("llamacpp", "vllm")
def test_token_ids_are_taken_as_a_prompt(aisb):
    name = "vllm_api_general_stream"
    words = ("--set", "task.dataset.vocabulary=40000", "--set", "load.nonce=false")
    ran = aisb("--models", name, "--datasets", "synthetic:token-ids", "--mode", "perf", *LENGTHS, *words)
    assert ran.code == 0, ran.err
    metrics = ran.read(f"performances/{abbr(name)}/synthetic.json")
    assert metrics["Total Input Tokens"]["total"] == 6 * 64
    assert metrics["Total Generated Tokens"]["total"] == 6 * 16


@servers("vllm")
def test_log_probabilities_are_the_same_by_either_way_of_asking(real, aisb, tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    words = ["--models", "vllm_api_general", "--datasets", "sky"]
    found = []
    for way in ("prompt_logprobs", "echo"):
        ran = aisb(
            *words, "--work-dir", f"outputs/{way}", "--set", f"model.prompt_scores={way}", toml=CHOICES
        )
        assert ran.code == 0, ran.err
        (file,) = tmp_path.glob(f"outputs/{way}/*/predictions/vllm-api-general/sky.jsonl")
        lines = [json.loads(line) for line in file.read_text().splitlines()]
        found.append([[one["total"] for one in line["logprobs"]] for line in lines])
        (results,) = tmp_path.glob(f"outputs/{way}/*/results/vllm-api-general/sky.json")
        assert json.loads(results.read_text())["accuracy"] == 100
    for by_parameter, by_echo in zip(*found, strict=True):
        assert by_parameter == pytest.approx(by_echo, abs=0.15)
    # Once more by hand: what the server itself says of the first option's tokens.
    body = {
        "model": "smollm2",
        "prompt": "The opposite of hot is cold",
        "max_tokens": 1,
        "prompt_logprobs": 0,
    }
    (_, *scores) = real.post("/v1/completions", body)["choices"][0]["prompt_logprobs"]
    (last,) = [entry["logprob"] for entry in scores[-1].values()]
    assert found[0][0][0] == pytest.approx(last, abs=0.15)


@servers("llamacpp", "transformers")
def test_a_server_without_log_probabilities_is_said_to_have_none_before_the_first_row(real, aisb, tmp_path):
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    ran = aisb("--models", "vllm_api_general", "--datasets", "sky", *MODEL.get(real.name, ()), toml=CHOICES)
    assert ran.code == 3
    told = {
        "llamacpp": "the service ignored the request for log-probabilities of the prompt; tasks that compare",
        "transformers": "the service gives no log-probabilities of a prompt (422: ",
    }
    assert told[real.name] in ran.err, ran.err
    assert not list(tmp_path.glob("outputs/default/*"))


@servers("llamacpp", "vllm")
def test_a_wrong_model_name_is_told_with_the_name_that_is_served(aisb):
    ran = aisb("--models", "vllm_api_stream_chat", "--model-name", "smollm", *DEMO)
    assert ran.code == 3
    assert (
        "/v1/models does not list a model 'smollm'; did you mean 'smollm2'?\n  it serves: smollm2\n"
        in ran.err
    )


@servers("transformers")
def test_a_server_that_lists_no_models_wants_one_to_be_named(real, aisb):
    ran = aisb("--models", "vllm_api_stream_chat", *DEMO)
    assert ran.code == 2
    assert (
        "no model is chosen, and the service's list of models is empty; set the model with --model-name"
        in ran.err
    )


@servers("triton")
def test_a_model_that_is_not_there_is_told(aisb):
    ran = aisb("--models", "triton_api_general", "--model-name", "nonesuch", *DEMO)
    assert ran.code == 3
    assert "the model 'nonesuch' is not ready" in ran.err


@servers("llamacpp", "vllm")
def test_a_prompt_that_is_too_long_is_that_samples_failure_and_is_not_tried_again(aisb, tmp_path):
    toml = '[tasks.long]\nsummary = "Long"\ndataset.path = "./rows.jsonl"\nevaluate = [{ use = "exact-match" }]\n'
    rows = [{"question": "Say yes."}, {"question": "word " * 9000}]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    ran = aisb(
        "--models", "vllm_api_stream_chat", "--datasets", "long", "--set", "params.max_tokens=8", toml=toml
    )
    assert ran.code == 1
    short, long = ran.predictions("vllm-api-stream-chat", "long")
    assert short["failure"] is None
    assert (long["failure"]["status"], long["attempts"]) == (400, 1)
    assert "context" in long["failure"]["message"]


@servers("triton")
def test_an_error_inside_a_stream_is_a_failure_with_the_models_own_words(aisb, tmp_path):
    toml = '[tasks.boom]\nsummary = "Boom"\ndataset.path = "./rows.jsonl"\nprompt.style = "text"\n'
    (tmp_path / "rows.jsonl").write_text('{"question": "boom"}\n{"question": "boom later"}\n')
    words = ("--set", "load.retries=0")
    ran = aisb("--models", *NAMES["triton"], "--datasets", "boom", *words, toml=toml)
    assert ran.code == 1
    for name in NAMES["triton"]:
        first, later = (line["failure"] for line in ran.predictions(abbr(name), "boom"))
        assert "boom requested" in first["message"]
        assert later is None or "boom in the middle" in later["message"]
    assert later

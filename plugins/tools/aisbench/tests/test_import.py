"""`aisb config import` and `ais_bench CONFIG.py`: config files in AISBench's form, written for these tests, run unchanged."""

from __future__ import annotations

import json
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest

from aisb_mock import MockProcess

DEMO = """
from mmengine.config import read_base
from ais_bench.benchmark.models import VLLMCustomAPIChat
from ais_bench.benchmark.utils.postprocess.model_postprocessors import extract_non_reasoning_content
from ais_bench.benchmark.runners.local_api import LocalAPIRunner

with read_base():
    from ais_bench.benchmark.configs.summarizers.example import summarizer
    from ais_bench.benchmark.configs.datasets.gsm8k.gsm8k_gen_4_shot_cot_str import gsm8k_datasets as sums
    from ais_bench.benchmark.configs.datasets.ceval.ceval_gen_0_shot_str import ceval_datasets
    from ais_bench.benchmark.configs.models.vllm_api.vllm_api_general import models as general

# 数据集：只取前几条
sums[0]['abbr'] = 'short_' + sums[0]['abbr']
sums[0]['reader_cfg']['test_range'] = '[0:4]'
subsets = [d for d in ceval_datasets if d['abbr'] in ('ceval-law', 'ceval-accountant')]
datasets = [*sums] + subsets

models = [
    dict(
        attr='service',
        type=VLLMCustomAPIChat,
        abbr='my-chat',
        path='',
        model='',
        stream=True,
        request_rate=0,
        use_timestamp=False,
        retry=3,
        api_key='sk-secret-1',
        host_ip='HOST',
        host_port=PORT,
        url='',
        max_out_len=64 * 2,
        batch_size=4,
        trust_remote_code=False,
        generation_kwargs=dict(temperature=0.5, top_k=10, seed=None, ignore_eos=False),
        pred_postprocessor=dict(type=extract_non_reasoning_content),
        meta_template=dict(round=[dict(role='HUMAN', api_role='HUMAN'), dict(role='BOT', api_role='BOT', generate=True)]),
    )
]
general[0].update(abbr='my-' + general[0]['abbr'], url='http://HOST:PORT/v1', max_out_len=32)
models += general
infer = dict(runner=dict(type=LocalAPIRunner, max_num_workers=2))
work_dir = 'outputs/mine/'
"""


@pytest.fixture
def demo(work: Path, service: MockProcess) -> Path:
    host, _, port = service.url.removeprefix("http://").partition(":")
    path = work / "demo.py"
    path.write_text(DEMO.replace("HOST", host).replace("PORT", port), encoding="utf-8")
    return path


def imported(path: str = "aisb.toml") -> dict[str, Any]:
    return tomllib.loads(Path(path).read_text(encoding="utf-8"))


def test_a_config_file_becomes_an_aisb_toml_that_runs_the_same(aisb, demo: Path) -> None:
    ended = aisb("config", "import", "demo.py")
    assert "wrote aisb.toml: 2 models, 2 tasks" in ended.out
    tables = imported()
    chat = tables["models"]["my-chat"]
    assert chat["backend"] == "vllm-chat"
    assert chat["params"] == {"max_tokens": 128, "temperature": 0.5, "top_k": 10, "ignore_eos": False}
    assert (chat["load"]["concurrency"], chat["load"]["retries"]) == (4, 3)
    assert tables["models"]["my-vllm-api-general"]["backend"] == "vllm-completions"
    assert tables["tasks"]["short_gsm8k"] == {"base": "gsm8k:text", "rows": "0:4"}
    assert tables["run"]["datasets"][1].startswith("ceval:zero-shot-text:subject=")
    aisb("run", "--reporters", "text,aisbench")
    (folder,) = Path("outputs/mine").iterdir()
    assert {path.stem for path in folder.glob("results/my-chat/*.json")} == {
        "short_gsm8k",
        tables_name(folder),
    }
    names = {path.name for path in folder.glob("aisbench/predictions/my-chat/*.json")}
    assert names == {"short_gsm8k.json", "ceval-law.json", "ceval-accountant.json"}
    assert (folder / "predictions/my-chat/short_gsm8k.json").is_file()


def tables_name(folder: Path) -> str:
    return next(path.stem for path in folder.glob("results/my-chat/*.json") if "ceval" in path.stem)


def test_the_key_of_a_file_goes_to_a_file_that_only_its_owner_reads(aisb, ais_bench, demo: Path) -> None:
    ended = aisb("config", "import", "demo.py")
    key = Path("demo.my-chat.key")
    assert f"the API key is in {key}" in ended.err
    assert key.read_text() == "sk-secret-1\n"
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    assert "sk-secret-1" not in Path("aisb.toml").read_text()
    assert imported()["models"]["my-chat"]["options"]["api_key_file"] == str(key.resolve())
    key.chmod(0o644)
    ais_bench("demo.py", "--datasets", "x", code=2)  # refused before anything is read
    ais_bench("demo.py")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600
    for file in Path("outputs").rglob("*"):
        assert not file.is_file() or b"sk-secret-1" not in file.read_bytes(), file


def test_a_config_file_runs_as_it_is(ais_bench, demo: Path) -> None:
    ended = ais_bench("demo.py")
    assert "infer: ignored; --max-num-workers 2 runs as many subtasks at once" in ended.err
    lines = ended.out.splitlines()
    assert lines[0].split()[4:] == ["my-chat", "my-vllm-api-general"]
    assert lines[2].split()[0] == "short_gsm8k"
    (folder,) = Path("outputs/mine").iterdir()
    table = json.loads((folder / "predictions/my-chat/short_gsm8k.json").read_bytes())
    assert list(table) == ["0", "1", "2", "3"]
    assert {path.stem for path in (folder / "results/my-chat").iterdir()} == {
        "short_gsm8k",
        "ceval-law",
        "ceval-accountant",
    }


def test_test_range_stands_above_num_prompts(ais_bench, demo: Path) -> None:
    ended = ais_bench("demo", "--num-prompts", "1", "-w", "other")
    assert "short_gsm8k: its config file sets test_range, which overrides --num-prompts" in ended.err
    (folder,) = Path("other").iterdir()
    assert len(json.loads((folder / "predictions/my-chat/short_gsm8k.json").read_bytes())) == 4
    assert len(json.loads((folder / "predictions/my-chat/ceval-law.json").read_bytes())) == 1


def test_combinations_ask_their_pairs_alone(ais_bench, aisb, demo: Path) -> None:
    text = demo.read_text(encoding="utf-8")
    pairs = "[dict(models=models[:1], datasets=sums), dict(models=models[1:], datasets=subsets)]"
    demo.write_text(f"{text}\nmodel_dataset_combinations = {pairs}\n", encoding="utf-8")
    aisb("config", "import", "demo.py")
    (one, two) = imported()["run"]["combinations"]
    assert (one["models"], one["datasets"]) == (["my-chat"], ["short_gsm8k"])
    assert two["models"] == ["my-vllm-api-general"]
    ais_bench("demo.py")
    ais_bench("demo.py", "--reuse")
    (folder,) = Path("outputs/mine").iterdir()
    found = {str(path.relative_to(folder / "results")) for path in folder.glob("results/*/*.json")}
    assert found == {
        "my-chat/short_gsm8k.json",
        "my-vllm-api-general/ceval-law.json",
        "my-vllm-api-general/ceval-accountant.json",
    }


MODEL = "from ais_bench.benchmark.models import {kind}\nmodels = [dict(attr='service', type={kind}, abbr='one', {keys})]\n"
FOLDERS = "from ais_bench.benchmark.datasets import GSM8KDataset\nmine_datasets = [dict(abbr='mine', type=GSM8KDataset, {keys})]\n"


def put(path: str, text: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(text, encoding="utf-8")


def model(keys: str, kind: str = "VLLMCustomAPIChat") -> None:
    put("configs/models/one.py", MODEL.format(kind=kind, keys=keys))


def plan(ais_bench: Any, *words: str) -> dict[str, Any]:
    shown = ais_bench(*(words or ("--models", "one", "--datasets", "gsm8k_gen")), "--dry-run").out
    return tomllib.loads(shown[shown.index("[run]") :])


def test_a_folder_of_configs_is_used_and_not_passed_over(ais_bench, work: Path, service: MockProcess) -> None:
    put(
        "mine/models/deep/vllm_api_general_chat.py",
        MODEL.format(kind="VLLMCustomAPIChat", keys=f"url='{service.url}'"),
    )
    prompt = (
        "dict(round=[dict(role='SYSTEM', prompt='Count.'), dict(role='HUMAN', prompt='Q: {question} {no}')])"
    )
    keys = (
        f"path='{work}/datasets/gsm8k', reader_cfg=dict(input_columns=['question'], output_column='answer', test_range='[:3]'),"
        f" infer_cfg=dict(prompt_template=dict(template={prompt})), eval_cfg=dict(evaluator=dict(type=GSM8KDataset))"
    )
    put("mine/datasets/own/mine.py", FOLDERS.format(keys=keys))
    words = ("--models", "vllm_api_general_chat", "--datasets", "mine", "--config-dir", "mine")
    shown = ais_bench(*words, "--search").out
    assert "mine/models/deep/vllm_api_general_chat.py" in shown
    assert "mine/datasets/own/mine.py" in shown
    ended = ais_bench(*words)
    assert "graded by aisb's rules of the task gsm8k" in ended.err
    (file,) = Path("outputs/default").glob("*/predictions/one/mine.json")
    table = json.loads(file.read_bytes())
    assert len(table) == 3
    assert table["0"]["origin_prompt"] == [
        {"role": "SYSTEM", "prompt": "Count."},
        {"role": "HUMAN", "prompt": "Q: What is 1 + 1? {no}"},
    ]


def test_a_config_folder_that_is_not_there_is_said(ais_bench, work: Path) -> None:
    words = ("--models", "vllm_api_general_chat", "--datasets", "gsm8k_gen", "--config-dir", "nowhere")
    assert "--config-dir nowhere: there is no such folder" in ais_bench(*words, code=2).err


def test_traffic_and_adapters_and_addresses_are_mapped(ais_bench, work: Path) -> None:
    put("lora.json", "{}")
    model(
        "host_ip='10.0.0.7', host_port=9000, enable_ssl=True, request_rate=2, use_timestamp=False, "
        "traffic_cfg=dict(burstiness=0.5, ramp_up_strategy='linear', ramp_up_start_rps=1, ramp_up_end_rps=5), "
        f"generation_kwargs=dict(lora_data_map_file='{work}/lora.json', num_return_sequences=2)"
    )
    tables = plan(ais_bench)
    (subtask,) = tables["subtasks"]
    options = tables["models"]["one"]["options"]
    assert (options["url"], options["lora_map"]) == ("https://10.0.0.7:9000", f"{work}/lora.json")
    assert subtask["load"]["ramp_up"] == "linear:1:5"
    assert "request_rate" not in subtask["load"]  # there, a ramp takes its place
    assert subtask["params"] == {"max_tokens": 2048, "num_return_sequences": 2}


@pytest.mark.parametrize(
    ("kind", "keys", "backend", "stream"),
    [
        ("VLLMCustomAPI", "stream=True", "vllm-completions", True),
        ("VLLMCustomAPIChatStream", "", "vllm-chat", True),
        ("TGICustomAPI", "stream=True", "tgi", True),
        ("TritonCustomAPI", "model_name='m', stream=True", "triton-stream", None),
        ("TritonCustomAPI", "model_name='m'", "triton", None),
        ("MindieStreamApi", "", "mindie-stream", None),
    ],
)
def test_classes_of_services_have_their_backends(
    ais_bench, work: Path, kind: str, keys: str, backend: str, stream: bool | None
) -> None:
    model(keys, kind)
    table = plan(ais_bench)["models"]["one"]
    assert (table["backend"], table["options"].get("stream")) == (backend, stream)


def test_local_models_have_the_same_keys(ais_bench, work: Path) -> None:
    keys = (
        "path='/w/model', tokenizer_path='/w/tok', model_kwargs=dict(device_map='auto'), batch_size=8, "
        "max_seq_len=2048, batch_padding=True, max_out_len=100, run_cfg=dict(num_gpus=1, num_procs=1), "
        "generation_kwargs=dict(do_sample=True, top_k=10, seed=None)"
    )
    put(
        "configs/models/one.py",
        MODEL.format(kind="HuggingFacewithChatTemplate", keys=keys).replace("service", "local"),
    )
    tables = plan(ais_bench)
    options = tables["models"]["one"]["options"]
    assert (tables["models"]["one"]["backend"], options["path"], options["batch_size"]) == (
        "hf-chat",
        "/w/model",
        8,
    )
    assert tables["subtasks"][0]["params"] == {"do_sample": True, "top_k": 10, "max_tokens": 100}


def test_local_models_that_read_images_have_the_same_keys(ais_bench, work: Path) -> None:
    keys = "path='/w/vl', tokenizer_path='/w/vl', batch_size=4, vision_kwargs=dict(min_pixels=28 * 28), tokenizer_kwargs=dict(padding_side='left')"
    text = MODEL.format(kind="HuggingFaceQwen2VLwithChatTemplate", keys=keys).replace("service", "local")
    put("configs/models/one.py", text)
    options = plan(ais_bench)["models"]["one"]["options"]
    assert (options["path"], options["tokenizer_kwargs"]) == (
        "/w/vl",
        {"min_pixels": 784, "padding_side": "left"},
    )


REFUSED = {
    "a Python function": ("pred_postprocessor=dict(type=my_function)", "my_function is a Python function, which is not run"),
    "texts around turns": ("meta_template=dict(round=[dict(role='HUMAN', begin='<s>')])", "texts around turns are not sent"),
    "an unknown key": ("temperatur=1", "is not a known key of AISBench's model configs"),
    "an unknown traffic": ("traffic_cfg=dict(speed=1)", "traffic_cfg.speed: is not known"),
    "a ramp without ends": ("traffic_cfg=dict(ramp_up_strategy='linear')", "a ramp is linear or exponential"),
    "retries that are no number": ("retry='x'", "retry: must be a whole number"),
    "a key from the environment": ("api_key=os.environ['KEY']", "line 2: "),
    "vision of a service": ("vision_kwargs=dict(min_pixels=1)", "is not a known key of AISBench's model configs"),
}  # fmt: skip


@pytest.mark.parametrize("kind", REFUSED)
def test_a_key_that_cannot_be_mapped_is_refused_with_its_place(ais_bench, work: Path, kind: str) -> None:
    keys, words = REFUSED[kind]
    model(keys)
    path = Path("configs/models/one.py")
    path.write_text(f"from mine import my_function; import os\n{path.read_text().split(chr(10), 1)[1]}".replace(
        "models = ", "from ais_bench.benchmark.models import VLLMCustomAPIChat; models = "), encoding="utf-8")  # fmt: skip
    said = ais_bench("--models", "one", "--datasets", "gsm8k_gen", code=2).err
    assert words in said
    assert "configs/models/one.py" in said


DATA = {
    "a function that finds answers": (
        "eval_cfg=dict(pred_postprocessor=dict(type=find))", "the function find (line 1) is Python code, which is not run"),
    "examples of one's own": (
        "infer_cfg=dict(ice_template=dict(template='{question}'), retriever=dict(type=FixKRetriever))",
        "a changed prompt with examples (FixKRetriever) cannot be converted"),
    "turns of the model": (
        "infer_cfg=dict(prompt_template=dict(template=dict(round=[dict(role='HUMAN', prompt='a'), dict(role='BOT', prompt='b')])))",
        "a changed prompt with several questions"),
    "a range that is none": (
        "infer_cfg=dict(prompt_template=dict(template='{question}')), reader_cfg=dict(test_range='first')",
        "'first' is not a range such as '[0:100]'"),
}  # fmt: skip


@pytest.mark.parametrize("kind", DATA)
def test_a_change_of_a_data_set_that_cannot_be_mapped_is_refused(ais_bench, work: Path, kind: str) -> None:
    keys, words = DATA[kind]
    head = "def find(text):\n    return text\nfrom mine import FixKRetriever\n"
    put("configs/datasets/mine.py", head + FOLDERS.format(keys=keys))
    assert words in ais_bench("--models", "vllm_api_general_chat", "--datasets", "mine", code=2).err


def test_a_data_set_that_no_task_reads_is_said(ais_bench, work: Path) -> None:
    put("configs/datasets/mine.py", FOLDERS.format(keys="").replace("GSM8KDataset", "NobodysDataset"))
    said = ais_bench("--models", "vllm_api_general_chat", "--datasets", "mine", code=2).err
    assert "no installed task reads NobodysDataset" in said


def test_made_prompts_have_their_own_spelling(ais_bench, work: Path) -> None:
    config = (
        "{'Type': 'string', 'RequestCount': 5, 'StringConfig': {'Input': {'Method': 'uniform', 'Params': "
        "{'MinValue': 3, 'MaxValue': 9}}, 'Output': {'Method': 'zipf', 'Params': {'Alpha': 1.5, 'MinValue': 1, 'MaxValue': 4}}}}"
    )
    put("configs/datasets/synthetic/synthetic_gen_string.py",
        "from ais_bench.benchmark.datasets import SyntheticDataset\n"
        f"synthetic_datasets = [dict(abbr='synthetic', type=SyntheticDataset, config={config})]\n")  # fmt: skip
    words = ("--models", "vllm_api_stream_chat", "--datasets", "synthetic_gen_string", "--mode", "perf")
    dataset = plan(ais_bench, *words)["tasks"]["synthetic"]["dataset"]
    assert (dataset["requests"], dataset["input"]) == (5, {"method": "uniform", "min": 3, "max": 9})
    assert dataset["output"] == {"method": "zipf", "alpha": 1.5, "min": 1, "max": 4}


TRACE = (
    "from ais_bench.benchmark.datasets import MooncakeTraceDataset\nimport os\n"
    "here = os.path.dirname(os.path.abspath(__file__))\n"
    "trace_datasets = [dict(abbr='trace', type=MooncakeTraceDataset, path=os.path.join(here, 'trace.jsonl'), {keys})]\n"
)


def test_a_trace_beside_its_config_is_read(ais_bench, work: Path) -> None:
    put("configs/datasets/trace.py", TRACE.format(keys="random_seed=7, fixed_schedule_end_offset=-1"))
    put(
        "configs/datasets/trace.jsonl",
        '{"timestamp": 0, "input_length": 9, "output_length": 4, "hash_ids": [1]}\n',
    )
    words = ("--models", "vllm_api_stream_chat", "--datasets", "trace", "--mode", "perf")
    dataset = plan(ais_bench, *words)["tasks"]["trace"]["dataset"]
    assert (dataset["seed"], dataset["path"]) == (7, str(work / "configs/datasets/trace.jsonl"))


def test_a_part_of_a_trace_is_replayed(ais_bench, work: Path) -> None:
    line = '{"timestamp": %d, "input_length": 9, "output_length": 4, "hash_ids": [1]}\n'
    put("configs/datasets/trace.jsonl", "".join(line % time for time in range(0, 1000, 100)))
    words = ("--models", "vllm_api_stream_chat", "--datasets", "trace", "--mode", "perf")

    def dataset(keys: str) -> Any:
        put("configs/datasets/trace.py", TRACE.format(keys=keys))
        table = plan(ais_bench, *words)["tasks"]["trace"]["dataset"]
        return {key: table[key] for key in ("start", "end", "origin") if key in table}

    assert dataset("fixed_schedule_start_offset=100") == {"start": 0.1, "origin": 0.1}
    assert dataset("fixed_schedule_start_offset=100, fixed_schedule_auto_offset=True") == {"start": 0.1}
    assert dataset("fixed_schedule_end_offset=250") == {"end": 0.25}
    put("configs/datasets/trace.py", TRACE.format(keys="fixed_schedule_end_offset='x'"))
    assert "fixed_schedule_end_offset: must be milliseconds" in ais_bench(*words, code=2).err


def test_the_judge_of_a_data_set_can_be_changed(ais_bench, work: Path) -> None:
    put(
        "configs/datasets/judged.py",
        "from mmengine import read_base\n"
        "with read_base():\n    from .aime2025_gen_0_shot_llmjudge import aime2025_datasets\n"
        "aime2025_datasets[0]['abbr'] = 'judged'\n"
        "aime2025_datasets[0]['judge_infer_cfg']['judge_model'].update(abbr='first', model='big', host_port=9)\n",
    )
    put("datasets/aime2025/aime2025.jsonl", '{"question": "1 + 1?", "answer": "2"}\n')
    tables = plan(ais_bench, "--models", "vllm_api_general_chat", "--datasets", "judged")
    options = tables["judge"]["options"]
    assert (tables["judge"]["abbr"], options["model"], options["url"]) == (
        "first",
        "big",
        "http://localhost:9",
    )
    assert list(tables["tasks"]) == ["judged"]


def test_what_cannot_be_read_in_a_folder_is_said_and_the_rest_is_imported(aisb, work: Path) -> None:
    put("cfg/a.py", MODEL.format(kind="VLLMCustomAPIChat", keys=""))
    put("cfg/b.py", MODEL.format(kind="VITAGenerateAPI", keys=""))
    put("cfg/c.py", "import os\nmodels = [os.getenv('X')]\n")
    ended = aisb("config", "import", "cfg", code=1)
    assert "wrote aisb.toml: 1 model, 0 tasks" in ended.out
    assert "left out: cfg/b.py: models[0].type: VITAGenerateAPI: the API of VITA's own server" in ended.err
    assert "line 2: os.getenv() is not called" in ended.err


@pytest.mark.parametrize("name", ["/etc/passwd", "../x", "*", "[a]"])
def test_names_that_are_no_names_of_files_find_none(ais_bench, work: Path, name: str) -> None:
    put("configs/models/one.py", "models = []\n")
    assert f"no model named {name!r}" in ais_bench("--models", name, "--datasets", "gsm8k_gen", code=2).err


def test_a_folder_is_imported_as_a_whole(aisb, work: Path) -> None:
    put("cfg/models/a.py", MODEL.format(kind="VLLMCustomAPIChat", keys=""))
    put("cfg/models/b.py", MODEL.format(kind="VLLMCustomAPI", keys="").replace("'one'", "'two'"))
    put(
        "cfg/datasets/mine.py",
        FOLDERS.format(keys="infer_cfg=dict(prompt_template=dict(template='{question}'))"),
    )
    assert "wrote out.toml: 2 models, 1 task" in aisb("config", "import", "cfg", "-o", "out.toml").out
    assert list(imported("out.toml")["models"]) == ["one", "two"]
    assert (
        "exists already; --force replaces it" in aisb("config", "import", "cfg", "-o", "out.toml", code=2).err
    )
    assert "contains no config file" in aisb("config", "import", "datasets", "-o", "x.toml", code=2).err


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("models = []\n", "it has no list `models`"),
        ("models = [dict(abbr='x')]\n", "it has no list `datasets`"),
        ("models = 'x'\ndatasets = ['y']\n", "models: must be a list of dicts"),
        ("models = [1]\ndatasets = ['y']\n", "models[0]: must be a dict"),
    ],
)
def test_a_file_that_is_no_config_is_said(aisb, work: Path, text: str, words: str) -> None:
    Path("c.py").write_text(text, encoding="utf-8")
    assert words in aisb("config", "import", "c.py", code=2).err

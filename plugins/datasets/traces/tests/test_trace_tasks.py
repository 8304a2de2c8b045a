"""Traces are replayed with their times, lengths and shared blocks, and a line that is wrong is named."""

import json
import os
import tomllib

import pytest
from task_family import TaskFamily
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from aisb import DataError, UsageError
from aisb_dataset_synthetic import Filler
from aisb_dataset_traces._prompts import Prompts
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._data.tokens import load_tokenizer
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.config import RunInput, resolve

FAMILY = TaskFamily("aisb_dataset_traces")
ALIASES = FAMILY.aliases
VARIANTS = [
    f"{path.stem}{variant}"
    for path in (FAMILY.folder / "tasks").glob("*_trace.toml")
    for variant in ("", *(f":{name}" for name in tomllib.loads(path.read_text("utf-8"))["variants"]))
]

MOONCAKE = [
    {"timestamp": 2000, "input_length": 1000, "output_length": 52, "hash_ids": [0, 1]},
    {"timestamp": 2000, "input_length": 1024, "output_length": 26, "hash_ids": [0, 2]},
    {"timestamp": 5500, "input_length": 1300, "output_length": 5, "hash_ids": [0, 2, 3]},
    {"timestamp": 9000, "input_length": 1, "output_length": 900, "hash_ids": [4]},
]
AZURE = (
    "TIMESTAMP,ContextTokens,GeneratedTokens\r\n"
    "2023-11-16 18:15:46.6805900,374,44\r\n"
    "2023-11-16 18:15:50.9951690,396,109\r\n"
    "2023-11-17 00:00:00.0000000,2,7\r\n"
)


@pytest.fixture(scope="module", params=["whole words", "a few merges"])
def folder(request, tmp_path_factory):
    """A byte-level tokenizer that holds the common words whole, or one that does not."""
    path = tmp_path_factory.mktemp("model")
    words = list(Filler(None, "0").vocabulary)
    whole = request.param == "whole words"
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=6000 if whole else 300,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator([" ".join(words)] * 20 + words * 20 if whole else words, trainer)
    made.save(str(path / "tokenizer.json"))
    return path


@pytest.fixture
def replay(plugins, tmp_path):
    """Return the requests of a task over a trace with these lines."""

    def run(name, text=None, root=None, **options):
        if text is not None:
            path = "mooncake_trace/mooncake_trace.jsonl" if name.startswith("moon") else AZURE_PATH
            (tmp_path / path).parent.mkdir(exist_ok=True)
            (tmp_path / path).write_text(text, "utf-8", newline="")
        sets = [f"task.dataset.{key}={json.dumps(value)}" for key, value in options.items()]
        (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name], sets=sets)).tasks.values()
        folders = DataFolders([root or tmp_path])
        samples = load_samples(task, plugins, folders)
        renderer = Renderer(task, plugins, folders)
        return [renderer.request(sample) for sample in samples]

    return run


AZURE_PATH = "azure_trace/AzureLLMInferenceTrace_conv.csv"


def mooncake(*rows):
    return "".join(json.dumps(row) + "\n" for row in rows or MOONCAKE)


def said(request):
    (message,) = request.messages
    return message.content


def test_a_mooncake_trace_has_its_times_and_lengths(replay, folder):
    requests = replay("mooncake_trace", mooncake(), tokenizer=str(folder))
    assert [request.at for request in requests] == [0, 0, 3.5, 7]
    assert [request.params for request in requests] == [
        {"max_tokens": row["output_length"], "ignore_eos": True} for row in MOONCAKE
    ]
    tokenizer = load_tokenizer(folder)
    lengths = [row["input_length"] for row in MOONCAKE]
    assert [tokenizer.count(said(request)) for request in requests] == lengths
    assert [request.facts["input_tokens_asked"] for request in requests] == lengths
    assert all(request.facts["input_exact"] for request in requests)


@pytest.mark.parametrize(
    ("part", "times"),
    [
        ({"start": 5}, [0, 3.5]),
        ({"start": 5, "origin": 5}, [0.5, 4]),
        ({"end": 5.5}, [0, 0, 3.5]),
        ({"start": 2, "end": 2}, [0, 0]),
        ({"origin": 0}, [2, 2, 5.5, 9]),
    ],
)
def test_a_part_of_a_trace_is_replayed_from_its_first_request_or_an_origin(replay, part, times):
    whole, chosen = replay("mooncake_trace", mooncake()), replay("mooncake_trace", mooncake(), **part)
    assert [request.at for request in chosen] == times
    assert {said(request) for request in chosen} <= {said(request) for request in whole}


def test_a_part_without_requests_is_an_error(replay):
    with pytest.raises(UsageError, match="the trace has no request between the seconds 10 and inf"):
        replay("mooncake_trace", mooncake(), start=10)


def test_equal_hash_ids_are_equal_tokens(replay, folder):
    requests = replay("mooncake_trace", mooncake(), tokenizer=str(folder))
    tokenizer = load_tokenizer(folder)
    first, second, third, last = [tokenizer.encode(said(request)) for request in requests]
    assert first[:500] == second[:500] == third[:500]
    assert first[520:600] != second[520:600]
    assert second[:1000] == third[:1000]
    assert last[0] != first[0] or said(requests[3])[:8] != said(requests[0])[:8]


def test_token_ids_share_their_blocks_too(replay):
    requests = replay("mooncake_trace:token-ids", mooncake(), vocabulary=32000)
    first, second, third, last = [request.tokens for request in requests]
    assert [len(one) for one in (first, second, third, last)] == [1000, 1024, 1300, 1]
    assert first[:512] == second[:512]
    assert second == third[:1024]
    assert first[512:] != second[512:1000]


def test_a_block_can_be_of_another_length(replay):
    rows = [{"timestamp": 0, "input_length": 40, "output_length": 1, "hash_ids": [7, 8, 9]}]
    (request,) = replay("mooncake_trace", mooncake(*rows), block=16)
    assert len(said(request).split()) == 40


def test_without_a_tokenizer_no_length_is_called_exact(replay):
    request, *_ = replay("mooncake_trace", mooncake())
    assert request.facts == {"input_tokens_asked": 1000, "input_tokens": None, "input_exact": False}
    assert len(said(request).split()) == 1000


def test_another_nonce_or_seed_makes_other_texts(replay):
    def texts(**options):
        return [said(request)[:60] for request in replay("mooncake_trace", mooncake(), **options)]

    assert texts() == texts() != texts(seed=1)
    assert texts(nonce="a") == texts(nonce="a") != texts(nonce="b")


@pytest.mark.parametrize("name", ["mooncake_trace", "azure_trace"])
def test_no_prompt_is_generated_before_it_is_sent(plugins, tmp_path, name):
    path = "mooncake_trace/mooncake_trace.jsonl" if name.startswith("moon") else AZURE_PATH
    (tmp_path / path).parent.mkdir()
    text = "".join(json.dumps(row) + "\n" for row in MOONCAKE) if name.startswith("moon") else AZURE
    (tmp_path / path).write_text(text, "utf-8", newline="")
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name])).tasks.values()
    samples = load_samples(task, plugins, DataFolders([tmp_path]))
    late = [sample.fields["prompt"] for sample in samples]
    (prompts,) = {
        held.cell_contents
        for one in late
        for held in one._make.__closure__
        if isinstance(held.cell_contents, Prompts)
    }
    assert prompts._words.cache_info().misses == 0
    assert len(str(late[0]).split()) == samples.samples[0].fields["input_length"]
    assert prompts._words.cache_info().misses > 0


def test_an_azure_trace_has_its_times_and_lengths(replay, folder):
    requests = replay("azure_trace", AZURE, tokenizer=str(folder))
    assert [request.at for request in requests] == [0, 4.314579, 20653.31941]
    assert [request.params["max_tokens"] for request in requests] == [44, 109, 7]
    assert [load_tokenizer(folder).count(said(request)) for request in requests] == [374, 396, 2]
    assert len({said(request)[:40] for request in requests}) == 3


def test_a_trace_out_of_order_is_named_with_its_line(replay):
    rows = [MOONCAKE[0], MOONCAKE[2], MOONCAKE[1]]
    message = r"mooncake_trace.jsonl, line 3: the trace is out of order: this request is 3.5 s earlier than .*sort = true"
    with pytest.raises(DataError, match=message):
        replay("mooncake_trace", mooncake(*rows))
    head, first, second, third = AZURE.splitlines(keepends=True)
    with pytest.raises(DataError, match=r"conv.csv, line 3: the trace is out of order: .* 4.31458 s earlier"):
        replay("azure_trace", head + second + first + third)


def test_a_trace_out_of_order_is_sorted_where_that_is_asked(replay):
    requests = replay("mooncake_trace", mooncake(*reversed(MOONCAKE)), sort=True)
    assert [request.at for request in requests] == [0, 0, 3.5, 7]
    assert [request.params["max_tokens"] for request in requests] == [26, 52, 5, 900]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"timestamp": "now"}, "timestamp is 'now', not a number of milliseconds"),
        ({"timestamp": -1}, "timestamp is -1, not a number of milliseconds"),
        ({"input_length": 0}, "input_length is 0, not a whole number of at least 1"),
        ({"output_length": 1.5}, "output_length is 1.5, not a whole number of at least 1"),
        ({"hash_ids": "0 1"}, "hash_ids is 0 1, not a list of whole numbers"),
        (
            {"hash_ids": [0]},
            "1 hash_ids do not fit input_length 1024: with blocks of 512 tokens 2 are needed",
        ),
    ],
)
def test_a_line_that_is_wrong_is_named(replay, change, message):
    with pytest.raises(DataError, match=f"mooncake_trace.jsonl, line 2: {message}"):
        replay("mooncake_trace", mooncake(MOONCAKE[0], MOONCAKE[1] | change))


def test_a_field_that_is_missing_lists_those_there_are(replay):
    rows = [{"timestamp": 0, "prompt_len": 3}]
    with pytest.raises(
        DataError, match=r"line 1: no field 'input_length'; the fields are: timestamp, prompt_len"
    ):
        replay("mooncake_trace", mooncake(*rows))
    with pytest.raises(DataError, match=r"line 2: no field 'TIMESTAMP'; the fields are: time, ContextTokens"):
        replay("azure_trace", AZURE.replace("TIMESTAMP", "time"))


def test_a_time_that_is_none_is_named(replay):
    with pytest.raises(DataError, match=r"conv.csv, line 3: TIMESTAMP is 'noon', not a time such as 2023-"):
        replay("azure_trace", AZURE.replace("2023-11-16 18:15:50.9951690", "noon"))


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("mooncake_trace", {"block": 0}, "block = 0 must be at least 1"),
        ("mooncake_trace:token-ids", {}, "kind = 'token-ids' needs tokenizer = FOLDER, or vocabulary = N"),
        ("azure_trace", {"vocabulary": 2}, "vocabulary = 2 must be at least 16"),
        ("azure_trace", {"tokenizer": "org/model"}, "tokenizer = 'org/model': there is no such folder"),
    ],
)
def test_options_that_cannot_be_say_why(replay, name, options, message):
    with pytest.raises(UsageError, match=message):
        replay(name, AZURE if name.startswith("azure") else mooncake(), **options)


@pytest.mark.parametrize("name", VARIANTS)
def test_data_that_is_not_there_is_named_with_its_source(replay, name):
    with pytest.raises(DataError, match=r"_trace/(.|\n)*the data comes from https://github.com/"):
        replay(name)


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_its_task(plugins, alias, target):
    assert Catalog(plugins).aliases[alias] == target
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[alias])).tasks.values()
    assert task.name == target


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
@pytest.mark.parametrize(
    ("name", "count", "tokens", "lasts"),
    [
        ("mooncake_trace:conversation", 12031, 144_793_823, 3537),
        ("mooncake_trace:synthetic", 3993, 61_194_628, 1022),
        ("azure_trace", 19366, 22_361_870, 3502),
        ("azure_trace:code", 8819, 18_059_974, 3436),
    ],
)
def test_the_published_traces_are_read_whole(plugins, name, count, tokens, lasts):
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name])).tasks.values()
    folders = DataFolders.default()
    samples = load_samples(task, plugins, folders)
    assert len(samples) == count
    assert sum(sample.fields["input_length"] for sample in samples) == tokens
    assert round(samples.samples[-1].fields["at"]) == lasts
    renderer = Renderer(task, plugins, folders)
    for sample in samples.samples[:20]:
        assert len(said(renderer.request(sample)).split()) == sample.fields["input_length"]


def test_missing_data_names_the_variants_whose_data_is_there(plugins, tmp_path):
    (tmp_path / "mooncake_trace").mkdir()
    (tmp_path / "mooncake_trace/toolagent_trace.jsonl").write_text(json.dumps(MOONCAKE[0]))
    tasks = resolve(
        plugins, RunInput(models=["sim"], datasets=["mooncake_trace", "mooncake_trace:toolagent"])
    ).tasks
    folders = DataFolders([tmp_path])
    with pytest.raises(DataError) as caught:
        load_samples(tasks["mooncake_trace"], plugins, folders)
    assert str(caught.value).splitlines() == [
        "no data for mooncake_trace; none of these exists:",
        f"  {tmp_path}/mooncake_trace/mooncake_trace.jsonl",
        "  the data comes from https://github.com/kvcache-ai/Mooncake (FAST25-release/traces, arxiv-trace)",
        "  place it there, or name its folder with --data-dir or the variable AISB_DATA",
        "  aisb data pull mooncake_trace downloads it, or tells which files to place where",
        "  there is data for mooncake_trace:toolagent",
    ]
    assert len(load_samples(tasks["mooncake_trace-toolagent"], plugins, folders)) == 1

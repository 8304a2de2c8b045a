"""Made prompts have the lengths asked for, are replayed by seed and nonce, and refuse what cannot be."""

import csv
import io
import json
import sys

import pytest
from forked import run_forked
from task_family import TaskFamily
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from aisb import ConfigError, DataError, UsageError
from aisb.helpers import data_url
from aisb_dataset_synthetic._images import make_image
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.forms import convert_prompt
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._data.tokens import load_tokenizer
from aisb_engine._load.loads import with_rows
from aisb_engine._load.prefix_cache import PrefixCacheBuster, pool_of
from aisb_engine._record.predictions import RenderedSample as Kept
from aisb_engine._record.predictions import prompt_of, read_samples, write_samples
from aisb_engine._record.runfolder import RunFolder
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.config import RunInput, resolve

ALIASES = TaskFamily("aisb_dataset_synthetic").aliases


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A byte-level tokenizer that knows a few words."""
    path = tmp_path_factory.mktemp("model")
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=320,
        special_tokens=["<s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(["over the hills and far away the wind blows and the rain falls"] * 3, trainer)
    made.save(str(path / "tokenizer.json"))
    return path


@pytest.fixture
def make(plugins):
    """Return (samples, requests) of the task with `--set` values."""

    def run(name="synthetic", **values):
        sets = [
            f"task.dataset.{key}={json.dumps(value)}"
            for key, value in values.items()
            if not isinstance(value, dict)
        ]
        for key, value in values.items():
            if isinstance(value, dict):
                inside = ", ".join(f"{name} = {json.dumps(one)}" for name, one in value.items())
                sets.append(f"task.dataset.{key}={{{inside}}}")
        (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name], sets=sets)).tasks.values()
        folders = DataFolders([])
        samples = load_samples(task, plugins, folders)
        renderer = Renderer(task, plugins, folders)
        return samples, [renderer.request(sample) for sample in samples]

    return run


def rows(plugins, **options):
    return list(plugins.make("dataset", "synthetic", options, where="task.dataset"))


def test_as_it_stands_there_are_100_prompts_and_none_is_called_exact(make):
    samples, requests = make()
    assert len(samples) == 100
    for sample, request in zip(samples, requests, strict=True):
        assert len(request.messages[0].content.split()) == 512
        assert request.params == {"max_tokens": 128, "ignore_eos": True}
        assert request.facts == {"input_tokens_asked": 512, "input_tokens": None, "input_exact": False}
        assert sample.fields["nonce"] == ""


def test_with_a_tokenizer_each_prompt_has_the_tokens_asked_for(make, folder):
    _, requests = make(
        tokenizer=str(folder),
        requests=60,
        input={"method": "uniform", "min": 1, "max": 90},
        output={"method": "zipf", "alpha": 1.2, "min": 4, "max": 40},
    )
    tokenizer = load_tokenizer(folder)
    asked = [request.facts["input_tokens_asked"] for request in requests]
    assert [tokenizer.count(request.messages[0].content) for request in requests] == asked
    assert all(request.facts["input_exact"] for request in requests)
    assert len(set(asked)) > 20
    assert all(4 <= request.params["max_tokens"] <= 40 for request in requests)


def test_a_shared_prefix_is_the_same_tokens_in_every_prompt(plugins, folder):
    tokenizer = load_tokenizer(folder)
    made = rows(plugins, tokenizer=str(folder), requests=20, input=80, prefix=50)
    ids = [tokenizer.encode(row["prompt"]) for row in made]
    assert {len(one) for one in ids} == {80}
    assert len({tuple(one[:50]) for one in ids}) == 1
    assert len({tuple(one[:60]) for one in ids}) == 20
    assert [row["shared_tokens"] for row in made] == [0] + [50] * 19
    assert "shared_tokens" not in rows(plugins, requests=1, input=80)[0]


def test_token_ids_are_sent_as_ids(make, folder):
    _, requests = make("synthetic:token-ids", tokenizer=str(folder), requests=10, input=40, prefix=8)
    known = load_tokenizer(folder).vocabulary()
    for request in requests:
        assert len(request.tokens) == 40
        assert set(request.tokens) <= set(known)
        assert request.tokens[:8] == requests[0].tokens[:8]
        assert convert_prompt(request, "text") == request
        assert request.facts["input_exact"]
    assert len({request.tokens for request in requests}) == 10


def test_token_ids_on_a_chat_endpoint_are_refused(make):
    _, (request, *_) = make("synthetic:token-ids", vocabulary=1000)
    with pytest.raises(ConfigError, match=r"a task of token ids needs a text \(completions\) endpoint"):
        convert_prompt(request, "chat")


@pytest.mark.parametrize("kind", ["string", "token-ids"])
def test_a_row_depends_on_the_seed_the_nonce_and_its_place_alone(plugins, folder, kind):
    options = {"kind": kind, "tokenizer": str(folder), "input": 30, "nonce": "a"}
    first = rows(plugins, **options, requests=5)
    assert rows(plugins, **options, requests=9)[:5] == first
    assert rows(plugins, **options, requests=5, seed=1) != first


def test_another_nonce_makes_other_prompts_of_the_same_lengths(plugins):
    options = {"requests": 20, "input": {"method": "uniform", "min": 20, "max": 200}}
    one, other = rows(plugins, **options, nonce="a"), rows(plugins, **options, nonce="b")
    assert [row["input_tokens_asked"] for row in one] == [row["input_tokens_asked"] for row in other]
    assert [row["max_tokens"] for row in one] == [row["max_tokens"] for row in other]
    same = [a["prompt"][:40] == b["prompt"][:40] for a, b in zip(one, other, strict=True)]
    assert not any(same)


def test_a_run_is_made_again_with_its_nonce(plugins):
    one = rows(plugins, requests=3, nonce="a")
    assert rows(plugins, requests=3, nonce=one[0]["nonce"]) == one
    assert rows(plugins, requests=3) == rows(plugins, requests=3)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"requests": 0}, "requests = 0 must be at least 1"),
        ({"input": 0}, "input.value: 0 is not a whole number of at least 1"),
        ({"output": {"method": "poisson"}}, "output.method = 'poisson' is not one of constant, uniform"),
        ({"prefix": 600}, "prefix = 600 must be .*no more than the shortest input, 512"),
        ({"prefix": -1}, "prefix = -1 must be at least 0"),
        ({"kind": "token-ids"}, "kind = 'token-ids' needs tokenizer = FOLDER, or vocabulary = N"),
        ({"kind": "ids"}, 'kind: \'ids\' is invalid: kind takes "string" | "token-ids"'),
        ({"vocabulary": 3}, "vocabulary = 3 must be at least 16"),
        ({"tokenizer": "org/model"}, "tokenizer = 'org/model': there is no such folder"),
    ],
)
def test_what_cannot_be_made_says_why(plugins, options, said):
    with pytest.raises(UsageError, match=said.replace("|", r"\|")) as raised:
        rows(plugins, **options)
    assert str(raised.value).startswith("task.dataset")


def test_more_prompts_than_the_task_makes_are_made_where_they_are_asked_for(plugins):
    def requests(num_prompts, *sets):
        spec = resolve(
            plugins,
            RunInput(models=["sim"], datasets=["synthetic"], load={"num_prompts": num_prompts}, sets=sets),
        )
        (task,) = with_rows(spec, plugins).tasks.values()
        return len(load_samples(task, plugins, DataFolders([])))

    assert requests(250, "task.dataset.input=2") == 250
    assert requests(250, "task.dataset.input=2", "task.dataset.requests=7") == 250
    assert requests(5, "task.dataset.input=2") == 100  # of which five are sent


@pytest.mark.parametrize("kind", ["string", "token-ids"])
def test_a_later_round_asks_for_other_tokens_and_as_many(make, folder, kind):
    samples, requests = make(f"synthetic{':token-ids' * (kind != 'string')}", tokenizer=str(folder), input=40)
    buster, tokenizer = PrefixCacheBuster(pool_of(samples)), load_tokenizer(folder)

    def ids(request):
        return list(request.tokens or tokenizer.encode(request.messages[0].content))

    for request in requests[:10]:
        later = buster.request(request, 1)
        assert ids(later)[:8] != ids(request)[:8]
        if buster.exact:
            assert len(ids(later)) == 40
        assert later.facts["input_exact"] is buster.exact


@pytest.mark.parametrize("name", ["synthetic", "synthetic:token-ids"])
def test_a_made_prompt_is_kept_once(make, folder, tmp_path, name):
    samples, requests = make(name, tokenizer=str(folder), input=300, requests=3)
    asked = [Kept(sample, prompt_of(request)) for sample, request in zip(samples, requests, strict=True)]
    write_samples(RunFolder(tmp_path), "m", "t", asked, sample_table={})
    kept = read_samples(RunFolder(tmp_path), "m", "t").samples
    assert [one.prompt for one in kept] == [one.prompt for one in asked]
    for one in kept:
        assert one.sample.fields == {
            "input_tokens_asked": 300, "input_tokens": 300, "input_exact": True, "max_tokens": 128, "nonce": ""
        }  # fmt: skip


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_the_task_and_its_variant(plugins, alias, target):
    name, _, variant = target.partition(":")
    assert Catalog(plugins).aliases[alias] == target
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[alias])).tasks.values()
    assert (task.name, task.variant or "") == (name, variant)


def test_images_have_the_sizes_asked_for_and_are_others_for_each_row_and_run(make):
    sizes = ["64x32", "33x17"]
    samples, requests = make("synthetic:images", requests=8, images=2, image_size=sizes, input=12)
    found = [one for sample in samples for one in sample.fields["images"]]
    assert {(one["width"], one["height"]) for one in found} == {(64, 32), (33, 17)}
    assert len({one["file"] for one in found}) == 16
    text, first, second = requests[0].messages[0].content
    assert (text.value, first.kind, second.kind) == (samples.samples[0].fields["prompt"], "image", "image")
    assert data_url(first).startswith("data:image/png;base64,")
    again, _ = make("synthetic:images", requests=8, images=2, image_size=sizes, input=12)
    assert [one.fields["images"] for one in again] == [one.fields["images"] for one in samples]
    other, _ = make("synthetic:images", requests=8, images=2, image_size=sizes, input=12, nonce="b")
    assert not {one["file"] for one in found} & {one["file"] for row in other for one in row.fields["images"]}
    assert (samples.samples[0].fields["input_tokens_asked"], samples.samples[0].fields["input_exact"]) == (
        12,
        False,
    )


def test_the_content_of_an_image_is_a_png_that_others_read():
    pictures = pytest.importorskip("PIL.Image")
    for size in ((1, 1), (16, 16), (100, 37)):
        picture = pictures.open(io.BytesIO(make_image("a", size)))
        picture.load()
        assert (picture.size, picture.mode) == (size, "RGB")
    assert make_image("a", (20, 20)) != make_image("b", (20, 20))


def test_a_round_asks_other_words_with_the_same_images(make, folder):
    samples, requests = make(
        "synthetic:images", requests=2, input=8, image_size="16x16", tokenizer=str(folder)
    )
    buster = PrefixCacheBuster(pool_of(samples))
    text, image = buster.request(requests[0], 1).messages[0].content
    first_text, first_image = requests[0].messages[0].content
    assert image == first_image
    assert text.value != first_text.value
    assert len(text.value.split()) == len(first_text.value.split())


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"images": -1}, "images = -1 must be 0 or more"),
        ({"image_size": "wide"}, "image_size = 'wide' must be a size such as '1024x768'"),
        ({"image_size": "99999x2"}, "sides of 1 to 16,384 pixels"),
        ({"image_size": []}, "must be a size such as"),
        ({"kind": "token-ids", "vocabulary": 100}, "token ids, which have no images"),
    ],
)
def test_images_that_cannot_be_are_refused(make, values, told):
    with pytest.raises(UsageError, match=told):
        make("synthetic:images", requests=1, **values)


def test_images_that_the_prompt_does_not_attach_are_an_error(make):
    with pytest.raises(
        DataError, match=r"row 0: the field 'images' has images or audio, but prompt.media attaches nothing"
    ):
        make("synthetic", requests=1, images=1)


def test_a_run_measures_images_by_what_the_service_says_it_read(tmp_path, answering):
    def answer(asked):
        *_, content = (message["content"] for message in asked["messages"])
        pictures = [part for part in content if part["type"] == "image_url"]
        usage = {"prompt_tokens": 10 + 50 * len(pictures), "completion_tokens": 1, "total_tokens": 11}
        return 200, {"choices": [{"message": {"content": "a"}, "finish_reason": "stop"}], "usage": usage}

    service = answering({"/v1/models": (200, {"data": [{"id": "m"}]}), "/v1/chat/completions": answer})
    words = [
        "run", "--models", "vllm_api_general_chat", "--url", service.url, "--datasets", "synthetic:images",
        "--mode", "perf", "--num-prompts", "6", "--set", "task.dataset.requests=6", "--set", "task.dataset.images=2",
        "--set", "task.dataset.image_size='40x30'", "-w", "out",
    ]  # fmt: skip
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (file,) = tmp_path.glob("out/*/performances/*/*_requests.csv")
    with file.open() as lines:
        assert {row["input_tokens"] for row in csv.DictReader(lines)} == {"110"}

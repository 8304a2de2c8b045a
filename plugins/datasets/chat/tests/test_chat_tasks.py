"""Conversations are asked turn by turn, read from files as they are published, and broken files are named."""

import json
import os
from pathlib import Path

import pytest
from task_family import TaskFamily

from aisb import DataError, UsageError
from aisb_engine._data.conversations import next_turn
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._resolve.catalog import Catalog
from aisb_engine._resolve.config import RunInput, resolve

ALIASES = TaskFamily("aisb_dataset_chat").aliases

TALK = [
    {
        "id": "a_0",
        "conversations": [
            {"from": "human", "value": "How high is a tree?"},
            {"from": "gpt", "value": "Which one?"},
            {"from": "human", "value": "The one there: {tall} [one]"},
            {"from": "gpt", "value": "Twelve metres."},
        ],
    },
    {"id": "b_0", "conversations": []},
    {
        "id": "c_0",
        "conversations": [{"from": "gpt", "value": "So it goes on."}, {"from": "human", "value": " "}],
    },
    {
        "id": "d_3",
        "conversations": [
            {"from": "system", "value": "Be brief."},
            {"from": "gpt", "value": "Well?"},
            {"from": "user", "value": "Ünï"},
        ],
    },
]


@pytest.fixture
def ask(plugins, tmp_path):
    """Return the samples and requests of a task over files with these texts."""

    def run(name, sets=(), root=None, **texts):
        for path, text in texts.items():
            file = tmp_path / path.replace("__", "/")
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, "utf-8")
        (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[name], sets=list(sets))).tasks.values()
        folders = DataFolders([root or tmp_path])
        samples = load_samples(task, plugins, folders)
        renderer = Renderer(task, plugins, folders)
        return samples, [renderer.request(sample) for sample in samples]

    return run


SHAREGPT = "sharegpt__ShareGPT_V3_unfiltered_cleaned_split.json"


def sharegpt(ask, text, **options):
    return ask("sharegpt", **{SHAREGPT: text}, **options)


def test_the_last_turn_is_asked_alone_after_what_the_model_of_the_file_said(ask):
    _, (first, last) = ask("sharegpt:last", **{SHAREGPT: json.dumps(TALK)})
    assert [(message.role, message.content) for message in first.messages] == [
        ("user", "How high is a tree?"),
        ("assistant", "Which one?"),
        ("user", "The one there: {tall} [one]"),
    ]
    assert (first.followups, first.replies, first.turn) == ((), (), 0)
    assert [message.content for message in last.messages] == ["Be brief.", "Ünï"]


def test_each_turn_can_be_asked_after_the_replies_of_the_file(ask):
    _, (first, _) = ask("sharegpt:every_with_gt", **{SHAREGPT: json.dumps(TALK)})
    assert [message.content for message in first.messages] == ["How high is a tree?"]
    following = next_turn(first, "what the model that is asked said")
    assert [message.content for message in following.messages][1:] == [
        "Which one?",
        "The one there: {tall} [one]",
    ]
    assert (following.turn, following.followups, following.replies) == (1, (), ())


def test_a_conversation_without_replies_says_so(ask):
    sets = ('task.prompt.conversation="last"', 'task.prompt.replies="{turns.0}"')
    with pytest.raises(
        DataError, match=r"task.prompt.replies: \{turns.0\} is 'How high.*not a list of turns"
    ):
        ask("sharegpt", sets, **{SHAREGPT: json.dumps(TALK)})
    few = (sets[0], 'task.prompt.replies=["Yes."]', 'task.prompt.followups=["And?", "And then?"]')
    with pytest.raises(DataError, match=r"task.prompt.replies: there are 1, and 2 stand before a turn"):
        ask("sharegpt", few, **{SHAREGPT: json.dumps(TALK)})
    with pytest.raises(UsageError, match=r"so prompt.followups must be set too, and prompt.replies"):
        ask("sharegpt", sets[:1], **{SHAREGPT: json.dumps(TALK)})


@pytest.mark.parametrize("indent", [None, 2])
def test_the_turns_of_the_human_are_asked_in_order(ask, indent):
    samples, requests = sharegpt(ask, json.dumps(TALK, indent=indent))
    assert [sample.fields["conversation"] for sample in samples] == ["a_0", "d_3"]
    first, last = requests
    assert [message.content for message in first.messages] == ["How high is a tree?"]
    assert [(message.role, message.content) for message in last.messages] == [
        ("system", "Be brief."),
        ("user", "Ünï"),
    ]
    assert first.followups == ("The one there: {tall} [one]",)
    assert last.followups == ()
    assert first.params == {"max_tokens": 512}


@pytest.mark.parametrize("indent", [None, 2])
def test_a_file_of_many_megabytes_is_read_to_its_end(ask, indent):
    long = {"id": "long", "conversations": [{"from": "human", "value": 'a "b" ] } ' * 300_000}]}
    talks = [*TALK * 3000, long, *TALK]
    samples, _ = sharegpt(ask, json.dumps(talks, indent=indent))
    assert len(samples) == 2 * 3001 + 1
    assert samples.samples[6000].fields["turns"] == [long["conversations"][0]["value"]]
    assert [sample.fields["conversation"] for sample in samples][-2:] == ["a_0", "d_3"]


def test_no_more_turns_than_wanted_are_asked(ask):
    _, requests = sharegpt(ask, json.dumps(TALK), sets=["task.dataset.most_turns=1"])
    assert [request.followups for request in requests] == [(), ()]
    with pytest.raises(UsageError, match="most_turns = 0 must be at least 1"):
        sharegpt(ask, json.dumps(TALK), sets=["task.dataset.most_turns=0"])


def test_the_hash_is_that_of_the_whole_file(ask):
    from hashlib import sha256

    text = json.dumps(TALK) + "\n\n"
    samples, _ = sharegpt(ask, text)
    assert samples.sha256 == sha256(text.encode()).hexdigest()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (
            json.dumps(TALK)[:200],
            r"split.json, line 1: not JSON: .* the file ends within a conversation",
        ),
        (json.dumps(TALK)[:-1], r"split.json, line 1: not JSON: .* the file is incomplete"),
        ("", r"split.json: not JSON: .* the file is incomplete"),
        ('{"id": "a"}', r"a list of conversations must begin with '\[', not '{'"),
        (
            '[{"id": "a", "items": []}]',
            r"row 1: a conversation has the key 'conversations' .*keys are id, items",
        ),
        ("[7]", r"row 1: a conversation has the key 'conversations' with a list of turns"),
        (
            json.dumps([*TALK, {"conversations": [{"from": "human"}]}]),
            r"row 5: a turn has 'from' and a text 'value'",
        ),
        ("version https://git-lfs.github.com/spec/v1\n", r"Git LFS pointer"),
    ],
)
def test_a_file_that_is_wrong_is_named_with_the_place(ask, text, said):
    with pytest.raises(DataError, match=said):
        sharegpt(ask, text)


def test_mtbench_asks_two_turns(ask):
    rows = [
        {"question_id": 81, "category": "writing", "turns": ["Write about rain.", "Now without an e."]},
        {
            "question_id": 82,
            "category": "math",
            "turns": ["2 + 2?", "And squared?"],
            "reference": ["4", "16"],
        },
    ]
    _, requests = ask(
        "mtbench", **{"mtbench__question.jsonl": "".join(json.dumps(row) + "\n" for row in rows)}
    )
    assert [(request.messages[0].content, request.followups) for request in requests] == [
        ("Write about rain.", ("Now without an e.",)),
        ("2 + 2?", ("And squared?",)),
    ]
    assert requests[0].params == {"max_tokens": 1024}


@pytest.mark.parametrize("name", ["sharegpt", "mtbench"])
def test_data_that_is_not_there_is_named_with_its_source(ask, name):
    with pytest.raises(DataError, match=rf"no data for {name}(.|\n)*the data comes from https://"):
        ask(name)


@pytest.mark.parametrize(("alias", "target"), ALIASES.items())
def test_an_alias_leads_to_its_task(plugins, alias, target):
    assert Catalog(plugins).aliases[alias] == target
    (task,) = resolve(plugins, RunInput(models=["sim"], datasets=[alias])).tasks.values()
    assert task.name == target
    assert task.summary
    assert task.source
    assert task.licence


@pytest.mark.data
@pytest.mark.skipif("AISB_DATA" not in os.environ, reason="needs $AISB_DATA")
@pytest.mark.parametrize(("name", "count", "turns"), [("sharegpt:small", 500, 1), ("mtbench", 80, 2)])
def test_the_published_files_are_read_whole(ask, name, count, turns):
    samples, requests = ask(name, root=Path(os.environ["AISB_DATA"]))
    assert len(samples) == count
    assert all(len(request.followups) >= turns - 1 for request in requests)
    assert all(request.messages[0].content for request in requests)

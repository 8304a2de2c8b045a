"""From samples to requests: few-shot examples, chat and text, parameters, crossing."""

import json

import pytest

from aisb._errors import ConfigError
from aisb._plugins import Plugins
from aisb._types import Message, Part, Request
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.forms import convert_prompt
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._spec import Task


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


ROWS = [{"question": f"q{n}", "answer": f"a{n}", "subject": "xy"[n % 2]} for n in range(6)]


@pytest.fixture
def ask(plugins, tmp_path):
    """Render the requests of a toy task over six rows and a train split of six others."""

    def run(prompt=None, *, sample=None, params=None, forced=None, select=None, rows=ROWS, repeat=0):
        train = [row | {"question": "train " + row["question"]} for row in ROWS]
        for name, content in (("test", rows), ("train", train)):
            text = "".join(json.dumps(row) + "\n" for row in content)
            (tmp_path / f"{name}.jsonl").write_text(text, encoding="utf-8")
        table = {"path": "{split}.jsonl", "split": "test", "select": select or {}}
        prompt = {"user": "Q: {question}", "shot": "{answer}", **(prompt or {})}
        task = Task(
            name="toy", summary="", dataset=table, sample=sample or {}, prompt=prompt, params=params or {}
        )
        folders = DataFolders([tmp_path])
        renderer = Renderer(task, plugins, folders, forced=forced)
        return [renderer.request(s, repeat) for s in load_samples(task, plugins, folders)]

    return run


def turns(request):
    return [(message.role, message.content) for message in request.messages]


def shown(request):
    """The questions of the examples in a chat request."""
    return [m.content.removeprefix("Q: ") for m in request.messages[:-1] if m.role == "user"]


def test_a_question_alone_is_one_user_turn(ask):
    first, *_ = ask()
    assert turns(first) == [("user", "Q: q0")]
    assert (first.sample_id, first.repeat, first.text) == ("0", 0, None)


def test_examples_in_chat_are_turns_after_system_and_intro(ask):
    prompt = {
        "shots": 2,
        "shots_from": {"split": "train"},
        "system": "Be brief.",
        "intro": "About {subject}.",
    }
    first, *_ = ask(prompt)
    assert turns(first) == [
        ("system", "Be brief."),
        ("user", "About x.\n\nQ: train q0"),
        ("assistant", "a0"),
        ("user", "Q: train q1"),
        ("assistant", "a1"),
        ("user", "Q: q0"),
    ]


def test_examples_in_text_are_one_string(ask):
    prompt = {"shots": 2, "shots_from": {"split": "train"}, "style": "text", "intro": "About {subject}."}
    first, *_ = ask(prompt)
    assert first.messages is None
    assert first.text == "About x.\n\nQ: train q0 a0\n\nQ: train q1 a1\n\nQ: q0"
    prompt |= {"shot_user": "Example: {question}", "joiner": " -> ", "separator": "\n"}
    assert ask(prompt)[0].text == "About x.\nExample: train q0 -> a0\nExample: train q1 -> a1\nQ: q0"


def test_positions_pick_the_examples_in_their_order(ask):
    prompt = {"shots": 3, "shots_from": {"split": "train", "positions": [4, 0, 2]}}
    for request in ask(prompt):
        assert shown(request) == ["train q4", "train q0", "train q2"]


def test_a_seed_draws_the_examples_once_for_all(ask):
    drawn = [
        [shown(request) for request in ask({"shots": 3, "shots_from": {"split": "train", "seed": seed}})]
        for seed in (1, 1, 2)
    ]
    assert drawn[0] == drawn[1] != drawn[2]
    assert all(one == drawn[0][0] for one in drawn[0])


def test_a_seed_draws_other_examples_for_each_sample(ask):
    origin = {"split": "train", "seed": 1, "per_sample": True}
    first, again = ([shown(one) for one in ask({"shots": 3, "shots_from": origin})] for _ in range(2))
    assert first == again
    assert len({tuple(one) for one in first}) > 1
    assert all(len(set(one)) == 3 for one in first)
    with pytest.raises(ValueError, match="per_sample is set, so seed must be set too"):
        ask({"shots": 3, "shots_from": {"per_sample": True}})


def test_from_its_own_rows_a_sample_is_never_its_own_example(ask):
    origins = ({}, {"seed": 3}, {"seed": 3, "per_sample": True}, {"positions": [0, 1, 2]}, {"split": "test"})
    for origin in origins:
        for request in ask({"shots": 3, "shots_from": origin}):
            question = turns(request)[-1][1].removeprefix("Q: ")
            assert len(shown(request)) == 3
            assert question not in shown(request)
    requests = ask({"shots": 3, "shots_from": {"positions": [0, 1, 2]}})
    assert shown(requests[1]) == ["q0", "q2", "q3"], "the next row takes its place"


def test_a_row_that_asks_the_same_is_no_example_either(ask):
    rows = [ROWS[0], ROWS[0], ROWS[1], ROWS[2]]
    assert shown(ask({"shots": 2}, rows=rows)[0]) == ["q1", "q2"]


def test_examples_from_the_same_group(ask):
    prompt = {"shots": 2, "shots_from": {"split": "train", "same_group": True, "positions": [2, 0]}}
    requests = ask(prompt, sample={"group": "{subject}"})
    assert shown(requests[0]) == ["train q4", "train q0"]
    assert shown(requests[1]) == ["train q5", "train q1"]


def test_selection_changes_no_examples(ask):
    prompt = {"shots": 2, "shots_from": {"positions": [5, 0]}}
    everything = {request.sample_id: request for request in ask(prompt)}
    some = ask(prompt, select={"subject": ["y"]})
    assert [request.sample_id for request in some] == ["1", "3", "5"]
    assert all(request == everything[request.sample_id] for request in some)


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ({"shots": 7, "shots_from": {"split": "train"}}, r"7 examples are needed, but split 'train' has 6"),
        ({"shots": 6}, r"6 examples are needed, but the data has 5 besides the sample itself"),
        (
            {"shots": 1, "shots_from": {"positions": [6]}},
            r"there is no row 6 \(counted from 0\): the data has 6",
        ),
        (
            {"shots": 2, "shots_from": {"positions": [1]}},
            r"positions: names 1 rows, but 2 examples are needed",
        ),
        (
            {"shots": 4, "shots_from": {"split": "train", "same_group": True}},
            r"4 examples are needed, but split 'train' of group 'x' has 3",
        ),
        ({"user": "{qestion}"}, r"task.prompt.user: \{qestion\}: no field 'qestion'(.|\n)*at sample x/0"),
    ],
)
def test_examples_or_fields_that_are_not_there_are_errors(ask, prompt, message):
    with pytest.raises(ConfigError, match=message):
        ask(prompt, sample={"group": "{subject}"})


def test_a_prompt_can_name_the_target_and_the_choices_as_they_stand(ask):
    sample = {"choices": ["{answer}", "other"], "target_letter": "A", "shuffle": 5}
    prompt = {"user": "{question}\n{choice_lines}\n({choices.1})", "shot": "{target}", "shots": 1}
    for request in ask(prompt, sample=sample):
        question, answer, _ = (message.content for message in request.messages)
        own = "a" + question[1]
        lines = question.split("\n")[1:3]
        assert lines == ([f"A. {own}", "B. other"] if answer == "A" else ["A. other", f"B. {own}"])
        assert question.endswith(f"({lines[1][3:]})")
    sample |= {"choice_line": "({letter}) {choice} of {question}"}
    lines = ask(prompt, sample=sample)[0].messages[-1].content.split("\n")[1:3]
    assert sorted(line[4:] for line in lines) == ["a0 of q0", "other of q0"]


def test_params_go_along_but_the_number_of_repeats_and_each_repeat_has_its_seed(ask):
    params = {"max_tokens": 64, "seed": 5, "num_return_sequences": 3}
    assert ask(params=params)[0].params == {"max_tokens": 64, "seed": 5}
    again = ask(params=params, repeat=2)[0]
    assert (again.params["seed"], again.id) == (7, "0.r2")


def test_a_rows_own_limit_stands_above_files_and_below_flags(ask):
    rows = [{"question": "q", "limit": 8}, {"question": "q", "limit": None}]
    how = {"sample": {"max_tokens": "{limit}"}, "params": {"max_tokens": 64}, "rows": rows}
    assert [request.params["max_tokens"] for request in ask(**how)] == [8, 64]
    assert [request.params["max_tokens"] for request in ask(**how, forced={"max_tokens": 32})] == [32, 32]


CHAT = Request("0", messages=(Message("system", "s"), Message("user", "u"), Message("assistant", "a")))
TEXT = Request("0", text="t")


def test_text_on_a_chat_endpoint_is_one_user_message():
    assert turns(convert_prompt(TEXT, "chat")) == [("user", "t")]
    assert convert_prompt(TEXT, "chat").text is None
    assert turns(convert_prompt(TEXT, "chat", "be brief")) == [("system", "be brief"), ("user", "t")]


def test_chat_on_a_text_endpoint_is_its_contents_joined():
    assert (convert_prompt(CHAT, "text").text, convert_prompt(CHAT, "text").messages) == ("s\nu\na", None)
    assert convert_prompt(CHAT, "text", "be brief").text == "be brief\n\ns\nu\na"
    assert convert_prompt(TEXT, "text", "be brief").text == "be brief\n\nt"


def test_what_fits_passes_as_it_is_and_a_models_system_text_comes_first():
    assert convert_prompt(CHAT, "chat") == CHAT
    assert convert_prompt(TEXT, "text") == TEXT
    assert turns(convert_prompt(CHAT, "chat", "be brief"))[0] == ("system", "be brief\n\ns")


def test_what_an_endpoint_cannot_be_sent_is_an_error():
    picture = Request("0", messages=(Message("user", (Part("text", "what?"), Part("image", "data:x"))),))
    with pytest.raises(
        ConfigError, match=r"the task has image parts, which a text \(completions\) endpoint cannot"
    ):
        convert_prompt(picture, "text")
    assert convert_prompt(picture, "chat") == picture
    tokens = Request("0", tokens=(1, 2))
    assert convert_prompt(tokens, "text") == tokens
    with pytest.raises(ConfigError, match=r"a task of token ids needs a text \(completions\) endpoint"):
        convert_prompt(tokens, "chat")

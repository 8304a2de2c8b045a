"""A judge without a prompt of its own: for tasks without an evaluator, and for user-provided data."""

import json
import re
import tomllib

import pytest
from own_rows import aisb, lines

from aisb_mock import MockOptions, start_mock

QUESTION = "Grade the answer that a model gave to a question."
WORDS = [
    {"question": "The capital of France?", "answer": "Paris"},
    {"question": "The capital of Italy?", "answer": "Rome"},
]


@pytest.fixture
def work(tmp_path):
    """A folder with what the model says: it is right once; the judge compares by the word Paris."""
    known = [
        {"question": "France?", "reply": "That would be Paris."},
        {"question": "Italy?", "reply": "It must be Milan."},
        {"question": "2 + 5?", "reply": "That makes 7."},
        {"question": "Write a poem.", "reply": "Roses are red."},
    ]
    verdicts = [
        {"question": "That would be Paris.", "reply": "Both name Paris.\nA"},
        {"question": "It must be Milan.", "reply": "Milan is not Rome.\nB"},
        {"question": "Roses are red.", "reply": "It rhymes.\n\nA: CORRECT"},
    ]
    (tmp_path / "known.jsonl").write_text(lines(known))
    (tmp_path / "verdicts.jsonl").write_text(lines(verdicts))
    return tmp_path


@pytest.fixture
def judge(work):
    with start_mock(MockOptions(answers=str(work / "verdicts.jsonl"))) as mock:
        yield mock.url


def judged(work, judge, *words, code=0):
    """Run the simulator with a judge; return the table, the task, the outcomes, and what the judge was asked."""
    known = f"model.answers={work / 'known.jsonl'}"
    named = ("--judge", "vllm-chat", "--judge-url", judge)
    out = aisb("run", "--models", "sim", "--set", known, *words, *named, cwd=work, code=code)
    if code:
        return out
    (folder,) = (work / "outputs/default").iterdir()
    (task,) = tomllib.loads(next(folder.glob("configs/*.toml")).read_text())["tasks"].values()
    scores = [json.loads(line) for path in folder.glob("results/*/*_scores.jsonl") for line in path.open()]
    log = (folder / "judge/vllm-chat/worker-0").read_bytes().decode(errors="replace")
    asked = [
        json.loads(f'"{text}"') for text in re.findall(r'"role":"user","content":"((?:[^"\\]|\\.)*)"', log)
    ]
    return out, task, {one["id"]: one["outcome"] for one in scores}, asked


def test_texts_of_a_data_file_are_judged_by_their_reference_answers(work, judge):
    (work / "own.jsonl").write_text(lines(WORDS))
    _, task, outcomes, asked = judged(work, judge, "--datasets", "own.jsonl")
    assert task["evaluate"] == [{"use": "judge"}]
    assert outcomes == {"0": "correct", "1": "wrong"}
    (question,) = [text for text in asked if "Italy" in text]
    assert QUESTION in question
    assert "Question:\nQuestion: The capital of Italy?\nAnswer:" in question
    assert "Reference answer, which is right:\nRome\n" in question
    assert "It must be Milan." in question
    assert question.endswith("one letter and nothing else:\nA: CORRECT\nB: INCORRECT")


def test_numbers_of_a_data_file_are_still_compared_as_numbers(work, judge):
    (work / "own.jsonl").write_text(lines([*WORDS, {"question": "2 + 5?", "answer": "7"}]))
    _, task, outcomes, asked = judged(work, judge, "--datasets", "own.jsonl")
    assert [use["use"] for use in task["evaluate"]] == ["numeric-match", "judge"]
    assert outcomes == {"0": "correct", "1": "wrong", "2": "correct"}
    assert len(asked) == 2


def test_a_data_file_without_answers_is_judged_without_them(work, judge):
    (work / "own.jsonl").write_text(lines([{"prompt": "Write a poem."}]))
    _, task, outcomes, (question,) = judged(work, judge, "--datasets", "own.jsonl")
    assert task["evaluate"] == [{"use": "judge"}]
    assert outcomes == {"0": "correct"}
    assert "There is no reference answer." in question
    assert "Question:\nWrite a poem.\n" in question


def test_a_conversation_is_shown_to_the_judge_with_its_roles(work, judge):
    turns = [("user", "Hi"), ("assistant", "Hello"), ("user", "The capital of Italy?"), ("assistant", "Rome")]
    row = {"messages": [{"role": role, "content": content} for role, content in turns]}
    (work / "own.jsonl").write_text(lines([row]))
    _, _, outcomes, (question,) = judged(work, judge, "--datasets", "own.jsonl")
    assert "Question:\nuser: Hi\n\nassistant: Hello\n\nuser: The capital of Italy?\n" in question
    assert outcomes == {"0": "wrong"}


def test_any_task_can_be_judged_without_a_prompt_and_scored_later(work, judge):
    (work / "own.jsonl").write_text(lines(WORDS))
    known = f"model.answers={work / 'known.jsonl'}"
    aisb("run", "--models", "sim", "--set", known, "--datasets", "own.jsonl", cwd=work)
    named = ("--judge", "vllm-chat", "--judge-url", judge)
    assert "50.00" in aisb("score", "latest", *named, cwd=work)
    shots = ("--datasets", "demo_gsm8k", "--num-prompts", "2", "--set", 'task.evaluate=[{use="judge"}]')
    aisb("run", "--models", "sim", *shots, *named, "-w", "few", cwd=work)
    (log,) = work.glob("few/*/judge/vllm-chat/worker-0")
    text = log.read_bytes().decode(errors="replace")
    assert text.count(QUESTION) == 2
    assert text.count("Let's think step by step") == 2  # the question alone, without its four examples


def test_a_conversation_of_several_requests_has_no_usual_question(work, judge):
    (work / "two.toml").write_text(
        'summary = "two turns"\n[dataset]\nuse = "jsonl"\npath = "./own.jsonl"\n'
        '[prompt]\nuser = "{question}"\nfollowups = ["And why?"]\n'
    )
    (work / "own.jsonl").write_text(lines(WORDS))
    error = " ".join(judged(work, judge, "--datasets", "./two.toml", code=2).split())
    assert "--judge has no effect: two is of several turns, for which there is no default question" in error
    assert 'omit --judge, or give the task the evaluator "judge" with a prompt' in error


def test_a_judge_in_the_file_grades_no_task_that_does_not_ask_for_it(work, judge):
    (work / "own.jsonl").write_text(lines([{"question": "The capital of France?"}]))
    (work / "aisb.toml").write_text(f'[judge]\nbase = "vllm-chat"\nurl = "{judge}"\n')
    aisb("run", "--models", "sim", "--datasets", "own.jsonl", cwd=work)
    (folder,) = (work / "outputs/default").iterdir()
    assert not (folder / "judge").exists()

"""`aisb import` of records of Every Eval Ever, as converters of other tools write them."""

import json
from pathlib import Path

from command_line import aisb_without_settings as aisb

from aisb_engine import open_finished_run

PENS = [  # question, answer with its solution, what a model said, whether that is right
    ("Ann has 3 pens and buys 4. How many?", "3 + 4 = 7\n#### 7", "She has 7 pens. The answer is 7.", True),
    ("A box holds 12. How many hold 3 boxes?", "12 * 3 = 36\n#### 36", "The answer is 36.", True),
    ("Tom reads 5 pages a day. How many in 9 days?", "5 * 9 = 45\n#### 45", "The answer is 44.", False),
    ("A rope of 20 m is cut in 4. How long is a part?", "20 / 4 = 5\n#### 5", "I cannot say.", False),
]

NAME = "1c97bd51-c950-401f-8914-5e2b197e6ac2"


def record(**more):
    result = {
        "evaluation_name": "gsm8k/flexible-extract",
        "evaluation_result_id": "exact_match/flexible-extract",
        "metric_config": {"metric_name": "exact_match", "max_score": 1, "lower_is_better": False},
        "score_details": {"score": 0.5},
    }
    return {
        "schema_version": "0.3.0",
        "evaluation_id": "gsm8k/acme/pen-8b/1795986802",
        "eval_library": {"name": "lm_eval", "version": "0.4.13"},
        "model_info": {"name": "pen-8b", "id": "acme/pen-8b"},
        "evaluation_results": [result],
        **more,
    }


def line(place, question, answer, said, right, name="flexible-extract", **more):
    return {
        "schema_version": "0.3.0",
        "evaluation_id": "gsm8k/acme/pen-8b/1795986802",
        "model_id": "acme/pen-8b",
        "evaluation_name": f"gsm8k/{name}",
        "evaluation_result_id": f"exact_match/{name}",
        "sample_id": str(place),
        "interaction_type": "single_turn",
        "input": {"raw": f"Question: {question}\nAnswer:", "reference": [answer]},
        "output": {"raw": [said]},
        "answer_attribution": [],
        "evaluation": {"score": float(right), "is_correct": right},
        **more,
    }


def write(home, lines, data=None):
    folder = home / "data/gsm8k/acme/pen-8b"
    folder.mkdir(parents=True)
    (folder / f"{NAME}.json").write_text(json.dumps(record() if data is None else data))
    (folder / f"{NAME}_samples.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    return folder / f"{NAME}.json"


def imported(home, path, code=0):
    said = aisb("import", path, "-w", home / "out", cwd=home, code=code)
    (folder,) = (home / "out").glob("2*")
    return open_finished_run(Path(folder)), said.stderr + said.stdout


def test_answers_are_graded_by_our_task_of_the_same_name(tmp_path):
    # A line for each filter of lm-eval repeats the same answer.
    lines = [
        line(n, *pen, name=name)
        for name in ("strict-match", "flexible-extract")
        for n, pen in enumerate(PENS)
    ]
    run, said = imported(tmp_path, write(tmp_path, lines))
    (result,) = run.results
    assert (result.model, result.task, result.headline.value, result.predictions) == (
        "pen-8b",
        "gsm8k",
        50,
        4,
    )
    assert "4 rows of Every Eval Ever" in said
    assert "it scored exact_match,flexible-extract 50.00" in said


def test_a_folder_is_searched_for_records(tmp_path):
    write(tmp_path, [line(n, *pen) for n, pen in enumerate(PENS)])
    run, _ = imported(tmp_path, tmp_path / "data")
    assert run.results[0].predictions == 4


def test_several_answers_to_a_sample_are_repeats(tmp_path):
    lines = [
        {**line(n, *pen), "output": {"raw": [pen[2], "The answer is 36."], "reasoning_trace": ["hm", "so"]}}
        for n, pen in enumerate(PENS)
    ]
    run, _ = imported(tmp_path, write(tmp_path, lines))
    assert run.results[0].predictions == 8
    requests = run.requests()
    assert [(row["repeat"], row["reasoning"]) for row in requests[:2]] == [(0, "hm"), (1, "so")]


def test_lines_of_one_result_for_one_sample_are_repeats(tmp_path):
    lines = [line(n, *pen) for _ in range(3) for n, pen in enumerate(PENS)]
    run, _ = imported(tmp_path, write(tmp_path, lines))
    assert run.results[0].predictions == 12


def test_a_conversation_is_read_as_its_last_reply(tmp_path):
    messages = [
        {"turn_idx": 0, "role": "user", "content": "How many pens?"},
        {"turn_idx": 1, "role": "assistant", "content": "Let me see."},
        {"turn_idx": 2, "role": "user", "content": "Go on."},
        {"turn_idx": 3, "role": "assistant", "content": "The answer is 7.", "reasoning_trace": "3 + 4"},
    ]
    usage = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
    one = line(0, *PENS[0], messages=messages, token_usage=usage)
    one |= {"interaction_type": "multi_turn", "output": None}
    run, _ = imported(tmp_path, write(tmp_path, [one]))
    (request,) = run.requests()
    assert (request["prediction"], request["reasoning"]) == ("The answer is 7.", "3 + 4")
    assert request["usage"]["output_tokens"] == 5
    assert run.results[0].headline.value == 100


def test_a_failed_request_stays_one(tmp_path):
    lines = [line(0, *PENS[0]), line(1, *PENS[1][:2], "", False, error="timed out")]
    run, _ = imported(tmp_path, write(tmp_path, lines), code=1)
    assert run.results[0].outcomes["error"] == 1
    assert run.requests()[1]["failure"]["message"] == "timed out"


def test_a_record_without_answers_says_that_scores_alone_cannot_be_imported(tmp_path):
    path = write(tmp_path, [])
    path.with_name(f"{NAME}_samples.jsonl").unlink()
    said = aisb("import", path, "-w", tmp_path / "out", cwd=tmp_path, code=2).stderr
    assert f"has no answers: there is no {NAME}_samples.jsonl next to it" in said
    assert "a record without answers has only scores, which cannot be computed again" in said


def test_a_damaged_line_is_named(tmp_path):
    lines = [line(0, *PENS[0]), {**line(1, *PENS[1]), "input": {}}]
    said = aisb("import", write(tmp_path, lines), "-w", tmp_path / "out", cwd=tmp_path, code=2).stderr
    assert "line 2: not an answer of Every Eval Ever: it lacks 'raw'" in said
    assert "every_eval_ever validate of the package every-eval-ever says what it needs" in said


def test_a_broken_record_beside_good_ones_is_an_error(tmp_path):
    path = write(tmp_path, [line(0, *PENS[0])])
    path.with_name("a.json").write_text("{")
    path.with_name("a_samples.jsonl").write_text("")
    said = aisb("import", path.parent, "-w", tmp_path / "out", cwd=tmp_path, code=2).stderr
    assert "a.json is not JSON" in said


def test_samples_of_groups_that_are_not_known_here_keep_ids_of_their_own(tmp_path):
    lines = [
        {**line(f"{group}/0", *PENS[0]), "evaluation_id": "regions/pen/1", "evaluation_name": "regions"}
        for group in ("north", "south")
    ]
    run, said = imported(tmp_path, write(tmp_path, lines))
    assert "no task of this name says how regions is graded" in said
    assert [row["id"] for row in run.samples()] == ["0", "1"]

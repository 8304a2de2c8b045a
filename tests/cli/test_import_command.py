"""`aisb import`: files of lm-eval, OpenCompass, AISBench and Inspect become runs, scored and compared with ours."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from command_line import aisb_without_settings as aisb

PENS = [  # question, answer with its solution, what a model said, whether that is right
    ("Ann has 3 pens and buys 4. How many has she?", "3 + 4 = <<3+4=7>>7\n#### 7", "She has 7 pens. The answer is 7.", True),
    ("A box holds 12 eggs. How many hold 3 boxes?", "12 * 3 = 36\n#### 36", "3 boxes: 36. The answer is 36.", True),
    ("Tom reads 5 pages a day. How many in 9 days?", "5 * 9 = 45\n#### 45", "The answer is 44.", False),
    ("A rope of 20 m is cut in 4. How long is a part?", "20 / 4 = 5\n#### 5", "I cannot say.", False),
]  # fmt: skip
ROOMS = [  # question, options, the right one's place, log-likelihood of each option
    ("Which is a fruit?", ["stone", "apple", "chair", "cloud"], 1, [-9.5, -1.25, -7.0, -8.0]),
    ("Which can fly?", ["a house", "a fish", "a bird", "a tree"], 2, [-3.0, -2.5, -4.0, -9.0]),
]


def write(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
    return path


def lm_eval_gsm8k(home):
    """As `lm_eval --log_samples` writes them: a line for each document and filter."""
    return write(
        home / "results/acme__pen-8b/samples_gsm8k_2026-11-20T10-00-00.123456.jsonl",
        *(
            {
                "doc_id": number,
                "doc": {"question": question, "answer": answer},
                "target": answer,
                "arguments": {"gen_args_0": {"arg_0": f"Question: {question}\nAnswer:", "arg_1": {"until": ["Question:"]}}},
                "resps": [[said]],
                "filtered_resps": ["7" if right else "[invalid]"],
                "filter": name,
                "metrics": ["exact_match"],
                "doc_hash": "0" * 64,
                "prompt_hash": "1" * 64,
                "target_hash": "2" * 64,
                "exact_match": float(right and name == "flexible-extract"),
            }
            for name in ("strict-match", "flexible-extract")
            for number, (question, answer, said, right) in enumerate(PENS)
        ),
    )  # fmt: skip


def lm_eval_choices(home):
    return write(
        home / "results/acme__pen-8b/samples_rooms_2026-11-20T10-00-00.123456.jsonl",
        *(
            {
                "doc_id": number,
                "doc": {"question": question, "choices": options, "label": right},
                "target": str(right),
                "arguments": {f"gen_args_{n}": {"arg_0": f"Q: {question}\nA:", "arg_1": f" {text}"} for n, text in enumerate(options)},
                "resps": [[[str(value), str(value == max(values))]] for value in values],
                "filtered_resps": [[str(value), "False"] for value in values],
                "filter": "none",
                "metrics": ["acc"],
                "acc": float(values.index(max(values)) == right),
            }
            for number, (question, options, right, values) in enumerate(ROOMS)
        ),
    )  # fmt: skip


def opencompass(home, *, form="json", name="gsm8k"):
    entries = [
        {
            "origin_prompt": [{"role": "HUMAN", "prompt": question}],
            "prediction": said,
            "gold": answer,
        }
        for question, answer, said, _ in PENS
    ]
    folder = home / "oc/20251120_101500/predictions/pen-8b"
    folder.mkdir(parents=True)
    if form == "json":
        (folder / f"{name}.json").write_text(json.dumps({str(n): e for n, e in enumerate(entries)}))
    elif form == "parts":
        (folder / f"{name}_0.json").write_text(json.dumps({str(n): e for n, e in enumerate(entries[:2])}))
        (folder / f"{name}_1.json").write_text(json.dumps({str(n): e for n, e in enumerate(entries[2:])}))
    else:
        lines = [
            {"data_abbr": name, "id": n, "success": True, "uuid": f"u{n}", **e}
            for n, e in enumerate(entries[:3])
        ]
        write(folder / f"{name}.jsonl", *lines[::-1])
        failed = {"data_abbr": name, "id": 3, "input": "…", "error_info": "timed out"}
        write(folder / f"{name}_failed.jsonl", failed)
    return home / "oc"


def inspect_log(home, *, epochs=1):
    samples = [
        {
            "id": number + 1,
            "epoch": epoch + 1,
            "input": question,
            "target": answer.rpartition("#### ")[2],
            "metadata": {"reasoning": answer.partition("\n")[0]},
            "messages": [],
            "output": {
                "model": "acme/pen-8b",
                "choices": [{"message": {"role": "assistant", "content": [{"type": "reasoning", "reasoning": "Hm."}, {"type": "text", "text": said if epoch == 0 else "The answer is 1."}]}, "stop_reason": "stop"}],
                "usage": {"input_tokens": 30, "output_tokens": 9, "total_tokens": 39},
            },
            "scores": {"match": {"value": "C" if right else "I", "answer": "7"}},
        }
        for epoch in range(epochs)
        for number, (question, answer, said, right) in enumerate(PENS)
    ]  # fmt: skip
    samples[3] = samples[3] | {
        "error": {"message": "the sandbox broke", "traceback": "", "traceback_ansi": ""}
    }
    path = home / "logs/2026-11-20T10-00-00+00-00_gsm8k_x.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(
        json.dumps(
            {
                "version": 2,
                "status": "success",
                "eval": {"task": "inspect_evals/gsm8k", "model": "acme/pen-8b", "created": "2026-11-20T10:00:00+00:00"},
                "results": {"scores": [{"name": "match", "metrics": {"accuracy": {"name": "accuracy", "value": 0.5}, "stderr": {"name": "stderr", "value": 0.2}}}]},
                "samples": samples,
            }
        )
    )  # fmt: skip
    return path


def results(home, task="gsm8k"):
    (path,) = home.glob(f"outputs/default/*/results/*/{task}.json")
    return json.loads(path.read_text())


MAKERS = {
    "lm-eval": lm_eval_gsm8k,
    "opencompass": opencompass,
    "opencompass in parts": lambda home: opencompass(home, form="parts"),
    "inspect": inspect_log,
}


@pytest.mark.parametrize("tool", MAKERS)
def test_answers_of_another_tool_are_scored_by_our_rules(tmp_path, tool):
    done = aisb("import", MAKERS[tool](tmp_path), cwd=tmp_path, code=1 if tool == "inspect" else 0)
    scored = results(tmp_path)
    assert scored["model"] == "pen-8b"
    assert scored["predictions"] == 4
    assert scored["outcomes"]["correct"] == 2
    assert scored["accuracy"] == 50.0
    assert "gsm8k" in done.stdout
    assert "50.00" in done.stdout


def test_what_the_tool_scored_is_told_and_kept(tmp_path):
    done = aisb("import", lm_eval_gsm8k(tmp_path), cwd=tmp_path)
    assert "; it scored exact_match,strict-match 0.00, exact_match,flexible-extract 50.00" in done.stderr
    (manifest,) = tmp_path.glob("outputs/default/*/configs/manifest.json")
    told = json.loads(manifest.read_text())
    assert told["imported_scores"] == {
        "pen-8b/gsm8k": {"exact_match,strict-match": 0.0, "exact_match,flexible-extract": 50.0}
    }
    assert told["imported"].startswith("lm-eval, ")


def test_aisbench_lines_are_put_in_order_and_what_failed_is_an_error(tmp_path):
    aisb("import", opencompass(tmp_path, form="lines"), cwd=tmp_path, code=1)
    scored = results(tmp_path)
    assert {key: count for key, count in scored["outcomes"].items() if count} == {
        "correct": 2,
        "wrong": 1,
        "error": 1,
    }
    (lines,) = tmp_path.glob("outputs/default/*/predictions/pen-8b/gsm8k.jsonl")
    entries = [json.loads(line) for line in lines.read_text().splitlines()]
    assert [entry["id"] for entry in entries] == ["0", "1", "2", "3"]
    assert entries[0]["origin_prompt"] == [{"role": "user", "content": PENS[0][0]}]
    assert entries[3]["failure"]["message"] == "timed out"


def test_an_inspect_log_keeps_reasoning_usage_and_errors_apart_from_answers(tmp_path):
    aisb("import", inspect_log(tmp_path), cwd=tmp_path, code=1)
    (lines,) = tmp_path.glob("outputs/default/*/predictions/pen-8b/gsm8k.jsonl")
    first, *_, last = [json.loads(line) for line in lines.read_text().splitlines()]
    assert (first["prediction"], first["reasoning"]) == (PENS[0][2], "Hm.")
    assert (first["finish_reason"], first["usage"]["output_tokens"]) == ("stop", 9)
    assert last["failure"]["message"] == "the sandbox broke"


def test_epochs_are_repeats(tmp_path):
    aisb("import", inspect_log(tmp_path, epochs=2), cwd=tmp_path, code=1)
    scored = results(tmp_path)
    assert scored["predictions"] == 8
    assert {"pass@2", "avg@2"} & {metric["name"] for metric in scored["metrics"]}


def test_likelihoods_of_options_are_compared_again(tmp_path):
    path = lm_eval_choices(tmp_path)
    aisb("import", path, "--as", "rooms=arc_e", cwd=tmp_path)
    scored = results(tmp_path, "arc_e")
    assert (scored["mode"], scored["accuracy"], scored["predictions"]) == ("logprob", 50.0, 2)


def test_subjects_that_a_tool_has_as_tasks_are_groups_of_ours(tmp_path):
    folder = tmp_path / "oc/predictions/pen-8b"
    folder.mkdir(parents=True)
    for subject, said in (("anatomy", "B"), ("virology", "C")):
        entry = {"origin_prompt": "Which?", "prediction": f"The answer is {said}", "gold": "B"}
        (folder / f"lukaemon_mmlu_{subject}.json").write_text(json.dumps({"0": entry}))
    aisb("import", tmp_path / "oc", cwd=tmp_path)
    scored = results(tmp_path, "mmlu")
    groups = {m["group"]: m["value"] for m in scored["metrics"] if m["group"]}
    assert groups == {"anatomy": 100.0, "virology": 0.0}


def test_an_imported_run_is_scored_again_audited_and_compared_with_one_of_ours(tmp_path):
    ours = [{"question": question, "answer": answer} for question, answer, *_ in PENS]
    data = write(tmp_path / "datasets/gsm8k/test.jsonl", *ours)
    words = [
        "--models",
        "sim",
        "--datasets",
        "gsm8k:zero-shot",
        "--set",
        f"model.answers={data}",
        "--set",
        "model.accuracy=1",
    ]
    aisb("run", *words, cwd=tmp_path)
    (run,) = (tmp_path / "outputs/default").iterdir()
    aisb("import", lm_eval_gsm8k(tmp_path), "-w", "outputs/default", cwd=tmp_path)
    imported = max(path.name for path in (tmp_path / "outputs/default").iterdir() if path != run)
    again = aisb("score", imported, "--set", 'task.postprocess=[{use="last-number"}]', cwd=tmp_path)
    assert "50.00" in again.stdout
    audited = json.loads(aisb("audit", imported, "--json", cwd=tmp_path).stdout)
    assert audited[0]["outputs"] == 4
    told = json.loads(aisb("compare", imported, run.name, "--json", cwd=tmp_path).stdout)
    (one,) = told["comparisons"]
    assert (one["samples"], one["a"], one["b"]) == (4, 50.0, 100.0)
    assert sorted(flip["id"] for flip in one["improved"]) == ["2", "3"]
    assert any(
        line.startswith("version: ") for line in one["setup_differences"]
    )  # the prompts were not the same
    shown = aisb("runs", "show", imported, cwd=tmp_path).stdout
    assert "imported: lm-eval, " in shown


def test_an_imported_run_cannot_be_asked_again(tmp_path):
    aisb("import", lm_eval_gsm8k(tmp_path), cwd=tmp_path)
    refused = aisb("run", "--reuse", cwd=tmp_path, code=2)
    assert "nothing can be sent" in refused.stderr
    assert "aisb score RUN scores them again" in refused.stderr


def test_a_task_that_we_do_not_know_is_kept_and_the_way_to_grade_it_is_said(tmp_path):
    path = opencompass(tmp_path, name="pens")
    done = aisb("import", path, cwd=tmp_path)
    assert "no task of this name says how pens is graded: import it again with --as TASK" in done.stderr
    assert not list(tmp_path.glob("outputs/default/*/results"))
    done = aisb("import", path, "--as", "pens=gsm8k", "--model", "other", cwd=tmp_path)
    assert "gsm8k · other: 4 rows of OpenCompass" in done.stderr
    assert "50.00" in done.stdout


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("x.json", "{}", "holds nothing that can be imported"),
        ("x.json", "[1", "is not JSON"),
        ("x.jsonl", '{"doc_id": 0, "doc": {}, "resps": []}\n', "line 1: not a sample of lm-eval"),
        ("x.jsonl", '{"a": 1}\n{', "line 2: not JSON"),
        ("x.eval", "PK", "inspect log convert"),
        ("x.json", '{"status": "success", "eval": {}, "samples": null}', "has no samples, so there is nothing to score"),
        ("predictions/m/d.json", '{"0": 1}', "entry 0 has no prediction"),
        ("predictions/m/d.json", "nonsense", "is not a predictions file"),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_imported_is_named_with_what_can(tmp_path, name, content, words):
    path = tmp_path / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    given = tmp_path if name.startswith("predictions") else path
    done = aisb("import", given, cwd=tmp_path, code=2)
    assert words in done.stderr
    assert str(path) in done.stderr
    assert not (tmp_path / "outputs").exists()


def test_the_help_and_the_error_for_an_unknown_file_name_every_installed_importer(tmp_path):
    from aisb_engine import Plugins

    names = Plugins.load().names("importer")
    assert {"harbor", "lm-eval"} <= set(names)  # one of another distribution, and one of the command's own
    (tmp_path / "x.csv").write_text("a,b\n")
    told = aisb("import", "--help", cwd=tmp_path).stdout.partition("PATH is one of these:")[2]
    error = aisb("import", "x.csv", cwd=tmp_path, code=2).stderr.partition("what can be read:")[2]
    for text in (told, error):
        listed = {line.split()[0].rstrip(":") for line in text.splitlines() if line.strip()}
        assert set(names) <= listed


def test_a_path_that_is_not_there_and_an_unknown_task_are_errors(tmp_path):
    assert (
        "nowhere: there is no such file or folder" in aisb("import", "nowhere", cwd=tmp_path, code=2).stderr
    )
    path = lm_eval_gsm8k(tmp_path)
    done = aisb("import", path, "--as", "gsm8", cwd=tmp_path, code=2)
    assert "no task named 'gsm8'; did you mean 'gsm8k'?" in done.stderr
    done = aisb("import", path, "--as", "gsm8k=", cwd=tmp_path, code=2)
    assert "--as gsm8k= names no task: write --as gsm8k=TASK, or --as TASK for all" in done.stderr
    assert not Path(tmp_path / "outputs").exists()


def test_tasks_of_the_users_file_grade_answers_as_in_a_run(tmp_path):
    path = opencompass(tmp_path, name="pens")
    table = '[tasks.pens]\nbase = "gsm8k"\nsummary = "Ours"\n'
    (tmp_path / "aisb.toml").write_text(table)
    done = aisb("import", path, cwd=tmp_path)
    assert "pens · pen-8b: 4 rows of OpenCompass" in done.stderr
    assert "no task of this name" not in done.stderr
    assert results(tmp_path, "pens")["accuracy"] == 50.0
    (tmp_path / "aisb.toml").rename(tmp_path / "other.toml")
    done = aisb("import", path, "--as", "pens", cwd=tmp_path, code=2)
    assert "no task named 'pens'" in done.stderr
    done = aisb("import", path, "--as", "pens", "-c", "other.toml", "-w", "again", cwd=tmp_path)
    assert "50.00" in done.stdout


def test_answers_for_a_task_with_an_environment_are_kept_ungraded_and_the_reason_is_given(tmp_path):
    path = opencompass(tmp_path, name="bfcl_multi_turn")
    done = aisb("import", path, cwd=tmp_path)
    why = (
        "the task bfcl_multi_turn grades the state of an environment (bfcl-services) at the end, which imported "
        "answers do not have"
    )
    assert f"they are kept, but not graded: {why}" in done.stderr
    assert "imported into" in done.stderr
    (lines,) = tmp_path.glob("outputs/default/*/predictions/pen-8b/bfcl_multi_turn.jsonl")
    assert len(lines.read_text().splitlines()) == 4
    done = aisb("import", path, "--as", "bfcl_multi_turn", "-w", "named", cwd=tmp_path, code=2)
    assert why in done.stderr
    assert "import them without --as bfcl_multi_turn" in done.stderr
    assert not (tmp_path / "named").exists()

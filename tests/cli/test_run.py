"""`aisb run` through its ends: real services on loopback, real folders, what is printed and what is kept."""

from __future__ import annotations

import json
import re
import socket
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from command_line import end_of_command as aisb

from aisb_cli.main import cli
from aisb_mock import MockOptions, MockProcess, start_mock


@pytest.fixture(scope="module")
def mock() -> Iterator[MockProcess]:
    with start_mock(MockOptions(accuracy=0.75, models=("tiny",))) as server:
        yield server


def only(work: Path, pattern: str) -> Path:
    (path,) = work.glob(f"outputs/default/*/{pattern}")
    return path


def load(path: Path) -> Any:
    return json.loads(path.read_text())


def test_the_main_job_leaves_the_whole_run_folder_behind(tmp_path: Path) -> None:
    ended = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--dump-eval-details", cwd=tmp_path)
    assert ended.code == 0, ended.err
    (folder,) = (tmp_path / "outputs/default").iterdir()
    stamp = folder.name
    files = {
        re.sub(r"passes/\d{8}_\d{6}", "passes/T", str(p.relative_to(folder)).replace(stamp, "T"))
        for p in folder.rglob("*")
        if p.is_file()
    }
    assert files == {
        ".lock",
        "configs/T.toml",
        "configs/manifest.json",
        "log/sim/demo_gsm8k/identity.json",
        "log/sim/demo_gsm8k/load.json",
        "log/sim/demo_gsm8k/samples.jsonl.gz",
        "log/sim/demo_gsm8k/client_health-0.jsonl",
        "log/sim/demo_gsm8k/worker-0",
        "logs/infer/sim/demo_gsm8k.out",
        "logs/eval/sim/demo_gsm8k.out",
        "predictions/sim/demo_gsm8k.jsonl",
        "predictions/sim/demo_gsm8k.json",
        "results/sim/demo_gsm8k.json",
        "results/sim/demo_gsm8k_scores.jsonl",
        "results/passes/T/sim/demo_gsm8k.json",
        "summary/summary_T.txt",
        "summary/summary_T.csv",
        "summary/summary_T.md",
    }
    header, _, row = ended.out.splitlines()[:3]
    assert header.split() == ["dataset", "version", "metric", "mode", "sim"]
    name, version, metric, mode, value = row.split()
    results = load(folder / "results/sim/demo_gsm8k.json")
    assert (name, metric, mode, value) == ("demo_gsm8k", "accuracy", "gen", f"{results['accuracy']:.2f}")
    assert re.fullmatch(r"[0-9a-f]{6}", version)
    assert sum(results["outcomes"].values()) == results["predictions"] == 64
    assert results["outcomes"]["correct"] / 64 * 100 == pytest.approx(results["accuracy"], abs=1e-3)
    assert set(results["details"]) == {str(n) for n in range(64)}
    assert {"prompt", "origin_prediction", "predictions", "references", "correct"} <= set(
        results["details"]["0"]
    )
    first = json.loads((folder / "predictions/sim/demo_gsm8k.jsonl").read_text().splitlines()[0])
    assert {"id", "origin_prompt", "prediction", "gold"} <= set(first)
    assert first["sent_ms"] >= 0
    assert first["e2el_ms"] >= first["ttft_ms"] >= 0
    by_id = load(folder / "predictions/sim/demo_gsm8k.json")
    assert by_id["0"] == {key: first[key] for key in ("origin_prompt", "prediction", "gold")}
    assert ended.err.rstrip().endswith(f"0 failed; everything is in outputs/default/{stamp}")


def test_every_pair_of_model_and_task_is_a_subtask_and_a_column(tmp_path: Path, mock: MockProcess) -> None:
    ended = aisb(
        "run", "--models", "vllm_api_general_chat", "vllm_api_stream_chat", "--datasets", "demo_gsm8k_gen_4_shot_cot_chat_prompt,demo_gsm8k_gen_0_shot_cot_str_perf",
        "--url", mock.url, "--num-prompts", "5", "--max-num-workers", "2", cwd=tmp_path,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    assert "up to 2 subtasks and" in ended.err
    files = sorted(
        str(p.relative_to(tmp_path / "outputs/default")).split("/", 1)[1]
        for p in tmp_path.glob("outputs/default/*/results/vllm*/*.json")
    )
    assert len(files) == 4
    header = only(tmp_path, "summary/*.csv").read_text().splitlines()[0]
    assert header.startswith("dataset,version,metric,mode,vllm-api-general-chat,vllm-api-stream-chat")


def test_streamed_and_whole_replies_score_the_same(tmp_path: Path, mock: MockProcess) -> None:
    models = ["vllm_api_general", "vllm_api_general_stream"]
    ended = aisb("run", "--models", *models, "--datasets", "demo_gsm8k", "--url", mock.url, cwd=tmp_path)
    assert ended.code == 0, ended.err
    assert "a chat task, a text endpoint: sent as the turns' contents joined by newlines" in ended.err
    whole, streamed = (load(only(tmp_path, f"results/{m.replace('_', '-')}/demo_gsm8k.json")) for m in models)
    assert whole["outcomes"] == streamed["outcomes"]
    lines = only(tmp_path, "predictions/vllm-api-general/demo_gsm8k.jsonl").read_text().splitlines()
    assert json.loads(lines[0])["ttft_ms"] is None  # what is not streamed has no first token
    assert json.loads(lines[0])["e2el_ms"] > 0


def test_repeats_give_pass_at_k_and_their_average(tmp_path: Path) -> None:
    ended = aisb(
        "run", "--models", "sim", "--datasets", "demo_gsm8k", "--set", "params.num_return_sequences=4",
        "--set", "task.repeats.k=[1,4]", "--set", "params.temperature=0.7", cwd=tmp_path,
    )  # fmt: skip
    assert ended.code == 0, ended.err
    results = load(only(tmp_path, "results/sim/demo_gsm8k.json"))
    assert results["predictions"] == 256
    assert results["pass@4"] >= results["pass@1"] == results["accuracy (4 runs average)"] == results["avg@4"]
    assert results["cons@4"] <= results["pass@4"]
    assert len(load(only(tmp_path, "predictions/sim/demo_gsm8k.json"))["7"]) == 4


def test_scoring_again_sends_nothing_and_keeps_each_pass(tmp_path: Path) -> None:
    with start_mock(MockOptions(accuracy=1.0)) as server:
        first = aisb(
            "run",
            "--models",
            "vllm_api_stream_chat",
            "--datasets",
            "demo_gsm8k",
            "--url",
            server.url,
            cwd=tmp_path,
        )
        assert first.code == 0, first.err
    # The service is gone now: scoring again needs neither it nor the data.
    again = aisb("score", "--set", 'task.postprocess=[{use="after", marker="nowhere"}]', cwd=tmp_path)
    assert again.code == 0, again.err
    assert "0.00" in again.out
    assert load(only(tmp_path, "results/vllm-api-stream-chat/demo_gsm8k.json"))["accuracy"] == 0
    back = aisb(
        "run",
        "--mode",
        "eval",
        "--reuse",
        "--set",
        'task.postprocess=[{use="number"}]',
        "--merge-ds",
        cwd=tmp_path,
    )
    assert back.code == 0, back.err
    assert load(only(tmp_path, "results/vllm-api-stream-chat/demo_gsm8k.json"))["accuracy"] == 100
    assert len(list(tmp_path.glob("outputs/default/*/results/passes/*"))) >= 2


def test_viz_only_shows(tmp_path: Path) -> None:
    first = aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "3", cwd=tmp_path)
    results = only(tmp_path, "results/sim/demo_gsm8k.json")
    before = results.stat().st_mtime_ns
    shown = aisb("run", "-m", "viz", "-r", cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert shown.out == first.out
    assert results.stat().st_mtime_ns == before


def test_a_larger_num_prompts_extends_a_run(tmp_path: Path) -> None:
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "10", cwd=tmp_path)
    more = aisb("run", "--reuse", "--num-prompts", "20", cwd=tmp_path)
    assert more.code == 0, more.err
    assert "Found 10 finished of 20, 0 failed: resuming" in more.err
    assert load(only(tmp_path, "results/sim/demo_gsm8k.json"))["predictions"] == 20


def test_reuse_refuses_other_requests_and_names_the_key_with_both_values(tmp_path: Path) -> None:
    aisb("run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "4", cwd=tmp_path)
    ended = aisb("run", "--reuse", "--max-out-len", "9", "--set", "task.prompt.shots=0", cwd=tmp_path)
    assert ended.code == 2
    assert "params.max_tokens: was 512, is 9" in ended.err
    assert "task.prompt.shots: was 4, is 0" in ended.err
    assert "start a new run without --reuse, or give the same values" in ended.err


def test_reuse_of_a_part_asks_that_part_and_a_new_task_joins_the_run(
    tmp_path: Path, mock: MockProcess
) -> None:
    both = ["--models", "vllm_api_general_chat", "vllm_api_stream_chat"]
    aisb(
        "run",
        *both,
        "--datasets",
        "demo_gsm8k",
        "--url",
        mock.url,
        "--num-prompts",
        "4",
        "-m",
        "infer",
        cwd=tmp_path,
    )
    part = aisb("run", "-r", "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", cwd=tmp_path)
    assert part.code == 0, part.err
    assert "Found 4 finished of 4" in part.err
    assert not list(tmp_path.glob("outputs/default/*/results/vllm-api-general-chat"))
    joined = aisb(
        "run",
        "-r",
        *both,
        "--datasets",
        "demo_gsm8k",
        "demo_gsm8k:zero-shot",
        "--url",
        mock.url,
        "--num-prompts",
        "4",
        cwd=tmp_path,
    )
    assert joined.code == 0, joined.err
    assert len(list(tmp_path.glob("outputs/default/*/results/vllm-api-*/*.json"))) == 4


def test_a_runs_configuration_runs_it_again(tmp_path: Path) -> None:
    first = aisb(
        "run",
        "--models",
        "sim",
        "--datasets",
        "demo_gsm8k:zero-shot",
        "--num-prompts",
        "6",
        "--set",
        "model.accuracy=0.5",
        cwd=tmp_path,
    )
    assert first.code == 0, first.err
    config = only(tmp_path, "configs/*.toml").rename(tmp_path / "again.toml")
    (tmp_path / "second").mkdir()
    second = aisb("run", "-c", str(config), cwd=tmp_path / "second")
    assert second.code == 0, second.err
    assert second.out == first.out


def test_dry_run_prints_the_plan_and_sends_nothing(tmp_path: Path) -> None:
    ended = aisb(
        "run", "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--dry-run", cwd=tmp_path
    )
    assert ended.code == 0, ended.err
    assert re.search(r"vllm-api-stream-chat +demo_gsm8k +64 +4-shot chat", ended.out)
    table = tomllib.loads(ended.out.split("\n\n", 1)[1])
    assert table["tasks"]["demo_gsm8k"]["prompt"]["shots"] == 4
    assert not (tmp_path / "outputs").exists()


def test_the_plan_and_where_names_come_from_are_printed_as_json_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def printed(*words: str) -> Any:
        done = CliRunner().invoke(cli, ["run", *words, "--json"])
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)

    monkeypatch.chdir(tmp_path)
    words = ("--models", "sim", "vllm_api_general", "--datasets", "gsm8k_gen")
    (backend, model, task) = printed("--search", *words)
    assert backend == {"kind": "models", "name": "sim", "source": "plugin:sim"}
    assert (model["kind"], model["name"], Path(model["source"]).name) == (
        "models", "vllm_api_general", "vllm_api_general.toml",
    )  # fmt: skip
    assert (task["kind"], task["name"], Path(task["source"]).name) == (
        "datasets", "gsm8k_gen", "gsm8k.toml",
    )  # fmt: skip
    plan = printed("--dry-run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "5")
    assert plan["subtasks"] == [
        {"model": "sim", "task": "demo_gsm8k", "requests": 5, "prompt": "4-shot chat", "in_flight": None}
    ]
    assert plan["configuration"]["tasks"]["demo_gsm8k"]["prompt"]["shots"] == 4
    assert not (tmp_path / "outputs").exists()


def test_json_of_a_run_itself_is_asked_for_otherwise() -> None:
    done = CliRunner().invoke(cli, ["run", "--models", "sim", "--datasets", "demo_gsm8k", "--json"])
    assert done.exit_code == 2
    assert done.stderr.endswith(
        "--json needs --search or --dry-run; for the results of a run as JSON use --reporters text,json\n"
    )


def test_search_prints_where_names_come_from(tmp_path: Path) -> None:
    ended = aisb("run", "--models", "sim", "vllm_api_general", "--search", cwd=tmp_path)
    assert ended.code == 0, ended.err
    lines = ended.out.splitlines()
    assert [cell.strip() for cell in lines[1].split("|")[1:4]] == [
        "Task Type",
        "Task Name",
        "Config File Path",
    ]
    assert re.search(r"\| --models +\| sim +\| plugin:sim", ended.out)
    assert re.search(r"\| vllm_api_general +\| /.*vllm_api_general\.toml", ended.out)
    assert lines[-1].startswith("Override any key with --set PATH=VALUE")
    alias = aisb("run", "--datasets", "gsm8k_gen_4_shot_cot_str", "-s", cwd=tmp_path)
    assert re.search(r"\| --datasets +\| gsm8k_gen_4_shot_cot_str +\| /.*gsm8k\.toml", alias.out)


def test_an_unreachable_service_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    ended = aisb(
        "run", "--models", "vllm_api_general_chat", "--datasets", "demo_gsm8k", "--url", url, cwd=tmp_path
    )
    assert ended.code == 3
    address = url.removeprefix("http://")
    assert ended.err.startswith(
        f"error: vllm-api-general-chat: {address} refused the connection; is the service"
    )
    assert len(ended.err.strip().splitlines()) <= 2
    assert list((tmp_path / "outputs/default").iterdir()) == []


def test_a_wrong_model_name_lists_what_is_served(tmp_path: Path, mock: MockProcess) -> None:
    ended = aisb(
        "run",
        "--models",
        "vllm_api_general_chat",
        "--datasets",
        "demo_gsm8k",
        "--url",
        mock.url,
        "--model-name",
        "tinny",
        cwd=tmp_path,
    )
    assert ended.code == 3
    assert "'tinny'" in ended.err
    assert "tiny" in ended.err


def test_a_service_without_a_list_of_models_keeps_the_name_it_is_given(
    tmp_path: Path, mock: MockProcess
) -> None:
    words = ["--models", "vllm_api_old", "--datasets", "demo_gsm8k", "--num-prompts", "2", "--url", mock.url]
    assert aisb("run", *words, "--model-name", "m1", cwd=tmp_path).code == 0
    identity = only(tmp_path, "log/*/*/identity.json")
    assert load(identity)["model.model"] == "m1"
    again = aisb("score", str(identity.parents[3]), cwd=tmp_path)
    assert again.code == 0, again.err


def test_a_key_is_never_written_down(tmp_path: Path) -> None:
    with start_mock(MockOptions(api_key="s3cret-key")) as server:
        common = [
            "run",
            "--models",
            "vllm_api_stream_chat",
            "--datasets",
            "demo_gsm8k",
            "--url",
            server.url,
            "--num-prompts",
            "3",
        ]
        refused = aisb(*common, cwd=tmp_path)
        assert refused.code == 3
        assert "401" in refused.err or "key" in refused.err
        unset = aisb(*common, "--api-key-env", "MY_KEY", cwd=tmp_path)
        assert unset.code == 2
        assert "environment variable MY_KEY, which should hold the API key, is not set" in unset.err
        by_env = aisb(*common, "--api-key-env", "MY_KEY", "--debug", cwd=tmp_path, MY_KEY="s3cret-key")
        assert by_env.code == 0, by_env.err
        (tmp_path / "key").write_text("s3cret-key\n")
        by_file = aisb(*common, "--set", f"model.api_key_file={tmp_path / 'key'}", cwd=tmp_path)
        assert by_file.code == 0, by_file.err
        by_header = aisb(*common, "--set", "model.headers.Authorization=Bearer s3cret-key", cwd=tmp_path)
        assert by_header.code == 0, by_header.err
        again = aisb("run", "--reuse", "--num-prompts", "4", cwd=tmp_path)
        assert again.code == 2
        assert "this was a secret, which a run folder does not keep; give it again" in again.err
    kept = [p for p in (tmp_path / "outputs").rglob("*") if p.is_file() and b"s3cret-key" in p.read_bytes()]
    assert kept == []
    for ended in (refused, unset, by_env, by_file, by_header, again):
        assert "s3cret-key" not in ended.out + ended.err


def test_failures_above_the_limit_end_with_1_and_can_be_asked_again(tmp_path: Path) -> None:
    with start_mock(MockOptions(faults=("status-400@2", "status-400@5"), accuracy=1.0)) as server:
        common = [
            "run",
            "--models",
            "vllm_api_general_chat",
            "--datasets",
            "demo_gsm8k",
            "--url",
            server.url,
            "--num-prompts",
            "8",
            "--concurrency",
            "1",
        ]
        ended = aisb(*common, cwd=tmp_path)
        assert ended.code == 1
        stamp = next((tmp_path / "outputs/default").iterdir()).name
        log = f"outputs/default/{stamp}/logs/infer/vllm-api-general-chat/demo_gsm8k.out"
        assert re.search(
            rf"8/8 finished, 2 failed in .*; the first is request \d: .*; log: {log}\n", ended.err
        )
        assert ended.err.rstrip().splitlines()[-3:] == [
            f"2 failed; everything is in outputs/default/{stamp}",
            f"  show why: aisb logs {stamp}",
            f"  send them again: aisb run --reuse {stamp}",
        ]
        assert load(only(tmp_path, "results/*/demo_gsm8k.json"))["outcomes"]["error"] == 2
        again = aisb("run", "--reuse", cwd=tmp_path)
        assert again.code == 0, again.err
        assert "Found 6 finished of 8, 2 failed: resuming" in again.err
        assert load(only(tmp_path, "results/*/demo_gsm8k.json"))["outcomes"]["correct"] == 8
    with start_mock(MockOptions(faults=("status-400@2",))) as server:
        allowed = aisb(
            *common[:5], "--url", server.url, "--num-prompts", "4", "--max-failures", "1", cwd=tmp_path
        )
        assert allowed.code == 0, allowed.err


def test_faults_that_pass_are_tried_again_and_cost_nothing(tmp_path: Path) -> None:
    faults = ("status-429:0.1", "status-500:0.1", "cut:0.1", "refuse:0.05", "garbage:0.05")
    with start_mock(MockOptions(faults=faults, accuracy=1.0, retry_after=0.01)) as server:
        ended = aisb(
            "run", "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--url", server.url,
            "--set", "load.backoff=0.01", "--set", "load.retries=10", cwd=tmp_path,
        )  # fmt: skip
    assert ended.code == 0, ended.err
    assert load(only(tmp_path, "results/*/demo_gsm8k.json"))["outcomes"]["correct"] == 64


def test_missing_data_names_each_place_and_where_it_comes_from(tmp_path: Path) -> None:
    ended = aisb(
        "run", "--models", "sim", "--datasets", "gsm8k", "--data-dir", "here", cwd=tmp_path, AISB_DATA="there"
    )
    assert ended.code == 2
    for place in ("here/gsm8k/test.jsonl", "there/gsm8k/test.jsonl", "datasets/gsm8k/test.jsonl"):
        assert place in ended.err
    assert "github.com/openai/grade-school-math" in ended.err
    assert not list((tmp_path / "outputs/default").iterdir())


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--models", "sim", "--datasets", "demo_gsm8"], "no task named 'demo_gsm8'; did you mean 'demo_gsm8k'?"),
        (["--models", "vlm-chat", "--datasets", "demo_gsm8k"], "no model named 'vlm-chat'; did you mean 'vllm-chat'?"),
        (["--models", "hf-chat", "--datasets", "demo_gsm8k", "--block", "backend-hf"], "  plugin backend-hf is blocked\n"),
        (["--models", "sim", "--datasets", "demo_gsm8k", "--set", "task.promt.shots=1"], "tasks.demo_gsm8k.promt: there is no such key; did you mean 'prompt'?"),
        (["--models", "sim", "--datasets", "demo_gsm8k", "--reuse", "20200101_000000"], "no run '20200101_000000'; there is no run in outputs/default yet"),
        (["--mode", "eval"], "--mode eval needs a run to read: --reuse TIMESTAMP"),
        (["--mode", "quick"], "'quick' is not one of"),
        (["--datasets", "demo_gsm8k"], "--models is not set (aisb run --search shows all names); --url URL takes"),
        (["--models", "sim", "--datasets", "demo_gsm8k", "--custom-dataset-path", "x"], "error: x: expected a .jsonl, .json, .csv or .parquet file"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_2_and_says_what_to_do(tmp_path: Path, words: list[str], text: str) -> None:
    ended = aisb("run", *words, cwd=tmp_path)
    assert ended.code == 2
    assert text in ended.err


def test_a_grader_that_cannot_be_made_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    grader = 'task.evaluate=[{use="numeric-match", tolerence=1}]'
    common = ["run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "2"]
    ended = aisb(*common, "--set", grader, cwd=tmp_path)
    assert ended.code == 2
    assert "task.evaluate[0].tolerence: no such option; did you mean 'tolerance'?" in ended.err
    assert list((tmp_path / "outputs/default").iterdir()) == []
    asked = aisb(*common, "--mode", "infer", "--set", grader, cwd=tmp_path)
    assert asked.code == 0, asked.err  # it can still be graded elsewhere, by another rule


def test_flags_of_the_reference_system_are_answered(tmp_path: Path) -> None:
    ended = aisb(
        "run",
        "--models",
        "sim",
        "--datasets",
        "demo_gsm8k",
        "--num-prompts",
        "1",
        "--disable-cb",
        "--summarizer",
        "x",
        cwd=tmp_path,
    )
    assert ended.code == 0, ended.err
    assert "--disable-cb is not needed here" in ended.err
    assert "--summarizer is not needed here" in ended.err


def test_models_and_tasks_of_ones_own_stand_in_aisb_toml(tmp_path: Path, mock: MockProcess) -> None:
    made = aisb(
        "config", "init", "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", cwd=tmp_path
    )
    assert made.code == 0, made.err
    tomllib.loads((tmp_path / "aisb.toml").read_text())
    twice = aisb("config", "init", cwd=tmp_path)
    assert twice.code == 2
    assert "aisb.toml exists already; --force replaces it, -o names another file" in twice.err
    (tmp_path / "aisb.toml").write_text(
        f"""
        [run]
        models = ["mine"]
        datasets = ["short"]
        [load]
        num_prompts = 3
        [models.mine]
        base = "vllm_api_stream_chat"
        url = "{mock.url}"
        [tasks.short]
        base = "demo_gsm8k:zero-shot"
        summary = "a shorter one"
        """
    )
    ended = aisb("run", cwd=tmp_path)
    assert ended.code == 0, ended.err
    results = load(only(tmp_path, "results/mine/short.json"))
    assert results["predictions"] == 3
    shown = aisb("tasks", "show", "short", "--sample", "1", cwd=tmp_path)
    assert "a shorter one" in shown.out
    assert "Question:" in shown.out


def test_tasks_are_listed_with_variants_and_other_names_and_shown_with_prompts(tmp_path: Path) -> None:
    listed = aisb("tasks", "list", cwd=tmp_path)
    assert re.search(r"^gsm8k: ", listed.out, re.MULTILINE)
    assert "gsm8k:zero-shot" in listed.out
    assert "gsm8k_gen_4_shot_cot_str" in listed.out
    shown = aisb("tasks", "show", "demo_gsm8k", "--sample", "3", cwd=tmp_path)
    assert shown.code == 0, shown.err
    assert shown.out.count("── demo_gsm8k ") == 3
    assert shown.out.count("[assistant]") == 12
    as_json = json.loads(aisb("tasks", "show", "demo_gsm8k", "--sample", "1", "--json", cwd=tmp_path).out)
    assert as_json["prompts"][0][-1]["role"] == "user"


def test_the_log_of_a_run_can_be_followed_on_the_terminal(tmp_path: Path) -> None:
    ended = aisb(
        "run", "--models", "sim", "--datasets", "demo_gsm8k", "--debug", "--num-prompts", "2", cwd=tmp_path
    )
    assert ended.code == 0, ended.err
    assert "sending 2 requests" in ended.err


def test_warm_ups_are_sent_and_not_counted(tmp_path: Path) -> None:
    ended = aisb(
        "run",
        "--models",
        "sim",
        "--datasets",
        "demo_gsm8k",
        "--num-prompts",
        "3",
        "--num-warmups",
        "2",
        cwd=tmp_path,
    )
    assert ended.code == 0, ended.err
    assert (
        "2 warm-up requests, 2 answered; not counted"
        in only(tmp_path, "logs/infer/sim/demo_gsm8k.out").read_text()
    )
    assert load(only(tmp_path, "results/sim/demo_gsm8k.json"))["predictions"] == 3


def test_a_request_that_failed_has_no_entry_among_the_answers(tmp_path: Path) -> None:
    with start_mock(MockOptions(faults=("cut@2", "status-500@4"), models=("tiny",))) as server:
        words = ("run", "--models", "vllm_api_stream_chat", "--datasets", "demo_gsm8k", "--url", server.url)
        aisb(*words, "--num-prompts", "6", "--concurrency", "1", "--set", "load.retries=0", cwd=tmp_path)
    lines = only(tmp_path, "predictions/*/demo_gsm8k.jsonl").read_text().splitlines()
    failed = {json.loads(line)["id"] for line in lines if json.loads(line)["failure"]}
    answers = load(only(tmp_path, "predictions/*/demo_gsm8k.json"))
    assert (len(lines), len(failed)) == (6, 2)
    assert set(answers) == {str(number) for number in range(6)} - failed

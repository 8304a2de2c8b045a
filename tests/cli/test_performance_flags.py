"""What a performance run shows can be chosen, and demanded."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

from forked import run_forked
from tokenizers import Regex, Tokenizer, models, pre_tokenizers

from aisb_mock import MockOptions, start_mock

PERF = ["run", "--mode", "perf", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "6"]


def aisb(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "aisb_cli.main", *words]
    return run_forked(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=60)


def test_percentiles_and_dialects_are_shown_as_asked(tmp_path: Path) -> None:
    ended = aisb(*PERF, "--percentiles", "50,95", "--dialect", "vllm,aisbench", cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert re.search(r"^ms +p50 +p95$", ended.stdout, re.MULTILINE)
    assert "P99" not in ended.stdout
    assert "The same run in other tools' numbers:" in ended.stdout
    assert "aisbench" in ended.stdout


def test_an_unknown_dialect_and_percentiles_that_are_no_list_are_said(tmp_path: Path) -> None:
    unknown = aisb(*PERF, "--dialect", "vlm", cwd=tmp_path)
    assert unknown.returncode == 2
    assert "no dialect named 'vlm'; did you mean 'vllm'?" in unknown.stderr
    wrong = aisb(*PERF, "--percentiles", "many", cwd=tmp_path)
    assert wrong.returncode == 2
    assert "--percentiles many is not a list like 50,90,99" in wrong.stderr


def test_a_result_that_is_not_valid_ends_with_4_where_valid_is_demanded(tmp_path: Path) -> None:
    ended = aisb(*PERF, "--require-valid", cwd=tmp_path)
    assert ended.returncode == 4
    assert re.search(r"error: demo_gsm8k · sim is (SUSPECT|INVALID):", ended.stderr)
    assert "6 requests are too few for P90: it needs 10" in ended.stderr
    (manifest,) = tmp_path.glob("outputs/default/*/configs/manifest.json")
    assert json.loads(manifest.read_text())["sessions"][-1]["exit_code"] == 4
    (table,) = tmp_path.glob("outputs/default/*/performances/sim/demo_gsm8k.csv")
    assert table.stat().st_size > 0  # it is shown and kept all the same


def counted(home: Path) -> tuple[float | None, str]:
    """The output tokens of a reply on average in the latest run, and what told them."""
    *_, run = sorted((home / "outputs/default").iterdir())
    (file,) = run.glob("performances/*/demo_gsm8k_details.json")
    found = json.loads(file.read_text())
    tokens = found["stages"]["total"]["parameters"]["OutputTokens"]
    return tokens and tokens["average"], found["notes"][0]


def test_one_option_of_a_model_counts_tokens_where_the_service_does_not(tmp_path: Path) -> None:
    for name, splits in (("letters", True), ("whole", False)):
        made = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
        if splits:
            made.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
        (tmp_path / name).mkdir()
        made.save(str(tmp_path / name / "tokenizer.json"))
    with start_mock(MockOptions(usage="absent", tokens=8)) as mock:
        words = ["--models", "vllm_api_stream_chat", "--url", mock.url, "--datasets", "demo_gsm8k"]
        for option in ("tokenizer", "tokenizer_path"):
            new = ["run", "--mode", "perf", "--num-prompts", "2", *words]
            ended = aisb(*new, "--set", f"model.{option}={tmp_path / 'whole'}", cwd=tmp_path)
            assert ended.returncode == 0, ended.stderr
            assert counted(tmp_path) == (1, "output-token source: tokenizer 2")
        missing = aisb(*new, "--set", "model.tokenizer=/no/such/folder", cwd=tmp_path)
    assert missing.returncode == 2
    assert "models.vllm-api-stream-chat.tokenizer: " in missing.stderr
    again = ["run", "--mode", "perf_viz", "--reuse", "latest"]
    assert aisb(*again, cwd=tmp_path).returncode == 0
    assert counted(tmp_path)[0] == 1
    for path in ("model.tokenizer", "run.reporter_options.performance.tokenizer"):
        assert aisb(*again, "--set", f"{path}={tmp_path / 'letters'}", cwd=tmp_path).returncode == 0
        assert (counted(tmp_path)[0] or 0) > 8


def test_what_is_demanded_is_the_certificate_that_is_shown_also_with_a_tokenizer(tmp_path: Path) -> None:
    letters = Tokenizer(models.WordLevel({"?": 0}, unk_token="?"))
    letters.pre_tokenizer = pre_tokenizers.Split(Regex("."), "isolated")
    letters.save(str(tmp_path / "tokenizer.json"))
    option = f"run.reporter_options.performance.tokenizer={tmp_path}"
    with start_mock(MockOptions(usage="absent")) as mock:
        service = ["--models", "vllm_api_stream_chat", "--url", mock.url, "--max-out-len", "5"]
        task = ["--datasets", "demo_gsm8k", "--num-prompts", "6"]
        words = ["run", "--mode", "perf", *service, *task, "--set", option, "--tables", "--require-valid"]
        ended = aisb(*words, cwd=tmp_path)
    assert ended.returncode == 4
    whole = ended.stdout.rpartition("certificate: ")[2]
    shown = re.findall(r"^  SUSPECT: (.*(?:\n    .*)*)", whole, re.MULTILINE)
    demanded = re.findall(r"^  (.*)", ended.stderr.partition("is SUSPECT:\n")[2], re.MULTILINE)[:-1]
    assert [" ".join(one.split()) for one in shown] == demanded
    assert any("replies have another length than requested" in one for one in demanded)

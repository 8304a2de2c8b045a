"""`aisb pack` and `aisb verify`: the same bytes, every change found, nothing secret in it, hostile files refused."""

from __future__ import annotations

import gzip
import io
import json
import os
import random
import re
import shutil
import stat
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from forked import run_forked

from aisb import RunError, UsageError
from aisb_analysis._archive import INDEX, ArchiveWriter
from aisb_analysis._packing import write_capsule
from aisb_analysis._verifying import Verified, verify_capsule
from aisb_engine import Plugins, open_run

TASK = """
version = 1
summary = "Colours"
[dataset]
use = "jsonl"
path = "./rows.jsonl"
[prompt]
user = "{q}"
[sample]
target = "{right}"
choices = ["{a}", "{b}", "{c}", "{d}"]
[params]
max_tokens = 64
[[postprocess]]
use = "choice"
[[evaluate]]
use = "choice-match"
"""
SECRETS = {
    "MY_SERVICE": "plainword-without-hints-1",
    "OPENAI_API_KEY": "env-key-2718281828",
    "TEAM_PASSWORD": 'quo"te\\d-31415926',
}
FORMED = "sk-" + "a1B2" * 8


def aisb(*words: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("AISB_", "OPENAI_"))}
    return run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd, capture_output=True, text=True, check=False, timeout=120, env=kept | environment,
    )  # fmt: skip


@pytest.fixture(scope="module")
def plugins() -> Plugins:
    return Plugins.load()


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A work folder with an accuracy run of two tasks, with failures and repeats, and a performance run."""
    folder = tmp_path_factory.mktemp("capsule")
    letters = "ABCD"
    rows, answers = [], []
    for n in range(12):
        options = {key: f"the shade of number {n} {key}" for key in "abcd"}
        right = letters[n % 4]
        question = f"Which colour has thing number {n}?"
        # Some name their option by its words, which only its text can tell.
        said = options[right.lower()] if n % 3 == 0 else f"The answer is {right}."
        rows.append({"q": question, "right": right, **options})
        answers.append({"question": question, "reply": said})
    for name, lines in (("rows", rows), ("answers", answers)):
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "colours.toml").write_text(TASK)
    ended = aisb(
        "run", "--models", "sim", "--datasets", "demo_gsm8k", "./colours.toml", "-w", "accuracy",
        "--num-prompts", "12", "--max-failures", "99", "--dump-eval-details",
        "--set", 'model.faults=["status-500:0.3"]', "--set", "model.answers=answers.jsonl",
        "--set", "load.backoff=0", "--set", "tasks.demo_gsm8k.params.num_return_sequences=2",
        cwd=folder,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    ended = aisb(
        "run", "--models", "sim", "--datasets", "demo_gsm8k", "-w", "speed", "--mode", "perf", "--num-prompts", "12",
        "--set", "run.reporter_options.performance.percentiles=[50, 95]",
        "--set", "run.reporter_options.performance.objectives={ttft=100}", cwd=folder,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    return folder


@pytest.fixture(scope="module")
def capsules(work: Path, plugins: Plugins) -> dict[str, Path]:
    made = {}
    for name, prompts in (("accuracy", True), ("speed", True), ("bare", False)):
        made[name] = work / f"{name}.capsule"
        folder = work / ("accuracy" if name == "bare" else name)
        write_capsule(open_run(folder, "latest", plugins), made[name], plugins, prompts=prompts)
    return made


def forged(capsule: Path, into: Path, change: Callable[[dict[str, bytes]], None], **index: object) -> Path:
    """Return a capsule whose content was changed by one who makes all hashes fit again."""
    with zipfile.ZipFile(capsule) as archive:
        files = {name: archive.read(name) for name in archive.namelist()}
    known = json.loads(files.pop(INDEX))
    known.pop("files")
    change(files)
    target = into / "forged.capsule"
    writer = ArchiveWriter(target)
    for name in sorted(files):
        writer.add(name, [files[name]])
    writer.close({**known, **index})
    return target


def only(files: dict[str, bytes], end: str) -> str:
    (name,) = [name for name in files if name.endswith(end)]
    return name


def test_the_commands_pack_and_check_a_run_and_the_same_run_gives_the_same_bytes(
    work: Path, tmp_path: Path
) -> None:
    first = aisb("pack", "latest", "-w", "accuracy", "-o", str(tmp_path / "one"), cwd=work)
    assert first.returncode == 0, first.stderr
    assert aisb("pack", "latest", "-w", "accuracy", "-o", str(tmp_path / "two"), cwd=work).returncode == 0
    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()
    sha256 = first.stdout.partition("sha256 ")[2].split()[0]
    checked = aisb("verify", str(tmp_path / "one"), "--sha256", sha256, cwd=work)
    assert checked.returncode == 0, checked.stdout
    assert "no differences" in checked.stdout
    other = aisb("verify", str(tmp_path / "one"), "--sha256", "0" * 64, "--json", cwd=work)
    assert other.returncode == 4
    assert "was published" in json.loads(other.stdout)["differing"][0]
    again = aisb("pack", "latest", "-w", "accuracy", "-o", str(tmp_path / "one"), cwd=work)
    assert again.returncode == 2
    assert "already exists" in again.stderr


def test_scores_metrics_and_performance_tables_are_computed_again(
    capsules: dict[str, Path], plugins: Plugins
) -> None:
    found = verify_capsule(capsules["accuracy"], plugins)
    assert (found.differing, found.unchecked, found.notes) == ([], [], [])
    assert found.checked["grades"] == found.checked["predictions"] == 36
    found = verify_capsule(capsules["speed"], plugins)
    assert (found.differing, found.unchecked) == ([], [])
    assert found.checked == {"performance tables": 5}


def test_a_run_with_the_files_of_another_layout_is_packed_with_its_own_and_computed_again(
    tmp_path: Path, plugins: Plugins
) -> None:
    ended = aisb(
        "run", "--models", "sim", "--datasets", "demo_gsm8k", "--num-prompts", "6", "-w", "apart",
        "--set", "run.files_apart=true", "--reporters", "aisbench", cwd=tmp_path,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    run = open_run(tmp_path / "apart", "latest", plugins)
    assert list(run.folder.path.glob("predictions/sim/*"))  # those of the other layout
    capsule = tmp_path / "apart.capsule"
    write_capsule(run, capsule, plugins)
    names = zipfile.ZipFile(capsule).namelist()
    inside = [name.partition("/")[2] for name in names]
    for name in ("predictions/sim/demo_gsm8k.jsonl", "results/sim/demo_gsm8k.json"):
        assert f"aisb/{name}" in inside
        assert name not in inside
    assert "aisb/results/sim/demo_gsm8k_scores.jsonl" in inside
    found = verify_capsule(capsule, plugins)
    assert (found.differing, found.unchecked, found.notes) == ([], [], [])
    assert found.checked["grades"] == found.checked["predictions"] == 6

    def changed(files: dict[str, bytes]) -> None:
        name = only(files, "aisb/results/sim/demo_gsm8k.json")
        table = json.loads(files[name])
        table["accuracy"] += 1
        files[name] = json.dumps(table).encode()
        files[name.replace("/aisb/", "/")] = b"{}"
        files[name.replace("demo_gsm8k", "other")] = b"{}"

    said = differing(forged(capsule, tmp_path, changed), plugins)
    assert "aisb/results/sim/demo_gsm8k.json: accuracy: published" in said
    assert "/results/sim/demo_gsm8k.json does not belong in a capsule" in said
    assert "aisb/results/sim/other.json: it belongs to no subtask of the run" in said


def test_any_changed_byte_is_found(capsules: dict[str, Path], tmp_path: Path, plugins: Plugins) -> None:
    data = capsules["speed"].read_bytes()
    draw = random.Random(20261130)
    # Also where a ZIP has what no reader looks at: dates, comments, and the seal itself.
    places = [0, 10, 12, len(data) - 1, len(data) - 80, *draw.sample(range(len(data)), 25)]
    target = tmp_path / "changed.capsule"
    for place in places:
        target.write_bytes(data[:place] + bytes([data[place] ^ 0x11]) + data[place + 1 :])
        try:
            found = verify_capsule(target, plugins)
        except UsageError:
            continue
        assert found.differing, place
    for cut in (data[:-1], data[: len(data) // 2], data + b"\0", data[:200]):
        target.write_bytes(cut)
        try:
            found = verify_capsule(target, plugins)
        except UsageError:
            continue
        assert found.differing


def differing(path: Path, plugins: Plugins) -> str:
    found = verify_capsule(path, plugins)
    return "\n".join(found.differing)


def test_a_changed_score_is_named_though_all_hashes_fit(
    capsules: dict[str, Path], tmp_path: Path, plugins: Plugins
) -> None:
    def results(files: dict[str, bytes]) -> None:
        name = only(files, "results/sim/colours.json")
        table = json.loads(files[name])
        table["metrics"][0]["value"] += 1
        table["accuracy"] += 1
        files[name] = json.dumps(table).encode()

    said = differing(forged(capsules["accuracy"], tmp_path, results), plugins)
    assert "results/sim/colours.json: metrics[0].value: published" in said
    assert "results/sim/colours.json: accuracy: published" in said

    def grade(files: dict[str, bytes]) -> None:
        name = only(files, "colours_scores.jsonl")
        files[name] = (
            files[name]
            .replace(b'"outcome":"wrong"', b'"outcome":"correct"', 1)
            .replace(b'"answer":"B"', b'"answer":"C"', 1)
        )

    assert "colours_scores.jsonl: id " in differing(forged(capsules["accuracy"], tmp_path, grade), plugins)


def test_a_changed_figure_of_a_performance_run_is_named_by_its_cell(
    capsules: dict[str, Path], tmp_path: Path, plugins: Plugins
) -> None:
    def cell(files: dict[str, bytes]) -> None:
        name = only(files, "demo_gsm8k.csv")
        head, first, *rows = files[name].decode().splitlines(keepends=True)
        cells = first.split(",")
        cells[2] = "1.5 ms"
        files[name] = "".join([head, ",".join(cells), *rows]).encode()
        name = only(files, "_details.json")
        table = json.loads(files[name])
        table["certificate"]["verdict"] = "VALID"
        files[name] = json.dumps(table).encode()

    said = differing(forged(capsules["speed"], tmp_path, cell), plugins)
    assert "performances/sim/demo_gsm8k.csv: row 2 (E2EL total), Average: published 1.5 ms" in said
    assert "certificate.verdict: published VALID" in said


def rename(table: dict[str, Any], **names: str) -> None:
    for new, old in names.items():
        table[old] = table.pop(new)


def with_old_names(name: str, data: bytes) -> bytes:
    """Return a file of a run with the names of its keys or arrays in version 0.2."""
    if name.endswith("_details.npz"):
        arrays = dict(np.load(io.BytesIO(data)))
        rename(arrays, max_tokens="asked_tokens")
        np.savez_compressed(buffer := io.BytesIO(), **arrays)
        return buffer.getvalue()
    if name.endswith("load.json"):
        rename(table := json.loads(data), requested="asked")
    elif name.endswith("_details.json"):
        rename(table := json.loads(data), requested="asked", client_health="vitals")
    elif re.fullmatch(r"results/\w+/\w+\.json", name):
        names = {"predictions": "asked", "not_sent": "not_asked_yet", "broken_samples": "unmade"}
        rename(table := json.loads(data), **names)
    else:
        return data
    return json.dumps(table).encode()


def test_a_capsule_with_the_names_of_an_earlier_version_is_verified(
    capsules: dict[str, Path], tmp_path: Path, plugins: Plugins
) -> None:
    def earlier(files: dict[str, bytes]) -> None:
        old = {
            name.replace("client_health-", "vitals-"): with_old_names(name, data)
            for name, data in files.items()
        }
        files.clear()
        files.update(old)

    for name in ("accuracy", "speed"):
        found = verify_capsule(forged(capsules[name], tmp_path, earlier), plugins)
        assert not found.differing
        assert found.checked == verify_capsule(capsules[name], plugins).checked


def records(data: bytes) -> list[bytes]:
    parts = data.split(b"aisb")
    return [b"aisb" + part for part in parts[1:]]


def test_a_removed_and_an_added_record_of_the_log_are_found(
    capsules: dict[str, Path], tmp_path: Path, plugins: Plugins
) -> None:
    def removed(files: dict[str, bytes]) -> None:
        name = only(files, "log/sim/colours/worker-0")
        every = records(files[name])
        last = max(n for n, one in enumerate(every) if b'"failure":null' in one and b'"attempt":1,' in one)
        files[name] = b"".join(every[:last] + every[last + 1 :])

    path = forged(capsules["accuracy"], tmp_path, removed)
    index = json.loads(zipfile.ZipFile(path).read(INDEX))
    said = differing(path, plugins)
    assert "records, and the index says" in said
    # Whoever changes the index as well is found by what the log no longer gives.
    (name,) = [name for name in index["records"] if name.endswith("colours/worker-0")]
    index["records"][name] -= 1
    said = differing(forged(capsules["accuracy"], tmp_path, removed, records=index["records"]), plugins)
    assert "predictions/sim/colours.jsonl: id" in said
    assert "results/sim/colours.json: predictions: published 12, recomputed 11" in said

    def attempt(files: dict[str, bytes]) -> None:
        name = only(files, "log/sim/demo_gsm8k/worker-0")
        every = records(files[name])
        retried = next(n for n, one in enumerate(every) if b'"final":false' in one)
        files[name] = b"".join(every[:retried] + every[retried + 1 :])

    assert "records were removed or added" in differing(
        forged(capsules["accuracy"], tmp_path, attempt), plugins
    )

    def added(files: dict[str, bytes]) -> None:
        name = only(files, "log/sim/colours/worker-0")
        own, other = files[name], files[only(files, "log/sim/demo_gsm8k/worker-0")]
        # One that the other task does not ask, whichever was answered last.
        foreign = [one for one in records(other) if b'"id":"5","repeat":1,' in one]
        answer = next(one for one in foreign if b'"failure":null' in one)
        files[name] = own + answer

    said = differing(forged(capsules["accuracy"], tmp_path, added), plugins)
    assert "records, and the index says" in said
    assert "requests that are not in the run, such as 5.r1" in said

    def better(files: dict[str, bytes]) -> None:
        name = only(files, "log/sim/colours/worker-0")
        own = next(one for one in records(files[name]) if b'"failure":null' in one)
        files[name] += replaced(own, b'"text":"', b'"text":"No, it is another. ')

    assert "predictions/sim/colours.jsonl: id" in differing(
        forged(capsules["accuracy"], tmp_path, better), plugins
    )

    def torn(files: dict[str, bytes]) -> None:
        name = only(files, "log/sim/colours/worker-0")
        files[name] = files[name][:-3]

    assert "1 stretches are damaged" in differing(forged(capsules["accuracy"], tmp_path, torn), plugins)


def test_other_rules_files_and_results_are_found(
    capsules: dict[str, Path], tmp_path: Path, plugins: Plugins
) -> None:
    def rules(files: dict[str, bytes]) -> None:
        (name,) = [name for name in files if "/configs/2" in name]
        files[name] = (
            files[name]
            .replace(b"num_prompts = 12", b"num_prompts = 13")
            .replace(b'{ use = "number" }', b'{ use = "last-number" }')
        )

    said = differing(forged(capsules["accuracy"], tmp_path, rules), plugins)
    assert "tasks/demo_gsm8k.toml: it differs from the configuration" in said
    assert "results/sim/demo_gsm8k.json: version: published" in said

    def more(files: dict[str, bytes]) -> None:
        run = next(iter(files)).partition("/")[0]
        files[f"{run}/results/sim/other.json"] = b'{"metrics": []}'
        files[f"{run}/notes.txt"] = b"read me"

    said = differing(forged(capsules["accuracy"], tmp_path, more), plugins)
    assert "results/sim/other.json: it belongs to no subtask of the run" in said
    assert "notes.txt does not belong in a capsule" in said


def test_without_prompts_none_is_in_it_and_what_cannot_be_graded_again_is_named(
    work: Path, capsules: dict[str, Path], tmp_path: Path, plugins: Plugins
) -> None:
    content = unpacked(capsules["bare"])
    for text in (b"Which colour has thing", b"the shade of number 1 a"):
        assert text not in content
    assert b"the shade of number 0 a" in content  # what the model answered is there
    found = verify_capsule(capsules["bare"], plugins)
    assert found.differing == []
    (line,) = found.unchecked
    assert re.fullmatch(
        r"sim/colours: [34] grades were not recomputed: prompts were left out, or keys masked", line
    )
    assert found.checked["grades"] == 36 - int(line.split()[1])

    def grade(files: dict[str, bytes]) -> None:  # of those that are not graded again: then the sum is wrong
        name = only(files, "colours_scores.jsonl")
        lines = files[name].splitlines(keepends=True)
        place = next(n for n, line in enumerate(lines) if b'"id":"6"' in line)
        lines[place] = lines[place].replace(b'"outcome":"correct"', b'"outcome":"wrong"')
        files[name] = b"".join(lines)

    said = differing(forged(capsules["bare"], tmp_path, grade), plugins)
    assert "results/sim/colours.json: outcomes.correct: published" in said
    everything = {"sim/colours": [[str(n), 0] for n in range(12)]}
    said = differing(forged(capsules["accuracy"], tmp_path, lambda _: None, ungraded=everything), plugins)
    assert "nothing was left out" in said


def unpacked(capsule: Path) -> bytes:
    """Return all bytes of a capsule: as they are, and of each file in it unpacked."""
    found = [capsule.read_bytes()]
    with zipfile.ZipFile(capsule) as archive:
        for name in archive.namelist():
            data = archive.read(name)
            found += [name.encode(), data, gzip.decompress(data) if name.endswith(".gz") else b""]
    return b"\n".join(found)


def test_keys_that_are_anywhere_in_a_run_are_not_in_its_capsule(
    work: Path, tmp_path: Path, plugins: Plugins, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in SECRETS.items():
        monkeypatch.setenv(name, value)
    planted = [*SECRETS.values(), FORMED]
    (run,) = (work / "accuracy").iterdir()
    copy = Path(shutil.copytree(run, tmp_path / run.name))
    text = " and ".join(json.dumps(one)[1:-1] for one in planted) + " Bearer abcdefgh12345678"
    (config,) = copy.glob("configs/2*.toml")
    config.write_text(
        config.read_text().replace("[models.sim.options]", '[models.sim.options]\napi_key_env = "MY_SERVICE"')
        .replace('summary = "Colours"', f'summary = "Colours {text}"')
    )  # fmt: skip
    for path in copy.rglob("*.json*"):
        if path.suffix in {".json", ".jsonl"}:
            path.write_text(
                path.read_text()
                .replace("The answer is", f"The answer {text} is")
                .replace('"aisb"', f'"{text}"')
            )
    samples = copy / "log/sim/colours/samples.jsonl.gz"
    rows = gzip.decompress(samples.read_bytes()).decode().replace("the shade of number 2 b", f"two {text}")
    samples.write_bytes(gzip.compress(rows.encode()))
    log = copy / "log/sim/colours/worker-0"
    log.write_bytes(replaced(log.read_bytes(), b"The answer is", f"The answer {text} is".encode()))
    capsule = tmp_path / "masked.capsule"
    made = write_capsule(open_run(tmp_path, run.name, plugins), capsule, plugins)
    content = unpacked(capsule)
    for secret in (*planted, "abcdefgh12345678"):
        assert secret.encode() not in content
        assert json.dumps(secret)[1:-1].encode() not in content
    assert b"***" in content
    assert any(note.startswith("keys were masked in ") for note in made.notes)
    assert not [
        line for line in verify_capsule(capsule, plugins).differing if "colours.json: outcomes" in line
    ]


def replaced(log: bytes, old: bytes, new: bytes) -> bytes:
    """Return a log with a text replaced in each record, whose length and checksum fit again."""
    import struct
    from zlib import crc32

    found = b""
    for record in records(log):
        (size,) = struct.unpack_from("<I", record, 12)
        head, rest = record[16 : 16 + size].replace(old, new), record[16 + size :]
        payload = struct.pack("<I", len(head)) + head + rest
        found += struct.pack("<4sII", b"aisb", len(payload), crc32(payload)) + payload
    return found


def test_a_run_on_trial_is_not_packed_and_a_link_neither(
    work: Path, tmp_path: Path, plugins: Plugins
) -> None:
    (run,) = (work / "accuracy").iterdir()
    copy = Path(shutil.copytree(run, tmp_path / run.name))
    (copy / "performances/sim").mkdir(parents=True)
    (copy / "performances/sim/x.csv").symlink_to("/etc/hostname")
    with pytest.raises(UsageError, match="is a symbolic link"):
        write_capsule(open_run(tmp_path, run.name, plugins), tmp_path / "out", plugins)
    (copy / "performances/sim/x.csv").unlink()
    path = copy / "results/sim/colours.json"
    path.write_text(path.read_text().replace('"trial": []', '"trial": ["task.postprocess"]'))
    with pytest.raises(RunError, match="as a trial by other rules"):
        write_capsule(open_run(tmp_path, run.name, plugins), tmp_path / "out", plugins)
    with pytest.raises(RunError, match="cannot be written"):
        write_capsule(open_run(work / "accuracy", "latest", plugins), tmp_path / "missing/out", plugins)


def hostile(path: Path, entries: list[tuple[str, bytes, int]]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data, mode in entries:
            info = zipfile.ZipInfo(name)
            info.compress_type = zipfile.ZIP_DEFLATED
            info.external_attr = mode << 16
            archive.writestr(info, data)
    return path


FILE, LINK = stat.S_IFREG | 0o644, stat.S_IFLNK | 0o777


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    ("entries", "why"),
    [
        ([("../outside", b"x", FILE)], "is not a valid name"),
        ([("/etc/passwd", b"x", FILE)], "is not a valid name"),
        ([("run/../../x", b"x", FILE)], "is not a valid name"),
        ([("run\\..\\x", b"x", FILE)], "is not a valid name"),
        ([("C:/x", b"x", FILE)], "is not a valid name"),
        ([("run/./x", b"x", FILE)], "is not a valid name"),
        ([("run//x", b"x", FILE)], "is not a valid name"),
        ([("run/a\x1b[2Jb", b"x", FILE)], "is not a valid name"),
        ([("run/x", b"/etc/passwd", LINK)], "is a link"),
        ([("run/x", b"", stat.S_IFIFO | 0o644)], "is a link"),
        ([("run/x", b"1", FILE), ("run/x", b"2", FILE)], "twice"),
        ([("run/x", b"1", FILE), ("RUN/X", b"2", FILE)], "twice"),
        ([("run/x", b"1", FILE), ("run/x/y", b"2", FILE)], "a file and a folder"),
        ([("run/x", bytes(80 * 1024 * 1024), FILE)], "times its packed size"),
        ([("run/x", b"1", FILE)], "it has no capsule.json"),
        ([(INDEX, b"[" * 100_000, FILE)], "cannot be read"),
        ([(INDEX, b'{"files": {}}', FILE)], "cannot be read"),
    ],
)  # fmt: skip
def test_a_hostile_archive_is_refused_before_anything_is_unpacked(
    tmp_path: Path, plugins: Plugins, entries: list[tuple[str, bytes, int]], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        verify_capsule(hostile(tmp_path / "x.capsule", entries), plugins)


def test_hostile_content_is_named_and_harms_nothing(
    capsules: dict[str, Path], tmp_path: Path, plugins: Plugins
) -> None:
    samples = "log/sim/colours/samples.jsonl.gz"

    def bomb(files: dict[str, bytes]) -> None:
        files[only(files, samples)] = gzip.compress(bytes(100_000_000))

    assert "exceed the size limit" in differing(forged(capsules["accuracy"], tmp_path, bomb), plugins)

    def allowed(files: dict[str, bytes]) -> None:
        (name,) = [name for name in files if "/configs/2" in name]
        files[name] = files[name].replace(b'{ use = "numeric-match" }', b'{ use = "code-run", allow = true }')

    found: Verified = verify_capsule(forged(capsules["accuracy"], tmp_path, allowed), plugins)
    assert any("its configuration allows running programs" in line for line in found.unchecked)

    def kinds(files: dict[str, bytes]) -> None:
        name = only(files, "log/sim/demo_gsm8k/worker-0")
        files[name] = replaced(files[name], b'["content",', b'["content",9999999999999')

    assert "chunk kinds differs from that of its time stamps" in differing(
        forged(capsules["speed"], tmp_path, kinds), plugins
    )

    def nonsense(files: dict[str, bytes]) -> None:
        for name in files:
            if name.endswith((".toml", "_details.json", "manifest.json", "identity.json")):
                files[name] = b"[" * 5000

    assert "cannot be read" in differing(forged(capsules["speed"], tmp_path, nonsense), plugins)

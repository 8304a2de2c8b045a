"""`aisb data`: what is there, what was published, what to place where, and data that comes from a hub."""

import hashlib
import http.server
import importlib.util
import json
import os
import re
import sys
import tarfile
import threading
import zipfile
from io import BytesIO
from typing import ClassVar

import pytest
from forked import run_forked

ROWS = "".join(json.dumps({"question": f"{n} + 1?", "answer": f"#### {n + 1}"}) + "\n" for n in range(3))
TASK = """
[tasks.toy]
summary = "Sums"
source = "https://example.org/toy"
dataset = { path = "toy/{split}.jsonl", split = "test" }
sample = { target = "{answer}" }

[tasks.toy.pull]
huggingface = "someone/toy"
files = ["*.jsonl", "*.zip"]
into = "toy"
"""
hub = pytest.mark.skipif(
    importlib.util.find_spec("huggingface_hub") is None, reason="huggingface_hub is not installed"
)


def aisb(*words, cwd, code=0, **env):
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "data", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={k: v for k, v in os.environ.items() if not k.startswith(("AISB_", "HF_"))}
        | {"COLUMNS": "80", "HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": str(cwd / "hf")}
        | env,
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.returncode == code, ended.stderr
    return ended.stdout if code in {0, 4} else ended.stderr


@pytest.fixture
def work(tmp_path):
    (tmp_path / "aisb.toml").write_text(TASK)
    return tmp_path


@pytest.fixture
def place(work):
    def run(name, text):
        path = work / "datasets" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return run


def test_the_list_says_what_is_there_and_where_the_rest_would_be(work, place):
    place("nq/NQ-open.dev.jsonl", "")
    out = aisb("list", "nq", "mmlu", "gpqa_main", "synthetic", cwd=work)
    assert out.splitlines() == [
        "there: 1",
        "  nq                     3,610  nq/NQ-open.dev.jsonl",
        "",
        "missing: 2",
        "  mmlu                  14,042  mmlu/test/{subject}_test.csv",
        "  gpqa:main                448  gpqa/gpqa_main.csv",
        "",
        "made: 1",
        "  synthetic",
        "",
        "aisb data check reads these files; aisb data pull NAME downloads missing ones",
    ]


def test_all_tasks_are_listed_with_their_variants_that_have_other_data(work):
    found = {one["task"]: one for one in json.loads(aisb("list", "--json", cwd=work))}
    assert {"mmlu", "gsm8k", "gpqa", "gpqa:main", "lost_in_the_middle:keys-140", "demo_gsm8k"} <= set(found)
    assert found["demo_gsm8k"]["state"] == "there"
    assert found["gsm8k"]["state"] == "missing"
    assert found["gsm8k"]["layout"] == "gsm8k/test.jsonl"
    assert found["gsm8k"]["wanted"]["rows"] == 1319


def test_data_is_compared_by_rows_and_bytes_with_what_was_published(work, place):
    assert "as published    demo_gsm8k" in aisb("check", "demo_gsm8k", cwd=work)
    place("gsm8k/test.jsonl", ROWS)
    out = aisb("check", "gsm8k", cwd=work, code=4)
    assert "other rows      gsm8k                      3  gsm8k/test.jsonl" in out
    assert "3 rows, but 1,319 were published" in out
    place("gsm8k/test.jsonl", "".join((ROWS * 440).splitlines(keepends=True)[:1319]))
    out = aisb("check", "gsm8k", cwd=work, code=4)
    assert re.search(
        r"other bytes .*the number of rows is as published, but the bytes differ:\s+[0-9a-f]{64}",
        out,
        re.DOTALL,
    )


def test_data_that_nothing_is_known_of_is_no_failure(work, place):
    place("toy/test.jsonl", ROWS)
    out = aisb("check", "toy", cwd=work)
    assert "not in the lock toy" in out
    assert "nothing is known of the published data" in out


def test_rows_are_said_to_be_as_many_where_the_bytes_of_a_layout_are_not_known(work, place):
    place("aime2026/aime2026.jsonl", '{"problem": "1?", "answer": "1"}\n' * 30)
    out = aisb("check", "aime2026", cwd=work)
    assert "the number of rows is as published; the hash of these files is not known" in out


def test_broken_data_is_an_error_with_file_and_line(work, place):
    path = place("gsm8k/test.jsonl", ROWS + '{"question": "torn')
    out = aisb("check", "gsm8k", cwd=work, code=4)
    assert out.startswith("wrong           gsm8k")
    assert f"{path.relative_to(work)}, line 4: not JSON: Unterminated string" in out


def test_missing_data_fails_a_check_only_where_it_is_named(work):
    out = aisb("check", "gsm8k", cwd=work, code=4)
    assert "none of these exists" in out
    assert "aisb data pull gsm8k downloads it" in out
    assert "missing" in aisb("check", cwd=work).splitlines()[-1]


def test_a_check_can_print_what_a_lock_has(work, place):
    place("toy/test.jsonl", ROWS)
    digest = hashlib.sha256(ROWS.encode()).hexdigest()
    assert aisb("check", "toy", "--lock", cwd=work) == (
        f'[toy]\nrows = 3\n\n[toy.sha256]\n"toy/test.jsonl" = "{digest}"\n'
    )


def test_the_path_of_data_is_printed_a_file_a_line(work, place):
    rows, labels = place("piqa/valid.jsonl", ""), place("piqa/valid-labels.lst", "")
    assert aisb("path", "piqa", cwd=work).split() == [str(path.relative_to(work)) for path in (rows, labels)]
    said = aisb("path", "squad", cwd=work, code=2)
    assert f"{work}/datasets/squad/dev-v1.1.json" in said
    assert "the data comes from https://rajpurkar.github.io/SQuAD-explorer" in said


def test_an_unknown_task_is_named_with_the_nearest(work):
    assert "no task named 'gsm9k'; did you mean 'gsm8k'?" in aisb("path", "gsm9k", cwd=work, code=2)


class Hub(http.server.BaseHTTPRequestHandler):
    """As much of the Hugging Face hub as its library asks for: the list of a repository, and its files."""

    files: ClassVar[dict[str, bytes]]
    sha = "0" * 40

    def do_GET(self):
        self.answer(body=True)

    def do_HEAD(self):
        self.answer(body=False)

    def answer(self, *, body):
        path = self.path.partition("?")[0]
        found = re.fullmatch(rf"/datasets/someone/toy/resolve/{self.sha}/(.+)", path)
        if path.startswith("/api/datasets/someone/toy/"):
            table = {"id": "someone/toy", "sha": self.sha, "private": False}
            table["siblings"] = [{"rfilename": name} for name in self.files]
            tree = [
                {"type": "file", "path": name, "size": len(content), "oid": self.sha}
                for name, content in self.files.items()
            ]
            content, status = json.dumps(tree if "/tree/" in path else table).encode(), 200
        elif found and found[1] in self.files:
            content, status = self.files[found[1]], 200
        else:
            content, status = b"", 404
        self.send_response(status)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("ETag", f'"{hashlib.sha1(content, usedforsecurity=False).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.sha)
        self.end_headers()
        if body:
            self.wfile.write(content)

    def log_message(self, *_):
        """Say nothing."""


@pytest.fixture
def serve():
    servers = []

    def run(files):
        handler = type("ThisHub", (Hub,), {"files": files})
        servers.append(http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler))
        threading.Thread(target=servers[-1].serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_port}"

    yield run
    for server in servers:
        server.shutdown()
        server.server_close()


@hub
def test_data_comes_from_a_hub_into_its_layout_and_is_checked(work, serve):
    url = serve({"test.jsonl": ROWS.encode(), "README.md": b"no data"})
    out = aisb("pull", "toy", cwd=work, HF_ENDPOINT=url)
    assert "not in the lock toy" in out
    assert (work / "datasets/toy/test.jsonl").read_text() == ROWS
    assert not (work / "datasets/toy/README.md").exists()
    other = work / "elsewhere"
    aisb("pull", "toy", "--data-dir", str(other), cwd=work, HF_ENDPOINT=url)
    assert (other / "toy/test.jsonl").is_file()


@hub
def test_a_zip_from_a_hub_is_unpacked(work, serve):
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("test.jsonl", ROWS)
    aisb("pull", "toy", cwd=work, HF_ENDPOINT=serve({"all.zip": packed.getvalue()}))
    assert (work / "datasets/toy/test.jsonl").read_text() == ROWS
    said = aisb("pull", "toy", "--data-dir", "x", cwd=work, code=2, HF_ENDPOINT=serve({"a.zip": b"PK"}))
    assert "a.zip: cannot be unpacked: File is not a zip file; remove it and pull again" in said


def zipped(*members: tuple[str, int]) -> bytes:
    """A zip of files that hold so many zero bytes each."""
    packed = BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, size in members:
            archive.writestr(name, bytes(size))
    return packed.getvalue()


@hub
@pytest.mark.parametrize(
    ("members", "takes"),
    [
        ([("test.jsonl", 150_000_000)], "its 1 files would take 150 MB"),
        ([(f"test-{n}.jsonl", 30_000_000) for n in range(5)], "its 5 files would take 150 MB"),
    ],
    ids=["one large file", "several files"],
)
def test_a_zip_that_would_fill_the_disk_is_not_unpacked(work, serve, members, takes):
    said = aisb("pull", "toy", cwd=work, code=2, HF_ENDPOINT=serve({"all.zip": zipped(*members)}))
    assert f"datasets/toy/all.zip: {takes}, more than 100 times its own size: it is not unpacked; " in said
    assert [file.name for file in (work / "datasets/toy").iterdir() if file.name != ".cache"] == ["all.zip"]


@hub
def test_a_zip_that_states_less_than_it_holds_fills_no_disk(work, serve):
    packed = zipped(("test.jsonl", 150_000_000))
    lying = packed.replace((150_000_000).to_bytes(4, "little"), (1000).to_bytes(4, "little"))
    said = aisb("pull", "toy", cwd=work, code=2, HF_ENDPOINT=serve({"all.zip": lying}))
    assert "all.zip: cannot be unpacked: Bad CRC-32 for file 'test.jsonl'; remove it and pull again" in said
    assert (work / "datasets/toy/test.jsonl").stat().st_size <= 1000


@hub
def test_a_tar_is_never_unpacked(work, serve):
    packed = BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        member = tarfile.TarInfo("test.jsonl")
        member.size = 1_000_000
        archive.addfile(member, BytesIO(bytes(member.size)))
    said = aisb("pull", "toy", cwd=work, code=2, HF_ENDPOINT=serve({"all.zip": packed.getvalue()}))
    assert "all.zip: cannot be unpacked: File is not a zip file; remove it and pull again" in said
    assert not (work / "datasets/toy/test.jsonl").exists()


@hub
def test_what_comes_in_another_layout_is_said_to_be_missing_still(work, serve):
    said = aisb("pull", "toy", cwd=work, code=2, HF_ENDPOINT=serve({"other.jsonl": b"{}\n"}))
    assert "the files downloaded to datasets/toy match none of the layouts that the task reads" in said
    assert "place it below datasets as:\n    toy/test.jsonl" in said


@hub
def test_a_hub_that_cannot_be_reached_ends_with_what_to_place_where(work):
    said = aisb("pull", "toy", cwd=work, code=3, HF_ENDPOINT="http://127.0.0.1:9")
    assert said.splitlines()[0].startswith(
        "error: someone/toy cannot be downloaded from the Hugging Face hub: "
    )
    assert said.splitlines()[1:] == [
        "  by hand: the data comes from https://example.org/toy",
        "  or the files *.jsonl, *.zip of someone/toy (the Hugging Face hub)",
        "    under datasets/toy",
        "  place it below datasets as:",
        "    toy/test.jsonl",
    ]


@hub
def test_a_repository_that_is_not_there_is_named(work, serve):
    (work / "aisb.toml").write_text(TASK.replace("someone/toy", "nobody/nothing"))
    said = aisb("pull", "toy", cwd=work, code=3, HF_ENDPOINT=serve({}))
    assert "nobody/nothing cannot be downloaded from the Hugging Face hub: " in said
    assert "404" in said


def test_a_task_on_no_hub_says_where_its_data_comes_from(work):
    said = aisb("pull", "lcsts", cwd=work, code=2)
    assert "lcsts is on no hub" in said
    assert "by hand: the data comes from http://icrc.hitsz.edu.cn" in said
    assert "place it below datasets as:\n    LCSTS/test.src.txt and LCSTS/test.tgt.txt" in said
    said = aisb("pull", "toy", "--from", "modelscope", cwd=work, code=2)
    assert "toy is not known to be on ModelScope; it is available with --from huggingface" in said


def test_a_library_that_is_not_installed_is_named_with_its_extra(work):
    (work / "aisb.toml").write_text(TASK.replace("huggingface =", "modelscope ="))
    (work / "blocked").mkdir()
    (work / "blocked/modelscope.py").write_text("raise ImportError('not here')")
    said = aisb("pull", "toy", cwd=work, code=2, PYTHONPATH=str(work / "blocked"))
    assert "ModelScope is read with modelscope: pip install 'aisb[modelscope]'" in said


def test_areas_have_averages_of_their_own_and_groups_merge_into_one_figure(work, place):
    for split, count in (("dev", 5), ("test", 3)):
        for subject in ("anatomy", "virology", "jurisprudence"):
            rows = "".join(f"{subject} {n}?,1,2,3,4,{'ABCD'[n % 4]}\n" for n in range(count))
            place(f"mmlu/{split}/{subject}_{split}.csv", rows)
    run = [sys.executable, "-m", "aisb_cli.main", "run", "--models", "sim", "--datasets", "mmlu:text"]
    environment = {k: v for k, v in os.environ.items() if not k.startswith("AISB_")} | {"COLUMNS": "100"}
    ended = run_forked(run, cwd=work, env=environment, capture_output=True, text=True, check=True)
    shown = [line.split()[:1] + line.split()[2:3] for line in ended.stdout.split("\n\n")[0].splitlines()[2:]]
    assert shown == [
        ["mmlu-anatomy", "accuracy"],
        ["mmlu-jurisprudence", "accuracy"],
        ["mmlu-virology", "accuracy"],
        ["mmlu-stem", "naive_average"],
        ["mmlu-stem", "weighted_average"],
        ["mmlu-humanities", "naive_average"],
        ["mmlu-humanities", "weighted_average"],
        ["mmlu-other", "naive_average"],
        ["mmlu-other", "weighted_average"],
        ["mmlu", "naive_average"],
        ["mmlu", "weighted_average"],
    ]
    merged = run_forked(
        [*run, "--merge-ds"], cwd=work, env=environment, capture_output=True, text=True, check=True
    )
    assert [line.split()[0] for line in merged.stdout.split("\n\n")[0].splitlines()[2:]] == ["mmlu"]
    some = "mmlu:text:subject=anatomy+virology"
    chosen = run_forked(
        [*run[:-1], some], cwd=work, env=environment, capture_output=True, text=True, check=True
    )
    assert "mmlu-jurisprudence" not in chosen.stdout
    assert "mmlu-virology" in chosen.stdout


def test_a_column_that_is_missing_is_named_with_file_and_line(work, place):
    path = place("gsm8k/test.jsonl", ROWS + '{"question": "2 + 2?", "solution": "4"}\n')
    out = " ".join(aisb("check", "gsm8k", cwd=work, code=4).split())
    assert "no field 'answer'" in out
    assert "the fields are: question, solution" in out
    assert f"at {path.relative_to(work)}, line 4" in out


def test_a_pointer_in_place_of_data_and_another_encoding_are_named(work, place):
    place("gsm8k/test.jsonl", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n")
    assert "this is a Git LFS pointer, not the data" in aisb("check", "gsm8k", cwd=work, code=4)
    path = place("nq/NQ-open.dev.jsonl", "")
    path.write_bytes('{"question": "Wo?", "answer": ["Köln"]}\n'.encode("latin-1"))
    out = " ".join(aisb("check", "nq", cwd=work, code=4).split())
    assert "nq/NQ-open.dev.jsonl, line 1: byte 0xf6" in out
    assert "is not UTF-8; find the encoding" in out

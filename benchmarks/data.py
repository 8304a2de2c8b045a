"""How long the largest exam takes to be read and rendered: 14,042 questions, with five examples each.

    python benchmarks/data.py [ROUNDS]

The files are written here, in upstream's form and size; the limit is for all of it: read, made into samples,
rendered. One thread does it, and its CPU seconds are counted, so that a busy machine does not stretch them.
"""

import csv
import statistics
import sys
import tempfile
import time
import tracemalloc
from pathlib import Path

from aisb._plugins import Plugins
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.prompts import Renderer
from aisb_engine._resolve.config import RunInput, resolve

ROWS, SUBJECTS = 14_042, 57
LIMIT_S = 2.0
STREAM_ROWS, STREAM_LIMIT_MB = 200_000, 8.0


def write_mmlu(root: Path) -> None:
    """Write as many questions as MMLU has, as long as they are there (about 250 characters)."""
    for split in ("dev", "test"):
        folder = root / "mmlu" / split
        folder.mkdir(parents=True)
        for subject in range(SUBJECTS):
            count = 5 if split == "dev" else ROWS // SUBJECTS + (subject < ROWS % SUBJECTS)
            with (folder / f"subject_{subject:02}_{split}.csv").open("w", newline="") as stream:
                csv.writer(stream).writerows(
                    [f"Question {n} of subject {subject}, " + "which goes on for a while, " * 7]
                    + [f"option {n} {letter} that is as long as one" for letter in "ABCD"]
                    + ["ABCD"[n % 4]]
                    for n in range(count)
                )


def loaded_and_rendered(root: Path, plugins: Plugins) -> tuple[int, float, float]:
    (task,) = resolve(
        plugins,
        RunInput(
            models=["sim"], datasets=["mmlu"], sets=["task.sample.fields.category=", "task.sample.areas="]
        ),
    ).tasks.values()
    folders = DataFolders([root])
    began = time.process_time()
    samples = load_samples(task, plugins, folders)
    read = time.process_time() - began
    renderer = Renderer(task, plugins, folders)
    rendered = sum(1 for sample in samples if renderer.request(sample).messages)
    return rendered, read, time.process_time() - began


def memory_of_a_stream(root: Path, plugins: Plugins) -> float:
    """Return the megabytes that reading a large file takes at most, when its rows are not kept."""
    path = root / "rows.jsonl"
    with path.open("w") as stream:
        for n in range(STREAM_ROWS):
            stream.write(f'{{"question": "{n} and {"more " * 40}", "answer": "{n}"}}\n')
    files = DataFolders([root]).find("rows.jsonl")
    tracemalloc.start()
    count = sum(1 for _ in plugins.make("dataset", "jsonl", {}, files=files))
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert count == STREAM_ROWS
    return most / 1e6


def main(rounds: int) -> int:
    plugins = Plugins.load()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_mmlu(root)
        times = [loaded_and_rendered(root, plugins) for _ in range(rounds)]
        rendered = times[0][0]
        read, whole = (statistics.median(column) for column in list(zip(*times, strict=True))[1:])
        most = memory_of_a_stream(root, plugins)
    over = whole > LIMIT_S
    print(f"mmlu, {rendered:,} questions with five examples each (medians of {rounds} rounds)")
    print(f"  read and made into samples  {read:5.2f} s")
    verdict = f"{'OVER' if over else 'within'} the limit of {LIMIT_S:g} s"
    print(f"  and rendered                {whole:5.2f} s   {verdict}")
    wide = most > STREAM_LIMIT_MB
    print(f"a file of {STREAM_ROWS:,} rows, read row by row")
    print(f"  memory at most              {most:5.2f} MB  {'OVER' if wide else 'within'} the limit of 8 MB")
    return int(over or wide)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 3))

"""Take pictures of pages at three sizes, light and dark, and measure how smoothly samples scroll.

    python tools/pictures.py FOLDER               of every kind of page, made of runs of the simulator
    python tools/pictures.py PAGE FOLDER          of one page that a run has
    python tools/pictures.py PAGE --scroll        milliseconds a frame while its samples scroll

The kinds are the report of answers, of one load and of several, the plots, and what `aisb view` shows: the
list, a run that goes on, some that have ended, samples, and two runs compared. It needs Chromium
(apt install chromium).
"""
# ruff: noqa: INP001, S101, S603, T201 - a program of the repository, which prints and runs aisb

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from aisb_testing._browser import CHROMIUM, Chromium, Page

SIZES = {375: 812, 1024: 768, 1600: 1000}
THEMES = ("light", "dark")
SCROLL = """new Promise((done) => {
  const view = document.querySelector('.rows');
  const frames = [];
  const most = view.scrollHeight - view.clientHeight;
  let last = null, count = 0;
  const step = (now) => {
    if (last !== null) frames.push(now - last);
    last = now;
    if (count++ < 240) {
      // First as fast as a wheel goes, then over the whole list in leaps.
      view.scrollTop = count < 120 ? count * 90 : (most * (count - 120)) / 120;
      requestAnimationFrame(step);
    } else {
      frames.sort((a, b) => a - b);
      const rows = document.querySelectorAll('.rows .row').length;
      const answers = Number(view.getAttribute('aria-rowcount'));
      const p99 = frames[Math.floor(0.99 * frames.length)];
      done({ answers, rows, frames: frames.length, median: frames[120], p99, most: frames.at(-1) });
    }
  };
  requestAnimationFrame(step);
})"""
MODELS = """
[models.qwen3-8b-instruct]
base = "sim"
options = { accuracy = 0.9, reasoning = "reasoning_content", answers = "sums.jsonl", ttft_ms = 5 }
[models.llama-3]
base = "sim"
options = { accuracy = 0.6, seed = 1, answers = "sums.jsonl", faults = ["status-400:0.02"] }
[models.busy]
base = "sim"
options = { ttft_ms = "lognormal:40:0.5", tpot_ms = "normal:3:1", faults = ["cut:0.03", "status-500:0.02"] }
[models.slow]
base = "sim"
options = { ttft_ms = 600, faults = ["status-400:0.1"] }
"""
TASK = """
summary = "sums of four lengths"
version = 1
source = "made for pictures"
licence = "Apache-2.0"
citation = "none"
[dataset]
use = "jsonl"
path = "./sums.jsonl"
[sample]
target = "{answer}"
group = "{kind}"
[prompt]
user = "{question}"
[params]
num_return_sequences = 3
temperature = 0.7
[[postprocess]]
use = "number"
[[evaluate]]
use = "numeric-match"
"""


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    if CHROMIUM is None:
        sys.exit("chromium is not installed: apt install chromium")
    browser = Chromium()
    match arguments:
        case [page, "--scroll"]:
            print(scrolled(browser, Path(page)))
        case [page, folder]:
            take(browser, Path(page).stem, Path(folder), page=Path(page))
        case [folder] if not folder.startswith("-"):
            take_all(browser, Path(folder))
        case _:
            sys.exit(__doc__)
    browser.close()


def take(
    browser: Chromium, name: str, folder: Path, *, page: Path | None = None, url: str = "", until: str = ""
) -> None:
    """Write what a page looks like at each size and in each theme; of a report, also with a sample opened."""
    folder.mkdir(parents=True, exist_ok=True)
    for theme in THEMES:
        for width, height in SIZES.items():
            opened = browser.page(width, height, theme)
            opened.send("Emulation.setTouchEmulationEnabled", enabled=width < 500)
            if page:
                opened.open(page)
            else:
                opened.go(url, until)
            _keep(opened, folder / f"{name}_{width}_{theme}.png", whole=True)
            if opened.run("Boolean(document.querySelector('.rows .row'))"):
                opened.run("document.querySelector('.rows .row').click()")
                opened.until("document.getElementById('reader').open")
                _keep(opened, folder / f"{name}_sample_{width}_{theme}.png", whole=False)
            opened.close()


def _keep(page: Page, file: Path, *, whole: bool) -> None:
    page.picture(file, whole=whole)
    print(file)


def take_all(browser: Chromium, folder: Path) -> None:
    """Run the simulator, and take a picture of every kind of page that shows the runs."""
    with TemporaryDirectory() as place:
        work = Path(place)
        (work / "aisb.toml").write_text(MODELS)
        (work / "sums.toml").write_text(TASK)
        (work / "sums.jsonl").write_text("".join(_sums()))
        answers = ["run", "--datasets", "demo_gsm8k,sums.toml", "--max-failures", "99", "--models"]
        first = _made(work, *answers, "qwen3-8b-instruct,llama-3")
        second = _made(work, *answers, "llama-3", "--set", "model.accuracy=0.75")
        load = [
            "run",
            "--mode",
            "perf",
            "--models",
            "busy",
            "--datasets",
            "demo_gsm8k",
            "--max-failures",
            "99",
        ]
        loads = [_made(work, *load, "--concurrency", str(n), "--num-prompts", "64") for n in (2, 8, 32)]
        for name, runs in (("answers", [first]), ("load", loads[1:2]), ("loads", loads)):
            _aisb(work, "report", *(run.name for run in runs))
            several = runs[0].parent / "reports"
            (page,) = several.glob("*/points.html") if len(runs) > 1 else (runs[0] / "summary").glob("*.html")
            take(browser, name, folder, page=page)
        for page in sorted(loads[1].glob("performances/*/*.html")):
            take(browser, "rates" if "rps" in page.name else "plots", folder, page=page)
        take_view(browser, folder, work, [run.name for run in (first, second, loads[1])])


def take_view(browser: Chromium, folder: Path, work: Path, runs: list[str]) -> None:
    """Take pictures of `aisb view` during a run; `runs` are two with answers, and one with a load."""
    a, b, load = runs
    words = ["run", "--models", "slow", "--datasets", "demo_gsm8k", "--concurrency", "1"]
    with _running(work, *words), _running(work, "view") as view:
        assert view.stdout
        url = re.search(r"http://\S+", view.stdout.readline())
        assert url
        table = "document.querySelector('main table')"
        take(browser, "view_list", folder, url=url[0], until=f"{table}?.querySelector('.running')")
        (now,) = (one["run"] for one in _listed(work) if one["status"] == "running")
        take(browser, "view_running", folder, url=f"{url[0]}#run/{now}", until=table)
        drawn = "document.documentElement?.dataset.state === 'drawn'"
        take(browser, "view_samples", folder, url=f"{url[0]}samples.html#run={a}", until=drawn)
        # A frame that is not in view is not drawn.
        frame = "document.querySelector('iframe')"
        in_view = f"({frame}?.scrollIntoView(), {frame}?.style.height)"
        take(browser, "view_load", folder, url=f"{url[0]}#run/{load}", until=in_view)
        take(browser, "view_run", folder, url=f"{url[0]}#run/{a}", until=table)
        take(browser, "view_compare", folder, url=f"{url[0]}#compare/{a}/{b}", until=table)


def scrolled(browser: Chromium, page: Path) -> str:
    """Scroll through the samples of a page and say how long its frames took."""
    opened = browser.page()
    opened.open(page)
    opened.box(".rows")
    found = opened.run(SCROLL)
    return (
        f"{found['answers']:,} answers, {found['rows']} rows in the page; {found['frames']} frames: "
        f"median {found['median']:.1f} ms, P99 {found['p99']:.1f} ms, longest {found['most']:.1f} ms"
    )


def _sums() -> Iterator[str]:
    for kind, least in (("one digit", 1), ("two digits", 10), ("three digits", 100), ("four digits", 1000)):
        for n in range(least * 3, least * 3 + 12):
            row = {"question": f"What is {n} + {least}?", "answer": str(n + least), "kind": kind}
            yield json.dumps(row) + "\n"


def _made(work: Path, *words: str) -> Path:
    """Make a run; return its folder."""
    _aisb(work, *words)
    return Path(work, _listed(work)[0]["path"])


def _listed(work: Path) -> list[dict[str, str]]:
    return list(json.loads(_aisb(work, "runs", "list", "--json")))


def _aisb(work: Path, *words: str) -> str:
    line = [sys.executable, "-m", "aisb_cli.main", *words]
    done = subprocess.run(line, cwd=work, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"aisb {' '.join(words)}\n{done.stderr}")
    return done.stdout


@contextmanager
def _running(work: Path, *words: str) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-u", "-m", "aisb_cli.main", *words]
    pipe = subprocess.PIPE
    process = subprocess.Popen(line, cwd=work, text=True, stdout=pipe, stderr=subprocess.DEVNULL)
    time.sleep(0.1)
    yield process
    process.send_signal(signal.SIGINT)
    process.wait(60)


if __name__ == "__main__":
    main(sys.argv[1:])

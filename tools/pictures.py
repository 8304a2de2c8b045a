"""Take pictures of a page at three sizes, light and dark, and measure how smoothly its samples scroll.

    python tools/pictures.py PAGE FOLDER          a PNG for each size and theme, in FOLDER; of a sample, too
    python tools/pictures.py PAGE --scroll        milliseconds a frame while the samples scroll

PAGE is an .html file that aisb wrote. It needs Chromium (apt install chromium) and no driver.
"""
# ruff: noqa: INP001, T201 - a program of the repository, which prints

from __future__ import annotations

import sys
from pathlib import Path

from aisb.testing.browser import CHROMIUM, Chromium

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


def main(arguments: list[str]) -> None:
    """Do what the command line says."""
    match arguments:
        case [page, "--scroll"]:
            print(scrolled(Path(page).resolve()))
        case [page, folder]:
            for file in pictures(Path(page).resolve(), Path(folder)):
                print(file)
        case _:
            sys.exit(__doc__)


def pictures(page: Path, folder: Path) -> list[Path]:
    """Write what a page and a sample in it look like, at each size and in each theme."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    browser = _chromium()
    for theme in THEMES:
        for width, height in SIZES.items():
            opened = browser.page(width, height, theme)
            opened.open(page)
            made.append(folder / f"{page.stem}_{width}_{theme}.png")
            opened.picture(made[-1])
            if opened.run("Boolean(document.querySelector('.rows .row'))"):
                opened.run("document.querySelector('.rows .row').click()")
                opened.until("document.getElementById('reader').open")
                made.append(folder / f"{page.stem}_sample_{width}_{theme}.png")
                opened.picture(made[-1], whole=False)
    browser.close()
    return made


def scrolled(page: Path) -> str:
    """Scroll through the samples of a page and say how long its frames took."""
    browser = _chromium()
    opened = browser.page()
    opened.open(page)
    opened.box(".rows")
    found = opened.run(SCROLL)
    browser.close()
    return (
        f"{found['answers']:,} answers, {found['rows']} rows in the page; {found['frames']} frames: "
        f"median {found['median']:.1f} ms, P99 {found['p99']:.1f} ms, longest {found['most']:.1f} ms"
    )


def _chromium() -> Chromium:
    if CHROMIUM is None:
        sys.exit("chromium is not installed: apt install chromium")
    return Chromium()


if __name__ == "__main__":
    main(sys.argv[1:])

"""The HTML page of an audit: outputs in doubt with all readings; those with a doubtful verdict come first."""

from __future__ import annotations

from collections.abc import Iterator
from html import escape

from aisb_analysis._audit import FLAGS, Audit, AuditEntry, Reading

MAX_OUTPUTS = 500
"""The number of outputs on a page; the JSONL file next to it has all of them."""

MAX_OUTPUT_LENGTH = 20_000
"""The length of an output on the page, in characters: its end, where answers usually are."""

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem; padding: 0 1rem }
article { border: 1px solid #ccc; border-radius: 6px; margin: 1.2rem 0; padding: .8rem 1rem }
h2 { font-size: 1rem; margin: 0 0 .4rem }
table { border-collapse: collapse; margin: .4rem 0 }
td, th { border: 1px solid #ddd; padding: .2rem .5rem; text-align: left }
pre { white-space: pre-wrap; overflow-wrap: anywhere; background: #f6f6f6; padding: .6rem }
mark.own { background: #ffd54f }
mark.other { background: #90caf9 }
"""


def to_page(found: Audit, title: str) -> bytes:
    """Return a self-contained page, which loads no other files."""
    flagged = [entry for entry in found.entries if entry.flags]
    counts = "".join(f"<li>{found.flagged[flag]:,} {flag}: {escape(FLAGS[flag])}</li>" for flag in FLAGS)
    shown = "".join(map(_article, flagged[:MAX_OUTPUTS]))
    left = f"<p>and {len(flagged) - MAX_OUTPUTS:,} more</p>" if len(flagged) > MAX_OUTPUTS else ""
    page = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style><h1>{escape(title)}</h1>"
        f"<p>{len(found.entries):,} outputs. The answer that was graded is "
        '<mark class="own">marked like this</mark>, other readings <mark class="other">like this</mark>.</p>'
        f"<ul><li>{found.contested:,} whose verdict another, equally marked answer would change</li>"
        f"{counts}</ul>{shown}{left}</html>"
    )
    return page.encode("utf-8", "backslashreplace")


def _article(entry: AuditEntry) -> str:
    name = entry.id if not entry.repeat else f"{entry.id}.r{entry.repeat}"
    others = differing(entry)
    rows = "".join(_row(by, reading) for by, reading in [("graded", entry.own), *others.items()])
    return (
        f"<article><h2>{escape(name)}: {', '.join(entry.flags)} ({entry.outcome})</h2>"
        f"<table><tr><th>by</th><th>answer</th><th>rule</th><th>verdict</th></tr>{rows}</table>"
        f"<p>reference answer: {escape(str(entry.gold))}</p><pre>{_marked(entry, others)}</pre></article>"
    )


def differing(entry: AuditEntry) -> dict[str, Reading]:
    """Return the readings of an output that differ from the graded one."""
    return {
        by: reading
        for by, reading in entry.others.items()
        if reading.answer is not None and reading.same != entry.own.same
    }


def _row(by: str, reading: Reading) -> str:
    verdict = {True: "right", False: "not right", None: "unknown"}[reading.right]
    answer = "nothing" if reading.answer is None else reading.answer
    cells = (by, answer[:300], reading.rule, verdict)
    return f"<tr>{''.join(f'<td>{escape(cell)}</td>' for cell in cells)}</tr>"


def _marked(entry: AuditEntry, others: dict[str, Reading]) -> str:
    """Return an output as HTML with marked answers; of overlapping answers, the shortest is marked."""
    spans = [(*entry.own.span, "own")] if entry.own.span else []
    placed = [reading.span for reading in others.values() if reading.span]
    for start, end in sorted(set(placed), key=lambda span: span[1] - span[0]):
        if all(end <= one[0] or one[1] <= start for one in spans):
            spans.append((start, end, "other"))
    return "".join(_pieces(entry.text, sorted(spans)))


def _pieces(text: str, spans: list[tuple[int, int, str]]) -> Iterator[str]:
    at = max(0, len(text) - MAX_OUTPUT_LENGTH)
    if at:
        yield f"… ({at:,} characters before)\n"
    for start, end, kind in spans:
        if start < at or end <= start:
            continue
        yield escape(text[at:start])
        yield f'<mark class="{kind}">{escape(text[start:end])}</mark>'
        at = end
    yield escape(text[at:])

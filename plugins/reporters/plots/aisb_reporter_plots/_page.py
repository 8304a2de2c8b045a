"""Assemble a page: markup, style, script, plotly's bundle and the data in one file.

Large data is deflated and base64-encoded, so that no text of a user can inject markup; the page's script
inflates it. A content security policy in the page forbids all network requests.
"""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator, Mapping
from functools import cache
from html import escape
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import quote

from aisb import AisbError, PerformanceResult
from aisb_reporter_plots._data import pack_rates, pack_requests

HERE = Path(__file__).parent
PLOT, RATES = "_plot.html", "_rps_distribution_plot.html"
OTHER = {"requests": "Request rate and intervals", "rates": "Requests and latencies"}
"""The text of the link to the other page."""


def pages(result: PerformanceResult, run: str, name: str) -> Iterator[tuple[str, bytes]]:
    """Yield the suffix of each page's file name, and the page; `name` is the common prefix of the names.

    Imported numbers without single requests have no page.
    """
    if result.stages[0].totals.requests and not len(result.requests()["id"]):
        return
    title = f"{result.model} on {result.task}"
    for ending, body, other, packed in (
        (PLOT, "requests", RATES, pack_requests(result)),
        (RATES, "rates", PLOT, pack_rates(result)),
    ):
        yield ending, _page(body, title=title, run=run, link=quote(name + other), packed=packed)


def _page(body: str, *, title: str, run: str, link: str, packed: bytes) -> bytes:
    return frame(
        title=title,
        style=page_part("page.css"),
        body=fill(
            page_part("page.html"),
            title=escape(title),
            run=escape(run),
            link=escape(link),
            other=OTHER[body],
            tools=page_part("tools.html"),
            body=page_part(f"{body}.html"),
        ),
        data={"plotly": plotly_bundle(), "data": embed(packed)},
        script="".join(
            map(
                page_part,
                ("shared.js", "linked.js", "over_time.js", f"{body}.js", "page.js", f"{body}_page.js"),
            )
        ),
    )


def frame(*, title: str, style: str, body: str, data: Mapping[str, str], script: str) -> bytes:
    """Return a complete page from its body, its compressed data by name, and its script."""
    blocks = (
        f'<script type="application/octet-stream" id="{name}">{text}</script>' for name, text in data.items()
    )
    return fill(
        page_part("frame.html"),
        title=escape(title),
        theme=page_part("theme.js"),
        style=page_part("colours.css") + style,
        body=body,
        data="\n".join(blocks),
        script=script,
    ).encode()


def fill(form: str, **parts: str) -> str:
    """Fill a template of markup, in which `{{name}}` stands for each part.

    All parts are inserted at once, so that text in one part is never taken for the name of another.
    """
    return re.sub(r"\{\{(\w+)\}\}", lambda name: parts[name[1]], form)


def embed(data: bytes, level: int = 6) -> str:
    """Return bytes in the form for the page's script: deflated and base64-encoded."""
    return base64.b64encode(zlib.compress(data, level)).decode()


@cache
def plotly_bundle() -> str:
    """Return plotly's bundle for the browser, from its wheel; plotly itself is not imported.

    Raises:
        AisbError: the installed plotly does not have it.
    """
    spec = find_spec("plotly")
    for folder in spec.submodule_search_locations or () if spec else ():
        file = Path(folder, "package_data", "plotly.min.js")
        if file.is_file():
            # Level 1 takes a third of the time, which every run spends, for a sixth more bytes.
            return embed(file.read_bytes(), level=1)
    raise AisbError(
        "plotly has no package_data/plotly.min.js, which the plots are drawn with\n"
        "  install it anew: pip install --force-reinstall plotly"
    )


@cache
def page_part(name: str) -> str:
    """Return one of the files that pages are made of."""
    return (HERE / name).read_text("utf-8")

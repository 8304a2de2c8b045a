"""The web server of `aisb view`: read-only, and only for the user of this machine.

Every address begins with a random token, new at each start, so that no other page or user has access. A Host
header with another name, as after DNS rebinding, is refused. Pages of runs show text that models wrote, so
the response headers isolate them in a sandbox, and let them load nothing.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable
from functools import partial
from importlib.resources import files
from typing import Any

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from aisb import AisbError
from aisb_cli.viewing.answers import read_selection
from aisb_cli.viewing.reading import RunReader

HOSTS = ("127.0.0.1", "localhost")
PAGE_FILES = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; frame-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
FOREIGN = (
    "sandbox allow-scripts allow-downloads allow-popups allow-modals; default-src 'none'; "
    "script-src 'unsafe-inline' 'unsafe-eval' data: blob:; style-src 'unsafe-inline'; img-src data: blob:; "
    "font-src data:; media-src data: blob:; connect-src data: blob:; worker-src data: blob:"
)
CONTENT_TYPES = {".html": "text/html", ".js": "text/javascript", ".css": "text/css", ".png": "image/png"}
"""The content types by suffix; any other file is served as plain text."""

PAGES = ("page.html", "samples.html")
SCRIPTS = ("common.js", "list.js", "run.js", "compare.js", "page.js", "browse.js")
STYLES = ("page.css", "browse.css")
OWN_FILES = (*PAGES, *SCRIPTS, *STYLES)
PARTS = {
    "aisb_reporter_plots": ("colours.css", "theme.js", "shared.js"),
    "aisb_reporter_html": ("report.css", "samples.css", "dom.js", "rows.js", "reader.js"),
}
"""The parts of the pages of reporters that the browser of samples consists of."""

ADDRESS_NEEDED = "this page needs the whole address that `aisb view` printed, with the token in it\n"


def make_app(reading: RunReader, token: str) -> Starlette:
    """Return the server's application: the page, its data, and the files of runs."""

    async def runs(request: Request) -> Response:
        limit = request.query_params.get("limit")
        return await _json_response(partial(reading.runs, _integer(limit, 100)))

    async def run(request: Request) -> Response:
        return await _json_response(partial(reading.run, request.path_params["run"]))

    async def compare(request: Request) -> Response:
        query = request.query_params
        return await _json_response(
            partial(
                reading.compare,
                query.get("a", ""),
                query.get("b", ""),
                model_a=query.get("model_a") or None,
                model_b=query.get("model_b") or None,
            )
        )

    async def file(request: Request) -> Response:
        found = reading.file(request.path_params["run"], request.path_params["path"])
        if found is None:
            return PlainTextResponse("there is no such file in this run\n", 404)
        kind = CONTENT_TYPES.get(found.suffix, "text/plain")
        return _guarded(FileResponse(found, media_type=kind), FOREIGN)

    async def samples(request: Request) -> Response:
        query = request.query_params
        return await _json_response(
            partial(
                reading.samples,
                request.path_params["run"],
                read_selection(query),
                _integer(query.get("offset"), 0),
                _integer(query.get("limit"), 100),
            )
        )

    async def sample(request: Request) -> Response:
        query = request.query_params
        return await _json_response(
            partial(reading.sample, request.path_params["run"], query.get("task", ""), query.get("id", ""))
        )

    async def plots(request: Request) -> Response:
        path_params = request.path_params
        try:
            page = await run_in_threadpool(
                reading.plots, path_params["run"], path_params["number"], path_params["file"]
            )
        except AisbError as error:
            return _guarded(PlainTextResponse(f"{error}\n", 400), FOREIGN)
        if page is None:
            return PlainTextResponse("there are no such plots\n", 404)
        return _guarded(Response(page, media_type="text/html"), FOREIGN)

    routes = [
        Route("/{token}/", _static("page.html")),
        *(Route(f"/{{token}}/{name}", _static(name)) for name in OWN_FILES[1:]),
        *(Route(f"/{{token}}/parts/{name}", _part(name)) for names in PARTS.values() for name in names),
        Route("/{token}/api/runs/{run}/samples", samples),
        Route("/{token}/api/runs/{run}/sample", sample),
        Route("/{token}/plots/{run}/{number:int}/{file}", plots),
        Route("/{token}/api/runs", runs),
        Route("/{token}/api/runs/{run}", run),
        Route("/{token}/api/compare", compare),
        Route("/{token}/files/{run}/{path:path}", file),
    ]
    hosts = Middleware(TrustedHostMiddleware, allowed_hosts=HOSTS, www_redirect=False)
    return Starlette(routes=routes, middleware=[hosts, Middleware(OnlyWithToken, token=token)])


class OnlyWithToken:
    """Refuses every address that does not begin with the token."""

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app = app
        self._token = token.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Accept a request, or answer it with 403."""
        if scope["type"] == "http":
            first = scope["path"].split("/", 2)[1]
            if not hmac.compare_digest(first.encode(), self._token):
                await PlainTextResponse(ADDRESS_NEEDED, 403)(scope, receive, send)
                return
        await self._app(scope, receive, send)


def _static(name: str) -> Callable[[Request], Response]:
    kind = CONTENT_TYPES[name[name.rindex(".") :]]

    def page(request: Request) -> Response:
        del request
        return _guarded(
            Response(files("aisb_cli.viewing").joinpath(name).read_bytes(), media_type=kind), PAGE_FILES
        )

    return page


def _part(name: str) -> Callable[[Request], Response]:
    def part(request: Request) -> Response:
        del request
        try:
            text = page_part(name)
        except ImportError:
            return PlainTextResponse("aisb-reporter-html is not installed\n", 404)
        return _guarded(Response(text, media_type=CONTENT_TYPES[name[name.rindex(".") :]]), PAGE_FILES)

    return part


def page_part(name: str) -> str:
    """Return a part of the pages of reporters; raise `ImportError` if its reporter is not installed."""
    if name in PARTS["aisb_reporter_plots"]:
        import aisb_reporter_plots

        return aisb_reporter_plots.page_part(name)
    import aisb_reporter_html

    return aisb_reporter_html.web_file("page.css" if name == "report.css" else name)


def _integer(text: str | None, default: int) -> int:
    """Return a number of a query string; the default if it is none."""
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else default


async def _json_response(call: Callable[[], Any]) -> Response:
    """Answer with the result of a call, or with the message of its error."""
    try:
        return _guarded(JSONResponse(await run_in_threadpool(call)), PAGE_FILES)
    except AisbError as error:
        words = "\n".join([str(error), *getattr(error, "__notes__", ())])
        return _guarded(JSONResponse({"error": words}, 400), PAGE_FILES)


def _guarded(response: Response, policy: str) -> Response:
    response.headers.update(
        {
            "content-security-policy": policy,
            "x-content-type-options": "nosniff",
            "referrer-policy": "no-referrer",
            "cache-control": "no-store",
            "cross-origin-resource-policy": "same-origin",
        }
    )
    return response

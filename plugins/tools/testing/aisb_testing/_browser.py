"""A headless Chromium for tests of pages: their content, console messages, and network requests.

`page = browser(390, 844)` in a test opens a page as large as a phone; `page.open(file)` then waits until the
`data-state` of the page's root shows that it is drawn. At the end, the test fails for every console error or
warning of the page, and for every request to a host. No driver is needed: Chromium is controlled over a pipe
(https://chromedevtools.github.io/devtools-protocol/).
"""
# ruff: noqa: S101 - what is asserted here fails the test that drives the page

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
CHROMIUM_FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--hide-scrollbars",
    "--disable-component-update", "--disable-background-networking", "--disable-sync",
    # The scripts that many pages share are compiled once if one process shows them all.
    "--process-per-site", "--renderer-process-limit=1",
    "--remote-debugging-pipe",
)  # fmt: skip
IN_FILES = ("file:", "data:", "blob:", "about:")
"""The prefixes of addresses that need no host."""
ERROR_LEVELS = frozenset(("error", "warning", "assert"))

Point = tuple[float, float]


class Chromium:
    """A browser process and its pipes."""

    def __init__(self) -> None:
        assert CHROMIUM is not None, "chromium is not installed: apt install chromium"
        self._profile = tempfile.mkdtemp()
        (theirs_in, ours_out), (ours_in, theirs_out) = os.pipe(), os.pipe()
        # Chromium reads commands from descriptor 3 and answers on 4.
        script = f'exec "$@" 3<&{theirs_in} 4>&{theirs_out}'
        browser = [CHROMIUM, *CHROMIUM_FLAGS, f"--user-data-dir={self._profile}", "about:blank"]
        self._process = subprocess.Popen(  # noqa: S603
            ["bash", "-c", script, "bash", *browser],  # noqa: S607
            pass_fds=(theirs_in, theirs_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._out = os.fdopen(ours_out, "wb", buffering=0)
        self._in = os.fdopen(ours_in, "rb", buffering=0)
        self._held, self._number = b"", 0
        self.events: list[dict[str, Any]] = []
        """The events of all pages, in order."""

    def send(self, method: str, session: str | None = None, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol, and return its result."""
        self._number += 1
        message = {"id": self._number, "method": method, "params": params}
        self._out.write(json.dumps(message | ({"sessionId": session} if session else {})).encode() + b"\0")
        while (answer := self._receive()).get("id") != self._number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return dict(answer["result"])

    def page(self, width: int = 1280, height: int = 900, theme: str | None = None) -> Page:
        """Open an empty page of this size, in a system that is `light` or `dark`."""
        return Page(self, width, height, theme)

    def close(self) -> None:
        """Close the browser; a second call does nothing."""
        if self._out.closed:
            return
        self._out.close()
        self._in.close()
        self._process.terminate()
        self._process.wait(10)
        shutil.rmtree(self._profile, ignore_errors=True)

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self._held:
            more = self._in.read(1 << 16)
            assert more, "chromium ended"
            self._held += more
        message, self._held = self._held.split(b"\0", 1)
        return dict(json.loads(message))


class Page:
    """A page, with its console messages and network requests."""

    def __init__(self, chromium: Chromium, width: int, height: int, theme: str | None = None) -> None:
        self._chromium = chromium
        self._target = chromium.send("Target.createTarget", url="about:blank")["targetId"]
        attached = chromium.send("Target.attachToTarget", targetId=self._target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Runtime", "Log", "Network", "Page"):
            self.send(f"{domain}.enable")
        self.resize(width, height)
        if theme:
            self.system(theme)

    def send(self, method: str, **params: Any) -> dict[str, Any]:
        """Send a command of the protocol to this page, and return its result."""
        return self._chromium.send(method, self._session, **params)

    def resize(self, width: int, height: int) -> None:
        """Set the size of the window."""
        self.send(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=1,
            mobile=False,
        )

    def system(self, theme: str, media: str = "screen") -> None:
        """Set the colour scheme, `light` or `dark`, and the medium, screen or print."""
        features = [{"name": "prefers-color-scheme", "value": theme}]
        self.send("Emulation.setEmulatedMedia", media=media, features=features)

    @property
    def asked_for(self) -> list[str]:
        """All requested addresses, including files."""
        return [params["request"]["url"] for params in self._events("Network.requestWillBeSent")]

    @property
    def complaints(self) -> list[Any]:
        """Exceptions, errors and warnings on the browser's console."""
        return [
            *(params["exceptionDetails"] for params in self._events("Runtime.exceptionThrown")),
            *(
                p["entry"]["text"]
                for p in self._events("Log.entryAdded")
                if p["entry"]["level"] in ERROR_LEVELS
            ),
            *(p["args"] for p in self._events("Runtime.consoleAPICalled") if p["type"] in ERROR_LEVELS),
        ]

    def run(self, script: str) -> Any:
        """Return the result of a script in the page; a promise is awaited."""
        found = self.send("Runtime.evaluate", expression=script, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def go(self, url: str, until: str) -> None:
        """Load an address, and wait until a script's result is true."""
        self.send("Page.navigate", url=url)
        self.until(until)

    def open(self, file: Path) -> None:
        """Open a page that an aisb reporter wrote, and wait until it is drawn."""
        self.go(file.resolve().as_uri(), "document.documentElement?.dataset.state !== undefined")
        said = self.run("document.getElementById('state').textContent")
        state = self.run("document.documentElement.dataset.state")
        assert state == "drawn", (said, self.complaints)

    def until(self, condition: str, seconds: float = 60) -> None:
        """Wait until a script's result is true."""
        ends = time.monotonic() + seconds
        while not self._holds(condition):
            assert time.monotonic() < ends, f"never: {condition}"
            time.sleep(0.02)

    def _holds(self, condition: str) -> bool:
        try:
            return bool(self.run(f"Boolean({condition})"))
        except AssertionError as error:
            if "navigated or closed" in str(error):  # a link was followed; the new page is asked next
                return False
            raise

    def mouse(self, kind: str, x: float, y: float, **more: Any) -> None:
        """Send a mouse event of the protocol's type `kind`."""
        self.send("Input.dispatchMouseEvent", type=kind, x=x, y=y, **more)

    def drag(self, start: Point, end: Point) -> None:
        """Drag with the left button from one point to another."""
        held: dict[str, Any] = {"button": "left", "buttons": 1, "clickCount": 1}
        self.mouse("mouseMoved", *start)
        self.mouse("mousePressed", *start, **held)
        for part in (0.3, 0.6, 1.0):
            x, y = (a + (b - a) * part for a, b in zip(start, end, strict=True))
            self.mouse("mouseMoved", x, y, **held)
        self.mouse("mouseReleased", *end, **held)

    def double_click(self, x: float, y: float) -> None:
        """Press the left button twice at one point."""
        self.mouse("mouseMoved", x, y)
        for count in (1, 2):
            for kind in ("mousePressed", "mouseReleased"):
                self.mouse(kind, x, y, button="left", clickCount=count)

    def box(self, selector: str) -> list[float]:
        """Bring an element into view; return its left, top, width and height."""
        found = f"document.querySelector({json.dumps(selector)})"
        self.run(f"{found}.scrollIntoView({{block: 'center'}})")
        return list(self.run(f"(r => [r.left, r.top, r.width, r.height])({found}.getBoundingClientRect())"))

    def picture(self, file: Path, *, whole: bool = True) -> None:
        """Write a screenshot to a PNG, of the whole page or of the window."""
        width, height = self.run("[innerWidth, innerHeight]")
        if whole:
            self.resize(width, max(height, self.run("document.documentElement.scrollHeight")))
        self.run("new Promise((done) => setTimeout(done, 500))")  # redraws and transitions
        file.write_bytes(base64.b64decode(self.send("Page.captureScreenshot")["data"]))
        self.resize(width, height)

    def close(self) -> None:
        """Close the page; its events stay available."""
        self._chromium.send("Target.closeTarget", targetId=self._target)

    def _events(self, method: str) -> Iterator[dict[str, Any]]:
        for event in self._chromium.events:
            if event.get("sessionId") == self._session and event["method"] == method:
                yield event["params"]


@cache
def _shared() -> Chromium:
    return Chromium()


@pytest.fixture(scope="session")
def chromium() -> Iterator[Chromium]:
    """One browser for all tests of a process, also if several conftest.py import this fixture."""
    if CHROMIUM is None:
        pytest.skip("chromium is not installed (apt install chromium): no page was opened")
    yield _shared()
    _shared().close()


@pytest.fixture
def browser(chromium: Chromium) -> Iterator[Callable[..., Page]]:
    """Open pages of any size; at the end, check that they caused no messages and no requests."""
    opened: list[tuple[Page, tuple[str, ...]]] = []

    def start(
        width: int = 1280, height: int = 900, *, theme: str | None = None, asks: tuple[str, ...] = ()
    ) -> Page:
        """Open a page; `asks` are prefixes of addresses that it may request."""
        page = chromium.page(width, height, theme)
        opened.append((page, (*IN_FILES, *asks)))
        return page

    yield start
    for page, allowed in opened:
        page.close()
        assert page.complaints == []
        assert [url for url in page.asked_for if not url.startswith(allowed)] == []

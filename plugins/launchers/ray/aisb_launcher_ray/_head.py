"""The head of the cluster: notice its death, and end the run with a message before Ray ends this process.

Ray ends every process that cannot reach the head for a minute, without running any more Python code. Until
then, running workers do not need the head, so a run may still finish.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable

RAY_GIVES_UP = "RAY_gcs_rpc_server_reconnect_timeout_s"
"""Ray's own setting: the seconds without the head after which it ends a process."""
DEFAULT_SECONDS = 60.0
MARGIN = 0.25
"""The part of that time that is left for this process to stop its workers and to store what they wrote."""
CHECK_INTERVAL = 1.0
ANSWER_TIMEOUT = 2.0


def seconds_until_ray_ends() -> float:
    """Return the seconds without the head after which Ray ends this process."""
    try:
        return float(os.environ[RAY_GIVES_UP])
    except (KeyError, ValueError):
        return DEFAULT_SECONDS


class HeadWatch:
    """Connects to the head's port once a second, in a thread; calls `give_up` after too long a silence.

    `patience` is that time in seconds. `give_up` is called once, in that thread, with a line for the user.
    """

    def __init__(self, address: str, give_up: Callable[[str], None], patience: float | None = None) -> None:
        self.address = address
        self.patience = (1 - MARGIN) * seconds_until_ray_ends() if patience is None else patience
        self._give_up = give_up
        self._silent_since: float | None = None
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="aisb-ray-head", daemon=True)
        self._thread.start()

    @property
    def is_missing(self) -> bool:
        """Whether the head did not answer the last time."""
        return self._silent_since is not None

    def why_missing(self) -> str:
        """Return that the head does not answer, or an empty text."""
        return f"the head of the Ray cluster at {self.address} does not answer" if self.is_missing else ""

    def end(self) -> None:
        """End the thread, and wait for it."""
        self._over.set()
        self._thread.join(ANSWER_TIMEOUT + CHECK_INTERVAL)

    def _watch(self) -> None:
        while not self._over.wait(CHECK_INTERVAL):
            began = time.monotonic()
            if _answers(self.address):
                self._silent_since = None
                continue
            self._silent_since = began if self._silent_since is None else self._silent_since
            if time.monotonic() - self._silent_since >= self.patience:
                self._give_up(
                    f"the head of the Ray cluster at {self.address} has not answered for "
                    f"{self.patience:g} s, and Ray ends this process without it\n"
                    "  aisb run --reuse RUN sends the rest, on any launcher"
                )
                return


def _answers(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER_TIMEOUT).close()
    except OSError:
        return False
    return True

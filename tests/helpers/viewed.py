"""A running `aisb view` for tests, and `aisb` as a process of its own."""

from __future__ import annotations

import http.client
import json
import re
import signal
import subprocess
import sys
from urllib.parse import urlsplit

from forked import Forked


def command(*words, cwd, **more):
    """Start `aisb` as a process of its own."""
    line = [sys.executable, "-m", "aisb_cli.main", *words]
    return Forked(line, cwd=cwd, text=True, stdout=subprocess.PIPE, **more)


class View:
    """A running `aisb view`."""

    def __init__(self, home, *words):
        self.process = command("view", *words, cwd=home, stderr=subprocess.STDOUT)
        self.said = self.process.stdout.readline()
        self.url = re.search(r"http://127\.0\.0\.1:\d+/[\w-]+/", self.said).group()
        self.port = urlsplit(self.url).port
        self.token = urlsplit(self.url).path.strip("/")

    def get(self, path, *, host=None, method="GET"):
        """Ask for a path to the letter, as a client would that does not tidy it up."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        connection.putrequest(method, path, skip_host=host is not None)
        if host is not None:
            connection.putheader("Host", host)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read().decode()
        connection.close()
        return answer.status, dict(answer.getheaders()), body

    def told(self, path):
        status, _, body = self.get(f"/{self.token}/api/{path}")
        return status, json.loads(body)

    def stop(self):
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(20)

"""A service to try a backend on: `python examples/parrot_server.py PORT`.

It speaks no API that aisb knows. POST /say {"prompt": "…", "limit": 64} answers with server-sent events:
data: {"say": "It has "}, …, and at the end data: {"done": true, "words": 4}. It counts the letters of the
word in quotes, and of long words it loses track.
"""

import json
import re
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Parrot(BaseHTTPRequestHandler):
    """Answers one connection."""

    def do_POST(self) -> None:
        """Say how many letters a word has."""
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path != "/say" or "prompt" not in asked:
            self.send_error(400, "POST a prompt to /say")
            return
        word = (re.findall(r"'(\w+)'", asked["prompt"]) or [""])[-1]
        said = ["It ", "has ", f"{min(len(word), 9)} ", "letters."][: asked.get("limit", 64)]
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        for event in (*({"say": text} for text in said), {"done": True, "words": len(said)}):
            self.wfile.write(f"data: {json.dumps(event)}\n\n".encode())
            self.wfile.flush()

    def log_message(self, *_: object) -> None:
        """Say nothing about each request."""


with ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Parrot) as server:
    print(f"the parrot listens on http://127.0.0.1:{server.server_port}", flush=True)
    server.serve_forever()

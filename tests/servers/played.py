"""A transport without a socket: it plays the head and the stamped pieces of one reply."""

from aisb._errors import AttemptFailed


class Played:
    """Gives every request the same reply. `pieces` are (stamp, bytes) of the body, `failure` how it ends."""

    shared = None

    def __init__(self, pieces, *, status=200, headers=None, sent_ns=1, headers_ns=1, failure=None):
        self.pieces = list(pieces)
        self.status = status
        self.headers = headers or {"content-type": "text/event-stream"}
        self.sent_ns = sent_ns
        self.headers_ns = headers_ns
        self.failure = failure
        self.requests = []

    async def exchange(self, request, exchange):
        self.requests.append(request)
        reader = exchange.reader
        exchange.sent_ns = self.sent_ns
        reader.begin(self.status, self.headers, self.headers_ns)
        for stamp, data in self.pieces:
            reader.feed(stamp, data)
        if self.failure:
            raise AttemptFailed(self.failure)
        reader.close()

    async def aclose(self):
        pass

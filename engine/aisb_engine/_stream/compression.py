"""Undo the compression of replies, which some services use although identity was asked for."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from aisb._errors import AttemptFailed
from aisb._types import Failure

LARGEST_REPLY = 64_000_000
"""Bytes that a reply has at most, decompressed, where `load.max_reply` says nothing else."""


def too_large(most: int, status: int | None = None) -> Failure:
    """Return the failure of a reply that is larger than it may be."""
    return Failure("protocol", f"the reply is larger than {most:,} bytes (load.max_reply)", status)


class Decoder:
    """Undoes gzip or deflate, piece by piece, up to `most` bytes in all."""

    def __init__(self, coding: str, most: int = LARGEST_REPLY) -> None:
        self._most = self._left = most
        self._inflate = zlib.decompressobj(47)  # 47: gzip or zlib, by what the data begins with
        self._may_be_raw = coding == "deflate"  # some servers leave the zlib header out

    @property
    def complete(self) -> bool:
        """Whether the end of the compressed data was seen."""
        return self._inflate.eof

    def feed(self, data: bytes) -> bytes:
        """Return what these bytes decompress to.

        Raises:
            AttemptFailed: the data is damaged, or more than it may be.
        """
        if self._inflate.eof:
            return b""
        try:
            found = self._inflate.decompress(data, self._left + 1)
        except zlib.error as error:
            if not self._may_be_raw:
                failure = Failure("protocol", f"the compressed reply is damaged ({error})")
                raise AttemptFailed(failure) from error
            self._may_be_raw = False
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            return self.feed(data)
        self._left -= len(found)
        if self._left < 0:
            raise AttemptFailed(too_large(self._most))
        return found


def decoder_for(headers: Mapping[str, str], most: int = LARGEST_REPLY) -> Decoder | None:
    """Return what undoes a reply's compression, None where it has none.

    Raises:
        AttemptFailed: the compression is not known.
    """
    coding = headers.get("content-encoding")
    if coding is None:
        return None
    coding = coding.strip().lower()
    if coding in ("", "identity"):
        return None
    if coding in ("gzip", "x-gzip", "deflate"):
        return Decoder(coding, most)
    text = f"the reply is compressed with {coding!r} although none was asked for"
    raise AttemptFailed(Failure("protocol", text))

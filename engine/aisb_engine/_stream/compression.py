"""Undo the compression of replies, which some services use although identity was asked for."""

from __future__ import annotations

import zlib
from collections.abc import Mapping

from aisb._errors import AttemptFailed
from aisb._types import Failure


class Decoder:
    """Undoes gzip or deflate, piece by piece."""

    def __init__(self, coding: str) -> None:
        self._inflate = zlib.decompressobj(47)  # 47: gzip or zlib, by what the data begins with
        self._may_be_raw = coding == "deflate"  # some servers leave the zlib header out

    @property
    def complete(self) -> bool:
        """Whether the end of the compressed data was seen."""
        return self._inflate.eof

    def feed(self, data: bytes) -> bytes:
        """Return what these bytes decompress to.

        Raises:
            AttemptFailed: the data is damaged.
        """
        if self._inflate.eof:
            return b""
        try:
            return self._inflate.decompress(data)
        except zlib.error as error:
            if not self._may_be_raw:
                failure = Failure("protocol", f"the compressed reply is damaged ({error})")
                raise AttemptFailed(failure) from error
            self._may_be_raw = False
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
            return self.feed(data)


def decoder_for(headers: Mapping[str, str]) -> Decoder | None:
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
        return Decoder(coding)
    text = f"the reply is compressed with {coding!r} although none was asked for"
    raise AttemptFailed(Failure("protocol", text))

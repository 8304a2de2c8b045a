"""Decompress replies: some services compress although the request asks for `identity`."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Any

from aisb._errors import AttemptFailed
from aisb._types import Failure

_GZIP = b"\x1f\x8b"
_GZIP_OR_ZLIB = 47  # for zlib: detect the format by the first bytes
LARGEST_REPLY = 64_000_000
"""The default of `load.max_reply`: the maximum bytes of a decompressed reply."""


def too_large(max_bytes: int, status: int | None = None) -> Failure:
    """Return the failure of a reply above the size limit."""
    return Failure("protocol", f"the reply is larger than {max_bytes:,} bytes (load.max_reply)", status)


class Decoder:
    """Decompresses gzip (one or several members) or deflate, piece by piece, up to `max_bytes` in all."""

    def __init__(self, coding: str, max_bytes: int = LARGEST_REPLY) -> None:
        self._max_bytes = self._left = max_bytes
        self._may_be_raw = coding == "deflate"  # some servers omit the zlib header
        self._inflate: Any = None  # the zlib object of the current or last member
        self._first = b""  # the first byte of a member whose second has not arrived
        self._over = False  # true once bytes follow that are not a gzip member; they are ignored

    @property
    def complete(self) -> bool:
        """Whether the end of the compressed data was seen."""
        return self._inflate is not None and self._inflate.eof

    def feed(self, data: bytes) -> bytes:
        """Return the decompressed bytes.

        Raises:
            AttemptFailed: the data is damaged or too large.
        """
        data, self._first, parts = self._first + data, b"", []
        while data and not self._over:
            if self._inflate is None or self._inflate.eof:
                if len(data) < 2:
                    self._first = data
                    break
                self._begin_member(data[:2])
                continue
            try:
                part = self._inflate.decompress(data, self._left + 1)
            except zlib.error as error:
                failure = Failure("protocol", f"the compressed reply is damaged ({error})")
                raise AttemptFailed(failure) from error
            self._left -= len(part)
            if self._left < 0:
                raise AttemptFailed(too_large(self._max_bytes))
            parts.append(part)
            data = self._inflate.unused_data
        return b"".join(parts)

    def _begin_member(self, first: bytes) -> None:
        if self._inflate is None:
            raw = self._may_be_raw and not _is_zlib(first) and first != _GZIP
            self._inflate = zlib.decompressobj(-zlib.MAX_WBITS if raw else _GZIP_OR_ZLIB)
        elif first == _GZIP:
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        else:
            self._over = True


def _is_zlib(first: bytes) -> bool:
    """Return whether two bytes are a zlib header (RFC 1950, 2.2)."""
    return first[0] & 15 == 8 and int.from_bytes(first, "big") % 31 == 0


def decoder_for(headers: Mapping[str, str], max_bytes: int = LARGEST_REPLY) -> Decoder | None:
    """Return the decoder of a reply's compression; None if it is not compressed.

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
        return Decoder(coding, max_bytes)
    text = f"the reply is compressed with {coding!r}, although the request accepts no compression"
    raise AttemptFailed(Failure("protocol", text))

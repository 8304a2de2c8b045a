"""The file format of capsules: a reproducible archive, and a reader that validates everything.

A capsule is a ZIP file. Its comment, at the end of the file, is the SHA-256 of all bytes before it. The same
content always gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import stat
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import IO, Any, NamedTuple

from aisb import UsageError

INDEX = "capsule.json"
LABEL = b"sha256:"
COMMENT_SIZE = len(LABEL) + 64
DATE = (1980, 1, 1, 0, 0, 0)
MOST_ENTRIES = 100_000
MOST_BYTES = 16 * 1024**3
INDEX_BYTES = 256 * 1024**2
BOMB_BYTES, BOMB_RATIO = 64 * 1024**2, 400
"""The limits of a compression bomb: an entry above this size and above this ratio is refused."""
CHUNK_BYTES = 1024 * 1024


class ArchiveMember(NamedTuple):
    """The entry of a file in the index."""

    sha256: str
    size: int


class ArchiveWriter:
    """Writes a capsule. Files are in the order in which they are added."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._zip = zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=6)
        self.entries: dict[str, ArchiveMember] = {}

    def add(self, name: str, pieces: Iterable[bytes], *, large: bool = False) -> None:
        """Add a file from its pieces. Set `large` if it may exceed 2 GB."""
        digest, size = hashlib.sha256(), 0
        info = zipfile.ZipInfo(name, DATE)
        info.compress_type = zipfile.ZIP_DEFLATED
        info.create_system = 3
        info.external_attr = (stat.S_IFREG | 0o644) << 16
        with self._zip.open(info, "w", force_zip64=large) as file:
            for piece in pieces:
                digest.update(piece)
                size += len(piece)
                file.write(piece)
        self.entries[name] = ArchiveMember(digest.hexdigest(), size)

    def close(self, index: Mapping[str, Any]) -> str:
        """Add the index, end the archive, and return the SHA-256 of the whole file."""
        files = {name: entry._asdict() for name, entry in sorted(self.entries.items())}
        text = json.dumps({**index, "files": files}, ensure_ascii=False, indent=1, sort_keys=True)
        self.add(INDEX, [text.encode()])
        self._zip.comment = LABEL + b"0" * 64
        self._zip.close()
        with self._path.open("r+b") as file:
            seal = _hash(file, self._path.stat().st_size - COMMENT_SIZE).hexdigest()
            file.seek(-64, 2)
            file.write(seal.encode())
        return file_hash(self._path)


class Archive:
    """A capsule opened for reading. Entries are checked against the index while they are unpacked."""

    def __init__(self, path: Path) -> None:
        """Open a capsule.

        Raises:
            UsageError: the file is not a capsule, or is a harmful archive.
        """
        self.path = path
        self.problems: list[str] = []
        self.sha256 = ""
        try:
            self.sha256 = file_hash(path)
            self._zip = zipfile.ZipFile(path)
        except OSError as error:
            raise UsageError(f"{path} cannot be read: {error.strerror}") from error
        except (zipfile.BadZipFile, ValueError, NotImplementedError) as error:
            raise UsageError(f"{path} is not a capsule: {error}") from error
        infos = self._zip.infolist()
        _check_names(path, infos)
        _check_sizes(path, infos)
        self._infos = {info.filename: info for info in infos}
        self._check_seal()
        self.index = self._read_index()

    def _check_seal(self) -> None:
        comment = self._zip.comment
        with self.path.open("rb") as file:
            end = self.path.stat().st_size - COMMENT_SIZE
            found = _hash(file, end).hexdigest().encode() if end > 0 else b""
        if comment != LABEL + found:
            self.problems.append("the file was changed after it was packed: its hash does not match")

    def _read_index(self) -> dict[str, Any]:
        info = self._infos.get(INDEX)
        if info is None:
            raise UsageError(f"{self.path} is not a capsule: it has no {INDEX}")
        if info.file_size > INDEX_BYTES:
            raise UsageError(f"{self.path} is refused: its {INDEX} has {info.file_size:,} bytes")
        try:
            index = json.loads(b"".join(self._pieces(info)))
            files = {
                name: ArchiveMember(str(e["sha256"]), int(e["size"])) for name, e in index["files"].items()
            }
            _ = str(index["run"]), int(index["capsule"])
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise UsageError(f"{self.path}: its {INDEX} cannot be read: {error}") from error
        self.files = files
        return dict(index)

    def unpack(self, into: Path) -> None:
        """Write all files of the index below a folder; record deviations from the index as problems."""
        for name, info in self._infos.items():
            if name == INDEX:
                continue
            if name not in self.files:
                self.problems.append(f"{name} is not in the index: it was added later")
                continue
            target = into.joinpath(*PurePosixPath(name).parts)
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            try:
                with target.open("xb") as file:
                    for piece in self._pieces(info):
                        digest.update(piece)
                        file.write(piece)
            except UsageError as error:
                self.problems.append(str(error))
                continue
            if digest.hexdigest() != self.files[name].sha256:
                self.problems.append(f"{name} was changed: its hash differs from the index")
        self.problems += [f"{name} is missing" for name in self.files if name not in self._infos]

    def _pieces(self, info: zipfile.ZipInfo) -> Iterator[bytes]:
        left = info.file_size
        try:
            with self._zip.open(info) as file:
                while piece := file.read(CHUNK_BYTES):
                    left -= len(piece)
                    if left < 0:
                        raise UsageError(f"{info.filename} unpacks to more than its declared size")
                    yield piece
        except (
            zipfile.BadZipFile,
            EOFError,
            OSError,
            ValueError,
            RuntimeError,
            NotImplementedError,
        ) as error:
            raise UsageError(f"{info.filename} is damaged: {error}") from error
        except _zlib_error() as error:
            raise UsageError(f"{info.filename} is damaged: {error}") from error


def _zlib_error() -> type[Exception]:
    import zlib

    return zlib.error


def _check_names(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse names that lead outside the folder or collide, and entries that are not plain files."""
    if len(infos) > MOST_ENTRIES:
        raise UsageError(
            f"{path} is refused: it has {len(infos):,} entries, and {MOST_ENTRIES:,} are allowed"
        )
    seen: dict[str, str] = {}
    for info in infos:
        name = info.orig_filename
        shown = name.encode("unicode_escape").decode()[:200]
        parts = name.split("/")
        if (
            name != info.filename
            or any(part in {"", ".", ".."} or part != part.strip() for part in parts)
            or name[1:2] == ":"
            or any(ord(one) < 32 or one == "\\" or 0xD800 <= ord(one) < 0xE000 for one in name)
            or len(name.encode("utf-8", "replace")) > 1000
        ):
            raise UsageError(f"{path} is refused: {shown!r} is not a valid name in a capsule")
        mode = info.external_attr >> 16
        if stat.S_IFMT(mode) not in {0, stat.S_IFREG} or info.is_dir():
            raise UsageError(f"{path} is refused: {shown!r} is a link or another special file")
        if info.flag_bits & 0x1:
            raise UsageError(f"{path} is refused: {shown!r} is encrypted")
        if info.compress_type not in {zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED}:
            raise UsageError(f"{path} is refused: {shown!r} uses compression method {info.compress_type}")
        key = name.casefold()
        if key in seen:
            raise UsageError(f"{path} is refused: it has {shown!r} twice")
        seen[key] = name
    for key in seen:
        for parent in PurePosixPath(key).parents:
            if str(parent) in seen:
                raise UsageError(f"{path} is refused: {seen[str(parent)]!r} is a file and a folder")


def _check_sizes(path: Path, infos: list[zipfile.ZipInfo]) -> None:
    """Refuse an archive whose unpacked size exceeds the limits."""
    total = sum(info.file_size for info in infos)
    if total > MOST_BYTES:
        raise UsageError(
            f"{path} is refused: it unpacks to {total / 1e9:,.1f} GB, of {MOST_BYTES / 1e9:.0f} GB allowed"
        )
    for info in infos:
        if info.file_size > BOMB_BYTES and info.file_size > BOMB_RATIO * max(1, info.compress_size):
            raise UsageError(
                f"{path} is refused: {info.filename} unpacks to {info.file_size / 1e6:,.0f} MB, "
                f"{info.file_size // max(1, info.compress_size):,} times its packed size"
            )


def file_hash(path: Path) -> str:
    """Return the SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(file: IO[bytes], size: int) -> Any:
    """Return the SHA-256 of the first bytes of a file."""
    digest = hashlib.sha256()
    file.seek(0)
    while size > 0 and (piece := file.read(min(CHUNK_BYTES, size))):
        digest.update(piece)
        size -= len(piece)
    return digest

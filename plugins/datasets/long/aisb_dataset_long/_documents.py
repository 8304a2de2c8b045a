"""Read AA-LCR: questions on sets of documents in one zip file."""

from __future__ import annotations

import io
import unicodedata
import zipfile
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath

from aisb import DataFile, DataFiles, Row, UsageError
from aisb.helpers import read_csv

DocumentPlace = tuple[str, ...]


def aa_lcr(*, files: DataFiles) -> Iterator[Row]:
    """Rows of AA-LCR's table with `documents`: the texts of a question's documents, in the table's order.

    The path names the table and the zip file; documents are found by category, set and file name.
    """
    tables = [file for file in files.files if file.path.suffix != ".zip"]
    packed = [file for file in files.files if file.path.suffix == ".zip"]
    if len(tables) != 1 or len(packed) != 1:
        raise UsageError("path must name the table of questions, and the zip file with their documents")
    with _opened(packed[0]) as archive:
        names = {_place(name): name for name in archive.namelist()}
        files.current = tables[0]
        for row in read_csv(files=DataFiles(tables)):
            yield {**row, "documents": _documents(tables[0], row, archive, names)}


def _opened(file: DataFile) -> zipfile.ZipFile:
    try:
        return zipfile.ZipFile(io.BytesIO(file.read()))
    except zipfile.BadZipFile as error:
        raise file.error(f"not a zip file that can be read: {error}") from error


def _place(name: str) -> DocumentPlace:
    """Return category, set and name of a packed file, with normalised accents."""
    return tuple(unicodedata.normalize("NFC", part).strip() for part in PurePosixPath(name).parts[-3:])


def _documents(file: DataFile, row: Row, archive: zipfile.ZipFile, names: Mapping[DocumentPlace, str]) -> str:
    """Return the documents of a row, each between two numbered lines.

    Raises:
        DataError: a document is missing, which would change the question.
    """
    folder = f"{row['document_category']}/{row['document_set_id']}"
    file_names = [name.strip() for name in str(row["data_source_filenames"]).split(";") if name.strip()]
    if not file_names:
        raise file.error("data_source_filenames names no document")
    texts = []
    for name in file_names:
        found = names.get(_place(f"{folder}/{name}"))
        if found is None:
            raise file.error(f"the document {folder}/{name} is not in the zip file")
        try:
            text = archive.read(found).decode("utf-8-sig").strip()
        except (zipfile.BadZipFile, UnicodeDecodeError) as error:
            raise file.error(f"the document {found} cannot be read: {error}") from error
        texts.append(text)
    return "\n\n".join(
        f"BEGIN DOCUMENT {at}:\n{text}\nEND DOCUMENT {at}" for at, text in enumerate(texts, start=1)
    )

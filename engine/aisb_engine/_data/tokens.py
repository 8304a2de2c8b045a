"""Load tokenizers from local folders, to count tokens as the served model does; nothing is downloaded.

A folder with `tokenizer.json` is read with the library `tokenizers` (the extra `aisb-engine[tokenizers]`),
any other folder with `transformers`, without running code from the folder.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from functools import lru_cache
from importlib import import_module
from pathlib import Path
from typing import Any

from aisb._data import Tokenizer
from aisb._errors import PluginError, UsageError

OTHER_FILES = ("tokenizer.model", "spiece.model", "vocab.json", "vocab.txt", "tokenizer_config.json")
"""Files of tokenizers without a tokenizer.json."""


@lru_cache(maxsize=4)
def load_tokenizer(path: str | Path) -> Tokenizer:
    """Load a tokenizer from a folder, or from a `tokenizer.json`; cached in the process.

    Raises:
        UsageError: there is no such folder, or it has no tokenizer, or the tokenizer needs code of its own.
        PluginError: the library that reads it is not installed.
    """
    folder = Path(path).expanduser()
    if not folder.exists():
        raise UsageError(
            f"tokenizer = {str(path)!r}: there is no such folder; "
            "name the folder of the model with its tokenizer.json (nothing is downloaded)"
        )
    file = folder / "tokenizer.json" if folder.is_dir() else folder
    if file.is_file():
        return _read_json(file)
    there = [name for name in OTHER_FILES if (folder / name).is_file()]
    if not there:
        raise UsageError(
            f"tokenizer = {str(path)!r}: the folder has no tokenizer; looked for tokenizer.json, "
            f"{', '.join(OTHER_FILES)}"
        )
    return _read_others(folder, there)


class JsonTokenizer:
    """A tokenizer of the library `tokenizers`."""

    def __init__(self, path: Path, tokenizer: Any) -> None:
        tokenizer.no_truncation()  # a file may enable truncation or padding, which would give wrong counts
        tokenizer.no_padding()
        self.path = path
        self._tokenizer = tokenizer
        self._batch = getattr(
            tokenizer, "encode_batch_fast", tokenizer.encode_batch
        )  # faster, without offsets

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, including special tokens."""
        return str(self._tokenizer.decode(list(ids), skip_special_tokens=False))

    def count(self, text: str) -> int:
        """Return the number of tokens in a text."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens in each text."""
        return [len(one) for one in self._batch(list(texts), add_special_tokens=False)]

    def vocabulary(self) -> dict[int, str]:
        """Return the tokens by id, without special tokens."""
        special = set(self._tokenizer.get_added_tokens_decoder())
        found = self._tokenizer.get_vocab(with_added_tokens=False)
        return {
            number: token for token, number in sorted(found.items(), key=_number) if number not in special
        }


class TransformersTokenizer:
    """A tokenizer that `transformers` loads."""

    def __init__(self, path: Path, tokenizer: Any) -> None:
        self.path = path
        self._tokenizer = tokenizer

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text."""
        return list(self._tokenizer.encode(text, add_special_tokens=False))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of ids, including special tokens."""
        return str(
            self._tokenizer.decode(list(ids), skip_special_tokens=False, clean_up_tokenization_spaces=False)
        )

    def count(self, text: str) -> int:
        """Return the number of tokens in a text."""
        return len(self.encode(text))

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Return the number of tokens in each text."""
        encoded = self._tokenizer(
            list(texts),
            add_special_tokens=False,
            return_attention_mask=False,
            truncation=False,
            padding=False,
        )
        return [len(ids) for ids in encoded["input_ids"]]

    def vocabulary(self) -> dict[int, str]:
        """Return the tokens by id, without special tokens."""
        special = {*self._tokenizer.all_special_ids, *self._tokenizer.added_tokens_decoder}
        found = self._tokenizer.get_vocab()
        tokens = sorted(found.items(), key=_number)
        return {number: _plain(token) for token, number in tokens if number not in special}


def _read_json(file: Path) -> Tokenizer:
    try:
        tokenizers = import_module("tokenizers")
    except ImportError as error:
        raise PluginError(_install(file, "tokenizers")) from error
    try:
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises plain Exception
        raise UsageError(f"tokenizer: {file} cannot be read as a tokenizer: {error}") from error
    return JsonTokenizer(file, tokenizer)


def _read_others(folder: Path, there: Iterable[str]) -> Tokenizer:
    _refuse_own_code(folder)
    try:
        transformers = import_module("transformers")
    except ImportError as error:
        raise PluginError(
            f"{_install(folder, 'transformers')}\n"
            f"  or convert it on a machine with transformers to a tokenizer.json: {_SAVE.format(more='')}"
        ) from error
    try:
        tokenizer = transformers.AutoTokenizer.from_pretrained(
            str(folder), local_files_only=True, trust_remote_code=False
        )
    except Exception as error:
        reason = " ".join(str(error).split())[:300]
        if "trust_remote_code" in reason:
            raise _own_code(folder) from error
        raise UsageError(
            f"tokenizer: {folder} has {', '.join(there)}, which transformers cannot read: {reason}"
        ) from error
    return TransformersTokenizer(folder, tokenizer)


_SAVE = "AutoTokenizer.from_pretrained(FOLDER{more}).save_pretrained(NEW_FOLDER)"


def _refuse_own_code(folder: Path) -> None:
    """Refuse a tokenizer that needs a Python file of its folder, before a library could ask to run it."""
    try:
        config = json.loads((folder / "tokenizer_config.json").read_text("utf-8"))
    except (OSError, ValueError, RecursionError):
        return
    if isinstance(config, dict) and "AutoTokenizer" in (config.get("auto_map") or ()):
        raise _own_code(folder)


def _own_code(folder: Path) -> UsageError:
    return UsageError(
        f"tokenizer: {folder} needs code of its own (trust_remote_code), which aisb does not run; if you "
        "trust it, convert it to a tokenizer.json:\n  " + _SAVE.format(more=", trust_remote_code=True")
    )


def _install(path: Path, library: str) -> str:
    package = "'aisb-engine[tokenizers]'" if library == "tokenizers" else library
    return f"reading the tokenizer {path} needs {library}: pip install {package}"


def _number(entry: tuple[Any, int]) -> int:
    return entry[1]


def _plain(token: object) -> str:
    return token if isinstance(token, str) else ""  # some vocabularies have tokens of bytes

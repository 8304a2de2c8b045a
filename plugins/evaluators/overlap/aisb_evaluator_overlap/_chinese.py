"""Split Chinese texts into words; the dictionary is loaded at the first use."""

from __future__ import annotations

import logging
from functools import lru_cache
from typing import Any

from aisb.helpers import pattern

_HAN = pattern(r"[\u3400-\u9fff\uf900-\ufaff]")


def is_chinese(text: str) -> bool:
    """Return whether a text has Chinese characters."""
    return _HAN.search(text) is not None


def split_words(text: str) -> list[str]:
    """Return the words of a text, in order, without white space."""
    return [word for word in _jieba().cut(text, HMM=False) if word.strip()]


@lru_cache(maxsize=1)
def _jieba() -> Any:
    import jieba

    jieba.setLogLevel(logging.WARNING)
    return jieba

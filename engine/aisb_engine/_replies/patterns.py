"""What the source of a regular expression tells about its matches, so that hopeless searches are left out."""

from __future__ import annotations

from functools import lru_cache

_CASELESS = "(?i:"
_SPECIAL = frozenset(".^$*+?{}[]|()\\")
_MAY_BE_NONE = ("*", "?", "{")


@lru_cache(maxsize=256)
def is_at_start(pattern: str) -> bool:
    """Return whether a pattern can only match at the start of a text."""
    return pattern.startswith(r"\A") and not _has_alternatives(pattern, 0)


def first_characters(pattern: str) -> str:
    r"""Return characters with which every match of a pattern begins; empty if that is not obvious.

    Only simple beginnings are read: those of `<think>`, `<\|end`, and `(?i:</details`, without its letters.
    """
    caseless = pattern.startswith(_CASELESS)
    if _has_alternatives(pattern, int(caseless)):
        return ""
    found, at = "", len(_CASELESS) if caseless else 0
    while at < len(pattern):
        step = 2 if pattern[at] == "\\" else 1
        character = pattern[at + step - 1 : at + step]
        is_literal = not character.isalnum() if step == 2 else character not in _SPECIAL
        if caseless and (character.isalpha() or not character.isascii()):
            break
        if not character or not is_literal or pattern.startswith(_MAY_BE_NONE, at + step):
            break
        found += character
        at += step
    return found


def _has_alternatives(pattern: str, depth: int) -> bool:
    """Return whether a pattern has alternatives within at most so many groups, or cannot be read here.

    With a depth of 1, the pattern must be one group: after a group there may be a quantifier.
    """
    if "(?#" in pattern:
        return True
    at = within = 0
    while at < len(pattern):
        character = pattern[at]
        if character == "\\":
            at += 1
        elif character == "[":
            at += 2 if pattern.startswith("^", at + 1) else 1  # a bracket at the beginning of a set is in it
            at += 1
            while at < len(pattern) and pattern[at] != "]":
                at += 2 if pattern[at] == "\\" else 1
        elif character in "()":
            within += 1 if character == "(" else -1
            if depth and not within and at < len(pattern) - 1:
                return True
        elif character == "|" and within <= depth:
            return True
        at += 1
    return False

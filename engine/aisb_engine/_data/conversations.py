"""The turns of a conversation: each request is made of the one before it and what was answered."""

from __future__ import annotations

from dataclasses import replace

from aisb._types import Message, Request


def next_turn(request: Request, answer: str) -> Request:
    """Return the next request of a conversation: the messages so far, the answer, and the next user text.

    Where the request has replies, the first of them stands in place of the answer.
    """
    text, *later = request.followups
    if request.replies:
        answer = request.replies[0]
    following = replace(request, turn=request.turn + 1, followups=tuple(later), replies=request.replies[1:])
    if request.messages is not None:
        turns = (*request.messages, Message("assistant", answer), Message("user", text))
        return replace(following, messages=turns)
    return replace(following, text=f"{request.text or ''}\n{answer}\n{text}")

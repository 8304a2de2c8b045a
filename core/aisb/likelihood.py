"""How likely a continuation is after its context, from a service's scores of the two texts."""

from __future__ import annotations

from aisb.errors import AttemptFailed
from aisb.types import Failure, Logprob, TokenScores


def continuation(context: TokenScores, whole: TokenScores) -> Logprob:
    """Score what follows the context in the whole text.

    The continuation begins where the tokens of the context and of the whole text cease to be the same, as a
    tokenizer may draw the context's end and the continuation's beginning into one token.

    Raises:
        AttemptFailed: the whole text has no token of its own, or one of them has no log-probability.
    """
    shared = 0
    for ours, theirs in zip(context.tokens, whole.tokens, strict=False):
        if ours != theirs:
            break
        shared += 1
    logprobs = whole.logprobs[shared:]
    if not logprobs:
        raise AttemptFailed(Failure("protocol", "the continuation adds no token to its context"))
    if shared == 0 and logprobs[0] is None:  # nothing stands before the first token of all
        logprobs = logprobs[1:]
    if not logprobs or any(logprob is None for logprob in logprobs):
        raise AttemptFailed(Failure("protocol", "a token of the continuation has no log-probability"))
    return Logprob(
        total=sum(logprob for logprob in logprobs if logprob is not None),
        tokens=len(logprobs),
        greedy=all(whole.greedy[len(whole.tokens) - len(logprobs) :]),
        merged=len(context.tokens) - shared,
    )

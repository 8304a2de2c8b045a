"""A place to act in: the model guesses a number."""

import re

from aisb import Episode, Message


class Guessing(Episode):
    """One number to be found."""

    def __init__(self, number):
        self.number = number
        self.guesses = []

    async def begin(self):
        return [Message("user", "Find my number.")]

    async def respond(self, reply):
        guesses = re.findall(r"\d{1,9}", reply.text)
        if not guesses:
            return None
        self.guesses.append(int(guesses[-1]))
        if self.guesses[-1] == self.number:
            return None
        return [Message("user", "higher" if self.guesses[-1] < self.number else "lower")]

    def state(self):
        return {"guesses": self.guesses}


def guessing():
    """Find the number of a row."""
    return lambda sample, repeat: Guessing(sample.fields.get("number", 7))

"""The words that instructions of IFBench count: function words, pronouns, and the names of its prompts."""

from __future__ import annotations

_PERSONAL = """
i me we us you he him she her it they them my mine our ours your yours his hers its their theirs
myself ourselves yourself yourselves himself herself itself themselves
"""
_POINTING_AND_ASKING = "this that these those who whom whose which what"

PRONOUNS = frozenset(
    f"""
    {_PERSONAL} {_POINTING_AND_ASKING} whoever whomever whatever whichever
    anybody anyone anything everybody everyone everything nobody nothing somebody someone something
    each either neither both all some any none
    """.split()
)
"""The pronouns that IFBench counts since May 2026; possessive determiners and quantifiers are among them."""

STOP_WORDS = frozenset(
    f"""
    {_PERSONAL.replace("mine", "")} what which who whom this that these those
    am is are was were be been being have has had having do does did doing a an the and but if or because as
    until while of at by for with about against between into through during before after above below to from
    up down in out on off over under again further then once here there when where why how all any both each
    few more most other some such no nor not only own same so than too very can will just should now
    s t d ll m o re ve y don ain aren couldn didn doesn hadn hasn haven isn ma mightn mustn needn shan shouldn
    wasn weren won wouldn
    """.split()
)
"""The English stop words of Snowball as NLTK ships them, by which IFBench counts.

A word is a run of letters there, so that `don't` is `don` and `t`.
"""

_MINOR_WORDS = """
a an the and but or nor for so yet as if than that at by in of off on per to up via vs with from into onto
over about above across after against along among around before behind below beneath beside between beyond
down during inside like near out outside past since through throughout till toward towards under until
upon versus within without
"""
MINOR_WORDS = frozenset(_MINOR_WORDS.split())
"""Articles, conjunctions and prepositions: no style guide asks for capitals in all of them."""

_PERSON_NAMES = """
Emma Liam Sophia Jackson Olivia Noah Ava Lucas Isabella Mason Mia Ethan Charlotte Alexander Amelia Benjamin
Harper Leo Zoe Daniel Chloe Samuel Lily Matthew Grace Owen Abigail Gabriel Ella Jacob Scarlett Nathan
Victoria Elijah Layla Nicholas Audrey David Hannah Christopher Penelope Thomas Nora Andrew Aria Joseph
Claire Ryan Stella Jonathan
"""
PERSON_NAMES = frozenset(_PERSON_NAMES.split())
"""The fifty names that the prompts of IFBench list."""

"""A component of every kind, as a third party writes it: with aisb-core alone."""

from aisb import hookimpl


@hookimpl
def aisb_backends():
    return {"adder": "aisb_every_kind.backends:Adder", "plain-chat": "aisb_every_kind.backends:PlainChat"}


@hookimpl
def aisb_datasets():
    return {"made-sums": "aisb_every_kind.datasets:made_sums"}


@hookimpl
def aisb_postprocessors():
    return {"last-word": "aisb_every_kind.grading:last_word"}


@hookimpl
def aisb_environments():
    return {"guessing": "aisb_every_kind.acting:guessing"}


@hookimpl
def aisb_evaluators():
    return {"same-number": "aisb_every_kind.grading:SameNumber"}


@hookimpl
def aisb_reporters():
    return {"one-line": "aisb_every_kind.showing:OneLine"}


@hookimpl
def aisb_importers():
    return {"answer-sheet": "aisb_every_kind.showing:AnswerSheet"}


@hookimpl
def aisb_launchers():
    return {"spawn": "aisb_every_kind.launching:Spawn"}


@hookimpl
def aisb_configs():
    from importlib.resources import files

    return [files("aisb_every_kind")]

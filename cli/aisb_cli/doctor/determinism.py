"""Repeat the same requests to a service, alone and under load, and compare the answers."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from aisb import RunError
from aisb_cli.display import choose_display
from aisb_cli.doctor import Finding
from aisb_cli.doctor.duration_estimate import EstimatingDisplay
from aisb_engine import RunCommand, RunInput, execute_run, mask_url

if TYPE_CHECKING:
    from aisb_analysis import Determinism
    from aisb_engine import Plugins

TASK = "demo_gsm8k"
REPEATS = 3
REMEDY = (
    "rounding depends on the batch size, so answers at temperature 0 vary: aisb compare --noise {noise} "
    "RUN_A RUN_B takes account of it, and params.num_return_sequences averages it out"
)


def check_determinism(
    url: str, plugins: Plugins, *, model: str, options: Mapping[str, Any], prompts: int, folder: Path
) -> Iterator[Finding]:
    """Yield how far the answers to the same requests agree.

    An ordinary run below `folder` sends `prompts` problems alternately one at a time and all at once.
    """
    from aisb_analysis import measure_determinism

    run = _ask(url, plugins, model=model, options=options, prompts=prompts, folder=folder)
    yield from _findings(f"determinism of {mask_url(url)}", measure_determinism(run), run.folder)


def _ask(
    url: str, plugins: Plugins, *, model: str, options: Mapping[str, Any], prompts: int, folder: Path
) -> Any:
    from aisb_analysis import repeat_name

    set_options = {name: value for name, value in {"url": url, **options}.items() if value is not None}
    loads = {"alone": 1, "loaded": prompts}
    models = {
        repeat_name(side, number + 1): {"base": model, "load": {"concurrency": in_flight}}
        for number in range(REPEATS)
        for side, in_flight in loads.items()
    }
    run_input = RunInput(
        models=list(models),
        datasets=[TASK],
        tables={"models": models},
        options=set_options,
        params={"temperature": 0},
        load={"num_prompts": prompts},
        run={"reporters": []},
    )
    display = EstimatingDisplay(choose_display(), "--prompts N sends fewer, Ctrl-C ends it")
    ended = execute_run(RunCommand(run_input, work_dir=folder), plugins, display)
    if ended.interrupted:
        raise KeyboardInterrupt
    if ended.finished is None:
        raise RunError(f"the determinism of the service could not be measured: {ended.stopped_because}")
    return ended.finished


def _findings(area: str, found: Determinism, folder: Path) -> Iterator[Finding]:
    remedy = REMEDY.format(noise=shlex.quote(str(folder)))
    if found.failed:
        yield Finding(
            area, "failures", "note", f"{found.failed} requests failed and are left out", "see the log"
        )
    for name, agreement in (
        ("alone", found.alone),
        ("under load", found.loaded),
        ("alone and under load", found.between),
    ):
        if agreement.differing:
            yield Finding(area, name, "note", str(agreement), remedy)
        else:
            yield Finding(area, name, "ok", str(agreement))
    alone, loaded = (
        ", ".join(f"{score:.1f}" for score in scores) for scores in (found.scores_alone, found.scores_loaded)
    )
    share = f"{100 * found.flip_share:.1f} %"
    text = (
        f"{found.flips} of {found.pairs} answers ({share}) flip between right and wrong from alone to under "
        f"load; accuracy {alone} alone, {loaded} under load"
    )
    yield Finding(area, "score", "note" if found.flips else "ok", text, remedy if found.flips else "")
    yield Finding(
        area, "kept", "ok", f"{folder}, for: aisb compare --noise {shlex.quote(str(folder))} RUN_A RUN_B"
    )

# Runs in a container, where aisb is not installed, so it imports the standard library only.
"""Run one command in a container: `python inside.py FOLDER`, where `table.json` describes it.

The table has `run` (`{"argv": [...]}`, or `{"python": source, "modules": {name: source}}`), `given` (the
value of `GIVEN` in the source) and `files`, which are written into the working folder.
"""
# ruff: noqa: PTH123, S102, S606

from __future__ import annotations

import json
import os
import sys
from typing import NoReturn


def main(folder: str) -> NoReturn:
    """Run the command of the table."""
    with open(f"{folder}/table.json", encoding="utf-8") as file:
        table = json.load(file)
    for name, text in table["files"].items():
        with open(name, "w", encoding="utf-8") as file:
            file.write(text)
    run = table["run"]
    if "argv" in run:
        if run.get("ends"):
            place_ends()
        os.execvp(run["argv"][0], run["argv"])
    ends = [os.dup(0), os.dup(1), os.dup(2)]
    nothing = os.open("/dev/null", os.O_RDWR)
    for standard in (0, 1, 2):  # the program's output must not mix with the channel
        os.dup2(nothing, standard)
    sys.set_int_max_str_digits(0)
    for name, source in run.get("modules", {}).items():
        module = sys.modules[name] = type(sys)(name)
        exec(compile(source, f"<{name}>", "exec"), module.__dict__)
    settings = {**table["given"], "channel": ends[:2], "verdict": ends[2]}
    status = 0
    try:
        exec(compile(run["python"], "<box>", "exec"), {"__name__": "__box__", "GIVEN": settings})
    except BaseException:  # noqa: BLE001 - the exit status reports it
        status = 1
    os._exit(status)


def place_ends() -> None:
    """Move the pipes of a command to its file descriptors: 3 to read, 4 to write, 5 for a verdict."""
    for number, own in ((3, 0), (4, 1), (5, 2)):
        os.dup2(own, number)
    nothing = os.open("/dev/null", os.O_RDWR)
    os.dup2(nothing, 0)
    os.dup2(nothing, 1)
    os.closerange(6, 65536)


if __name__ == "__main__":
    main(sys.argv[1])

"""Run the command on data files that a test writes, against the simulator, which knows the answers."""

import json
import os
import sys
import tomllib

from forked import run_forked


def aisb(*words, cwd, code=0):
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={k: v for k, v in os.environ.items() if not k.startswith("AISB_")} | {"COLUMNS": "80"},
    )
    assert "Traceback" not in ended.stderr, ended.stderr
    assert ended.returncode == code, ended.stderr
    return ended.stdout if code == 0 else ended.stderr


def lines(rows):
    return "".join(json.dumps(row) + "\n" for row in rows)


def run(work, *words):
    """Ask the simulator, which knows the answers; return the table, the task and the requests as they were sent."""
    known = f"model.answers={work / 'known.jsonl'}"
    out = aisb("run", "--models", "sim", "--set", known, *words, cwd=work)
    (folder,) = (work / "outputs/default").iterdir()
    config = tomllib.loads(next(folder.glob("configs/*.toml")).read_text())
    (predictions,) = folder.glob("predictions/sim/*.jsonl")
    sent = [json.loads(line) for line in predictions.read_text().splitlines()]
    (task,) = config["tasks"].values()
    return out, task, sent

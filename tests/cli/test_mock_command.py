"""`aisb mock serve` as it is run: its flags, what it prints, and how it ends."""

import json
import re
import signal
import subprocess
import sys
import urllib.request
from dataclasses import fields

from click.testing import CliRunner
from forked import Forked, run_forked

from aisb_mock import MockOptions
from aisb_mock._command import mock

COMMAND = [sys.executable, "-m", "aisb_cli.main", "mock", "serve"]


def test_it_serves_until_interrupted_and_ends_with_zero():
    command = [*COMMAND, "--model", "a", "--model", "b", "--fault", "status-429@2", "--accuracy", "1"]
    with Forked(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as server:
        url = re.fullmatch(r"listening on (http://127\.0\.0\.1:\d+)\n", server.stdout.readline())[1]
        with urllib.request.urlopen(f"{url}/v1/models") as reply:
            assert [card["id"] for card in json.load(reply)["data"]] == ["a", "b"]
        server.send_signal(signal.SIGINT)
        out, errors = server.stdout.read(), server.stderr.read()
    assert (server.returncode, errors) == (0, "")
    assert f"aisb run --url {url} --model-name a --datasets demo_gsm8k" in out
    assert "serves a, b; knows the answers of" in out


def test_every_option_is_a_flag_with_help():
    text = CliRunner().invoke(mock, ["serve", "--help"], prog_name="aisb mock").output
    for option in fields(MockOptions):
        if option.name == "parent_pipe":  # for programs only
            assert "--parent-pipe" not in text
        elif option.name in ("models", "faults"):
            assert f"--{option.name[:-1]} TEXT" in text
        else:
            assert "--" + option.name.replace("_", "-") in text


def test_a_value_that_cannot_be_used_is_said():
    run = run_forked([*COMMAND, "--fault", "hnag:0.1"], capture_output=True, text=True)
    assert run.returncode == 2
    assert "no kind named 'hnag'; did you mean 'hang'?" in run.stderr

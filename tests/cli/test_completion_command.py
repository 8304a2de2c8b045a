"""`aisb completion`: what the Tab key offers, asked through real shells."""

from __future__ import annotations

import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from click.shell_completion import ShellComplete

from aisb_cli.main import cli

BIN = Path(sys.executable).parent
SHELLS = ("bash", "zsh", "fish")


def run(*command, cwd, **env):
    done = subprocess.run(
        list(map(str, command)),
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
        env={**os.environ, "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(cwd), **env},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    home = tmp_path_factory.mktemp("home")
    for name in ("20261121_100000", "20261122_100000"):
        (home / "outputs/default" / name / "configs").mkdir(parents=True)
    (home / "aisb.toml").write_text('[models.vllm_mine]\nbase = "vllm_api_stream_chat"\n')
    return home


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["comp"], ["completion", "compare"]),
        (["runs", "l"], ["list"]),
        (["run", "--num-p"], ["--num-prompts"]),
        (["run", "--models", "sim-t"], ["sim-text"]),
        (["run", "--models", "vllm_m"], ["vllm_mine"]),
        (["run", "--datasets", "demo_gsm8k_gen_4"], ["demo_gsm8k_gen_4_shot_cot_chat_prompt"]),
        (["run", "--datasets", "gsm8k", "demo_gsm8k_gen_4"], ["demo_gsm8k_gen_4_shot_cot_chat_prompt"]),
        (["run", "--datasets", "gsm8k,demo_gsm8k_gen_4"], ["gsm8k,demo_gsm8k_gen_4_shot_cot_chat_prompt"]),
        (["run", "--datasets", "gsm8k:zero-shot-n"], ["gsm8k:zero-shot-noncot"]),
        (["run", "--datasets", "gsm8k", "--conc"], ["--concurrency"]),
        (["compare", ""], ["latest", "20261122_100000", "20261121_100000"]),
        (["logs", "20261121"], ["20261121_100000"]),
        (["run", "--reuse", "20261122"], ["20261122_100000"]),
        (["tasks", "show", "demo_gsm8k_gen_4"], ["demo_gsm8k_gen_4_shot_cot_chat_prompt"]),
        (["run", "--models", "no-such"], []),
    ],
)
def test_commands_options_models_tasks_and_runs_are_offered(home, monkeypatch, words, offered):
    monkeypatch.chdir(home)
    *before, last = words
    found = ShellComplete(cli, {}, "aisb", "_AISB_COMPLETE").get_completions(before, last)
    assert [item.value for item in found] == offered


class Typed:
    """A shell at a terminal, at which lines are typed and completed."""

    def __init__(self, shell, home):
        begin, say = TYPED[shell]
        env = {"HOME": str(home), "TERM": "vt100", "PATH": f"{BIN}:{os.environ['PATH']}"}
        self.pid, self.terminal = pty.fork()
        if self.pid == 0:
            os.chdir(home)
            os.execvpe(shell, [shell, *begin], env)
        # Ctrl-G says what stands on the line; Ctrl-U empties it.
        os.write(self.terminal, f"PS1='> '; stty rows 50 cols 200; {say}; echo rea''dy\n".encode())
        self.until("ready\r")

    def until(self, words, seconds=60):
        said, ends = "", time.monotonic() + seconds
        while words not in said:
            assert time.monotonic() < ends, f"never {words!r} in {said!r}"
            if select.select([self.terminal], [], [], 0.1)[0]:
                said += os.read(self.terminal, 1 << 16).decode(errors="replace")
        return said

    def tab(self, line):
        """Type a line and Tab; return the line as it stands then, and the words that were offered below."""
        os.write(self.terminal, f"\x15{line}\t\x07".encode())
        said = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\x00", "", self.until(">>"))
        return re.search("<<(.*?)>>", said)[1], said.partition("\n")[2].split()

    def close(self):
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.terminal)


BASH = """source <(aisb completion bash); bind 'set show-all-if-ambiguous on'
bind -x '"\\C-g": printf "<<%s>>" "$READLINE_LINE"'"""
ZSH = """autoload -Uz compinit; compinit -u; source <(aisb completion zsh)
said() { print -rn -- "<<$BUFFER>>" }; zle -N said; bindkey '^G' said"""
TYPED = {"bash": (["--norc", "--noprofile", "-i"], BASH), "zsh": (["-f", "-i"], ZSH)}
"""How each is started, and what is typed first."""


@pytest.fixture(scope="module", params=TYPED)
def typed(request, home):
    if shutil.which(request.param) is None:
        pytest.skip(
            f"{request.param} is not installed (apt install {request.param}): no key was pressed in it"
        )
    shell = Typed(request.param, home)
    yield shell
    shell.close()


LINES = [
    ("aisb doc", "aisb doctor"),
    ("aisb run --models sim-t", "aisb run --models sim-text"),
    ("aisb run --datasets gsm8k:zero-shot-n", "aisb run --datasets gsm8k:zero-shot-noncot"),
    (
        "aisb run --datasets gsm8k,demo_gsm8k_gen_4",
        "aisb run --datasets gsm8k,demo_gsm8k_gen_4_shot_cot_chat_prompt",
    ),
]


@pytest.mark.parametrize(("line", "completed"), LINES)
def test_tab_completes_commands_models_and_tasks_in_a_real_shell(typed, line, completed):
    assert typed.tab(line)[0].rstrip() == completed


def test_tab_lists_what_there_is_where_several_names_fit(typed):
    line, _ = typed.tab("aisb run --models vllm_o")
    assert line == "aisb run --models vllm_offline_"
    _, offered = typed.tab(line)
    assert {"vllm_offline_base_model", "vllm_offline_chat_model"} <= set(offered)


def test_fish_completes_them_too_and_keeps_commas(home):
    if shutil.which("fish") is None:
        pytest.skip("fish is not installed (apt install fish): nothing was asked of it")
    asked = "; ".join(f"complete -C '{line}'" for line, _ in LINES)
    offered = run("fish", "-c", f"aisb completion fish | source; {asked}", cwd=home).splitlines()
    names, described = zip(*(line.partition("\t")[::2] for line in offered), strict=True)
    assert [f"aisb {name}" for name in names[:1]] == ["aisb doctor"]
    assert list(names[1:]) == [completed.split()[-1] for _, completed in LINES[1:]]
    assert described[0] == "Check this machine and services, and say what to fix."


@pytest.mark.parametrize("shell", SHELLS)
def test_the_shell_can_read_what_is_printed(home, shell):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed (apt install {shell}): its script was not read")
    script = home / "script"
    script.write_text(run("aisb", "completion", shell, cwd=home))
    run(shell, "-n", script, cwd=home)
    assert "_AISB_COMPLETE" in script.read_text()


@pytest.mark.parametrize(
    ("shell", "place"),
    [
        ("bash", ".local/share/bash-completion/completions/aisb"),
        ("zsh", ".local/share/zsh/site-functions/_aisb"),
        ("fish", ".config/fish/completions/aisb.fish"),
    ],
)
def test_it_installs_itself_where_the_shell_looks(home, shell, place):
    said = run("aisb", "completion", shell, "--install", cwd=home, XDG_DATA_HOME="", XDG_CONFIG_HOME="")
    assert said.startswith(f"wrote {home / place}; ")
    assert (home / place).read_text() == run("aisb", "completion", shell, cwd=home)


def test_completing_loads_nothing_heavy_and_a_broken_file_prints_nothing(tmp_path):
    (tmp_path / "aisb.toml").write_text("[[")
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "aisb_cli.main"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env={
            **os.environ,
            "_AISB_COMPLETE": "bash_complete",
            "COMP_WORDS": "aisb run --datasets gsm",
            "COMP_CWORD": "3",
        },
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert not imported & {"pydantic", "numpy", "httpx", "torch", "rich", "starlette", "uvicorn"}
    assert done.stdout.strip() == ""

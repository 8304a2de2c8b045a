"""Without ray the launcher is listed, ray is never imported, and a run that chooses it says what to install."""

import subprocess
import sys

BLOCKED = "import sys; sys.modules['ray'] = None\nfrom aisb_cli.main import main\n"


def aisb(folder, *words):
    # A module that is None cannot be imported, and `find_spec` does not find it.
    code = f"{BLOCKED}sys.argv = ['aisb', *{list(words)!r}]\nmain()"
    return subprocess.run(
        [sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )


def test_a_run_without_ray_says_what_to_install(tmp_path):
    ended = aisb(tmp_path, "run", "--models", "sim", "--datasets", "demo_gsm8k", "--launcher", "ray")
    assert ended.returncode == 2, ended.stderr
    assert (
        "the launcher 'ray' needs the package ray, which is not installed: pip install 'ray" in ended.stderr
    )
    assert "Traceback" not in ended.stderr


def test_the_launcher_is_shown_without_ray(tmp_path):
    ended = aisb(tmp_path, "plugins", "show", "ray")
    assert ended.returncode == 0, ended.stderr
    assert "address" in ended.stdout
    assert "start_within" in ended.stdout

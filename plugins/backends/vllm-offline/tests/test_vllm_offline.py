"""vLLM in the process: what is said without it, and a real model where AISB_VLLM_PYTHON and AISB_HF_MODEL say."""

import json
import os
import subprocess
import sys

import pytest
from forked import run_forked

from aisb import PluginError, UsageError
from aisb_backend_vllm_offline import VLLMOffline, VLLMOfflineBase
from aisb_testing import check_plugin


def test_the_plugin_keeps_the_contract():
    assert "backend vllm-offline" in check_plugin("aisb_backend_vllm_offline")


def test_a_path_is_needed():
    with pytest.raises(
        UsageError, match=r"path is not set: set the model's folder, as in --set model\.path=FOLDER"
    ):
        VLLMOffline()


def test_beam_search_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"params\.num_beams = 4: beam search is not supported; omit it"):
        VLLMOffline(path=str(tmp_path)).check_params({"num_beams": 4})


def test_what_vllm_would_not_be_given_is_refused_by_the_command(tmp_path):
    words = ["--models", "vllm-offline", "--set", f"model.path={tmp_path}", "--set", "params.tools=[]"]
    ended = run_forked(
        [sys.executable, "-m", "aisb_cli.main", "run", "--datasets", "demo_gsm8k", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert ended.returncode == 2
    assert "params.tools: the backend vllm-offline does not send it" in ended.stderr


async def test_a_folder_that_is_not_there_is_said_and_nothing_is_downloaded():
    with pytest.raises(
        UsageError, match=r"path = 'nowhere': there is no such folder; looked for nowhere/config\.json"
    ):
        await VLLMOffline(path="nowhere").probe()


@pytest.mark.skipif("vllm" in sys.modules, reason="vLLM is installed here")
async def test_without_vllm_it_says_what_to_install(tmp_path):
    try:
        import vllm  # noqa: F401
    except ImportError:
        with pytest.raises(
            PluginError, match=r"vLLM is not installed here .*: pip install vllm, or the build for"
        ):
            await VLLMOfflineBase(path=str(tmp_path)).probe()
    else:
        pytest.skip("vLLM is installed here")


@pytest.mark.servers
def test_a_real_model_answers_and_scores_in_vllms_own_environment():
    python, folder = os.environ.get("AISB_VLLM_PYTHON"), os.environ.get("AISB_HF_MODEL")
    if not python or not folder:
        pytest.skip("AISB_VLLM_PYTHON (a Python with vLLM) or AISB_HF_MODEL (a model's folder) is not set")
    import sysconfig
    from pathlib import Path

    import aisb
    import aisb_engine

    packages = (aisb.__file__, aisb_engine.__file__, __file__)
    ours = [str(Path(file).parents[1]) for file in packages]
    code = f"""
import sys
sys.path[:0] = {ours!r}
sys.path.append({sysconfig.get_path("purelib")!r})  # what the core needs and vLLM's environment lacks
import asyncio, json, time
from aisb_engine._load.direct import ask_directly
from aisb._types import Message, Request
from aisb_backend_vllm_offline import VLLMOffline
async def run():
    backend = VLLMOffline(path={folder!r}, max_seq_len=1024)
    said = Request("0", messages=(Message("user", "What is 2 + 2?"),), params={{"max_tokens": 12, "temperature": 0}})
    compared = Request("1", text="The capital of France is", continuations=(" Paris", " Rome"))
    answers = [await ask_directly(backend, one, clock=time.perf_counter_ns) for one in (said, compared)]
    await backend.aclose()
    return answers
if __name__ == "__main__":
    said, compared = asyncio.run(run())
    print(json.dumps([str(said.failure), said.text, len(said.timing.chunk_ns), said.usage.output_tokens,
        [option.total for option in compared.logprobs], str(compared.failure)]))
"""
    ran = subprocess.run(
        [python, "-c", code],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )
    failure, text, chunks, tokens, totals, compared = json.loads(ran.stdout.strip().splitlines()[-1])
    assert (failure, compared) == ("None", "None"), ran.stderr[-2000:]
    assert text
    assert chunks <= tokens <= 12
    assert totals[0] > totals[1]

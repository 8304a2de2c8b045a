"""Loading a model: every option does what it says, and everything that is wrong with a folder is said."""

import asyncio
import hashlib
import json
import shutil
import subprocess
import sys

import pytest
from hf_small import ask, build, plainly, prompts, request, texts

from aisb import PluginError, ServiceError, UsageError
from aisb_backend_hf import HFBase, HFChat
from aisb_backend_hf._loading import ModelSource, load
from aisb_testing import check_plugin

pytestmark = pytest.mark.slow  # a local model: torch alone takes six seconds of a core


def refused(error=UsageError, backend=HFBase, **options):
    """Return what loading says."""
    with pytest.raises(error) as told:
        backend(**options)._load()
    return str(told.value)


def test_the_plugin_keeps_the_contract():
    assert "backend hf-chat" in check_plugin("aisb_backend_hf")


def test_listing_plugins_does_not_import_torch():
    code = (
        "import sys; from aisb._plugins import Plugins; p = Plugins.load(); p.find('backend', 'hf-chat');"
        "print({'torch', 'transformers', 'numpy'} & set(sys.modules))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "set()"


def test_loading_says_seconds_size_kind_and_device(folder):
    line = HFBase(path=str(folder))._load().notes[0]
    assert line.startswith("loaded in ")
    assert "0.1 million parameters, float32, " in line
    assert line.endswith("on cpu")


async def _identity(path):
    backend = HFChat(path=str(path))
    assert await backend.identity() == {}  # before it is loaded nothing is known
    await backend.probe()
    try:
        return await backend.identity()
    finally:
        await backend.aclose()


def test_the_identity_has_the_version_the_configuration_and_the_chat_template(folder, tmp_path):
    found = asyncio.run(_identity(folder))
    template = json.loads((folder / "tokenizer_config.json").read_text()).get("chat_template")
    template = template or (folder / "chat_template.jinja").read_text()
    assert found["server"] == "transformers"
    assert found["config_sha256"] == hashlib.sha256((folder / "config.json").read_bytes()).hexdigest()
    assert found["chat_template_sha256"] == hashlib.sha256(template.encode()).hexdigest()
    assert "revision" not in found
    cached = tmp_path / "models--org--small" / "snapshots" / ("ab" * 20)
    shutil.copytree(folder, cached)
    assert asyncio.run(_identity(cached))["revision"] == "ab" * 20


def test_a_path_is_needed():
    with pytest.raises(
        UsageError, match=r"path is not set: set the model's folder, as in --set model\.path=FOLDER"
    ):
        HFBase()


def test_a_path_that_is_no_folder_says_what_was_looked_for_and_downloads_nothing():
    told = refused(path="no/such-model")
    assert "path = 'no/such-model': there is no such folder; looked for no/such-model/config.json" in told
    assert "--allow-download allows a model's name at Hugging Face" in told


def test_a_folder_without_a_model_says_what_is_there(tmp_path):
    (tmp_path / "notes.txt").write_text("")
    assert "the folder has no config.json" in refused(path=str(tmp_path))
    assert "(it has notes.txt)" in refused(path=str(tmp_path))
    assert "is a file; set the model's folder, or a .gguf file" in refused(path=str(tmp_path / "notes.txt"))


def test_missing_weights_are_said(copied):
    folder = copied()
    (folder / "model.safetensors").unlink()
    told = refused(path=str(folder))
    assert "a file of the model is missing" in told
    assert "model.safetensors" in told


def test_torn_weights_are_said_with_their_size(copied):
    folder = copied()
    whole = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").write_bytes(whole[: len(whole) // 2])
    told = refused(path=str(folder))
    assert "its weights are incomplete (" in told
    assert "copy them again: model.safetensors (" in told


def test_a_tensor_that_is_not_in_the_files_is_no_random_one(copied):
    from safetensors.torch import load_file, save_file

    folder = copied()
    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.1.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    told = refused(path=str(folder))
    assert "1 of the model's tensors are not in its files, such as model.layers.1.mlp.up_proj.weight" in told


def test_a_missing_tokenizer_is_said(copied):
    folder = copied()
    for file in folder.glob("tokenizer*"):
        file.unlink()
    assert "the tokenizer" in refused(path=str(folder))


def test_a_tokenizer_without_a_chat_template_is_said_with_what_to_do(copied):
    folder = copied()
    (folder / "chat_template.jinja").unlink()
    told = refused(backend=HFChat, path=str(folder))
    assert "has no chat template, so messages cannot be rendered for this model" in told
    assert (
        "for a base model use hf_base_model; else set a template: --set model.chat_template=FILE.jinja"
        in told
    )
    assert "chat_template = 'no.jinja' cannot be read" in refused(
        backend=HFChat, path=str(folder), chat_template="no.jinja"
    )


def test_a_base_model_renders_messages_where_a_tokenizer_with_a_template_is_named(copied):
    folder = copied()
    assert not HFBase(path=str(folder)).has_chat_template
    assert HFBase(path=str(folder), tokenizer_path=str(folder)).has_chat_template
    (folder / "chat_template.jinja").unlink()
    assert not HFBase(path=str(folder), tokenizer_path=str(folder)).has_chat_template
    file = folder / "tokenizer_config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"chat_template": "{{ messages }}"}))
    assert HFBase(path=str(folder), tokenizer_path=str(folder)).has_chat_template
    file.write_text("{")
    assert not HFBase(path=str(folder), tokenizer_path=str(folder)).has_chat_template


def test_a_chat_template_that_refuses_messages_fails_that_sample_alone(folder):
    template = "{% if messages[0].role == 'system' %}{{ raise_exception('no system role') }}{% endif %}x"
    backend = HFChat(path=str(folder), chat_template=template)
    good, bad = ask(backend, [request(0, [("user", "a")]), request(1, [("system", "b"), ("user", "a")])])
    assert good.failure is None
    assert bad.failure.kind == "refused"
    assert "the chat template refuses these messages" in bad.failure.message
    assert "no system role" in bad.failure.message


def test_a_tokenizer_without_a_pad_token_is_no_matter(folder):
    loaded = load(ModelSource(path=str(folder)))
    assert loaded.tokenizer.pad_token is None
    asked = prompts(3)
    assert texts(HFBase(path=str(folder)), asked, temperature=0) == [plainly(folder, text) for text in asked]


def with_code(folder, code):
    """Let a model's folder bring code of its own."""
    config = json.loads((folder / "config.json").read_text())
    config |= {
        "model_type": "own_llama",
        "auto_map": {"AutoConfig": "own.OwnConfig", "AutoModelForCausalLM": "own.OwnModel"},
    }
    (folder / "config.json").write_text(json.dumps(config))
    start = "from transformers import LlamaConfig, LlamaForCausalLM\n"
    (folder / "own.py").write_text(
        f"{start}class OwnConfig(LlamaConfig):\n    model_type = 'own_llama'\n{code}"
    )
    return folder


def test_code_that_comes_with_a_model_is_not_run_unless_it_is_said(copied):
    folder = with_code(copied(), "class OwnModel(LlamaForCausalLM):\n    config_class = OwnConfig\n")
    told = refused(path=str(folder))
    assert "needs the code in its folder, which is not run by default\n  read it" in told
    assert "--set model.trust_remote_code=true" in told
    assert texts(HFBase(path=str(folder), trust_remote_code=True), ["the sky"], temperature=0)


def test_a_device_that_is_not_there_is_said(folder):
    told = refused(path=str(folder), device="mps")
    assert "device = 'mps': torch finds no such device here; available: cpu" in told
    assert "device = 'auto' selects the best one" in told


def test_a_library_that_is_missing_is_said_with_its_install_line():
    code = (
        "import sys\n"
        "class Without:\n"
        "    def find_spec(self, name, path=None, target=None):\n"
        "        if name.split('.')[0] == sys.argv[1]: raise ModuleNotFoundError(f'No module named {name!r}', name=name)\n"
        "sys.meta_path.insert(0, Without())\n"
        "from aisb_backend_hf import HFBase\n"
        "try: HFBase(path='x')._load()\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code, "torch"], capture_output=True, text=True, check=True)
    assert ran.stdout == (
        "PluginError a local model needs torch, which is not installed: pip install aisb-backend-hf\n"
    )


def test_a_torchvision_of_another_torch_is_explained(tmp_path):
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "__init__.py").write_text(
        "import torch\n"
        "if not hasattr(torch.library, 'register_fake_of_old'):\n"
        "    raise AttributeError(\"module 'torch.library' has no attribute 'register_fake'\")\n"
    )
    code = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from aisb_backend_hf._libraries import need\n"
        "try: need('torchvision', why='a model')\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.startswith("PluginError torchvision does not fit the installed torch (torch 2.")
    assert "has no attribute 'register_fake'" in ran.stdout
    assert "pip uninstall torchvision" in ran.stdout


def test_memory_that_runs_out_while_loading_is_said(copied):
    folder = with_code(
        copied(),
        "import torch\n"
        "class OwnModel(LlamaForCausalLM):\n"
        "    config_class = OwnConfig\n"
        "    def __init__(self, config):\n"
        "        raise torch.OutOfMemoryError('CUDA out of memory. Tried to allocate 14.00 GiB.')\n",
    )
    told = refused(ServiceError, path=str(folder), trust_remote_code=True)
    assert told == (
        f"out of memory while loading {folder}: CUDA out of memory. Tried to allocate 14.00 GiB.\n"
        "  use a smaller dtype (model.dtype=bfloat16), free the device, or spread the model (model.device_map=auto)"
    )


@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
def test_the_dtype_is_the_one_asked_for(folder, dtype):
    engine = HFBase(path=str(folder), dtype=dtype)._load()
    assert f", {dtype}, " in engine.notes[0]


def test_kwargs_reach_the_model_and_the_tokenizer(folder):
    engine = HFBase(
        path=str(folder),
        model_kwargs={"attn_implementation": "eager"},
        tokenizer_kwargs={"bos_token": "<|user|>"},
    )._load()
    assert engine._loaded.model.config._attn_implementation == "eager"
    assert engine._tokenizer.bos_token == "<|user|>"
    assert engine.abilities.batched
    assert engine.abilities.trees


def test_another_tokenizer_can_be_named(folder, copied):
    other = copied()
    settings = json.loads((other / "tokenizer_config.json").read_text())
    (other / "tokenizer_config.json").write_text(json.dumps({**settings, "eos_token": "<|end|>"}))
    engine = HFBase(path=str(folder), tokenizer_path=str(other))._load()
    assert engine._tokenizer.eos_token == "<|end|>"
    assert "tokenizer_path = 'nowhere': there is no such folder" in refused(
        path=str(folder), tokenizer_path="nowhere"
    )


def test_a_device_map_spreads_the_model(folder):
    asked = prompts(3)
    backend = HFBase(path=str(folder), device_map="cpu")
    assert texts(backend, asked, temperature=0) == [plainly(folder, text) for text in asked]


def test_an_adapter_changes_the_answers_and_a_wrong_one_is_said(folder, tmp_path):
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    base = AutoModelForCausalLM.from_pretrained(folder)
    tuned = get_peft_model(
        base, LoraConfig(r=4, target_modules=["q_proj", "down_proj"], task_type="CAUSAL_LM")
    )
    for name, weight in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.5)
    tuned.save_pretrained(tmp_path / "adapter")
    asked = prompts(3)
    with torch.inference_mode():
        from hf_small import plain

        words = plain(folder)[1]
        right = []
        for text in asked:
            ids = words(text, return_tensors="pt")["input_ids"]
            out = tuned.generate(input_ids=ids, max_new_tokens=20, do_sample=False, pad_token_id=0)
            right.append(words.decode(out[0, ids.shape[1] :], skip_special_tokens=True))
    backend = HFBase(path=str(folder), adapter=str(tmp_path / "adapter"))
    assert texts(backend, asked, temperature=0) == right
    assert right != [plainly(folder, text) for text in asked]
    assert backend.model == f"{folder} (adapter {tmp_path / 'adapter'})"
    told = refused(path=str(folder), adapter=str(tmp_path / "none"))
    assert "there is no such adapter; looked for" in told


def test_a_context_longer_than_the_window_fails_alone_or_is_cut_from_the_left_when_asked(folder):
    long = " ".join(prompts(12, seed=4))
    backend = HFBase(path=str(folder), max_seq_len=48)
    short, failed = ask(backend, [request(0, "the sky", temperature=0), request(1, long, temperature=0)])
    assert short.failure is None
    assert failed.failure.kind == "refused"
    assert failed.failure.message.startswith("too long: ")
    assert "max_seq_len is 48; to cut the beginning: --set model.truncate=left" in failed.failure.message
    (cut,) = ask(
        HFBase(path=str(folder), max_seq_len=48, truncate="left"),
        [request(0, long, temperature=0, max_tokens=8)],
    )
    assert cut.usage.input_tokens == 40
    from hf_small import plain

    words = plain(folder)[1]
    kept = words.decode(words(long)["input_ids"][-40:])
    assert cut.text == plainly(folder, kept, count=8)
    (own,) = ask(HFBase(path=str(folder)), [request(0, " ".join([long] * 9))])
    assert "the model's window is 512" in own.failure.message


def test_an_answer_ends_where_the_window_does(folder):
    text = " ".join(prompts(1, least=30, most=30))
    (answer,) = ask(
        HFBase(path=str(folder), max_seq_len=40), [request(0, text, temperature=0, max_tokens=500)]
    )
    assert answer.finish_reason == "length"
    assert answer.usage.input_tokens + answer.usage.output_tokens == 40


def test_logits_that_are_no_numbers_fail_the_sample_and_say_what_helps(tmp_path):
    import torch
    from safetensors.torch import load_file, save_file

    folder = build(tmp_path / "broken")
    tensors = load_file(folder / "model.safetensors")
    token = 42
    tensors["model.embed_tokens.weight"][token] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    from aisb import Request

    wanted = [
        Request("0", tokens=(7, 8, 9, 10), params={"max_tokens": 1, "temperature": 0}),
        Request("1", tokens=(7, token, 9, 10), params={"max_tokens": 4, "temperature": 0}),
    ]
    good, bad = ask(HFBase(path=str(folder)), wanted)
    assert good.failure is None
    assert bad.failure.kind == "refused"
    assert (
        "the model's logits are not numbers (NaN) for this prompt; float16 overflows" in bad.failure.message
    )
    assert torch.isnan(tensors["model.embed_tokens.weight"]).any()


def test_options_that_are_not_right_are_refused(folder):
    with pytest.raises(UsageError, match="batch_size = 0 is invalid: it must be at least 1"):
        HFBase(path=str(folder), batch_size=0)
    with pytest.raises(
        UsageError, match="run_cfg has gpus; the only key is num_gpus, the devices of a worker"
    ):
        HFBase(path=str(folder), run_cfg={"gpus": 2})


def test_a_gguf_file_is_a_model(folder, tmp_path):
    file = gguf_of(folder, tmp_path / "small.gguf")
    asked = prompts(3)
    answers = texts(HFBase(path=str(file), tokenizer_path=str(folder), dtype="float32"), asked, temperature=0)
    assert answers == [plainly(folder, text) for text in asked]


def gguf_of(folder, file):
    """Write the small model as a GGUF file, as llama.cpp names its parts."""
    import gguf
    from hf_small import plain

    model, _ = plain(folder)
    config = model.config
    heads = {"q_proj": config.num_attention_heads, "k_proj": config.num_key_value_heads}
    writer = gguf.GGUFWriter(str(file), "llama")
    writer.add_block_count(config.num_hidden_layers)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(config.vocab_size)
    writer.add_eos_token_id(config.eos_token_id)
    writer.add_bos_token_id(config.bos_token_id)
    names = {
        "model.embed_tokens": "token_embd", "model.norm": "output_norm", "lm_head": "output",
        "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
        "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
        "mlp.down_proj": "ffn_down", "input_layernorm": "attn_norm", "post_attention_layernorm": "ffn_norm",
    }  # fmt: skip
    for name, weight in model.state_dict().items():
        values = weight.float().numpy()
        for part, count in heads.items():
            if part in name:  # llama.cpp keeps the halves of each head side by side
                rows, columns = values.shape
                values = (
                    values.reshape(count, 2, rows // count // 2, columns)
                    .swapaxes(1, 2)
                    .reshape(rows, columns)
                )
        own = name.removesuffix(".weight")
        if own.startswith("model.layers."):
            _, _, number, rest = own.split(".", 3)
            own = f"blk.{number}.{names[rest]}"
        else:
            own = names[own]
        writer.add_tensor(f"{own}.weight", values.copy())
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return file


def test_the_errors_of_a_load_end_the_command_with_one_line(folder, tmp_path):
    words = [
        sys.executable,
        "-m",
        "aisb_cli.main",
        "run",
        "--models",
        "hf_chat_model",
        "--datasets",
        "demo_gsm8k",
    ]
    ran = subprocess.run(words, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert ran.returncode == 2
    assert "path is not set: set the model's folder, as in --set model.path=FOLDER" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_what_cannot_be_imported_is_a_plugin_error():
    from aisb_backend_hf._libraries import need

    with pytest.raises(
        PluginError, match=r"an adapter needs no_such_library, which is not installed: pip install x"
    ):
        need("no_such_library", why="an adapter", install="pip install x")
    assert issubclass(ServiceError, Exception)

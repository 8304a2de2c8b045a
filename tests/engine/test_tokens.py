"""Tokenizers from a local folder: what is read, and what is said where nothing can be."""

import json
import subprocess
import sys
from importlib.util import find_spec

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from aisb._errors import PluginError, UsageError
from aisb_engine._data.tokens import load_tokenizer

SENTENCES = ["the quick brown fox jumps over the lazy dog", "each day the dog sleeps, and the fox does not"]


def make(folder, sentences=SENTENCES, size=400):
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=size, special_tokens=["<s>", "</s>"], initial_alphabet=alphabet, show_progress=False
    )
    made.train_from_iterator(sentences, trainer)
    folder.mkdir(exist_ok=True)
    made.save(str(folder / "tokenizer.json"))
    return made


@pytest.fixture
def folder(tmp_path):
    make(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("text", ["the lazy dog", "Größe 数 🙂", "", " two  spaces ", "<s>"])
def test_a_text_comes_back_from_its_tokens(folder, text):
    tokenizer = load_tokenizer(folder)
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.count(text) == len(ids)
    assert tokenizer.counts([text, "dog"]) == [len(ids), tokenizer.count("dog")]


def test_the_file_itself_can_be_named(folder):
    assert load_tokenizer(folder / "tokenizer.json").count("the dog") == load_tokenizer(str(folder)).count(
        "the dog"
    )


def test_a_file_that_cuts_and_fills_up_is_still_counted_right(tmp_path):
    made = make(tmp_path / "model")
    made.enable_truncation(3)
    made.enable_padding(length=8)
    made.save(str(tmp_path / "model/tokenizer.json"))
    tokenizer = load_tokenizer(tmp_path / "model")
    assert tokenizer.count("xyzxyzxyzxyz") == 12
    assert tokenizer.counts(["x", "xyzxyzxyzxyz"]) == [1, 12]


def test_special_tokens_are_no_vocabulary(folder):
    known = load_tokenizer(folder).vocabulary()
    assert "<s>" not in known.values()
    assert "Ġdog" in known.values()
    assert list(known) == sorted(known)


def test_a_folder_that_is_not_there_is_no_name_of_a_hub():
    with pytest.raises(
        UsageError, match=r"tokenizer = 'org/model': there is no such folder(.|\n)*nothing is downloaded"
    ):
        load_tokenizer("org/model")


def test_a_folder_without_a_tokenizer_lists_what_was_looked_for(tmp_path):
    with pytest.raises(
        UsageError, match=r"the folder has no tokenizer; looked for tokenizer.json, tokenizer.model"
    ):
        load_tokenizer(tmp_path)


def test_a_broken_tokenizer_file_is_named(tmp_path):
    (tmp_path / "tokenizer.json").write_text('{"model": ')
    with pytest.raises(UsageError, match=r"tokenizer.json cannot be read as a tokenizer: .*EOF"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_that_needs_code_of_its_own_is_refused_with_a_way_out(tmp_path):
    config = {"tokenizer_class": "Odd", "auto_map": {"AutoTokenizer": ["odd.Odd", None]}}
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config))
    (tmp_path / "odd.py").write_text("raise SystemExit('ran')")
    with pytest.raises(
        UsageError, match=r"trust_remote_code\), which aisb does not run(.|\n)*save_pretrained\(NEW_FOLDER"
    ):
        load_tokenizer(tmp_path)


def test_beside_a_tokenizer_json_code_is_not_needed(folder):
    config = {"auto_map": {"AutoTokenizer": ["odd.Odd", None]}}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    assert load_tokenizer(folder).count(" dog") == 1


@pytest.mark.skipif(find_spec("transformers") is not None, reason="transformers is installed")
def test_without_transformers_other_files_say_what_to_install(tmp_path):
    (tmp_path / "tokenizer.model").write_bytes(b"\x0a")
    with pytest.raises(PluginError, match=r"needs transformers: pip install transformers\n  or convert it"):
        load_tokenizer(tmp_path)


def test_a_tokenizer_json_is_read_without_transformers(folder):
    script = (
        "import sys; from aisb_engine._data.tokens import load_tokenizer; "
        f"print(load_tokenizer({str(folder)!r}).count(' dog'), 'transformers' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "1 False\n"

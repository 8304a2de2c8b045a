"""A small model that sees, with random weights made here, is asked with images through the whole line."""

import asyncio
import base64
import csv
import hashlib
import io
import json
import subprocess
import sys

import pytest
from hf_small import WORDS, ask, tokenizer

from aisb import Message, Part, Request, UsageError
from aisb_backend_hf import HFVision
from aisb_testing import make_png, make_wav

pytest.importorskip("PIL")
pytestmark = pytest.mark.slow  # a local model: torch alone takes six seconds of a core
TEMPLATE = (
    "{% for message in messages %}<|{{ message.role }}|>{% for part in message.content %}"
    "{% if part.type == 'image' %}<image>{% else %}{{ part.text }}{% endif %}{% endfor %}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
RED, BLUE = make_png(40, 40, (250, 5, 5)), make_png(40, 40, (5, 5, 250))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    """The folder of a small LLaVA: a CLIP of two layers before a Llama of three."""
    import torch
    from transformers import CLIPImageProcessor, LlavaConfig, LlavaForConditionalGeneration, LlavaProcessor

    folder, words = tmp_path_factory.mktemp("models") / "seeing", tokenizer()
    words.add_special_tokens({"additional_special_tokens": ["<image>"]})
    words.chat_template = None
    text = {
        "model_type": "llama", "vocab_size": len(words), "hidden_size": 64, "intermediate_size": 96,
        "num_hidden_layers": 3, "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
        "initializer_range": 0.15, "bos_token_id": words.bos_token_id, "eos_token_id": words.eos_token_id,
    }  # fmt: skip
    vision = {
        "model_type": "clip_vision_model", "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
        "num_attention_heads": 2, "image_size": 28, "patch_size": 14, "initializer_range": 0.5,
    }  # fmt: skip
    image = words.convert_tokens_to_ids("<image>")
    config = LlavaConfig(text_config=text, vision_config=vision, image_token_index=image, image_seq_length=4)
    torch.manual_seed(0)
    LlavaForConditionalGeneration(config).save_pretrained(folder)
    size = {"height": 28, "width": 28}
    LlavaProcessor(
        image_processor=CLIPImageProcessor(size=size, crop_size=size, do_center_crop=False),
        tokenizer=words,
        chat_template=TEMPLATE,
        patch_size=14,
        vision_feature_select_strategy="default",
        image_token="<image>",
        num_additional_image_tokens=1,
    ).save_pretrained(folder)
    return folder


QWEN_MARKS = ("<|vision_start|>", "<|vision_end|>", "<|image_pad|>", "<|video_pad|>")
QWEN_TEXT = {
    "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 512, "initializer_range": 0.15,
    "rope_parameters": {"rope_type": "default", "mrope_section": [2, 3, 3], "rope_theta": 10000.0},
}  # fmt: skip
QWEN_VISION = {
    "Qwen2": {"depth": 2, "embed_dim": 32, "hidden_size": 64, "num_heads": 2, "mlp_ratio": 2},
    "Qwen2_5_": {
        "depth": 2, "hidden_size": 32, "intermediate_size": 64, "out_hidden_size": 64, "num_heads": 2,
        "fullatt_block_indexes": [1], "window_size": 56,
    },
}  # fmt: skip


@pytest.fixture(scope="module", params=sorted(QWEN_VISION))
def qwen(request, tmp_path_factory):
    """The folder of a small Qwen2-VL or Qwen2.5-VL, whose processor needs torchvision."""
    pytest.importorskip("torchvision", reason="the processor of Qwen-VL needs torchvision")
    import torch
    import transformers

    folder, words = tmp_path_factory.mktemp("models") / request.param, tokenizer()
    words.add_special_tokens({"additional_special_tokens": [*QWEN_MARKS]})
    words.chat_template = None
    start, end, image, video = map(words.convert_tokens_to_ids, QWEN_MARKS)
    text = QWEN_TEXT | {
        "vocab_size": len(words),
        "bos_token_id": words.bos_token_id,
        "eos_token_id": words.eos_token_id,
    }
    name = f"{request.param}VL"
    config = getattr(transformers, f"{name}Config")(
        text_config=text,
        vision_config=QWEN_VISION[request.param] | {"patch_size": 14},
        image_token_id=image,
        video_token_id=video,
        vision_start_token_id=start,
        vision_end_token_id=end,
    )
    torch.manual_seed(0)
    getattr(transformers, f"{name}ForConditionalGeneration")(config).save_pretrained(folder)
    sizes = {"min_pixels": 28 * 28, "max_pixels": 28 * 28 * 16}
    getattr(transformers, f"{name}Processor")(
        image_processor=transformers.Qwen2VLImageProcessor(**sizes),
        video_processor=transformers.Qwen2VLVideoProcessor(**sizes),
        tokenizer=words,
        chat_template=TEMPLATE.replace("<image>", "<|vision_start|><|image_pad|><|vision_end|>"),
    ).save_pretrained(folder)
    return folder


def url(content):
    return "data:image/png;base64," + base64.b64encode(content).decode()


def request(number, *parts, **params):
    made = tuple(Part("text", part) if isinstance(part, str) else Part("image", url(part)) for part in parts)
    return Request(str(number), messages=(Message("user", made),), params={"max_tokens": 12, **params})


def plainly(folder, *parts, count=12):
    """The same by transformers' own generate, as its documentation shows it."""
    from PIL import Image
    from transformers import AutoModelForImageTextToText, AutoProcessor

    processor = AutoProcessor.from_pretrained(folder)
    model = AutoModelForImageTextToText.from_pretrained(folder, dtype="float32")
    content = [
        {"type": "text", "text": part}
        if isinstance(part, str)
        else {"type": "image", "image": Image.open(io.BytesIO(part)).convert("RGB")}
        for part in parts
    ]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}],
        tokenize=True, return_dict=True, return_tensors="pt", add_generation_prompt=True,
    )  # fmt: skip
    out = model.generate(**inputs, max_new_tokens=count, do_sample=False, pad_token_id=0)
    made = out[0, inputs["input_ids"].shape[1] :]
    return processor.tokenizer.decode(made, skip_special_tokens=True), inputs["input_ids"].shape[1]


async def test_the_identity_of_a_model_that_sees_is_known_after_its_start(seeing):
    backend = HFVision(path=str(seeing))
    assert await backend.identity() == {}
    await backend.probe()
    try:
        found = await backend.identity()
    finally:
        await backend.aclose()
    assert found["server"] == "transformers"
    assert found["config_sha256"] == hashlib.sha256((seeing / "config.json").read_bytes()).hexdigest()
    assert found["chat_template_sha256"] == hashlib.sha256(TEMPLATE.encode()).hexdigest()


def test_answers_are_those_of_transformers_and_depend_on_the_image(seeing):
    asked = [(RED, "the sky is"), (BLUE, "the sky is"), ("the sky is", RED, "and", BLUE, "?"), ("the sea",)]
    answers = ask(HFVision(path=str(seeing)), [request(n, *parts) for n, parts in enumerate(asked)])
    for parts, answer in zip(asked, answers, strict=True):
        assert answer.failure is None, answer.failure
        assert (answer.text, answer.usage.input_tokens) == plainly(seeing, *parts)
    assert answers[0].text != answers[1].text
    assert answers[0].finish_reason == "length"
    assert answers[0].usage.output_tokens == 12


def test_answers_of_qwen_vl_are_those_of_transformers_and_depend_on_the_image(qwen):
    asked = [(RED, "the sky is"), (BLUE, "the sky is"), ("the sky is", RED, "and", BLUE, "?")]
    answers = ask(HFVision(path=str(qwen)), [request(n, *parts) for n, parts in enumerate(asked)])
    for parts, answer in zip(asked, answers, strict=True):
        assert answer.failure is None, answer.failure
        assert (answer.text, answer.usage.input_tokens) == plainly(qwen, *parts)
    assert answers[0].text != answers[1].text


def test_parameters_mean_what_they_mean_for_a_model_of_text(seeing):
    whole = plainly(seeing, RED, "the sky is")[0]
    stop = whole[4:7]
    answers = ask(
        HFVision(path=str(seeing), stream=False),
        [
            request(0, RED, "the sky is", stop=[stop]),
            request(1, RED, "the sky is", temperature=1.0, seed=3),
            request(2, RED, "the sky is", temperature=1.0, seed=3),
            request(3, RED, "the sky is", temperature=1.0, seed=4),
        ],
    )
    assert answers[0].text == whole[: whole.index(stop)]
    assert answers[0].finish_reason == "stop"
    assert answers[1].text == answers[2].text != answers[3].text


def test_what_cannot_be_asked_fails_alone_and_says_why(seeing):
    parts = {
        "sound": Part("audio", "data:audio/wav;base64," + base64.b64encode(make_wav()).decode()),
        "address": Part("image", "https://example.org/a.png"),
        "torn": Part("image", url(RED[:-30])),
        "gone": Part("image", "file:///nowhere/a.png"),
        "film": Part("video", "data:video/mp4;base64,AAAA"),
    }
    requests = [
        Request(name, messages=(Message("user", (part, Part("text", "?"))),), params={"max_tokens": 3})
        for name, part in parts.items()
    ]
    requests += [request("long", " ".join(WORDS * 20)), request("good", RED, "?")]
    answers = ask(HFVision(path=str(seeing)), requests)
    told = {one.sample_id: one.failure and one.failure.message for one in answers}
    assert told["good"] is None
    assert "audio parts" in told["sound"]
    assert told["address"] == "https://example.org/a.png is a URL, and a local model downloads nothing"
    assert told["torn"].startswith("an image cannot be decoded")
    assert told["gone"].startswith("/nowhere/a.png cannot be read")
    assert "a video must be a file on this machine" in told["film"]
    assert "and the context length is 256" in told["long"]


def test_a_model_of_text_alone_is_refused_with_the_one_to_take(folder):
    with pytest.raises(
        UsageError,
        match=r"no image processor, so it is a text model\n  for such .* hf_chat_model",
    ):
        asyncio.run(HFVision(path=str(folder)).probe())


def test_a_template_of_ones_own_renders_the_messages(seeing, tmp_path):
    (tmp_path / "own.jinja").write_text(TEMPLATE.replace("<|assistant|>", "<|assistant|>the sky"))
    (own,) = ask(
        HFVision(path=str(seeing), chat_template=str(tmp_path / "own.jinja")), [request(0, RED, "?")]
    )
    (usual,) = ask(HFVision(path=str(seeing)), [request(0, RED, "?")])
    assert own.failure is None
    assert own.usage.input_tokens > usual.usage.input_tokens


def test_a_task_with_images_in_its_rows_goes_through_the_whole_line(seeing, tmp_path):
    rows = [
        {
            "question": "what is it?",
            "image": base64.b64encode(image).decode(),
            "answer": plainly(seeing, image, "what is it?")[0],
        }
        for image in (RED, BLUE)
    ]
    (tmp_path / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (tmp_path / "aisb.toml").write_text(
        '[tasks.seen]\nsummary = "seen"\ndataset = { path = "./rows.jsonl" }\nsample = { target = "{answer}" }\n'
        'prompt = { user = "{question}", media = [{ file = "{image}" }] }\nparams = { max_tokens = 12 }\n'
        'evaluate = [{ use = "exact-match" }]\n'
    )
    words = [
        "run",
        "--models",
        "hf_qwenvl_model",
        "--set",
        f"model.path={seeing}",
        "--datasets",
        "seen",
        "-w",
        "out",
    ]
    ended = subprocess.run(
        [sys.executable, "-m", "aisb_cli.main", *words],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    (table,) = tmp_path.glob("out/*/summary/*.csv")
    with table.open() as file:
        (row,) = csv.DictReader(file)
    assert (row["metric"], row["hf-qwenvl-model"]) == ("accuracy", "100.00")

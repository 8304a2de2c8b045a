import subprocess
import sys

import pytest

from aisb import Message, Part, Request, UsageError
from aisb_backend_openai import OpenAIChat, OpenAICompletions

CHAT = (Message("system", "Be short."), Message("user", "Hi"))


def chat_body(request, **options):
    return OpenAIChat(model="m", **options).encode(request).body


def text_body(request, **options):
    return OpenAICompletions(model="m", **options).encode(request).body


def user(*parts):
    return Request("0", messages=(Message("user", parts),))


def content_of(*parts):
    return chat_body(user(*parts))["messages"][0]["content"]


def test_a_streamed_chat_asks_for_usage():
    request = Request("0", messages=CHAT, params={"max_tokens": 8, "temperature": 0, "stop": ["\n"]})
    assert chat_body(request) == {
        "model": "m",
        "messages": [{"role": "system", "content": "Be short."}, {"role": "user", "content": "Hi"}],
        "max_tokens": 8,
        "temperature": 0,
        "stop": ["\n"],
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_a_whole_chat_has_no_stream_options():
    assert chat_body(Request("0", messages=CHAT[1:]), stream=False) == {
        "model": "m",
        "messages": [{"role": "user", "content": "Hi"}],
        "stream": False,
    }


def test_a_text_on_a_chat_api_is_one_user_message():
    assert chat_body(Request("0", text="Hi"))["messages"] == [{"role": "user", "content": "Hi"}]


def test_a_completion_sends_its_text_as_it_is():
    request = Request("0", text="1 + 1 =", params={"max_tokens": 2, "seed": 3})
    assert text_body(request) == {
        "model": "m",
        "prompt": "1 + 1 =",
        "max_tokens": 2,
        "seed": 3,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def test_token_ids_are_a_completion_prompt():
    assert text_body(Request("0", tokens=(1, 2, 3)), stream=False) == {
        "model": "m",
        "prompt": [1, 2, 3],
        "stream": False,
    }


def test_messages_on_a_completions_api_are_joined_by_newlines():
    messages = (*CHAT, Message("assistant", (Part("text", "Hel"), Part("text", "lo"))))
    assert text_body(Request("0", messages=messages))["prompt"] == "Be short.\nHi\nHello"


def test_each_api_says_which_style_of_prompt_it_takes():
    assert (OpenAIChat.prompt_form, OpenAICompletions.prompt_form) == ("chat", "text")


def test_without_a_model_the_body_names_none():
    assert "model" not in OpenAIChat().encode(Request("0", text="Hi")).body
    assert "model" not in OpenAIChat(model="").encode(Request("0", text="Hi")).body


def test_parameters_beyond_the_api_pass_through_as_given():
    params = {"ignore_eos": True, "top_k": 5, "chat_template_kwargs": {"enable_thinking": False}}
    assert params.items() <= chat_body(Request("0", text="Hi", params=params)).items()


def test_repeats_are_never_sent():
    params = {"num_return_sequences": 4, "n": 1}
    body = chat_body(Request("0", text="Hi", params=params))
    assert "num_return_sequences" not in body
    assert body["n"] == 1
    assert params == {"num_return_sequences": 4, "n": 1}


def test_max_tokens_goes_by_the_name_that_the_service_has_for_it():
    body = chat_body(
        Request("0", text="Hi", params={"max_tokens": 9}), max_tokens_name="max_completion_tokens"
    )
    assert body["max_completion_tokens"] == 9
    assert "max_tokens" not in body


def test_stream_options_of_the_user_stand():
    options = {"include_usage": True, "continuous_usage_stats": True}
    body = chat_body(Request("0", text="Hi", params={"stream_options": options}))
    assert body["stream_options"] == options


def test_extra_body_is_refused_with_what_to_write_instead():
    with pytest.raises(UsageError) as raised:
        OpenAIChat().check_params({"extra_body": {"top_k": 1}})
    assert str(raised.value) == (
        "params.extra_body belongs to OpenAI's Python client; write its keys under [params]"
    )


def test_parts_of_a_message_have_the_apis_own_shapes():
    image = "data:image/png;base64,AAAA"
    assert content_of(
        Part("text", "What is this?"), Part("image", image), Part("image", "https://x/y.jpg")
    ) == [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": image}},
        {"type": "image_url", "image_url": {"url": "https://x/y.jpg"}},
    ]


def test_a_video_is_a_url():
    assert content_of(Part("video", "https://x/y.mp4")) == [
        {"type": "video_url", "video_url": {"url": "https://x/y.mp4"}}
    ]


@pytest.mark.parametrize(
    ("value", "part"),
    [
        ("data:audio/wav;base64,UklG", {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}),
        ("data:audio/x-wav;base64,UklG", {"type": "input_audio", "input_audio": {"data": "UklG", "format": "wav"}}),
        ("data:audio/mpeg;base64,SUQz", {"type": "input_audio", "input_audio": {"data": "SUQz", "format": "mp3"}}),
        ("data:audio/flac;base64,ZkxB", {"type": "input_audio", "input_audio": {"data": "ZkxB", "format": "flac"}}),
        ("https://x/y.mp3", {"type": "audio_url", "audio_url": {"url": "https://x/y.mp3"}}),
    ],
)  # fmt: skip
def test_audio_is_sent_inside_the_message_or_as_a_url(value, part):
    assert content_of(Part("audio", value)) == [part]


def test_a_file_of_this_machine_is_sent_as_its_content(tmp_path):
    sound, film = tmp_path / "a b.wav", tmp_path / "film.mov"
    sound.write_bytes(b"RIFF")
    film.write_bytes(b"moov")
    parts = Part("audio", sound.as_uri()), Part("video", film.as_uri())
    assert content_of(*parts) == [
        {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}},
        {"type": "video_url", "video_url": {"url": "data:video/quicktime;base64,bW9vdg=="}},
    ]


def test_a_service_that_reads_files_itself_is_sent_their_addresses():
    said = chat_body(user(Part("image", "file:///x/y.png")), local_media="path")["messages"][0]["content"]
    assert said == [{"type": "image_url", "image_url": {"url": "file:///x/y.png"}}]


def test_an_image_in_a_completions_prompt_is_refused():
    with pytest.raises(UsageError) as raised:
        text_body(user(Part("text", "a"), Part("image", "https://x/y.jpg")))
    assert str(raised.value) == (
        "a completions API accepts only text, and a message has a part of kind image; use a chat backend"
    )


def test_token_ids_on_a_chat_api_are_refused():
    with pytest.raises(UsageError) as raised:
        chat_body(Request("0", tokens=(1, 2)))
    assert str(raised.value) == (
        "a chat API accepts no token ids, because it applies a template to messages; "
        "use a completions backend for them"
    )


@pytest.mark.parametrize(
    ("url", "address"),
    [
        ("http://h:1", "http://h:1/v1/chat/completions"),
        ("http://h:1/", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/", "http://h:1/v1/chat/completions"),
        ("http://h:1/v1/chat/completions", "http://h:1/v1/chat/completions"),
        ("http://[::1]:8000", "http://[::1]:8000/v1/chat/completions"),
        ("https://gw/x/v1", "https://gw/x/v1/chat/completions"),
        ("https://gw/x", "https://gw/x/v1/chat/completions"),
        ("https://gw/api/paas/v4", "https://gw/api/paas/v4/chat/completions"),
        ("https://gw/v1beta", "https://gw/v1beta/chat/completions"),
    ],
)
def test_a_url_is_taken_with_and_without_its_version(url, address):
    backend = OpenAIChat(url=url)
    assert backend.url + backend.encode(Request("0", text="Hi")).path == address


@pytest.mark.parametrize("url", ["http://h:1", "http://h:1/v1", "http://h:1/v1/completions"])
def test_the_completions_api_has_its_own_path(url):
    backend = OpenAICompletions(url=url)
    assert backend.url + backend.encode(Request("0", text="Hi")).path == "http://h:1/v1/completions"


def test_a_path_of_the_users_own_stands_below_the_url_as_it_is():
    backend = OpenAIChat(url="http://h:1/v1", path="/custom?version=2")
    assert backend.url + backend.encode(Request("0", text="Hi")).path == "http://h:1/v1/custom?version=2"


def test_importing_the_plugin_loads_nothing_heavy():
    heavy = "{'pydantic', 'httpx', 'numpy'}"
    program = (
        f"import sys, aisb_backend_openai as o; o.OpenAIChat(); print(sorted({heavy} & set(sys.modules)))"
    )
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert run.stdout == "[]\n"


REFUSES_MAX_TOKENS = "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead."


def test_a_service_that_refuses_stream_options_is_asked_without_them():
    backend = OpenAIChat()
    message = '[{"type": "extra_forbidden", "loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]'
    line = "the service refuses stream_options: not sent, so streamed replies have no token counts"
    assert [backend.adapt(422, message) for _ in range(3)] == [line, None, None]
    assert "stream_options" not in backend.encode(Request("0", text="Hi")).body
    assert backend.encode(Request("0", text="Hi")).body["stream"] is True


def test_a_service_that_refuses_max_tokens_is_told_so_once_and_asked_by_the_other_name():
    backend = OpenAIChat()
    line = "the service refuses max_tokens: sent as max_completion_tokens"
    assert [backend.adapt(400, REFUSES_MAX_TOKENS) for _ in range(3)] == [line, None, None]
    body = backend.encode(Request("0", text="Hi", params={"max_tokens": 4})).body
    assert body["max_completion_tokens"] == 4
    assert "max_tokens" not in body


def test_a_service_without_max_completion_tokens_gets_max_tokens():
    backend = OpenAIChat(max_tokens_name="max_completion_tokens")
    message = '[{"type": "extra_forbidden", "loc": ["body", "max_completion_tokens"]}]'
    assert backend.adapt(422, message) == "the service refuses max_completion_tokens: sent as max_tokens"
    body = backend.encode(Request("0", text="Hi", params={"max_tokens": 4})).body
    assert body["max_tokens"] == 4
    body = backend.encode(Request("0", text="Hi", params={"max_completion_tokens": 5})).body
    assert body["max_tokens"] == 5
    assert "max_completion_tokens" not in body


def test_a_service_that_refuses_both_names_is_not_asked_for_ever():
    backend = OpenAIChat()
    assert backend.adapt(400, REFUSES_MAX_TOKENS)
    assert backend.adapt(400, "Unrecognized request argument supplied: max_completion_tokens") is None


@pytest.mark.parametrize(
    "message",
    [
        "'max_tokens' or 'max_completion_tokens' is too large: 9999. This model's maximum context length is 2048 tokens",
        "max_tokens is too large: 100000. This model supports at most 16384 completion tokens",
        "Unsupported value: 'temperature' does not support 0 with this model. Only the default (1) value is supported.",
        "request (3001 tokens) exceeds the available context size (2048 tokens), try increasing it",
    ],
)
def test_other_refusals_change_nothing(message):
    backend = OpenAIChat()
    before = backend.encode(Request("0", text="Hi", params={"max_tokens": 4}))
    assert backend.adapt(400, message) is None
    assert backend.encode(Request("0", text="Hi", params={"max_tokens": 4})) == before

"""The mock server held to TGI's real format: by the client libraries that Hugging Face publishes for it."""

import pytest

from aisb_mock import MockOptions, start_mock

PROMPT = "Tell me a story"


@pytest.fixture(scope="module")
def url():
    with start_mock(MockOptions(tokens=6, models=("dummy",))) as mock:
        yield mock.url


@pytest.mark.parametrize("endpoint", ["", "/generate"])
def test_huggingface_hub_reads_whole_replies(url, endpoint):
    client = pytest.importorskip("huggingface_hub").InferenceClient(url + endpoint)
    text = client.text_generation(PROMPT, max_new_tokens=2)
    detailed = client.text_generation(PROMPT, max_new_tokens=2, details=True)
    assert (detailed.generated_text, len(text.split())) == (text, 2)
    assert (detailed.details.finish_reason, detailed.details.generated_tokens) == ("length", 2)
    assert "".join(token.text for token in detailed.details.tokens) == text


@pytest.mark.parametrize("endpoint", ["", "/generate_stream"])
def test_huggingface_hub_reads_streams(url, endpoint):
    client = pytest.importorskip("huggingface_hub").InferenceClient(url + endpoint)
    *tokens, last = client.text_generation(PROMPT, max_new_tokens=20, details=True, stream=True)
    assert "".join(token.token.text for token in tokens) == last.generated_text
    assert last.token.special
    assert (last.details.finish_reason, last.details.input_length) == ("eos_token", 4)


def test_text_generation_reads_both_and_checks_every_field(url):
    client = pytest.importorskip("text_generation").Client(url)
    whole = client.generate(PROMPT, max_new_tokens=2)
    streamed = list(client.generate_stream(PROMPT, max_new_tokens=2))
    assert streamed[-1].generated_text == whole.generated_text == "".join(one.token.text for one in streamed)


@pytest.mark.parametrize(
    ("fault", "name"), [("status-429", "OverloadedError"), ("status-500", "GenerationError")]
)
def test_text_generation_names_the_errors_that_it_is_told(fault, name):
    library = pytest.importorskip("text_generation")
    error = getattr(library.errors, name)
    with start_mock(MockOptions(faults=(f"{fault}@1",))) as mock, pytest.raises(error):
        library.Client(mock.url).generate(PROMPT, max_new_tokens=2)

import tomllib

from aisb._options import bind, options
from aisb_backend_openai import OpenAIChat, aisb_backends, aisb_configs


def test_every_option_has_its_help():
    for factory in aisb_backends().values():
        assert [option.name for option in options(factory) if not option.help] == []
        assert [option.name for option in options(factory) if option.name.startswith("_")] == []


def test_the_model_file_fits_its_backend():
    (folder,) = aisb_configs()
    files = sorted(file.name for file in (folder / "models").iterdir())
    assert files == ["openai.toml"]
    model = tomllib.loads((folder / "models" / "openai.toml").read_text(encoding="utf-8"))
    assert aisb_backends()[model["backend"]] is OpenAIChat
    backend = OpenAIChat(**bind(OpenAIChat, model["options"]))
    assert (backend.url, backend.max_tokens_name) == ("https://api.openai.com", "max_completion_tokens")

"""Images, audio and video of a task's rows: what is attached, where it stands, and what is wrong with it."""

import base64
import json
import os

import pytest
from pydantic import ValidationError

from aisb._errors import ConfigError, DataError
from aisb._media import TYPES, data_url
from aisb._plugins import Plugins
from aisb._types import Part
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.media import Attached, attach, media_hash
from aisb_engine._data.prompts import Renderer
from aisb_engine._data.samples import load_samples
from aisb_engine._spec import Task

PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR4nGP4z8DwHwAFAAH/iZk9HQAAAABJRU5ErkJggg=="
)


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


@pytest.fixture
def ready(plugins, tmp_path):
    """Make a task's renderer and samples ready; its rows lie in the folder rows, pictures beside them."""

    def run(rows, media, **prompt):
        folder = tmp_path / "rows"
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / "dot ä.png").write_bytes(PIXEL)
        (tmp_path / "elsewhere.jpg").write_bytes(b"JPEG")
        (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        table = {"user": "{question}", "media": media, **prompt}
        task = Task(name="toy", summary="", dataset={"path": "rows/rows.jsonl"}, prompt=table)
        folders = DataFolders([tmp_path])
        loaded = load_samples(task, plugins, folders)
        return Renderer(task, plugins, folders, files=loaded.files), loaded

    return run


@pytest.fixture
def content(ready):
    """Render the first row's last turn."""

    def run(row, media, **prompt):
        renderer, loaded = ready([row], media, **prompt)
        return renderer.request(loaded.samples[0]).messages[-1].content

    return run


def uri(path):
    return path.resolve().as_uri()


def test_a_picture_beside_the_rows_stands_before_the_question_by_its_address(content, tmp_path):
    row = {"question": "what?", "image_path": "pictures/dot ä.png"}
    address = uri(tmp_path / "rows/pictures/dot ä.png")
    assert content(row, [{"file": "{image_path}"}]) == (Part("image", address), Part("text", "what?"))
    made = data_url(Part("image", address))
    assert made == "data:image/png;base64," + base64.b64encode(PIXEL).decode()


def test_a_path_may_also_be_under_the_data_folders_or_absolute(content, tmp_path):
    elsewhere = Part("image", uri(tmp_path / "elsewhere.jpg"))
    for given in ("elsewhere.jpg", str(tmp_path / "elsewhere.jpg"), uri(tmp_path / "elsewhere.jpg")):
        assert content({"question": "?", "p": given}, [{"file": "{p}"}])[0] == elsewhere


@pytest.mark.parametrize("address", ["https://example.org/a", "http://x/y.jpg", "data:image/png;base64,AAAA"])
def test_an_address_is_sent_as_it_is(content, address):
    made = content({"question": "?", "p": address}, [{"file": "{p}"}])
    assert made == (Part("image", address), Part("text", "?"))
    assert data_url(made[0]) == address


def test_content_in_base64_is_put_into_a_data_url_by_the_template(content):
    media = [{"file": "data:image/jpeg;base64,{picture}"}]
    made = content({"question": "?", "picture": "/9j/4AAQ"}, media)
    assert made[0].value == "data:image/jpeg;base64,/9j/4AAQ"


def test_a_row_says_the_kind_itself(content):
    row = {"question": "?", "type": "Video", "path": ["http://x/1.mp4", "http://x/2.mp4"]}
    made = content(row, [{"kind": "{type}", "file": "{path}"}])
    assert made[:2] == (Part("video", "http://x/1.mp4"), Part("video", "http://x/2.mp4"))


@pytest.mark.parametrize("nothing", [None, "", []])
def test_a_row_without_a_picture_is_a_plain_question(content, nothing):
    assert content({"question": "why?", "p": nothing}, [{"file": "{p}"}]) == "why?"


def test_marks_in_the_text_are_where_things_stand():
    one, two, three = (Part("image", f"http://x/{name}") for name in "123")
    marked = [Attached("<image>", one), Attached("<image>", two), Attached("<sound>", three)]
    assert attach("Is <image> like <image>?", marked) == (
        three, Part("text", "Is "), one, Part("text", " like "), two, Part("text", "?"),
    )  # fmt: skip
    assert attach("<image>", marked[:1]) == (one,)


def test_examples_bring_their_own_pictures(ready):
    rows = [{"question": f"q{n}", "p": f"http://x/{n}.png", "a": str(n)} for n in range(3)]
    renderer, loaded = ready(rows, [{"file": "{p}"}], shot="{a}", shots=1, intro="Look.")
    first, answer, last = renderer.request(loaded.samples[0]).messages
    assert first.content == (Part("image", "http://x/1.png"), Part("text", "Look.\n\nq1"))
    assert (answer.content, last.content[0]) == ("1", Part("image", "http://x/0.png"))


def test_a_missing_file_is_told_with_every_place_where_it_was_looked_for(content, tmp_path):
    with pytest.raises(DataError) as caught:
        content({"question": "?", "p": "lost.png"}, [{"file": "{p}"}])
    first, *places, advice, where = str(caught.value).splitlines()
    assert first == "task.prompt.media.0: there is no file 'lost.png'; looked for:"
    assert places == [f"  {tmp_path}/rows/lost.png", f"  {tmp_path}/lost.png"]
    assert advice == (
        "  a path is taken beside the data file, then under --data-dir and AISB_DATA; "
        "an address begins with http:// or https://"
    )
    assert where == "  at sample 0"


def test_an_unknown_type_is_told_with_those_that_are_known(content, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError) as caught:
        content({"question": "?", "p": "notes.txt"}, [{"file": "{p}"}])
    assert str(caught.value).splitlines()[0] == (
        f"task.prompt.media.0: {tmp_path}/notes.txt does not end as an image does; "
        f"known: {', '.join(TYPES['image'])}; a data URL can say any type"
    )


def test_an_unknown_kind_is_told_with_those_that_are_known(content):
    with pytest.raises(
        DataError, match=r"task.prompt.media.0.kind: 'smell' is not one of image, audio, video"
    ):
        content({"question": "?", "p": "http://x"}, [{"file": "{p}", "kind": "smell"}])


def test_a_file_that_is_too_large_is_told_with_the_limit(content, tmp_path):
    with (tmp_path / "film.mp4").open("wb") as file:
        os.truncate(file.fileno(), 61_200_000)
    media = {"file": "{p}", "kind": "video"}
    with pytest.raises(DataError) as caught:
        content({"question": "?", "p": "film.mp4"}, [media])
    assert str(caught.value).splitlines()[0] == (
        f"task.prompt.media.0: {tmp_path}/film.mp4 has 61.2 MB, and max_mb allows 50; "
        "make it smaller, or raise max_mb if the service takes as much"
    )
    assert content({"question": "?", "p": "film.mp4"}, [media | {"max_mb": 62}])[0].kind == "video"
    row = {"question": "?", "p": "data:video/mp4;base64," + "A" * 1_000_000}
    with pytest.raises(DataError, match=r"the data URL has 1\.0 MB, and max_mb allows 0\.5"):
        content(row, [media | {"max_mb": 0.5}])


def test_an_empty_file_is_told(content, tmp_path):
    (tmp_path / "none.wav").touch()
    with pytest.raises(DataError, match=r"none\.wav is empty"):
        content({"question": "?", "p": "none.wav"}, [{"file": "{p}", "kind": "audio"}])


def test_a_file_that_has_gone_when_it_is_sent_is_told(tmp_path):
    with pytest.raises(DataError, match=r"gone\.png cannot be read: No such file or directory"):
        data_url(Part("image", uri(tmp_path / "gone.png")))


def test_the_hash_sees_another_name_and_another_size(ready, tmp_path):
    rows = [{"question": "?", "p": "elsewhere.jpg"}, {"question": "?", "p": "http://x/y.png"}]
    renderer, loaded = ready(rows, [{"file": "{p}"}])
    before = media_hash(renderer.media, loaded)
    assert before == media_hash(renderer.media, loaded)
    (tmp_path / "elsewhere.jpg").write_bytes(b"another")
    assert media_hash(renderer.media, loaded) != before


def test_media_in_a_task_of_one_text_is_refused():
    with pytest.raises(ValidationError, match=r"prompt\.style = 'text' has none; use 'chat'"):
        Task(name="t", summary="", dataset={}, prompt={"style": "text", "media": [{"file": "{p}"}]})


def test_a_field_that_is_not_there_names_the_entry(content):
    with pytest.raises(
        ConfigError, match=r"task.prompt.media.0.file: \{picture\}: no field 'picture' in row"
    ):
        content({"question": "?"}, [{"file": "{picture}"}])

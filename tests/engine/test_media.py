"""Images, audio and video of a task's rows: what is attached, where it stands, and what is wrong with it."""

import base64
import io
import json
import os
import struct

import pytest
from pydantic import ValidationError

from aisb._errors import ConfigError, DataError
from aisb._media import MEDIA_TYPES, data_url
from aisb._plugins import Plugins
from aisb._types import Part
from aisb_engine._data.datafiles import DataFolders
from aisb_engine._data.loading import load_samples
from aisb_engine._data.media import Attached, attach, media_hash
from aisb_engine._data.media_ends import TruncatedMediaError
from aisb_engine._data.media_types import Content, inspect
from aisb_engine._data.prompts import Renderer
from aisb_engine._spec import Task
from aisb_testing import make_mp4, make_png, make_wav

PIXEL = make_png(1, 1)
JPEG = (
    b"\xff\xd8\xff\xe0"
    + struct.pack(">H", 16)
    + b"JFIF\0".ljust(14, b"\0")
    + (b"\xff\xc0" + struct.pack(">HBHHB", 11, 8, 30, 40, 1) + b"\1\x11\0" + b"\xff\xd9")
)
"""The header of a picture of 40 × 30, without the picture."""

FRAME = b"\xff\xfb\x90\x64" + bytes(413)
"""A frame of MPEG audio: layer 3, 128 kbit/s, 44,100 Hz."""
COUNTED = FRAME[:36] + b"Info" + struct.pack(">III", 3, 2, 1251) + FRAME[52:] + FRAME * 2
"""The header of LAME, which counts two frames and all bytes, and the frames."""
ADTS = b"\xff\xf1\x50\x80" + bytes((20 >> 3, (20 & 7) << 5, 0)) + bytes(13)
"""A frame of AAC of 20 bytes."""


@pytest.fixture(scope="module")
def plugins():
    return Plugins.load()


@pytest.fixture
def ready(plugins, tmp_path):
    """Make a task's renderer and samples ready; its rows lie in the folder rows, pictures next to them."""

    def run(rows, media, **prompt):
        folder = tmp_path / "rows"
        (folder / "pictures").mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / "dot ä.png").write_bytes(PIXEL)
        (tmp_path / "elsewhere.jpg").write_bytes(JPEG)
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


@pytest.mark.parametrize("address", ["https://example.org/a", "http://x/y.jpg"])
def test_an_address_is_sent_as_it_is(content, address):
    made = content({"question": "?", "p": address}, [{"file": "{p}"}])
    assert made == (Part("image", address), Part("text", "?"))
    assert data_url(made[0]) == address


SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"/>'
UNKNOWN = (
    "holds {0}, not {1} of a known type; known: {2}. "
    'Convert it, or add types = ["{0}"] to this entry of prompt.media if the service reads it'
)
IMAGES = "image/bmp, image/gif, image/jpeg, image/png, image/tiff, image/webp"
AUDIO = "audio/aac, audio/flac, audio/mp4, audio/mpeg, audio/ogg, audio/wav, audio/webm"


@pytest.mark.parametrize(
    ("address", "kind", "told"),
    [
        ("data:image/svg+xml;base64," + base64.b64encode(SVG).decode(), "image", "is text/plain, not image"),
        ("data:image/svg+xml," + SVG.decode(), "image", "is text/plain, not image"),
        ("data:image/jxl;base64,/woA", "image", UNKNOWN.format("image/jxl", "an image", IMAGES)),
        ("data:text/html;base64,AAAA", "audio", UNKNOWN.format("text/html", "an audio", AUDIO)),
    ],
)
def test_a_data_url_of_an_unknown_type_is_sent_only_if_the_task_allows_the_type(content, address, kind, told):
    row = {"question": "?", "p": address}
    with pytest.raises(DataError) as caught:
        content(row, [{"file": "{p}", "kind": kind}])
    assert str(caught.value) == f"task.prompt.media.0: the data URL {told}\n  at sample 0"
    declared = address.removeprefix("data:").replace(",", ";").partition(";")[0]
    made = content(row, [{"file": "{p}", "kind": kind, "types": [declared]}])
    assert made == (Part(kind, address), Part("text", "?"))


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("data:image/png;base64,", "the field 'p' is empty: it has no bytes"),
        ("data:image/png;x", "the data URL has no content; it is written data:TYPE;base64,CONTENT"),
        ("data:image/png,", "the data URL is empty"),
        ("data:image/png,%89PNG", "the data URL is not an image of a known type, despite its name"),
        ("data:image/png;base64,iVBORw0KG*o=", "not valid base64: '*' is character 10 of 12"),
        ("data:image/png;base64,iVBORw0KGgo", "it has 11 characters and may be cut off"),
    ],
)
def test_a_data_url_without_an_image_is_refused(content, address, told):
    with pytest.raises(DataError) as caught:
        content({"question": "?", "p": address}, [{"file": "{p}"}])
    assert told in str(caught.value)


@pytest.mark.parametrize("damaged", [10, 100, 300])
def test_damaged_base64_is_not_called_a_missing_file(content, damaged):
    text = base64.b64encode(make_png(40, 40) + bytes(200)).decode()
    text = text[: damaged + 1] + "*" + text[damaged + 2 :]
    with pytest.raises(DataError) as caught:
        content({"question": "?", "p": text}, [{"file": "{p}"}])
    told = str(caught.value).splitlines()[0]
    assert f"is not valid base64: '*' is character {damaged + 2} of {len(text):,}" in told
    assert "there is no file" not in told


def test_content_in_base64_is_put_into_a_data_url_by_the_template(content):
    media = [{"file": "data:image/jpeg;base64,{picture}"}]
    made = content({"question": "?", "picture": base64.b64encode(JPEG).decode()}, media)
    assert made[0].value == "data:image/jpeg;base64," + base64.b64encode(JPEG).decode()


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
    assert first == "task.prompt.media.0: there is no file 'lost.png'; searched:"
    assert places == [f"  {tmp_path}/rows/lost.png", f"  {tmp_path}/lost.png"]
    assert advice == (
        "  a path is searched next to the data file, then in --data-dir and AISB_DATA; "
        "a URL begins with http:// or https://"
    )
    assert where == "  at sample 0"


def test_an_unknown_type_is_told_with_those_that_are_known(content, tmp_path):
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(DataError) as caught:
        content({"question": "?", "p": "notes.txt"}, [{"file": "{p}"}])
    assert str(caught.value).splitlines()[0] == (
        f"task.prompt.media.0: {tmp_path}/notes.txt does not have the suffix of an image; "
        f"known: {', '.join(MEDIA_TYPES['image'])}; a data URL can have a type that types allows"
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
        f"task.prompt.media.0: {tmp_path}/film.mp4 has 61.2 MB, but max_mb is 50; "
        "make it smaller, or raise max_mb if the service accepts it"
    )
    assert content({"question": "?", "p": "film.mp4"}, [media | {"max_mb": 62}])[0].kind == "video"
    row = {"question": "?", "p": "data:video/mp4;base64," + "A" * 1_000_000}
    with pytest.raises(DataError, match=r"the data URL has 1\.0 MB, but max_mb is 0\.5"):
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
    (tmp_path / "elsewhere.jpg").write_bytes(JPEG + b"another")
    assert media_hash(renderer.media, loaded) != before


def test_media_in_a_task_of_one_text_is_refused():
    with pytest.raises(ValidationError, match=r"prompt\.style = 'text' has none; use 'chat'"):
        Task(name="t", summary="", dataset={}, prompt={"style": "text", "media": [{"file": "{p}"}]})


def test_a_field_that_is_not_there_names_the_entry(content):
    with pytest.raises(
        ConfigError, match=r"task.prompt.media.0.file: \{picture\}: no field 'picture' in row"
    ):
        content({"question": "?"}, [{"file": "{picture}"}])


def test_content_in_a_row_is_written_to_a_file_once_and_the_row_says_what_it_is(ready):
    text = base64.b64encode(make_png(7, 5)).decode()
    rows = [{"question": f"{n}?", "image": text} for n in range(2)]
    renderer, loaded = ready(rows, [{"file": "{image}"}], user="{question} {image.width}x{image.height}")
    table = loaded.samples[0].fields["image"]
    assert {key: table[key] for key in ("type", "width", "height", "size")} == {
        "type": "image/png", "width": 7, "height": 5, "size": len(make_png(7, 5)),
    }  # fmt: skip
    assert loaded.samples[1].fields["image"] == table
    picture, question = renderer.request(loaded.samples[0]).messages[-1].content
    assert (question.value, data_url(picture)) == ("0? 7x5", f"data:image/png;base64,{text}")
    assert os.environ["AISB_CACHE"] in picture.value


def test_lists_of_content_and_a_data_url_are_taken_too(content):
    texts = [base64.b64encode(make_png(3, n)).decode() for n in (3, 4)]
    first, second, _ = content({"question": "?", "image": texts}, [{"file": "{image}"}])
    assert [data_url(one).partition(",")[2] for one in (first, second)] == texts
    url = f"data:image/png;base64,{texts[0]}"
    picture, _ = content({"question": "?", "image": url}, [{"file": "{image}"}])
    assert picture == first


def test_the_hash_of_content_does_not_depend_on_where_it_is_kept(ready, monkeypatch, tmp_path):
    rows = [{"question": "?", "image": base64.b64encode(make_png(6, 6)).decode()}]
    renderer, loaded = ready(rows, [{"file": "{image}"}])
    before = media_hash(renderer.media, loaded)
    monkeypatch.setenv("AISB_CACHE", str(tmp_path / "another cache"))
    renderer, loaded = ready(rows, [{"file": "{image}"}])
    assert (tmp_path / "another cache").is_dir()
    assert media_hash(renderer.media, loaded) == before


def parquet(tmp_path, rows):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet as parquets

    (tmp_path / "rows").mkdir(exist_ok=True)
    parquets.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows" / "rows.parquet")


def from_parquet(plugins, tmp_path, prompt):
    dataset = {"use": "parquet", "path": "rows/rows.parquet"}
    task = Task(name="toy", summary="", dataset=dataset, prompt=prompt)
    loaded = load_samples(task, plugins, DataFolders([tmp_path]))
    return Renderer(task, plugins, DataFolders([tmp_path]), files=loaded.files), loaded


def test_bytes_in_parquet_become_parts_by_what_they_hold(plugins, tmp_path):
    rows = [{"q": f"{n}?", "image": {"bytes": make_png(4, n + 1), "path": "x.jpg"}} for n in range(3)]
    rows.append({"q": "none?", "image": {"bytes": None, "path": None}})
    parquet(tmp_path, rows)
    renderer, loaded = from_parquet(plugins, tmp_path, {"user": "{q}", "media": [{"file": "{image}"}]})
    for number, sample in enumerate(loaded.samples[:3]):
        picture, question = renderer.request(sample).messages[-1].content
        assert (
            data_url(picture) == "data:image/png;base64," + base64.b64encode(make_png(4, number + 1)).decode()
        )
        assert question.value == f"{number}?"
    assert renderer.request(loaded.samples[3]).messages[-1].content == "none?"


def test_a_table_without_bytes_names_a_file_beside_the_rows(plugins, tmp_path):
    rows = [{"q": "?", "image": {"bytes": None, "path": name}} for name in ("there.png", "gone.png")]
    parquet(tmp_path, rows)
    (tmp_path / "rows/there.png").write_bytes(PIXEL)
    renderer, loaded = from_parquet(plugins, tmp_path, {"user": "{q}", "media": [{"file": "{image}"}]})
    first, second = loaded.samples
    assert renderer.request(first).messages[-1].content[0].value == uri(tmp_path / "rows/there.png")
    with pytest.raises(DataError, match=r"there is no file 'gone.png'; searched(?s:.*)at sample 1"):
        renderer.request(second)


def test_a_table_without_bytes_names_no_file_outside_of_the_datas_folders(plugins, tmp_path):
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "secret.png").write_bytes(PIXEL)
    (data / "link.png").symlink_to(tmp_path / "secret.png")
    names = ("../../secret.png", str(tmp_path / "secret.png"), "../link.png")
    parquet(data, [{"q": "?", "image": {"bytes": None, "path": name}} for name in names])
    renderer, loaded = from_parquet(plugins, data, {"user": "{q}", "media": [{"file": "{image}"}]})
    assert len(list(loaded)) == 3
    for sample in loaded:
        with pytest.raises(DataError, match=r"is outside the data folders, where rows may not read"):
            renderer.request(sample)


def test_bytes_that_nothing_attaches_are_no_text(plugins, tmp_path):
    parquet(tmp_path, [{"q": "?", "image": {"bytes": make_png(), "path": "x.png"}, "raw": make_png()}])
    renderer, loaded = from_parquet(plugins, tmp_path, {"user": "{q}"})
    assert renderer.request(loaded.samples[0]).messages[-1].content == "?"
    assert loaded.samples[0].fields["raw"] == b""
    for named in ("{image}", "{raw}", "data:image/png;base64,{image.bytes}"):
        renderer, loaded = from_parquet(plugins, tmp_path, {"user": named})
        with pytest.raises(DataError, match=r"a field holds bytes, not text; prompt.media attaches"):
            renderer.request(loaded.samples[0])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"plain words", "holds 11 bytes that begin with b'plain words': no known image, audio or video"),
        (make_png()[:-20], "the image/png is cut off"),
        (make_png()[:20], "the image/png is cut off"),
        (JPEG[:20], "the image/jpeg is cut off before its size"),
        (JPEG[:-2], "the image/jpeg is cut off: it has no end mark"),
        (SVG, "holds 62 bytes of the type text/plain: no known image, audio or video"),
        (b"\0\0\0\x20ftypavif" + bytes(40), "holds 52 bytes of the type image/avif: no known"),
        (b"", "is empty: it has no bytes"),
        (make_png(0, 3), "the image/png claims to have 0 × 3 pixels"),
    ],
)
def test_a_wrong_picture_in_parquet_names_its_row(plugins, tmp_path, content, told):
    parquet(tmp_path, [{"q": "?", "image": {"bytes": one, "path": ""}} for one in (make_png(), content)])
    with pytest.raises(DataError) as caught:
        from_parquet(plugins, tmp_path, {"user": "{q}", "media": [{"file": "{image}"}]})
    assert str(caught.value).startswith(f"{tmp_path}/rows/rows.parquet, row 2: the field 'image'")
    assert told in str(caught.value)


def test_base64_that_is_torn_names_its_row(ready):
    text = base64.b64encode(make_png(40, 40)).decode()
    with pytest.raises(
        DataError, match=r"rows\.jsonl, line 2: the field 'image'.* (?:not valid base64|cut off)"
    ):
        ready([{"question": "?", "image": one} for one in (text, text[:-9])], [{"file": "{image}"}])


def test_a_picture_of_too_many_pixels_is_refused_however_small_its_file(content, tmp_path):
    bomb = make_png(1, 1)
    bomb = bomb[:16] + struct.pack(">II", 40_000, 40_000) + bomb[24:]
    (tmp_path / "bomb.png").write_bytes(bomb)
    said = r"has 40,000 × 40,000 = 1,600,000,000 pixels, but max_pixels is 100,000,000; decoding it needs 4,800 MB"
    for given in (
        "bomb.png",
        base64.b64encode(bomb).decode(),
        "data:image/png;base64," + base64.b64encode(bomb).decode(),
    ):
        with pytest.raises(DataError, match=said):
            content({"question": "?", "p": given}, [{"file": "{p}"}])
        made = content({"question": "?", "p": given}, [{"file": "{p}", "max_pixels": 2_000_000_000}])
        assert made[0].kind == "image"


@pytest.mark.parametrize(
    "name", ["../secret.png", "pictures/../../secret.png", "{root}/secret.png", "file://{root}/secret.png"]
)
def test_a_row_names_no_file_outside_of_the_datas_folders(plugins, tmp_path, name):
    root, data = tmp_path, tmp_path / "data"
    (data / "pictures").mkdir(parents=True)
    (root / "secret.png").write_bytes(PIXEL)
    (data / "rows.jsonl").write_text(json.dumps({"q": "?", "p": name.replace("{root}", str(root))}))
    table = {"user": "{q}", "media": [{"file": "{p}"}]}
    task = Task(name="toy", summary="", dataset={"path": "rows.jsonl"}, prompt=table)
    loaded = load_samples(task, plugins, DataFolders([data]))
    renderer = Renderer(task, plugins, DataFolders([data]), files=loaded.files)
    with pytest.raises(DataError, match=r"secret.png is outside the data folders") as caught:
        renderer.request(loaded.samples[0])
    assert "set --data-dir to a folder that contains both\n  at sample 0" in str(caught.value)
    wider = Renderer(task, plugins, DataFolders([data, root]), files=loaded.files)
    assert wider.request(loaded.samples[0]).messages[-1].content[0].value == uri(root / "secret.png")


def test_a_link_in_the_data_does_not_lead_out_of_it_but_one_to_a_whole_data_set_does(plugins, tmp_path):
    data, other = tmp_path / "data", tmp_path / "other disk"
    (data / "mine").mkdir(parents=True)
    other.mkdir()
    (other / "a.png").write_bytes(PIXEL)
    (data / "mine/a.png").symlink_to(other / "a.png")
    (data / "linked").symlink_to(other)
    rows = [{"q": "?", "p": name} for name in ("mine/a.png", "linked/a.png")]
    (data / "mine/rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    table = {"user": "{q}", "media": [{"file": "{p}"}]}
    task = Task(name="toy", summary="", dataset={"path": "mine/rows.jsonl"}, prompt=table)
    loaded = load_samples(task, plugins, DataFolders([data]))
    task_folders = DataFolders([data])
    renderer = Renderer(task, plugins, task_folders, files=loaded.files)
    assert renderer.request(loaded.samples[1]).messages[-1].content[0].value == uri(other / "a.png")
    # With the link among the data folders' own, its target is a place of the data; without, it is not.
    (data / "linked").unlink()
    renderer = Renderer(task, plugins, task_folders, files=loaded.files)
    with pytest.raises(DataError, match="outside the data folders"):
        renderer.request(loaded.samples[0])


@pytest.mark.parametrize("name", ["a.png", "{root}/secret.png", "../secret.png"])
def test_a_link_to_a_file_in_a_data_folder_does_not_lead_out_of_it(plugins, tmp_path, name):
    data = tmp_path / "data"
    data.mkdir()
    (tmp_path / "secret.png").write_bytes(PIXEL)
    (data / "a.png").symlink_to(tmp_path / "secret.png")
    (data / "rows.jsonl").write_text(json.dumps({"q": "?", "p": name.replace("{root}", str(tmp_path))}))
    table = {"user": "{q}", "media": [{"file": "{p}"}]}
    task = Task(name="toy", summary="", dataset={"path": "rows.jsonl"}, prompt=table)
    loaded = load_samples(task, plugins, DataFolders([data]))
    renderer = Renderer(task, plugins, DataFolders([data]), files=loaded.files)
    with pytest.raises(DataError, match=r"\.png is outside the data folders"):
        renderer.request(loaded.samples[0])


def test_the_folder_that_a_task_itself_names_may_lie_anywhere(plugins, tmp_path):
    data, pictures = tmp_path / "data", tmp_path / "pictures"
    data.mkdir()
    pictures.mkdir()
    (pictures / "a.png").write_bytes(PIXEL)
    (tmp_path / "b.png").write_bytes(PIXEL)
    rows = [{"q": "?", "p": "a"}, {"q": "?", "p": "../b"}]
    (data / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    for named in (f"{pictures}/{{p}}.png", "../pictures/{p}.png"):
        table = {"user": "{q}", "media": [{"file": named}]}
        task = Task(name="toy", summary="", dataset={"path": "rows.jsonl"}, prompt=table)
        loaded = load_samples(task, plugins, DataFolders([data]))
        renderer = Renderer(task, plugins, DataFolders([data]), files=loaded.files)
        assert renderer.request(loaded.samples[0]).messages[-1].content[0].value == uri(pictures / "a.png")
        with pytest.raises(DataError, match="outside the data folders"):
            renderer.request(loaded.samples[1])


@pytest.mark.parametrize(
    ("name", "kind", "content", "told"),
    [
        ("a.png", "image", b"root:x:0:0", "a.png is not an image of a known type, despite its name"),
        ("a.png", "image", make_wav(), "a.png is audio/wav, not image"),
        ("a.wav", "audio", PIXEL, "a.wav is image/png, not audio"),
        ("a.mp4", "video", make_wav(), "a.mp4 is audio/wav, not video"),
        ("a.mp4", "video", b"<html>404 Not Found</html>", "a.mp4 is text/plain, not video"),
        (
            "a.png",
            "image",
            b"\0\0\0\x34ftypavif" + bytes(40),
            "a.png is image/avif, whose size is not read here; known: image/bmp",
        ),
        ("a.jpg", "image", JPEG[:-1], "a.jpg: the image/jpeg is cut off: it has no end mark"),
        (
            "a.mp4",
            "video",
            make_mp4(bytes(90))[:-40],
            "a.mp4: the video/mp4 is cut off: 122 bytes are announced, and there are 82",
        ),
        ("a.m4a", "audio", make_mp4()[:-1], "a.m4a: the video/mp4 is cut off: "),
        ("a.wav", "audio", make_wav()[:-40], "a.wav: the audio/wav is cut off: "),
        ("a.wav", "audio", make_wav(), None),
        ("a.wav", "audio", make_wav()[:4] + b"\xff" * 4 + make_wav()[8:-40], None),
        ("a.mp4", "video", make_mp4(), None),
        ("a.mp4", "video", make_mp4() + b"\0\0\0\0mdat" + bytes(30), None),
        ("a.mp4", "video", make_mp4() + b"\0\0\0\1mdat\0\0\0\0\0\0\0\x1e" + bytes(14), None),
        ("a.mp4", "video", make_mp4() + bytes(30), None),
        ("a.m4a", "audio", make_mp4(), None),
        (
            "a.avi",
            "video",
            b"RIFF\0\1\0\0AVI " + bytes(40),
            "a.avi: the video/x-msvideo is cut off: 256 bytes",
        ),
        ("a.mp3", "audio", FRAME, None),
        ("a.mp3", "audio", FRAME * 2 + b"TAG" + bytes(125), None),
        (
            "a.mp3",
            "audio",
            FRAME * 2 + FRAME[:84],
            "a.mp3: the audio/mpeg is cut off: 1,251 bytes are announced",
        ),
        ("a.mp3", "audio", b"ID3\4\0\0\0\0\1\0" + bytes(128) + FRAME, None),
        ("a.mp3", "audio", b"ID3\4\0\0\0\0\1\0" + bytes(90), "a.mp3: the audio/mpeg is cut off: 138 bytes"),
        ("a.mp3", "audio", COUNTED, None),
        ("a.mp3", "audio", COUNTED[:-417], "a.mp3: the audio/mpeg is cut off: 1,251 bytes are announced"),
        ("a.aac", "audio", ADTS * 3, None),
        ("a.aac", "audio", ADTS * 3 + ADTS[:9], "a.aac: the audio/aac is cut off: 80 bytes are announced"),
        ("a.mp4", "video", make_mp4() + b"\0\0\0", None),
        ("a.mp4", "video", make_mp4() + b"\0\0\1", "a.mp4: the video/mp4 is cut off: "),
        ("a.ogg", "audio", b"a form that is not known here\0", None),
        ("a.jpg", "image", PIXEL, None),
    ],
)
def test_what_a_file_holds_decides_and_not_its_name(ready, tmp_path, name, kind, content, told):
    (tmp_path / name).write_bytes(content)
    renderer, loaded = ready([{"question": "?", "p": name}], [{"file": "{p}", "kind": kind}])
    if told is None:
        assert renderer.request(loaded.samples[0]).messages[-1].content[0].kind == kind
        return
    with pytest.raises(DataError) as caught:
        renderer.request(loaded.samples[0])
    assert told in str(caught.value)


def test_the_size_of_every_known_kind_of_picture_is_read_from_its_header():
    pictures = pytest.importorskip("PIL.Image")
    for form, kind in {
        "PNG": "png",
        "JPEG": "jpeg",
        "GIF": "gif",
        "BMP": "bmp",
        "TIFF": "tiff",
        "WEBP": "webp",
    }.items():
        for size in ((1, 1), (31, 17), (300, 2)):
            buffer = io.BytesIO()
            pictures.new("RGB", size, (9, 99, 199)).save(buffer, form)
            content = buffer.getvalue()
            assert inspect(io.BytesIO(content), len(content)) == Content(f"image/{kind}", *size)
    for more in ({"lossless": True}, {"exif": b"Exif\0\0" + bytes(20)}):
        buffer = io.BytesIO()
        pictures.new("RGB", (31, 17)).save(buffer, "WEBP", **more)
        assert inspect(io.BytesIO(buffer.getvalue()), len(buffer.getvalue())) == Content("image/webp", 31, 17)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data")  # what the decoder says of a cut TIFF
@pytest.mark.parametrize(
    ("form", "more"),
    [
        ("PNG", {}),
        ("JPEG", {}),
        ("WEBP", {}),
        ("WEBP", {"lossless": True}),
        ("BMP", {}),
        ("GIF", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
    ],
)
def test_a_picture_that_is_cut_anywhere_is_refused_as_a_decoder_refuses_it(form, more):
    pictures = pytest.importorskip("PIL.Image")
    buffer = io.BytesIO()
    pictures.effect_noise((200, 150), 80).convert("RGB").save(buffer, form, **more)
    whole = buffer.getvalue()
    assert inspect(io.BytesIO(whole), len(whole)) == Content(f"image/{form.lower()}", 200, 150)
    assert (
        inspect(io.BytesIO(whole + bytes(100_000)), len(whole) + 100_000).width == 200
    )  # other data after it
    for share in (0.1, 0.5, 0.9, 0.99):
        cut = whole[: int(len(whole) * share)]
        with pytest.raises((OSError, EOFError, struct.error, TypeError, SyntaxError)):
            pictures.open(io.BytesIO(cut)).load()
        with pytest.raises(TruncatedMediaError, match="cut off"):
            inspect(io.BytesIO(cut), len(cut))


def test_a_gif_of_several_images_and_a_tiff_of_several_pages_are_read_to_their_end():
    pictures = pytest.importorskip("PIL.Image")
    noise = [pictures.effect_noise((60, 40), 80) for _ in range(3)]
    for form, more in (("GIF", {"duration": 40}), ("TIFF", {}), ("TIFF", {"compression": "tiff_lzw"})):
        buffer = io.BytesIO()
        noise[0].save(buffer, form, save_all=True, append_images=noise[1:], **more)
        whole = buffer.getvalue()
        assert inspect(io.BytesIO(whole), len(whole)) == Content(f"image/{form.lower()}", 60, 40)
        with pytest.raises(TruncatedMediaError, match="cut off"):
            inspect(io.BytesIO(whole[:-40]), len(whole) - 40)


@pytest.mark.parametrize(
    ("form", "subtype", "kind"),
    [
        ("MP3", "MPEG_LAYER_III", "audio/mpeg"),
        ("OGG", "VORBIS", "audio/ogg"),
        ("OGG", "OPUS", "audio/ogg"),
        ("FLAC", "PCM_16", "audio/flac"),
        ("FLAC", "PCM_24", "audio/flac"),
        ("WAV", "PCM_16", "audio/wav"),
    ],
)
@pytest.mark.parametrize("rate", [16_000, 48_000])
@pytest.mark.parametrize("channels", [1, 2])
def test_a_sound_that_is_cut_anywhere_is_refused(form, subtype, kind, rate, channels):
    sounds = pytest.importorskip("soundfile", reason="needs soundfile")
    numpy = pytest.importorskip("numpy")
    noise = numpy.random.default_rng(3).normal(0, 0.1, (rate * 2 + 77, channels))
    buffer = io.BytesIO()
    sounds.write(buffer, noise, rate, format=form, subtype=subtype)
    whole = buffer.getvalue()
    assert inspect(io.BytesIO(whole), len(whole)) == Content(kind)
    if form in {"MP3", "FLAC"}:  # the tag that old programs append
        tagged = whole + b"TAG" + bytes(125)
        assert inspect(io.BytesIO(tagged), len(tagged)) == Content(kind)
    for length in (*(int(len(whole) * share) for share in (0.02, 0.1, 0.5, 0.9, 0.99)), len(whole) - 40):
        with pytest.raises(TruncatedMediaError, match="cut off"):
            inspect(io.BytesIO(whole[:length]), length)


@pytest.mark.parametrize("declared", ["image/jpeg", "image/png", "image/jpeg;charset=x"])
def test_a_data_url_gets_the_type_of_what_it_holds(content, declared):
    text = base64.b64encode(PIXEL).decode()
    made = content({"question": "?", "p": text}, [{"file": f"data:{declared};base64,{{p}}"}])
    assert made[0].value == f"data:{declared.replace('jpeg', 'png')};base64,{text}"


def test_a_file_is_sent_with_the_type_of_what_it_holds_whatever_its_name(tmp_path):
    made = {
        "a.jpg": (PIXEL, "image", "image/png"),
        "b.png": (JPEG, "image", "image/jpeg"),
        "c.mp3": (make_wav(), "audio", "audio/wav"),
        "d.wav": (b"OggS" + bytes(30), "audio", "audio/ogg"),
        "e.webp": (b"RIFF\x24\0\0\0WEBPVP8 " + bytes(30), "image", "image/webp"),
        "f.png": (b"GIF89a" + bytes(30), "image", "image/gif"),
        "g.mp3": (FRAME, "audio", "audio/mpeg"),
        "h.opus": (b"another form", "audio", "audio/ogg"),
        "i.mkv": (b"BM", "video", "video/x-matroska"),
    }
    for name, (inside, kind, expected) in made.items():
        (tmp_path / name).write_bytes(inside)
        assert data_url(Part(kind, uri(tmp_path / name))).startswith(f"data:{expected};base64,"), name


def test_headers_of_nonsense_end_in_an_error_or_in_nothing():
    from random import Random

    random = Random(3)
    wholes = [
        make_png(20, 20),
        JPEG,
        make_wav(),
        make_mp4(),
        b"BM" + bytes(60),
        b"GIF89a\5\0\5\0",
        b"II*\0\x08\0\0\0\1\0" + bytes(12),
        FRAME * 3,
        ADTS * 3,
        b"OggS" + bytes(22) + b"\1\x10" + bytes(16),
        b"fLaC\x80\0\0\x22" + bytes(34) + b"\xff\xf8\x69\x18\0\0" + bytes(8),
        b"RIFF\x24\0\0\0WEBPVP8 \x18" + bytes(30),
    ]
    for _ in range(3000):
        whole = bytearray(random.choice(wholes))
        for _ in range(random.randint(1, 4)):
            whole[random.randrange(len(whole))] = random.randrange(256)
        cut = bytes(whole[: random.randint(0, len(whole))])
        try:
            found = inspect(io.BytesIO(cut), len(cut))
        except TruncatedMediaError:
            continue
        assert found is None or found.type

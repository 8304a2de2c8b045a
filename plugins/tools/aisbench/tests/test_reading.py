"""Config files are read and not run: the idioms that they use, and files that mean harm."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest

from aisb import ConfigError
from aisb_compat_aisbench._files import read_config


def read(tmp_path: Path, text: str, **others: str) -> dict[str, Any]:
    for name, content in others.items():
        (tmp_path / f"{name}.py").write_text(content, encoding="utf-8")
    path = tmp_path / "config.py"
    path.write_text(text, encoding="utf-8")
    return read_config(path).scope


def refused(tmp_path: Path, text: str, **others: str) -> str:
    began = time.monotonic()
    with pytest.raises(ConfigError) as caught:
        read(tmp_path, text, **others)
    assert time.monotonic() - began < 20  # seconds; such a file must not keep anyone waiting
    return str(caught.value)


IDIOMS = {
    "dict() and {}": (
        "x = dict(a=1, b={'c': [1, 2.5, None, True]})",
        {"a": 1, "b": {"c": [1, 2.5, None, True]}},
    ),
    "arithmetic": ("x = 1280 * 28 * 28 + 2 ** 10 - 7 // 2 + 9 % 4", 1280 * 784 + 1024 - 3 + 1),
    "lists added": ("a = [1]\nx = a + [2] + a", [1, 2, 1]),
    "+= changes the list": ("a = [1]\nx = a\na += [2]", [1, 2]),
    "texts": ("x = 'a' + \"b\" 'c' * 2", "abcbc"),
    "f-strings": ("n = 3\nx = f'{n}-shot {n / 2:.2f} {\"s\"!s}'", "3-shot 1.50 s"),
    "format": ("x = 'a_{}_{name}'.format(1, name='b')", "a_1_b"),
    "comprehension": ("x = [f'{a}{b}' for a in 'xy' for b in range(3) if b != 1]", ["x0", "x2", "y0", "y2"]),
    "dict comprehension": ("x = {k: len(v) for k, v in dict(a='aa', b='').items() if v}", {"a": 2}),
    "for and append": (
        "x = []\nfor i, n in enumerate(['a', 'b']):\n    x.append(dict(abbr=n + str(i)))",
        [{"abbr": "a0"}, {"abbr": "b1"}],
    ),
    "continue and break": (
        "x = []\nfor i in range(9):\n    if i == 1:\n        continue\n    if i > 3:\n        break\n    x.append(i)",
        [0, 2, 3],
    ),
    "subscripts": (
        "a = [dict(r={})]\na[0]['r']['test_range'] = '[0:8]'\nx = a[0]['r']['test_range'][1:4]",
        "0:8",
    ),
    "update": ("x = dict(a=1)\nx.update(b=2)\nx.update({'c': 3})", {"a": 1, "b": 2, "c": 3}),
    "copy": ("a = dict(b=[1])\nx = a.copy()\nx['b'] = 2\na['b'].append(3)", {"b": 2}),
    "deepcopy": ("from copy import deepcopy\na = dict(b=[1])\nx = deepcopy(a)\na['b'].append(2)", {"b": [1]}),
    "os.path.join": (
        "import os.path as osp\nimport os\nx = osp.join('a', 'b') + os.path.join('c', 'd')",
        "a/bc/d",
    ),
    "paths next to the file": (
        "import os\nx = os.path.basename(os.path.dirname(os.path.abspath(__file__ + '/../a/b')))",
        "a",
    ),
    "unpacking": ("a, (b, c) = 1, (2, 3)\nx = [*[a, b], c, *range(2)]", [1, 2, 3, 0, 1]),
    "** in dicts": ("a = dict(b=1)\nx = dict(c=2, **a) | {**a, 'd': 4}", {"b": 1, "c": 2, "d": 4}),
    "conditions": ("a = ['q']\nx = 'yes' if a and not None and 1 < 2 <= 2 and 'q' in a else 'no'", "yes"),
    "if and del": ("x = [1]\ny = 2\nif y == 2:\n    x.append(y)\nelse:\n    x = None\ndel y", [1, 2]),
    "sum of locals()": (
        "a_datasets = [1]\nb_datasets = [2]\nx = sum((v for k, v in locals().items() if k.endswith('_datasets')), [])",
        [1, 2],
    ),
    "globals()": ("a = []\nglobals()['a'].append(1)\nx = a", [1]),
    "annotations": ("x: dict[str, list[str] | int] = dict(a=1)", {"a": 1}),
    "main": ("x = 1\nif __name__ == '__main__':\n    print(nothing)", 1),
    "round, min, max": (
        "x = [round(2.567, 1), min(3, 1), max([4, 2]), int('7'), float(2), abs(-3)]",
        [2.6, 1, 4, 7, 2.0, 3],
    ),
    "Chinese": ("# 中文注释\nx = '你好：{question}'", "你好：{question}"),
}


@pytest.mark.parametrize("idiom", IDIOMS)
def test_idioms_of_config_files_are_read(tmp_path: Path, idiom: str) -> None:
    text, value = IDIOMS[idiom]
    assert read(tmp_path, text)["x"] == value


def test_classes_are_names_and_are_not_imported(tmp_path: Path) -> None:
    found = read(tmp_path, "from no.such.package import Thing\nimport other.place as p\nx = [Thing, p.Other]")
    assert [one.path for one in found["x"]] == ["no.such.package.Thing", "other.place.Other"]


def test_functions_of_a_file_are_values_that_nobody_calls(tmp_path: Path) -> None:
    text = "def find(text):\n    return 1\nkeep = dict(type=find, other=lambda text: text)\n"
    assert read(tmp_path, text)["keep"]["type"].what == "the function find"
    said = refused(tmp_path, text + "x = find('a')")
    assert "line 4: the function find (line 1) is not called: code of a file is not run" in said


def test_included_files_give_copies(tmp_path: Path) -> None:
    part = "a_datasets = [dict(abbr='a', reader_cfg=dict())]\n_hidden = 1\n"
    text = (
        "from mmengine.config import read_base\n"
        "with read_base():\n    from .part import a_datasets as one\n    from part import a_datasets\n    from .part import *\n"
        "one[0]['abbr'] = 'b'\nx = [one[0]['abbr'], a_datasets[0]['abbr']]"
    )
    assert read(tmp_path, text, part=part)["x"] == ["b", "a"]


def test_a_config_that_comes_with_aisbench_can_be_included_without_it(tmp_path: Path) -> None:
    text = (
        "from mmengine.config import read_base\n"
        "with read_base():\n"
        "    from ais_bench.benchmark.configs.summarizers.example import summarizer\n"
        "    from ais_bench.benchmark.configs.datasets.mmlu.mmlu_gen import mmlu_datasets\n"
        "    from ais_bench.benchmark.configs.models.vllm_api.vllm_api_stream_chat import models\n"
        "x = [len(mmlu_datasets), mmlu_datasets[0]['abbr'], models[0]['host_port']]"
    )
    assert read(tmp_path, text)["x"] == [57, "lukaemon_mmlu_college_biology", 8080]


def test_a_neighbour_that_comes_with_aisbench_need_not_be_there(tmp_path: Path) -> None:
    text = (
        "from mmengine.config import read_base\n"
        "with read_base():\n    from .vllm_api_general_chat import models as general\n"
        "models = [dict(general[0], abbr='mine')]\nx = [models[0]['abbr'], models[0]['max_out_len']]"
    )
    assert read(tmp_path, text)["x"] == ["mine", 512]


def test_all_that_is_not_read_is_named_by_its_line(tmp_path: Path) -> None:
    text = "import os\na = os.getenv('KEY')\nb = a + 'x'\nc = open('f')\nwhile True:\n    pass\nd = 1\n"
    said = refused(tmp_path, text)
    assert said.splitlines()[1:] == [
        "  line 2: os.getenv() is not called: a config file is read, not run",
        "  line 4: there is no name open",
        "  line 5: `while` is not supported in a config file",
    ]


MARK = "HARM"
HOSTILE = {
    "deep lists": ("x = " + "[" * 3000 + "]" * 3000, "too many nested parentheses"),
    "deep calls": ("x = " + "dict(a=" * 150 + "1" + ")" * 150, "more than 80 levels deep"),
    "deep sums": ("x = " + "1+" * 5000 + "1", "nested"),
    "deep minus": ("x = " + "-" * 20000 + "1", "nested too deeply"),
    "deep choices": ("x = " + "1 if 1 else " * 5000 + "1", "nested too deeply"),
    "deep attributes": ("import a\nx = a" + ".b" * 50000, "nested"),
    "a power of powers": ("x = 9 ** 9 ** 9 ** 9", "a power of more than 512 bits"),
    "a large power": ("x = 2 ** 100000000", "a power of more than 512 bits"),
    "powers in a loop": ("x = 3\nfor i in range(100):\n    x = x * x", "a number of more than 512 bits"),
    "a long text": ("x = 'a' * 10 ** 12", "a repetition of more than"),
    "a text that doubles": ("x = 'ab'\nfor i in range(99):\n    x = x + x", "a text of more than"),
    "a long list": ("x = [0] * 10 ** 9", "a repetition of more than"),
    "a list that doubles": ("x = [1, 2]\nfor i in range(99):\n    x += x", "more than 200000 items"),
    "a width": ("x = f'{1:>1000000000}'", "the format"),
    "a width in format()": ("x = '{:>1000000000}'.format(1)", "the format"),
    "a precision": ("x = f'{1.0:.999999999f}'", "the format"),
    "percent": ("x = '%1000000000d' % 1", "text formatted with %"),
    "a long range": ("x = [i for i in range(10 ** 15)]", "a range of more than"),
    "an endless comprehension": ("x = [a for a in range(9999) for b in range(9999) for c in range(9999)]",
                                 "too many steps"),
    "nested loops": ("x = 0\nfor a in range(9999):\n    for b in range(9999):\n        x = a", "too many steps"),
    "copies in a loop": ("x = [0] * 200000\nfor i in range(100000):\n    y = [*x]", "too many steps"),
    "lengths in a loop": ("x = 'a' * 999999\nfor i in range(100000):\n    y = len(x)", "too many steps"),
    "sums in a loop": ("x = [1] * 199999\nfor i in range(100000):\n    y = sum(x)", "too many steps"),
    "dicts in a loop": ("x = {i: i for i in range(9999)}\nfor i in range(100000):\n    y = {**x}", "too many steps"),
    "a list in itself": ("x = [1]\nx.append(x)\ny = x == [1]", "more than 80 levels deep"),
    "shared lists": ("x = [1]\nfor i in range(70):\n    x = [x, x]\ny = x == x", "too many steps"),
    "shared lists copied": ("from copy import deepcopy\nx = [1]\nfor i in range(70):\n    x = [x, x]\ny = deepcopy(x)",
                            "too many steps"),
    "replacing": ("x = 'a' * 999999\ny = x.replace('a', 'b' * 999)", "a text of more than"),
    "joining": ("x = ('a' * 9999).join(['b'] * 9999)", "a text of more than"),
    "a model that doubles": ("x = [1]\nfor i in range(60):\n    x = [x, x]\nmodels = [dict(a=x)]", "too many steps"),
    "a model in itself": ("x = [1]\nx.append(x)\nmodels = [dict(a=x)]", "more than 80 levels deep"),
    "subclasses": ("x = ().__class__.__bases__[0].__subclasses__()", "the attribute .__class__ is not supported"),
    "a class's globals": ("from a import B\nx = B.__init__.__globals__", "the attribute .__init__ is not supported"),
    "attributes in format()": ("x = '{0.__class__}'.format('a')", "the format"),
    "items in format()": ("x = '{0[0]}'.format('a')", "the format"),
    "builtins": ("x = __builtins__", "the name __builtins__ is not supported"),
    "__import__": ("x = __import__('os')", "the name __import__ is not supported"),
    "system": (f"import os\nos.system('touch {MARK}')", "os.system() is not called"),
    "subprocess": (f"from subprocess import run\nx = run(['touch', '{MARK}'])", "subprocess.run() is not called"),
    "eval": (f"x = eval('open(\"{MARK}\", \"w\")')", "there is no name eval"),
    "exec": ("exec('1')", "there is no name exec"),
    "open": (f"x = open('{MARK}', 'w')", "there is no name open"),
    "getattr": ("x = getattr(dict, 'fromkeys')", "there is no name getattr"),
    "the environment": ("import os\nx = os.environ['HOME']", "this subscript is not supported"),
    "an environment's variable": ("import os\nx = os.environ.get('HOME')", "os.environ.get() is not called"),
    "a decorator": (f"import os\n@os.system\ndef f():\n    pass\nx = f('touch {MARK}')", "is not called"),
    "a class": ("class A:\n    x = 1\nx = A()", "the class A (line 1) is not called"),
    "with open": (f"with open('{MARK}', 'w') as f:\n    pass", "`with` is read as `with read_base():` alone"),
    "try": ("try:\n    x = 1\nexcept Exception:\n    pass", "`try` is not supported"),
    "a walrus": ("x = [y := 1]", "is not supported"),
    "bytes that are no text": ("x = '\0'", "cannot contain null bytes"),
    "not Python": ("x = (", "is not Python"),
}  # fmt: skip


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_file_that_means_harm_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    monkeypatch.chdir(tmp_path)
    text, words = HOSTILE[kind]
    assert words in refused(tmp_path, text)
    assert not (tmp_path / MARK).exists()


@pytest.mark.parametrize(
    "include",
    ["from ..secret import x", "from ...secret import x", "from secret_link import x", "from os import path",
     "from .folder.secret import x", "from ais_bench.benchmark.configs.models.no.such import models"],
)  # fmt: skip
def test_includes_outside_of_the_folder_are_refused(tmp_path: Path, include: str) -> None:
    (tmp_path / "secret.py").write_text("x = 1\n")
    home = tmp_path / "home"
    home.mkdir()
    (home / "secret_link.py").symlink_to(tmp_path / "secret.py")
    (home / "folder").symlink_to(tmp_path)
    said = refused(home, f"from mmengine.config import read_base\nwith read_base():\n    {include}\n")
    assert "line 3: " in said
    assert any(words in said for words in ("lies outside", "is not below"))


def test_a_file_that_includes_itself_is_refused(tmp_path: Path) -> None:
    loop = "from mmengine.config import read_base\nwith read_base():\n    from .{} import x\n"
    assert "includes itself" in refused(tmp_path, loop.format("other"), other=loop.format("config"))


def test_a_chain_of_includes_ends(tmp_path: Path) -> None:
    link = "from mmengine.config import read_base\nwith read_base():\n    from .{} import x\n"
    files = {f"a{n}": link.format(f"a{n + 1}") for n in range(30)}
    assert "nested more than 8 deep" in refused(tmp_path, link.format("a0"), **files)


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    assert "is larger than 1000000 bytes" in refused(tmp_path, "x = 1\n" + "#" * 1_000_001)

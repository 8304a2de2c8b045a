import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from forked import run_forked

LIST = """
import dataclasses, json
from aisb._plugins import Plugins
plugins = Plugins.load()
print(json.dumps([dataclasses.asdict(info) for info in plugins.infos], default=str))
"""


def python(script, *folders, fresh=False, **environment):
    """Run a script in a process that finds the distributions in `folders`; return what it prints.

    `fresh` starts Python anew, so that nothing is imported before the script.
    """
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "script_of_test.py").write_text(script)
        path = os.pathsep.join(map(str, [folder, *folders]))
        done = (subprocess.run if fresh else run_forked)(
            [sys.executable, "-m", "script_of_test"],
            env={**os.environ, "PYTHONPATH": path, "AISB_BLOCK": "", **environment},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def infos(installed):
    found = json.loads(python(LIST, installed))
    return {(info["name"], info["distribution"]): info for info in found}


@pytest.fixture(scope="module")
def ask(installed):
    """Run lines with `plugins` loaded, and return what they print; an error of aisb is printed with its class."""

    def ask(lines, **environment):
        script = "from aisb._errors import AisbError\nfrom aisb._plugins import Plugins\nplugins = Plugins.load()\ntry:\n"
        script += "".join(f"    {line}\n" for line in lines.splitlines())
        script += "except AisbError as error:\n    print(type(error).__name__, error, sep=': ')\n"
        return python(script, installed, **environment)

    return ask


def test_a_working_plugin_is_listed_with_its_distribution_and_what_it_offers(infos, installed):
    info = infos["test-good", "aisb-test-good"]
    assert (info["version"], info["state"], info["reason"]) == ("1.0", "loaded", None)
    assert info["offers"] == {"dataset": ["dice"], "postprocessor": ["shouted", "dice"]}
    assert info["configs"] == [str(installed / "aisb_test_good")]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("test-broken-import", "No module named 'a_library_nobody_has'"),
        ("test-misspelt", "aisb_backend is not a hook; did you mean 'aisb_backends'?"),
        ("test-wrong-signature", "aisb_backends(config) has a wrong signature: a hook takes no arguments"),
        (
            "test-raising",
            "aisb_reporters() raised ValueError: the moon is in the wrong house (aisb_test_raising.py, line 16)",
        ),
        (
            "test-wrong-return",
            "aisb_evaluators() returned [<class 'dict'>]; it returns a mapping: {'name': factory}",
        ),
        ("test-unmarked", "aisb_backends is not marked with @hookimpl, so it would never be called"),
        ("odd-exit", "SystemExit: no licence found (exits.py, line 5)"),
        ("odd-absent", "No module named 'aisb_test_odd.absent'"),
        ("odd-empty", "aisb_test_odd.empty has no function that is marked with @hookimpl"),
        (
            "odd-name",
            "aisb_backends() offers the name 'two words: one'; names are letters, digits, '-', '_' and '.'",
        ),
        ("odd-value", "aisb_backends() has 7 under 'seven'; it must be a function or a class"),
        (
            "odd-place",
            (
                "aisb_backends() has 'aisb_test_odd.factory' under 'nowhere'; the place of a function or a class "
                "is written 'package.module:name'"
            ),
        ),
        (
            "odd-none",
            "aisb_backends() returned None; it returns a mapping: {'name': factory}",
        ),
        ("odd-wrapper", "aisb_backends is marked as a wrapper; a hook only returns what its plugin offers"),
        ("odd-string", "aisb_configs() returned '/tmp'; it returns a list of folders: [files('my_plugin')]"),
        (
            "odd-folder",
            "aisb_configs() returned PosixPath('/nowhere/to/be/found'), which is not a folder on disk",
        ),
    ],
)
def test_a_broken_plugin_fails_alone_and_says_why(infos, name, reason):
    info = next(info for key, info in infos.items() if key[0] == name)
    assert (info["state"], info["reason"]) == ("failed", reason)
    assert info["offers"] == {}
    assert info["configs"] == []


def test_the_hooks_may_be_methods_of_an_object(infos):
    assert infos["odd-object", "aisb-test-odd"]["offers"] == {"dataset": ["thing"]}


def test_nothing_of_a_failed_plugin_is_offered_though_one_of_its_hooks_is_good(ask):
    assert ask("print({'misspelt', 'raising'} & set(plugins.names('dataset')))") == "set()\n"


def test_the_second_distribution_under_a_taken_name_is_listed_as_failed(infos):
    assert infos["test-same", "aisb-test-same-one"]["offers"] == {"backend": ["same-one"]}
    second = infos["test-same", "aisb-test-same-two"]
    assert second["state"] == "failed"
    assert second["reason"] == "the name test-same is taken by aisb-test-same-one 1.0"


def test_a_name_that_two_plugins_offer_is_an_error_at_use_that_names_both(infos, ask):
    assert infos["test-clash-one", "aisb-test-clash-one"]["offers"] == {"backend": ["twin", "one"]}
    assert infos["test-clash-two", "aisb-test-clash-two"]["offers"] == {"backend": ["twin", "two"]}
    assert ask("plugins.find('backend', 'twin')") == (
        "PluginError: backend 'twin' is offered by test-clash-one (aisb-test-clash-one) and "
        "test-clash-two (aisb-test-clash-two); block all but one, as in --block test-clash-two\n"
    )
    assert ask("print(plugins.find('backend', 'two').plugin)") == "test-clash-two\n"


def test_blocking_one_of_two_plugins_with_a_common_name_settles_it(ask):
    text = ask("print(plugins.find('backend', 'twin').distribution)", AISB_BLOCK="test-clash-one")
    assert text == "aisb-test-clash-two\n"


def test_an_unknown_name_suggests_the_nearest_and_names_failed_and_blocked_plugins(ask):
    text = ask("plugins.find('dataset', 'dices')", AISB_BLOCK="test-clash-one,test-clash-two")
    assert text.startswith("UnknownName: no dataset named 'dices'; did you mean 'dice'?\n  known: ")
    assert "\n  plugin test-broken-import did not load: No module named 'a_library_nobody_has'\n" in text
    assert "\n  plugin test-clash-one is blocked\n" in text


def test_a_name_that_nothing_offers_is_answered_with_the_note_that_the_command_has_on_it(ask):
    text = ask("Plugins.load(explain=lambda name: f'{name} is in the other box').find('backend', 'spare')")
    assert text.endswith("\n  spare is in the other box\n")


def test_a_blocked_plugin_is_listed_and_never_imported(installed):
    script = LIST + "import sys\nprint('aisb_test_good' in sys.modules)"
    text, imported = python(script, installed, AISB_BLOCK="test-good, odd-exit").splitlines()
    states = {info["name"]: info["state"] for info in json.loads(text)}
    assert (states["test-good"], states["odd-exit"], imported) == ("blocked", "blocked", "False")


def test_a_name_to_block_that_no_plugin_has_is_said(installed):
    script = "from aisb._plugins import Plugins\nprint(Plugins.load(['test-god', 'test-raising']).notes)"
    assert (
        python(script, installed) == "[\"no plugin named 'test-god' to block; did you mean 'test-good'?\"]\n"
    )


def test_loading_imports_neither_pydantic_nor_httpx_nor_numpy():
    script = "import sys\nfrom aisb._plugins import Plugins\nPlugins.load()\n"
    script += "print({'pydantic', 'httpx', 'numpy', 'torch', 'transformers'} & set(sys.modules))"
    assert python(script, fresh=True) == "set()\n"


def test_importing_aisb_loads_no_plugin(installed):
    assert (
        python("import aisb, sys\nprint('aisb_test_good' in sys.modules)", installed, fresh=True) == "False\n"
    )


def test_half_removed_metadata_and_a_module_that_is_no_python_stay_their_own_failure(tmp_path):
    (tmp_path / "aisb_half-1.0.dist-info").mkdir()
    (tmp_path / "aisb_half-1.0.dist-info" / "entry_points.txt").write_text("[aisb]\nhalf = aisb_half\n")
    (tmp_path / "aisb_half.py").write_text('"""No Python."""\ndef aisb_backends(:\n')
    half = next(info for info in json.loads(python(LIST, tmp_path)) if info["name"] == "half")
    assert half["state"] == "failed"
    assert half["reason"].startswith("SyntaxError: ")
    assert half["reason"].endswith("(aisb_half.py, line 2)")
    assert half["distribution"] == "?"


NEEDS = "needs aisb-core{}, and 0.2.0 is installed: upgrade one of them"


@pytest.mark.parametrize(
    ("line", "clause"),
    [
        ("aisb-core<0.3,>=0.2", None),
        ("aisb-core<0.2,>=0.1", "<0.2"),
        ("aisb-core>=0.3", ">=0.3"),
        ("aisb_core (>=0.3)", ">=0.3"),
        ("aisb-core~=0.2", None),
        ("aisb-core~=0.1", None),
        ("aisb-core~=0.1.0", "~=0.1.0"),
        ("aisb-core==0.2.*", None),
        ("aisb-core==0.1.*", "==0.1.*"),
        ("aisb-core==0.2", None),
        ("aisb-core!=0.2.0", "!=0.2.0"),
        ("aisb-core>0.2", ">0.2"),
        ("aisb-core<=0.2", None),
        ("aisb-core", None),
        ("aisb-core-more>=9", None),
        ('aisb-core>=9; extra == "new"', None),
        ("pluggy>=9", None),
    ],
)
def test_a_plugin_whose_pin_on_the_core_does_not_hold_is_named_with_it(tmp_path, line, clause):
    folder = tmp_path / "aisb_pinned-1.0.dist-info"
    folder.mkdir()
    (folder / "entry_points.txt").write_text("[aisb]\npinned = aisb_pinned\n")
    (folder / "METADATA").write_text(
        f"Metadata-Version: 2.3\nName: aisb-pinned\nVersion: 1.0\nRequires-Dist: {line}\n"
    )
    (tmp_path / "aisb_pinned.py").write_text("raise LookupError('imported')\n")
    info = next(info for info in json.loads(python(LIST, tmp_path)) if info["name"] == "pinned")
    assert info["state"] == "failed"
    assert info["reason"] == (
        NEEDS.format(clause) if clause else "LookupError: imported (aisb_pinned.py, line 1)"
    )
    assert (info["traceback"] is None) == (clause is not None)


COMMANDS = """
from aisb_engine import DeclaredCommands
(info,) = [info for info in DeclaredCommands().infos if info.name == "odd"]
print(info.state, info.reason, sep=": ")
"""


@pytest.mark.parametrize(
    ("returned", "reason"),
    [
        ("None", "aisb_commands() returned None; it returns a list of aisb.Command"),
        ("Command('a', '', 'b:c')", "aisb_commands() returned Command(name='a', help='', place='b:c', run_options=None); it returns a list of aisb.Command"),
        ("['a']", "aisb_commands() has 'a'; it returns a list of aisb.Command"),
        ("[Command('a b c', '', 'b:c')]", "aisb_commands() offers the name 'a b c'; a name is one or two words of lower-case letters, digits and '-'"),
        ("[Command('a', '', 'b.c')]", "aisb_commands() has 'b.c' for 'a'; write it as 'package.module:name'"),
        ("[Command('a', '', 'b:c', 'd')]", "aisb_commands() has 'd' for 'a'; write it as 'package.module:name'"),
        ("[Command('a', '', 'b:c')] * 2", "aisb_commands() declares 'a' twice"),
        ("1 / 0", "aisb_commands() raised ZeroDivisionError: division by zero (aisb_odd.py, line 3)"),
    ],
)  # fmt: skip
def test_a_plugin_that_declares_no_proper_command_fails_and_says_why(tmp_path, returned, reason):
    (tmp_path / "aisb_odd-1.0.dist-info").mkdir()
    (tmp_path / "aisb_odd-1.0.dist-info" / "entry_points.txt").write_text("[aisb.commands]\nodd = aisb_odd\n")
    (tmp_path / "aisb_odd.py").write_text(
        f"from aisb import Command, hookimpl\n@hookimpl\ndef aisb_commands(): return {returned}\n"
    )
    assert python(COMMANDS, tmp_path) == f"failed: {reason}\n"


def test_ctrl_c_while_plugins_load_ends_the_program(tmp_path):
    (tmp_path / "aisb_slow-1.0.dist-info").mkdir()
    (tmp_path / "aisb_slow-1.0.dist-info" / "entry_points.txt").write_text("[aisb]\nslow = aisb_slow\n")
    (tmp_path / "aisb_slow.py").write_text("raise KeyboardInterrupt\n")
    script = (
        "from aisb._plugins import Plugins\ntry: Plugins.load()\nexcept KeyboardInterrupt: print('ended')"
    )
    assert python(script, tmp_path) == "ended\n"


def test_a_component_is_made_with_its_options_and_what_core_gives(ask):
    assert ask("print(list(plugins.make('dataset', 'dice', {'count': 1, 'colour': 'red'})))") == (
        "[{'throw': 1, 'colour': 'red'}]\n"
    )
    assert ask("print(plugins.make('dataset', 'with-files', {'path': 'y'}, files='F'))") == "('F', 'y')\n"


def test_a_factory_named_by_its_place_is_imported_by_its_first_use(ask):
    there = "import sys; print('aisb_test_odd.elsewhere' in sys.modules)"
    use = "print(plugins.make('dataset', 'placed', {'size': 1}))"
    assert ask(f"{there}\n{use}\n{there}") == "False\n[{'row': 0}]\nTrue\n"


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("misplaced", "aisb_test_odd.elsewhere:lost is undefined; it must be a function or a class"),
        ("unimportable", "No module named 'aisb_test_odd.absent'"),
        ("leaving", "SystemExit: no licence found (exits.py, line 5)"),
        (
            "uncallable",
            "aisb_test_odd.elsewhere:SIZE is 3; it must be a function or a class",
        ),
    ],
)
def test_a_place_without_a_factory_is_an_error_at_use_that_says_why(infos, ask, name, reason):
    assert infos["odd-placed", "aisb-test-odd"]["state"] == "loaded"
    assert ask(f"plugins.make('dataset', '{name}', {{}})") == (
        f"PluginError: dataset '{name}' of plugin odd-placed cannot be loaded: {reason}\n"
    )


def test_what_core_gives_is_no_option(ask):
    assert ask("plugins.make('dataset', 'with-files', {'files': 1}, where='tasks.t.dataset', files='F')") == (
        "ConfigError: tasks.t.dataset.files: no such option\n  known: path\n"
    )


def test_a_factory_that_lacks_a_library_says_which(ask):
    assert ask("plugins.make('dataset', 'heavy', {})") == (
        "PluginError: dataset 'heavy' of plugin odd-factory cannot be created: "
        "No module named 'a_heavy_library_nobody_has'\n"
    )


def test_a_factory_that_fails_is_named_with_the_place(ask):
    assert ask("plugins.make('dataset', 'careless', {'size': 0})") == (
        "PluginError: dataset 'careless' of plugin odd-factory cannot be created: "
        "ZeroDivisionError: division by zero (factory.py, line 27)\n"
    )


def test_a_value_that_a_component_judges_itself_is_reported_under_its_path(ask):
    assert ask("plugins.make('dataset', 'picky', {'url': 'host:80'}, where='models.m.options')") == (
        "ConfigError: models.m.options: url = 'host:80' has no scheme; write http://host:80\n"
    )


def test_an_annotation_that_cannot_be_read_is_explained(ask):
    assert ask("plugins.make('dataset', 'unreadable', {'price': 1})") == (
        "PluginError: option 'price' of unreadable: the annotation 'Decimal' cannot be read "
        "(name 'Decimal' is not defined); import what it names outside TYPE_CHECKING\n"
    )


def test_a_type_that_the_engine_gives_must_be_imported_too(ask):
    assert ask("plugins.make('dataset', 'unimported', {}, files='F')") == (
        "PluginError: option 'files' of unimported: the annotation 'Fraction' cannot be read "
        "(name 'Fraction' is not defined); import what it names outside TYPE_CHECKING\n"
    )


def test_config_folders_come_with_the_name_of_their_plugin(ask, installed):
    assert ask("print([str(f) for name, f in plugins.config_folders() if name == 'test-good'])") == (
        f"['{installed}/aisb_test_good']\n"
    )

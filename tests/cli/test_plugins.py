"""``[plugins]``: modules of the user's, what they may add, and when they are executed."""

import json
import py_compile
import shutil
import sys
from importlib.util import cache_from_source
from py_compile import PycInvalidationMode

import pytest

from gpucnn import plugins
from gpucnn.config import Config, load_config
from gpucnn.data import datasets
from gpucnn.errors import PluginError
from gpucnn.layers import layers
from gpucnn.losses import losses
from gpucnn.models import models
from gpucnn.operations import OPERATIONS
from gpucnn.optim import optimizers, schedules
from gpucnn.training.trainer import Trainer

REGISTRIES = (layers, losses, models, optimizers, schedules, datasets)

DOUBLE = """
from pathlib import Path

from gpucnn.layers import Layer, layers

Path(__file__).with_suffix(".ran").touch()


@layers.register("double")
class Double(Layer):
    \"\"\"2 · x.\"\"\"

    kind = "double"

    def _declare(self, shape):
        return shape

    def forward(self, x):
        return self.backend.add(x, x)

    def backward(self, dy):
        return self.backend.add(dy, dy)
"""
CONFIG = """
data = {name = "digits"}
optimizer = {name = "sgd", learning_rate = 0.1}
training = {epochs = 1, batch_size = 100}
plugins = {modules = ["doubling"]}
[model]
name = "sequential"
layers = [{type = "double"}, {type = "flatten"}, {type = "linear", features = "classes"}]
"""
BACKEND = ("--backend", "numpy")


@pytest.fixture(autouse=True)
def fresh_process(monkeypatch, tmp_path):
    """As if nothing had been imported; returns a function that makes it so again."""
    entered = {registry: dict(registry._constructors) for registry in REGISTRIES}
    known, path, modules = dict(OPERATIONS), list(sys.path), set(sys.modules)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))

    def forget():
        plugins._loaded.clear()
        plugins._allowed.clear()
        for registry, constructors in entered.items():
            registry._constructors = dict(constructors)
        OPERATIONS.clear()
        OPERATIONS.update(known)
        sys.path[:] = path
        for name in ("doubling", "other"):
            if name not in modules:
                sys.modules.pop(name, None)

    yield forget
    forget()


@pytest.fixture
def place(tmp_path):
    """A folder with a config and its plugin."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "run.toml").write_text(CONFIG)
    (folder / "doubling.py").write_text(DOUBLE)
    return folder


@pytest.fixture
def run(place, fresh_process, tmp_path):
    """The folder of a run with the plugin, in a process that has not imported it."""
    Trainer(load_config(place / "run.toml"), "numpy", tmp_path / "run").fit()
    fresh_process()
    (place / "doubling.ran").unlink()
    return tmp_path / "run"


def test_a_module_next_to_the_config_is_found(place):
    config = load_config(place / "run.toml")
    assert config.tables["plugins"] == {"modules": ["doubling"], "folder": str(place)}
    first, *_ = config.build_model()
    assert type(first).__module__ == "doubling"
    assert Config(config.tables).tables == config.tables


def test_a_folder_is_named_from_where_the_config_is(place):
    (place / "lib").mkdir()
    (place / "doubling.py").rename(place / "lib" / "doubling.py")
    config = CONFIG.replace('modules = ["doubling"]', 'modules = ["doubling"], folder = "lib"')
    (place / "run.toml").write_text(config)
    assert load_config(place / "run.toml").tables["plugins"]["folder"] == str(place / "lib")


def test_a_package_is_found_too(place):
    (place / "doubling").mkdir()
    (place / "doubling" / "__init__.py").write_text("from doubling.layer import Double")
    (place / "doubling.py").rename(place / "doubling" / "layer.py")
    before = checksum(place)
    with (place / "doubling" / "layer.py").open("a") as file:
        file.write("# changed")
    assert plugins._checksum(place / "doubling" / "__init__.py") != before
    del sys.modules["doubling.layer"]


def checksum(place):
    load_config(place / "run.toml")
    return plugins.described()["doubling"]["sha256"]


def test_what_is_executed_is_the_file(place, tmp_path):
    """And not a compiled one, which no one reads and no checksum covers."""
    other = tmp_path / "hidden.py"
    other.write_text("raise SystemExit")
    compiled = cache_from_source(place / "doubling.py")
    py_compile.compile(other, compiled, invalidation_mode=PycInvalidationMode.UNCHECKED_HASH)
    assert checksum(place) == plugins._checksum(place / "doubling.py")


def test_an_installed_module_is_found(place, tmp_path, monkeypatch):
    installed = tmp_path / "site"
    installed.mkdir()
    (place / "doubling.py").rename(installed / "doubling.py")
    monkeypatch.syspath_prepend(str(installed))
    load_config(place / "run.toml")
    assert plugins._loaded["doubling"].path == installed / "doubling.py"


def test_a_module_that_a_script_has_imported_is_not_imported_again(place, monkeypatch):
    monkeypatch.syspath_prepend(str(place))
    import doubling

    load_config(place / "run.toml")
    assert layers.constructor("double") is doubling.Double


LINE_OF_FORWARD = DOUBLE.splitlines().index("        return self.backend.add(x, x)") + 1
WRONG = {
    "a syntax error": ("x = = 1\n", r"doubling\.py:1: SyntaxError: invalid syntax"),
    "an exception": ("\nraise KeyError('a\\nb')\n", r"doubling\.py:2: KeyError: .*a"),
    "a missing import": ("import not_there", r"doubling\.py:1: ModuleNotFoundError: .*not_there"),
    "a name of ours": (
        DOUBLE.replace('register("double")', 'register("relu")'),
        r'doubling\.py:9: ConfigError: there is a layer "relu" already, in gpucnn\.layers',
    ),
    "an operation of ours": (
        "from gpucnn.operations.activation import Elementwise\n"
        "class Mine(Elementwise):\n    operation = 'relu_forward'\n",
        r'doubling\.py:2: ConfigError: there is an operation "relu_forward" already',
    ),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_module_that_cannot_be_imported(wrong, place, cli):
    text, message = WRONG[wrong]
    (place / "doubling.py").write_text(text)
    with pytest.raises(PluginError, match=message):
        load_config(place / "run.toml")
    assert "doubling" not in sys.modules
    answer = cli("summary", place / "run.toml")
    assert (answer.status, answer.out) == (2, "")
    assert answer.err.startswith("error: a plugin cannot be imported: ")
    assert answer.err.count("\n") == 1
    assert "Traceback" in cli("summary", place / "run.toml", "--debug").err


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("not_there", r"has no not_there\.py, and no module of that name is installed"),
        ("json", 'cannot be called "json", as a module of Python'),
        ("gpucnn", 'cannot be called "gpucnn"'),
        ("numpy", "another module|register|no layer"),
        ("a.b", "'a.b' is not the name of a module"),
        ("../mine/doubling", "is not the name of a module"),
        ("", "is not the name of a module"),
    ],
)
def test_names_that_cannot_be(name, message, place):
    (place / "run.toml").write_text(CONFIG.replace('"doubling"', f'"{name}"'))
    if name == "numpy":  # a module, but without the layer
        message = "double"
    with pytest.raises((PluginError, ValueError), match=message):
        load_config(place / "run.toml")


def test_two_of_one_name(place, tmp_path):
    load_config(place / "run.toml")
    shutil.copytree(place, tmp_path / "others")
    with pytest.raises(PluginError, match='two plugins are called "doubling"'):
        load_config(tmp_path / "others" / "run.toml")


def test_an_exception_in_a_step_is_one_message(place, cli, tmp_path):
    wrong = DOUBLE.replace("return self.backend.add(x, x)", "return x + undefined")
    (place / "doubling.py").write_text(wrong)
    train = ("train", place / "run.toml", *BACKEND, "--run-dir", tmp_path / "run")
    answer = cli(*train)
    assert answer.status == 2
    assert answer.err.startswith(f"error: {place}/doubling.py:{LINE_OF_FORWARD}: NameError: ")
    assert answer.err.count("\n") == 1
    assert "Traceback" in cli(*train, "--debug").err


def test_an_exception_of_our_own_is_not_blamed_on_a_plugin(place, cli, monkeypatch):
    monkeypatch.setattr("gpucnn.layers.plain_layers", None)
    with pytest.raises(TypeError):
        cli("summary", place / "run.toml")


def test_a_run_is_opened_with_what_was_run_before(run, place, cli):
    result = json.loads(cli("evaluate", run, "--json", *BACKEND).succeeded().out)
    assert result["n"] == 355
    assert (place / "doubling.ran").exists()


def test_a_run_that_is_resumed_is_the_same(run, cli):
    """From its first checkpoint."""
    first = sorted((run / "checkpoints").glob("step-*.json"))[0]
    step = int(first.stem[5:])
    last = (run / "checkpoints" / "step-00000015.safetensors").read_bytes()
    cli("train", "--resume", run, "--step", step, *BACKEND).succeeded()
    assert (run / "checkpoints" / "step-00000015.safetensors").read_bytes() == last


OPENING = [("evaluate", "RUN"), ("train", "--resume", "RUN"), ("predict", "RUN", "x.png")]


@pytest.mark.parametrize("command", OPENING, ids=lambda command: command[0])
@pytest.mark.parametrize("change", ["never run", "changed", "another folder"])
def test_a_run_does_not_execute_what_was_not_run_before(command, change, run, place, cli, tmp_path):
    if change == "never run":
        shutil.rmtree(tmp_path / "cache")
    elif change == "changed":
        with (place / "doubling.py").open("a") as file:
            file.write("# changed")
    else:
        # As if all of it came from someone else: the same file, in the run's own folder.
        shutil.copy(place / "doubling.py", run)
        path = run / "config.json"
        path.write_text(path.read_text().replace(str(place), str(run)))
        content = json.loads(path.read_text())
        for key in ("format", "run", "sha256"):
            content.pop(key, None)
        path.write_text(json.dumps(content))  # without a seal, as the first version wrote it
    arguments = [run if part == "RUN" else part for part in command]
    answer = cli(*arguments, *BACKEND)
    assert answer.status == 2
    assert "which you have not run from a config, or not as it is now" in answer.err
    assert not list(tmp_path.rglob("*.ran"))
    assert "doubling" not in sys.modules


def test_only_what_was_executed_is_known(place, fresh_process):
    """A file that changes after its import, and before another config is read, is not."""
    load_config(place / "run.toml")
    with (place / "doubling.py").open("a") as file:
        file.write("# changed")
    load_config(place / "run.toml")
    fresh_process()
    with pytest.raises(PluginError, match="have not run"):
        plugins.folder_for_run(["doubling"], place)


def test_a_folder_is_allowed_once(run, place, cli, tmp_path, fresh_process):
    """It is known from then on, as it is then; and a resumed run says that it has changed."""
    moved = tmp_path / "moved"
    place.rename(moved)
    assert "not in" in cli("evaluate", run, *BACKEND).err
    with (moved / "doubling.py").open("a") as file:
        file.write("# changed")
    cli("evaluate", run, "--plugins", moved, *BACKEND).succeeded()
    fresh_process()
    answer = cli("train", "--resume", run, "--plugins", moved, *BACKEND).succeeded()
    assert f"the plugin {moved}/doubling.py has changed since the run began" in answer.out
    fresh_process()
    moved.rename(place)
    assert cli("evaluate", run, *BACKEND).status == 2  # in another place


def test_how_to_go_on_has_the_option(run, place, cli):
    wrong = DOUBLE.replace("return self.backend.add(x, x)", "return x + undefined")
    (place / "doubling.py").write_text(wrong)
    answer = cli("train", "--resume", run, "--step", 0, "--plugins", place, *BACKEND)
    assert answer.status == 2
    assert answer.err.endswith(f"gpucnn train --resume {run} --plugins {place}\n")


def test_a_run_knows_its_plugins(run, place):
    described = json.loads((run / "environment.json").read_text())["plugins"]
    path = place / "doubling.py"
    assert described == {"doubling": {"file": str(path), "sha256": plugins._checksum(path)}}


def test_a_new_run_has_its_own(place, cli):
    answer = cli("train", place / "run.toml", "--plugins", place)
    assert answer.status == 2
    assert "--plugins is for a run that exists" in answer.err


def test_they_are_listed_and_their_operations_checked(place, cli):
    assert "double" not in cli("list", "layers").out
    assert "2 · x." in cli("list", "layers", "--config", place / "run.toml").succeeded().out
    answer = cli("kernels", "check", "--config", place / "run.toml")
    assert answer.status == 2
    assert "have no operations to check" in answer.err

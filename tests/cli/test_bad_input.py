"""A user's mistakes: each is one message and status 2, and nothing of the user's changes."""

import sys

import click
import pytest

from gpucnn.backends import why_unavailable
from gpucnn.cli import cli as main_command

SMALL = """
seed = 1
[data]
name = "digits"
[model]
name = "sequential"
layers = [
    {type = "conv2d", filters = 2, kernel = 3},
    {type = "relu"},
    {type = "flatten"},
    {type = "linear", features = "classes"},
]
[optimizer]
name = "sgd"
learning_rate = 0.1
[training]
epochs = 1
batch_size = 500
"""


def refused(answer, *words):
    """Asserts that it is one clear message, with these words."""
    shown = f"status {answer.status}\n{answer.out}\n{answer.err}"
    assert answer.status == 2, shown
    assert "Traceback" not in answer.out + answer.err, shown
    assert answer.out == "", shown
    lines = answer.err.splitlines()
    if lines[0].startswith("Usage:"):  # click's own
        assert any(line.startswith("Error: ") for line in lines), shown
    else:
        assert lines[0].startswith("error: "), shown
        assert len(lines) == 1, shown
    for word in words:
        assert word in answer.err, shown


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder to work in, with a good config in it."""
    folder = tmp_path / "place"
    folder.mkdir()
    (folder / "good.toml").write_text(SMALL)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("GPUCNN_BACKEND", raising=False)
    return folder


CONFIGS = {
    "misspelt table": ("[optimiser]\nname = 'sgd'", "optimiser", 'did you mean "optimizer"?'),
    "a key that is in a table": ("epochs = 3", "epochs", 'did you mean "training.epochs"?'),
    "a key of some optimizers": ("learning_rate = 1.0", 'mean "optimizer.learning_rate"?'),
    "a key of every data set": (
        "[data]\nnormalize = true", "data.normalize", 'did you mean "normalise"?'),
    "a choice that is none": (
        "[model]\nlayers = [{type='linear', features='all'}]", "layer.features = 'all'",
        'may only be "classes"'),
    "misspelt top-level key": ("sed = 1", "sed", 'did you mean "seed"?'),
    "nothing near": ("zzzzzz = 1", "zzzzzz", "known: augment, checkpoint, data"),
    "table that is a number": ("training = 3", "training = 3", "[training]"),
    "misspelt in data": ("[data]\nvalidatoin = 0.1", "data.validatoin", "digits"),
    "misspelt in augment": ("[augment]\nflipp = true", "augment.flipp", '"flip"'),
    "misspelt in model": ("[model]\nlayer = []", "model.layer", '"layers"'),
    "misspelt in loss": ("[loss]\nlabel_smothing = 0.1", "loss.label_smothing", "label_smoothing"),
    "misspelt in optimizer": ("[optimizer]\nlr = 0.1", "optimizer.lr", "learning_rate"),
    "misspelt in schedule": (
        "[schedule]\nname='cosine'\nwarmup_epoch = 1", "schedule.warmup_epoch", "warmup_epochs"),
    "misspelt in training": ("[training]\nepoch = 3", "training.epoch", '"epochs"'),
    "misspelt in checkpoint": (
        "[checkpoint]\nevery_step = 3", "checkpoint.every_step", '"every_steps"'),
    "misspelt in a layer": (
        "[model]\nlayers = [{type = 'conv2d', filters = 2, kernal = 3}]", "layers", "kernal",
        '"kernel"'),
    "misspelt in a nested layer": (
        "[model]\nlayers = [{type='residual', body=[{type='conv2d', filters=1, kernel=1, pad=1}]}]",
        "model.layers", "pad"),
    "layer lacking an option": (
        "[model]\nlayers = [{type='conv2d', kernel=3}]", "filters", "needs"),
    "layer without a type": ("[model]\nlayers = [{filters=3}]", "layer.type", "say which layer"),
    "layer that is a string": ("[model]\nlayers = ['relu']", "a layer is a table", "'relu'"),
    "nested layer that is a number": (
        "[model]\nlayers = [{type='residual', body=[3]}]", "a layer is a table with a type, not 3"),
    "layers that are a table": ("[model]\nlayers = {type='relu'}", "model.layers", "array"),
    "no layers": ("[model]\nlayers = []", "at least one layer"),
    "unknown data set": ("[data]\nname = 'minst'", "data.name", 'did you mean "mnist"?'),
    "unknown model": ("[model]\nname = 'resnet_18'", "model.name", "resnet18"),
    "unknown layer": ("[model]\nlayers = [{type='conv'}]", '"conv"', "conv2d"),
    "unknown loss": ("[loss]\nname = 'cross_entropy'", "loss.name", "softmax_cross_entropy"),
    "unknown optimizer": ("[optimizer]\nname = 'adamm'", "optimizer.name", '"adam'),
    "unknown schedule": ("[schedule]\nname = 'cosin'", "schedule.name", '"cosine"'),
    "unknown initialiser": (
        "[model]\nlayers = [{type='linear', features=10, initialiser='heh'}]", "heh"),
    "name that is a number": ("[model]\nname = 3", "model.name", "say which model"),
    "seed that is text": ("seed = 'one'", "seed = 'one'", "int"),
    "seed that is a date": ("seed = 1979-05-27", "seed", "int"),
    "seed that is true": ("seed = true", "seed = True", "int"),
    "seed below zero": ("seed = -1", "seed = -1", "0 to 2**64"),
    "seed too large": ("seed = 99999999999999999999999", "seed = 9", "2**64"),
    "epochs that are text": ("[training]\nepochs = 'many'", "training.epochs = 'many'", "int"),
    "epochs with a fraction": ("[training]\nepochs = 1.5", "training.epochs = 1.5", "int"),
    "no epochs": ("[training]\nepochs = 0", "training.epochs = 0", "1 or more"),
    "no batch": ("[training]\nbatch_size = 0", "training.batch_size = 0", "1 or more"),
    "no evaluation batch": (
        "[training]\nevaluation_batch_size = -3", "training.evaluation_batch_size = -3"),
    "clip_norm below zero": ("[training]\nclip_norm = -1.0", "training.clip_norm", "above 0"),
    "clip_norm not a number": ("[training]\nclip_norm = nan", "training.clip_norm = nan"),
    "clip_value zero": ("[training]\nclip_value = 0.0", "training.clip_value", "above 0"),
    "every_steps below zero": (
        "[checkpoint]\nevery_steps = -1", "checkpoint.every_steps", "0 or more"),
    "every_seconds below zero": (
        "[checkpoint]\nevery_seconds = -0.5", "checkpoint.every_seconds", "0 or more"),
    "validation of all": ("[data]\nvalidation = 1.0", "data.validation = 1.0", "below 1"),
    "validation not a number": ("[data]\nvalidation = nan", "data.validation = nan"),
    "validation of too little": ("[data]\nvalidation = 1e-6", "validation fraction"),
    "flip that is a number": ("[augment]\nflip = 2", "augment.flip = 2", "bool"),
    "padding below zero": ("[augment]\ncrop_padding = -1", "crop_padding is -1"),
    "padding too large": ("[augment]\ncrop_padding = 8", "crop_padding is 8", "8×8"),
    "learning rate zero": ("[optimizer]\nlearning_rate = 0.0", "optimizer", "above 0"),
    "learning rate not a number": (
        "[optimizer]\nlearning_rate = nan", "optimizer.learning_rate = nan", "finite"),
    "learning rate infinite": (
        "[optimizer]\nlearning_rate = inf", "optimizer.learning_rate = inf", "finite"),
    "learning rate missing": ("[optimizer]\nname = 'adam'", "optimizer.learning_rate", "needs it"),
    "learning rate as text": ("[optimizer]\nlearning_rate = '0.1'", "optimizer.learning_rate"),
    "momentum of one": ("[optimizer]\nmomentum = 1.0", "optimizer", "momentum is 1.0"),
    "nesterov without momentum": (
        "[optimizer]\nnesterov = true\nmomentum = 0.0", "nesterov needs a momentum"),
    "weight decay below zero": ("[optimizer]\nweight_decay = -0.1", "weight_decay is -0.1"),
    "warm-up below zero": (
        "[schedule]\nname='cosine'\nwarmup_epochs = -1.0", "warmup_epochs is -1.0"),
    "smoothing of one": ("[loss]\nlabel_smoothing = 1.0", "label_smoothing is 1.0"),
    "dropout of one": (
        "[model]\nlayers = [{type='dropout', rate=1.0}]", "dropout rate is 1.0"),
    "filters below one": (
        "[model]\nlayers = [{type='conv2d', filters=0, kernel=3}]", "filters=0", "1 or more"),
    "kernel of three sides": (
        "[model]\nlayers = [{type='conv2d', filters=1, kernel=[3, 3, 3]}]", "kernel"),
    "padding that is a word": (
        "[model]\nlayers = [{type='conv2d', filters=1, kernel=3, padding='full'}]", "padding"),
    "kernel that does not fit": (
        "[model]\nlayers = [{type='conv2d', filters=2, kernel=9}]",
        'layer "0.conv2d"', "(8, 8, 1)"),
    "groups that do not divide": (
        "[model]\nlayers = [{type='conv2d', filters=3, kernel=3, groups=2}]",
        'layer "0.conv2d"', "groups=2 must divide C=1"),
    "linear on an image": (
        "[model]\nlayers = [{type='linear', features='classes'}]", 'layer "0.linear"', "flatten"),
    "convolution on a vector": (
        "[model]\nlayers = [{type='flatten'}, {type='conv2d', filters=1, kernel=1}]",
        'layer "1.conv2d"', "(64,)"),
    "branches that differ": (
        "[model]\nlayers = [{type='residual', body=[{type='conv2d', filters=2, kernel=1}]}]",
        'layer "0.residual"', "(8, 8, 2)", "(8, 8, 1)"),
    "window that does not fit": (
        "[model]\nlayers = [{type='max_pool2d', window=9}]", 'layer "0.max_pool2d"'),
    "wrong number of scores": (
        "[model]\nlayers = [{type='flatten'}, {type='linear', features=9}]",
        "(9,)", "10 classes", 'features = "classes"'),
}  # fmt: skip


def merged(text):
    """The good config with a table's keys, or a key, replaced."""
    import tomllib

    tables = tomllib.loads(SMALL)
    for key, value in tomllib.loads(text).items():
        renamed = isinstance(value, dict) and "name" in value and key in ("optimizer", "schedule")
        if isinstance(value, dict) and isinstance(tables.get(key), dict) and not renamed:
            tables[key].update(value)
            if key == "model" and "name" in value:
                tables[key] = value
        else:
            tables[key] = value
    return tables


@pytest.mark.parametrize("name", CONFIGS)
def test_config(name, cli, place, snapshot):
    text, *words = CONFIGS[name]
    (place / "bad.toml").write_text(written(merged(text)))
    before = snapshot(place)
    refused(cli("train", "bad.toml", "--backend", "numpy"), *words)
    assert snapshot(place) == before


def written(tables):
    """TOML of tables, each value inline."""
    return "".join(f"{key} = {inline(value)}\n" for key, value in tables.items())


def inline(value):
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(inline, value)) + "]"
    if isinstance(value, bool):
        return str(value).lower()
    return f'"{value}"' if isinstance(value, str) else str(value)


def test_the_good_config_is_good(cli, place):
    """Else all of the above would be refused for something else."""
    (place / "same.toml").write_text(written(merged("seed = 1")))
    answer = cli("train", "same.toml", "--backend", "numpy", "--run-dir", "run")
    assert (answer.status, answer.err) == (0, "")


GOOD = ("train", "good.toml", "--backend", "numpy")
ARGUMENTS = {
    "config missing": (("train", "none.toml"), "none.toml: there is no such config file"),
    "config is a folder": (("train", "."), "is a folder; give a config file"),
    "config under a file": (("train", "good.toml/x.toml"), "cannot be read"),
    "config name too long": (("train", "x" * 300), "cannot be read", "too long"),
    "summary of no file": (("summary", "none.toml"), "there is no such config file"),
    "gradcheck of no file": (("gradcheck", "none.toml"), "there is no such config file"),
    "bench of no problem": (("bench", "kernels", "--problem", "x", "--backend", "numpy"),
                            'there is no problem "x"'),
    "bench of other kernels": (("bench", "kernels", "--kernels", ".", "--backend", "numpy"),
                               "the numpy backend has no kernels"),
    "bench of kernels that are not there": (
        ("bench", "kernels", "--kernels", "none"), "'none' does not exist"),
    "build of kernels that are not there": (
        ("kernels", "build", "--kernels", "none"), "'none' does not exist"),
    "plot of an unknown kind": (("bench", "kernels", "--plot", "x.xyz"), "x.xyz must end in .png"),
    "plot into no folder": (("bench", "kernels", "--plot", "no/x.png"), "there is no folder no"),
    "results under no name": (("bench", "kernels", "--json", "-"), "give /dev/stdout"),
    "results of a list": (
        ("bench", "kernels", "--list", "--json", "results.json"), "--list times nothing"),
    "results into a full device": (
        ("bench", "kernels", "--problem", "quick-map", "--backend", "numpy", "--no-torch",
         "--json", "/dev/full"), "/dev/full: No space left on device"),
    "results into no folder": (("bench", "kernels", "--json", "no/x"), "there is no folder no"),
    "results under a file": (
        ("bench", "kernels", "--json", "good.toml/x"), "there is no folder good.toml"),
    "results as a folder": (("bench", "kernels", "--json", "."), "it is a folder"),
    "results over a file, and a mistake": (
        ("bench", "kernels", "--json", "good.toml", "--problem", "x", "--backend", "numpy"),
        'there is no problem "x"'),
    "results that no one may write": (
        ("bench", "kernels", "--json", "/proc/results"), "/proc/results cannot be written"),
    "bench of no file": (("bench", "step", "none.toml"), "there is no such config file"),
    "no config": (("train",), "Give a CONFIG, --data PATH, or --resume RUN"),
    "unknown command": (("trian",), 'No such command "trian"; did you mean "train"?'),
    "unknown command of bench": (("bench", "kernel"), 'did you mean "kernels"?'),
    "command like no other": (("xyz",), "known: bench, data, doctor, emulate, evaluate"),
    "the beginning of an operation": (
        ("bench", "kernels", "--backend", "numpy", "--operation", "relu"), 'mean "relu_forward"?'),
    "misspelt problem": (
        ("bench", "kernels", "--backend", "numpy", "--problem", "quick-pol"),
        'did you mean "quick-pool"? "gpucnn bench kernels --list" shows them all'),
    "misspelt config": (("train", "god.toml"), 'no such config file; did you mean "good.toml"?'),
    "unknown option": ((*GOOD, "--epochs", "3"), "No such option"),
    "unknown kind in list": (("list", "layer"), "layers"),
    "set without equals": ((*GOOD, "--set", "training.epochs"), "write it as KEY=VALUE"),
    "set without a key": ((*GOOD, "--set", "=3"), "write it as KEY=VALUE"),
    "set with an empty part": ((*GOOD, "--set", "training..epochs=3"), "write it as KEY=VALUE"),
    "set into no table": ((*GOOD, "--set", "seed.x=3"), "seed is not a table"),
    "set into a list": ((*GOOD, "--set", "model.layers.0=3"), "model.layers is a list"),
    "set of an unknown key": ((*GOOD, "--set", "trainig.epochs=3"), 'mean "training"'),
    "set of a wrong type": ((*GOOD, "--set", "training.epochs=few"), "training.epochs = 'few'"),
    "set of nothing": ((*GOOD, "--set", "training.epochs="), "training.epochs = ''"),
    "run dir not empty": ((*GOOD, "--run-dir", "."), "not empty", "--run-dir", "run_dir"),
    "run dir a file": (
        (*GOOD, "--run-dir", "good.toml"), "good.toml exists already and is not a folder"),
    "run dir under a file": ((*GOOD, "--run-dir", "good.toml/run"), "good.toml/run: cannot be"),
    "run dir name too long": ((*GOOD, "--run-dir", "x" * 300), "cannot be written", "too long"),
    "run dir with resume": (("train", "--resume", "r", "--run-dir", "q"), "--run-dir is for a new"),
    "resume of nothing": (("train", "--resume", "none"), "none is not there"),
    "resume of a folder": (("train", "--resume", "."), "is not a run folder"),
    "resume of a file": (("train", "--resume", "good.toml"), "is not a run folder"),
    "evaluate nothing": (("evaluate", "none"), "none is not there"),
    "evaluate a folder": (("evaluate", "."), "is not a run folder"),
    "evaluate a config": (("evaluate", "good.toml"), "is neither a checkpoint"),
    "evaluate too long a name": (("evaluate", "x" * 300), "too long"),
    "predict with nothing": (("predict", "none", "good.toml"), "none is not there"),
    "predict without images": (("predict", "none"), "Missing argument 'IMAGES...'"),
    "unknown split": (("evaluate", "none", "--split", "tset"), "'tset' is not one of"),
    "top zero": (("predict", "none", "x.png", "--top", "0"), "0 is not in the range x>=1"),
    "input that is no shape": (("summary", "good.toml", "--input", "32x32"), "32x32x3"),
    "no classes": (("summary", "good.toml", "--classes", "0"), "range 1<=x<="),
    "bound that is text": (("gradcheck", "good.toml", "--bound", "low"), "'low' is not"),
    "unknown backend": (("train", "good.toml", "--backend", "cudda"), "'cudda' is not one of"),
    "huge model": (
        ("bench", "step", "good.toml", "--input", "8x8x1", "--classes", "1000000000000",
         "--backend", "numpy"), "memory"),
}  # fmt: skip


@pytest.mark.parametrize("name", ARGUMENTS)
def test_arguments(name, cli, place, snapshot):
    arguments, *words = ARGUMENTS[name]
    before = snapshot(place)
    refused(cli(*arguments), *words)
    assert snapshot(place) == before


FILES = {
    "binary": (bytes(range(256)), "not a text file"),
    "UTF-16": ("seed = 1".encode("utf-16"), "not a text file"),
    "not TOML": (b"seed = \n", "not valid TOML", "line 1"),
    "JSON": (b'{"seed": 1}', "not valid TOML"),
    "YAML": (b"seed: 1\n", "not valid TOML"),
    "key twice": (b"seed = 1\nseed = 2\n", "not valid TOML"),
    "empty": (b"", "data.name: say which data set"),
    "deep nesting": (b"seed = " + b"[" * 50_000, "bad.toml: it is nested too deeply"),
}


@pytest.mark.parametrize("name", FILES)
def test_config_file(name, cli, place):
    content, *words = FILES[name]
    (place / "bad.toml").write_bytes(content)
    refused(cli("train", "bad.toml"), *words)


WITH_BACKEND = {
    "train": ("train", "good.toml"),
    "new": ("new", "."),
    "evaluate": ("evaluate", "run"),
    "predict": ("predict", "run", "run/one.png"),
    "bench step": ("bench", "step", "good.toml"),
    "bench kernels": ("bench", "kernels"),
    "bench train": ("bench", "train", "good.toml"),
    "gradcheck": ("gradcheck", "good.toml"),
}


def test_these_are_the_commands_with_a_backend():
    def walk(command, name=()):
        if isinstance(command, click.Group):
            for each in command.list_commands(None):
                yield from walk(command.get_command(None, each), (*name, each))
        elif any("--backend" in option.opts for option in command.params):
            yield " ".join(name)

    assert set(walk(main_command)) == set(WITH_BACKEND)


@pytest.mark.parametrize("command", WITH_BACKEND)
def test_cuda_where_it_cannot_work(command, cli, place, monkeypatch, snapshot):
    from gpucnn.config import load_config
    from gpucnn.training.trainer import Trainer

    if "run" in WITH_BACKEND[command]:
        Trainer(load_config(place / "good.toml"), "numpy", place / "run").fit()
        (place / "run" / "one.png").touch()
    monkeypatch.setitem(sys.modules, "cupy", None)
    before = snapshot(place)
    answer = cli(*WITH_BACKEND[command], "--backend", "cuda")
    refused(answer, "need float64" if command == "gradcheck" else "CuPy is not installed")
    assert snapshot(place) == before


@pytest.mark.usefixtures("place")
def test_the_emulator_where_it_cannot_work(cli):
    if reason := why_unavailable("emulator"):
        refused(cli("train", "good.toml", "--backend", "emulator"), reason)


@pytest.mark.usefixtures("place")
def test_gradients_are_checked_on_numpy_alone(cli):
    for name in ("cuda", "emulator"):
        answer = cli("gradcheck", "good.toml", "--backend", name)
        refused(answer, "need float64", f"leave --backend {name} out")
    assert cli("gradcheck", "good.toml", "--backend", "numpy").status == 0


def test_backends_in_the_environment(cli, place, monkeypatch, snapshot):
    before = snapshot(place)
    monkeypatch.setenv("GPUCNN_BACKEND", "nonsense")
    refused(cli("train", "good.toml"), '"nonsense"', "auto, cuda, emulator, numpy")
    monkeypatch.setenv("GPUCNN_BACKEND", "nunpy")
    refused(cli("train", "good.toml"), 'did you mean "numpy"?')
    assert snapshot(place) == before


def test_stdout_that_is_full(place):
    import subprocess
    from pathlib import Path

    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full here")
    with Path("/dev/full").open("w") as full:
        answer = subprocess.run(
            [sys.executable, "-m", "gpucnn", "list"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False, cwd=place,
        )  # fmt: skip
    assert answer.returncode == 2
    assert answer.stderr == "error: stdout: No space left on device\n"


def test_a_gpu_of_the_backend_in_the_environment(cli, place, monkeypatch, snapshot):
    before = snapshot(place)
    monkeypatch.setenv("GPUCNN_BACKEND", "numpy")
    refused(cli("train", "good.toml", "--device", "1"), "the numpy backend has no GPUs")
    assert snapshot(place) == before

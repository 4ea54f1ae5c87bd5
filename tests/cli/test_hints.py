"""What a user of other tools may type, and what the answer is."""

import pytest

CONFIG = """
data = {name = "digits"}
model = {name = "lenet", filters = [2, 2], kernel = 2}
optimizer = {name = "sgd", learning_rate = 0.1}
"""

HINTS = {
    ("export", "runs/x"): "RUN/checkpoints/*.safetensors",
    ("init", "photos"): 'use "gpucnn new FOLDER"',
    ("resume", "runs/x"): "gpucnn train --resume RUN",
    ("test", "runs/x"): 'use "gpucnn evaluate"',
    ("classify", "x.png"): 'use "gpucnn predict"',
    ("train", "c.toml", "--epochs", "3"): "--set training.epochs=3",
    ("train", "c.toml", "--epochs=3"): "--set training.epochs=3",
    ("train", "c.toml", "--batch-size", "64"): "--set training.batch_size=64",
    ("train", "c.toml", "--lr", "0.1"): "--set optimizer.learning_rate=0.1",
    ("train", "c.toml", "--learning-rate", ".1"): "--set optimizer.learning_rate=.1",
    ("train", "c.toml", "--seed", "2"): "--set seed=2",
    ("train", "c.toml", "--data-dir", "my folder"): "--set data.root='my folder'",
    ("train", "c.toml", "--num-workers"): "--set data.workers=VALUE",
    ("train", "c.toml", "--model", "vgg"): "--set model.name=vgg",
    ("train", "c.toml", "--gpu"): "use --backend cuda",
    ("train", "c.toml", "--output-dir", "x"): "use --run-dir DIR",
    ("bench", "step", "c.toml", "--width", "8"): "--set model.width=8",
    ("train", "resnet50"): "known: sequential, lenet, vgg, resnet9, resnet18",
    ("train", "c.toml", "--set", "model.name=resnet90"): 'did you mean "resnet',
    ("train", "c"): 'did you mean "c.toml"?',
    ("train", "C.toml"): 'did you mean "c.toml"?',
    ("convert", "x"): "RUN/checkpoints/*.safetensors",
    ("build",): 'use "gpucnn kernels build"',
    ("check",): '"gpucnn kernels check"',
    ("help",): 'use "gpucnn --help"',
    ("version",): 'use "gpucnn --version"',
    ("layers",): 'use "gpucnn list layers"',
    ("TRAIN",): 'did you mean "train"?',
    ("train", "c.toml", "--set", "lr=.1"): 'did you mean "optimizer.learning_rate"?',
    ("train", "c.toml", "--set", "optimizer.lr=.1"): 'did you mean "learning_rate"?',
    ("train", "c.toml", "--set", "Epochs=3"): 'did you mean "training.epochs"?',
    ("train", "c.toml", "--set", '"model".kernel=2'): "write it as KEY=VALUE",
    ("train", "c.toml", "--set", 'model."kernel"=2'): "write it as KEY=VALUE",
    ("train", "c.toml", "--set", "model.name=vgg"): "it is one of lenet: remove it",
    ("train", "c.toml", "--set", "schedule.name=none"): 'did you mean "constant"?',
    ("train", "c.toml", "--set", "data.name=MNIST"): 'did you mean "mnist"?',
    ("train", "c.toml", "--set", "data.name=CIFAR-100"): 'did you mean "cifar100"?',
    ("train", "c.toml", "--set", "data.name=imagenet"): 'did you mean "image_folder"?',
    ("train", "c.toml", "--set", "loss.name=mse"): 'did you mean "mean_squared_error"?',
    ("train", "c.toml", "--set", "model.name=LeNet5"): 'did you mean "lenet"?',
    ("train", "c.toml", "--device", "x"): "'x' is not a valid integer.",
    ("gradcheck", "c.toml", "--bound", "x"): "'x' is not a valid number.",
}


@pytest.mark.parametrize("arguments", HINTS, ids=" ".join)
def test_the_hint(arguments, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(CONFIG)
    answer = cli(*arguments)
    assert (answer.status, answer.out) == (2, "")
    assert HINTS[arguments] in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]


@pytest.mark.parametrize("layer", ["ReLU", "relu ", "RELU"])
def test_a_layer_is_suggested_whatever_its_case(layer, cli, tmp_path):
    text = CONFIG.replace('name = "lenet", filters = [2, 2], kernel = 2', "LAYERS")
    layers = f'name = "sequential", layers = [{{type = "{layer}"}}]'
    (tmp_path / "c.toml").write_text(text.replace("LAYERS", layers))
    assert 'did you mean "relu"?' in cli("summary", tmp_path / "c.toml").err


@pytest.mark.parametrize("name", ["q", "\U0001f600", "--help", "$HOME", "a b"])
def test_a_config_is_not_suggested_for_its_ending_alone(name, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "cr.toml").write_text(CONFIG)
    answer = cli("train", "--", name)
    assert "there is no such config file; give a config file (.toml)" in answer.err


def test_an_option_of_another_choice_can_be_left_behind_by_replacing_the_table(cli, tmp_path):
    (tmp_path / "c.toml").write_text(CONFIG)
    table = 'model={name = "vgg", width = 2, stages = 1}'
    assert cli("summary", tmp_path / "c.toml", "--set", table).status == 0


def test_no_hint_where_there_is_no_such_key_or_no_config(cli):
    for arguments in (("train", "--xyz"), ("predict", "--epochs", "3"), ("list", "--lr")):
        answer = cli(*arguments)
        assert answer.status == 2
        assert "No such option" in answer.err
        assert "--set" not in answer.err


@pytest.mark.parametrize(
    "arguments",
    [
        ("\x1b[31m",),
        ("train", "\x1b[31m\n.toml"),
        ("train", "--\x1b[31m"),
        ("train", "caf\udce9"),
        ("evaluate", "\x1b[31m"),
        ("predict", "\x1b[31m", "x"),
        ("plot", "\udce9"),
        ("list", "\x1b[31m"),
        ("summary", "x", "--input", "\x1b[31m"),
        ("bench", "kernels", "--plot", "\x1b[31m.png/x"),
        ("bench", "kernels", "--kernels", "\x1b"),
        ("train", "--set", "\x1b=1", "c.toml"),
        ("kernels", "\x1b"),
        ("plot", "--output", "\x1b[31m\n.txt", "x"),
        ("plot", "--output", "\n/\x1b.png", "x"),
        ("train", "--device", "\x1b[31m\n"),
        ("train", "--backend", "\n\x1b[31m"),
        ("train", "--kernels", "\n\x1b[31m", "x"),
        ("train", "x", "\n\x1b[31m"),
        ("train", "--\n\x1b[31m"),
    ],
    ids=repr,
)
def test_messages_hold_no_control_characters(arguments, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(CONFIG)
    answer = cli(*arguments)
    assert (answer.status, answer.out) == (2, "")
    assert "Traceback" not in answer.err
    assert all(line.isprintable() for line in answer.err.splitlines())
    assert len([line for line in answer.err.splitlines() if line]) in (1, 3)  # click's has three
    if any("\x1b" in argument for argument in arguments):
        assert "\\x1b" in answer.err

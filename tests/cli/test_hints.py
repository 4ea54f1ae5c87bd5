"""What a user of other tools may type, and what the answer is."""

import pytest

CONFIG = """
data = {name = "digits"}
model = {name = "lenet", filters = [2, 2], kernel = 2}
optimizer = {name = "sgd", learning_rate = 0.1}
"""

HINTS = {
    ("export", "runs/x"): "RUN/checkpoints/*.safetensors",
    ("resume", "runs/x"): "gpucnn train --resume RUN",
    ("test", "runs/x"): 'use "gpucnn evaluate"',
    ("classify", "x.png"): 'use "gpucnn predict"',
    ("train", "c.toml", "--epochs", "3"): "--set training.epochs=3",
    ("train", "c.toml", "--epochs=3"): "--set training.epochs=3",
    ("train", "c.toml", "--batch-size", "64"): "--set training.batch_size=64",
    ("train", "c.toml", "--lr", "0.1"): "--set optimizer.learning_rate=0.1",
    ("train", "c.toml", "--learning-rate", ".1"): "--set optimizer.learning_rate=.1",
    ("train", "c.toml", "--seed", "2"): "--set seed=2",
    ("train", "c.toml", "--data", "my folder"): "--set data.root='my folder'",
    ("train", "c.toml", "--num-workers"): "--set data.workers=VALUE",
    ("train", "c.toml", "--model", "vgg"): "--set model.name=vgg",
    ("train", "c.toml", "--gpu"): "use --backend cuda",
    ("train", "c.toml", "--output-dir", "x"): "use --run-dir DIR",
    ("bench", "step", "c.toml", "--width", "8"): "--set model.width=8",
    ("train", "resnet50"): "known: sequential, lenet, vgg, resnet9, resnet18",
    ("train", "c.toml", "--set", "model.name=resnet50"): 'did you mean "resnet',
    ("train", "c"): 'did you mean "c.toml"?',
}


@pytest.mark.parametrize("arguments", HINTS, ids=" ".join)
def test_the_hint(arguments, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "c.toml").write_text(CONFIG)
    answer = cli(*arguments)
    assert (answer.status, answer.out) == (2, "")
    assert HINTS[arguments] in answer.err
    assert [path.name for path in tmp_path.iterdir()] == ["c.toml"]


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
        ("train", "--set", "\x1b=1", "x"),
        ("kernels", "\x1b"),
    ],
    ids=repr,
)
def test_messages_hold_no_control_characters(arguments, cli, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    answer = cli(*arguments)
    assert (answer.status, answer.out) == (2, "")
    assert "Traceback" not in answer.err
    assert all(line.isprintable() for line in answer.err.splitlines())

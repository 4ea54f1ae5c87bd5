"""Thousands of damaged and hostile configs: each is read, or refused with one short message."""

import random
import string
import time

import pytest

from gpucnn.config import Config, apply_overrides, read_tables
from gpucnn.errors import ConfigError

GOOD = '''
seed = 1
[data]
name = "digits"
validation = 0.1
[augment]
crop_padding = 1
[model]
name = "sequential"
layers = [
    {type = "conv2d", filters = 4, kernel = 3, padding = "same"},
    {type = "residual", body = [{type = "batch_norm2d", epsilon = 1e-5}, {type = "relu"}]},
    {type = "max_pool2d", window = [2, 2]},
    {type = "dropout", rate = 0.25},
    {type = "flatten"},
    {type = "linear", features = "classes"},
]
[optimizer]
name = "sgd"
learning_rate = 0.05
[schedule]
name = "cosine"
warmup_epochs = 1
[training]
epochs = 2
clip_norm = 2.5
[checkpoint]
every_steps = 10
'''  # fmt: skip
KEYS = ("seed", "data.name", "data.root", "data.size", "data.colour", "model.layers.0.filters",
        "data.validation", "augment.flip", "augment.crop_padding", "data",
        "model.name", "model.layers", "model.width", "model.stages", "model.filters", "model",
        "optimizer.name", "optimizer.learning_rate", "optimizer.nesterov", "optimizer.beta1",
        "schedule.name", "schedule.warmup_epochs", "training.epochs", "training.batch_size",
        "training.clip_norm", "training.fuse", "checkpoint.every_steps", "loss", "x.y.z", "",
        "checkpoint.every_seconds", '"seed"', "training . epochs")  # fmt: skip
VALUES = ("1", "-1", "1" * 200, "0", "1e9", "1e308", "-1e308",
          "1e999", "nan", "inf", "1_000", "+5", ".1", "5.",
          "0x" + "f" * 5000, "9" * 5000, str(2**64), str(10**18), "true", "True", "none", "null",
          "[1, 2]", "[" * 600 + "]" * 600, "{a=" * 600 + "1" + "}" * 600, "{}", "[]", "[[]]",
          "[{type='relu'}]", "[{type='sequential', layers=[{type='relu'}]}]", '"x"', "'x'", '"x',
          "1\nmodel.width=2", "1\r\n[x]", "\x00", "\x1b[31m", "\udce9", "1979-05-27", "07:32:00",
          "lenet", "vgg", "resnet9", "sgd", "adamw", "step", "mnist", "digits", "", " ", "#", "=",
          "{name='vgg', stages=1000000000}", "{name='lenet', filters=[1000000000000, 1]}",
          ".".join("a" * 500), '"\\ud800"', '"\\u0000"')  # fmt: skip


def check(read):
    """One config: it is good, or refused with one message, in a moment."""
    begin = time.perf_counter()
    try:
        config = Config(read())
    except ConfigError as error:
        assert str(error)
        assert len(str(error)) < 1000
    else:
        assert config.tables
    assert time.perf_counter() - begin < 2.0


def damaged(rng):
    """The good config with a few bytes, lines or values changed."""
    text = bytearray(GOOD.encode())
    for _ in range(rng.randint(1, 4)):
        place = rng.randrange(len(text))
        match rng.randrange(6):
            case 0:
                text[place] = rng.randrange(256)
            case 1:
                del text[place : place + rng.randint(1, 20)]
            case 2:
                text[place:place] = rng.choice(VALUES).encode("utf-8", "surrogateescape")
            case 3:
                text[place:place] = text[: rng.randrange(len(text))]
            case 4:
                lines = text.split(b"\n")
                line = rng.randrange(len(lines))
                value = rng.choice(VALUES).encode("utf-8", "surrogateescape")
                lines[line] = lines[line].partition(b"=")[0] + b"= " + value
                text = bytearray(b"\n".join(lines))
            case 5:
                text[place:place] = "".join(rng.choices(string.punctuation, k=3)).encode()
    return bytes(text)


@pytest.mark.slow
def test_files(tmp_path):
    rng = random.Random(1)
    path = tmp_path / "damaged.toml"
    for _ in range(10_000):
        path.write_bytes(damaged(rng))
        check(lambda: read_tables(path))


@pytest.mark.slow
def test_overrides(tmp_path):
    rng = random.Random(2)
    path = tmp_path / "good.toml"
    path.write_text(GOOD)
    good = read_tables(path)
    for _ in range(10_000):
        overrides = [f"{rng.choice(KEYS)}={rng.choice(VALUES)}" for _ in range(rng.randint(1, 3))]
        if rng.random() < 0.1:
            overrides.append("".join(rng.choices(string.printable, k=rng.randint(0, 20))))
        check(lambda overrides=overrides: apply_overrides(good, overrides))

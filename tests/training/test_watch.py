"""``training.watch``: the records, and that they change nothing and survive a resume."""

import json
import signal

import numpy as np
import pytest

from gpucnn.errors import CheckpointError
from gpucnn.training.display import Display
from gpucnn.training.signals import Interrupted
from gpucnn.training.trainer import Trainer
from gpucnn.training.watch import is_watched

WATCH = "training.watch=true"
SIGMOIDS = [
    "model.layers=["
    + '{type="conv2d", filters=3, kernel=3, padding=1, initialiser="glorot"}, {type="sigmoid"}, '
    * 8
    + '{type="flatten"}, {type="linear", features="classes"}]',
    "optimizer.learning_rate=1e-5",
]
"""A model whose gradients vanish, and which stays at chance."""


class Heard(Display):
    """Keeps what it would print."""

    def __init__(self):
        super().__init__(quiet=True)
        self.lines = []

    def line(self, text=""):
        super().line(text)
        self.lines.append(text)


def rows_of(folder, key):
    rows = map(json.loads, (folder / "metrics.jsonl").read_text().splitlines())
    return [row for row in rows if key in row]


def test_the_steps_that_are_watched():
    steps = [step for step in range(1, 201) if is_watched(step)]
    assert steps == [1, 2, 4, 8, 16, 32, 50, 100, 150, 200]


def test_it_is_off_by_default_and_then_leaves_no_rows(make_trainer, tmp_path):
    make_trainer(run_dir=tmp_path / "run").fit()
    assert not rows_of(tmp_path / "run", "layer")


def test_the_bits_are_the_same(make_trainer):
    plain, watched = make_trainer(), make_trainer(WATCH)
    assert plain.fit().loss == watched.fit().loss
    np.testing.assert_array_equal(plain.network.values, watched.network.values)


def test_the_norms(make_trainer, tmp_path):
    trainer = make_trainer(WATCH, run_dir=tmp_path / "run")
    before = trainer.network.state()
    trainer.train_step(next(trainer.loader.batches(0)))
    after = trainer.network.state()
    gradients = {name: p.gradient for name, p in trainer.network.parameters().items()}
    rows = {row["layer"]: row for row in rows_of(tmp_path / "run", "layer")}
    assert list(rows) == ["0.conv2d", "1.batch_norm2d", "2.relu", "6.linear"]
    for layer, names in {
        "0.conv2d": ("weight", "bias"),
        "1.batch_norm2d": ("scale", "shift"),
        "6.linear": ("weight", "bias"),
    }.items():

        def norm(arrays, layer=layer, names=names):
            parts = [arrays[f"{layer}.{name}"].ravel().astype(float) for name in names]
            return np.linalg.norm(np.concatenate(parts))

        change = {name: after[name].astype(float) - before[name] for name in gradients}
        assert rows[layer] == {
            "step": 1,
            "layer": layer,
            "gradient_norm": pytest.approx(norm(gradients), rel=1e-12),
            "weight_norm": pytest.approx(norm(after), rel=1e-12),
            "update_ratio": pytest.approx(norm(change) / norm(before), rel=1e-12),
        }


def test_the_gradient_is_the_clipped_one(make_trainer, tmp_path):
    trainer = make_trainer(WATCH, "training.clip_norm=1e-3", run_dir=tmp_path / "run")
    trainer.train_step(next(trainer.loader.batches(0)))
    norms = [row.get("gradient_norm", 0.0) for row in rows_of(tmp_path / "run", "layer")]
    assert np.linalg.norm(norms) == pytest.approx(1e-3, rel=1e-5)


def test_the_share_of_dead_units(make_trainer, tmp_path):
    """A channel that is 0 everywhere counts; one that is 0 nearly everywhere does not."""
    trainer = make_trainer(WATCH, run_dir=tmp_path / "run")
    trainer.network.parameters()["1.batch_norm2d.shift"].value[...] = [-1e6, 0.0, 0.0, 0.0]
    trainer.train_step(next(trainer.loader.batches(0)))
    (row,) = rows_of(tmp_path / "run", "dead")
    assert row == {"step": 1, "layer": "2.relu", "dead": 0.25}


@pytest.mark.parametrize(
    ("kind", "inverse", "outputs"),
    [
        ("sigmoid", lambda y: np.log(y / (1 - y)), (0.97, 0.98)),
        ("tanh", np.arctanh, (0.94, 0.95)),
    ],
)
def test_the_share_of_saturated_outputs(kind, inverse, outputs, make_trainer, tmp_path):
    """The derivative is a tenth of its maximum at 0.9743 of a sigmoid, and at 0.9487 of a tanh."""
    layers = (
        f'model.layers=[{{type="flatten"}}, {{type="linear", features=2}}, {{type="{kind}"}}, '
        '{type="linear", features="classes"}]'
    )
    trainer = make_trainer(WATCH, layers, run_dir=tmp_path / "run")
    parameters = trainer.network.parameters()
    parameters["1.linear.weight"].value[...] = 0.0
    parameters["1.linear.bias"].value[...] = inverse(np.array(outputs))
    trainer.train_step(next(trainer.loader.batches(0)))
    (row,) = rows_of(tmp_path / "run", "saturated")
    assert row == {"step": 1, "layer": f"2.{kind}", "saturated": 0.5}


def test_layers_in_residual_blocks_have_rows(make_trainer, tmp_path):
    layers = (
        'model.layers=[{type="residual", body=[{type="conv2d", filters=1, kernel=3, padding=1}, '
        '{type="batch_norm2d"}]}, {type="relu"}, {type="flatten"}, '
        '{type="linear", features="classes"}]'
    )
    trainer = make_trainer(WATCH, layers, run_dir=tmp_path / "run")
    trainer.train_step(next(trainer.loader.batches(0)))
    names = [row["layer"] for row in rows_of(tmp_path / "run", "layer")]
    assert names == [
        "0.residual.body.0.conv2d", "0.residual.body.1.batch_norm2d", "1.relu", "3.linear"
    ]  # fmt: skip


def test_our_kernels_record_what_numpy_does(kernel_backend, make_config, tiny_pair, tmp_path):
    config = make_config(WATCH, "optimizer.name=sgd")
    found = []
    for name, backend in (("numpy", "numpy"), ("ours", kernel_backend)):
        trainer = Trainer(config, backend, tmp_path / name, data=tiny_pair)
        for _, batch in zip(range(2), trainer.loader.batches(0), strict=False):
            trainer.train_step(batch)
        found.append(rows_of(tmp_path / name, "layer"))
    numpy, ours = found
    assert len(ours) == 8
    for expected, row in zip(numpy, ours, strict=True):
        assert row == {
            key: value if isinstance(value, str | int) else pytest.approx(value, rel=1e-4)
            for key, value in expected.items()
        }


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory, tiny_pair, make_config, outcome):
    path = tmp_path_factory.mktemp("watched") / "run"
    Trainer(make_config(WATCH, *SIGMOIDS), "numpy", path, data=tiny_pair).fit()
    return outcome(path)


def test_the_run_says_once_what_is_wrong(uninterrupted, make_trainer):
    findings = [row for row in uninterrupted["metrics"] if "finding" in row]
    assert [(row["finding"], row["step"]) for row in findings] == [("vanishing", 4), ("stuck", 12)]
    assert findings[0]["layer"] == "0.conv2d"
    heard = Heard()
    make_trainer(WATCH, *SIGMOIDS, display=heard).fit()
    said = [line for line in heard.lines if line.startswith("watch: ")]
    assert said == [f"watch: {row['message']}" for row in findings]


@pytest.mark.parametrize("step", [1, 2, 4, 5, 9, 12])
@pytest.mark.parametrize("saved", [True, False])
def test_a_resumed_run_has_the_same_records(
    step, saved, make_trainer, tmp_path, outcome, uninterrupted
):
    """Also those that are not saved by then, and are made again."""
    trainer = make_trainer(WATCH, *SIGMOIDS, run_dir=tmp_path / "run")
    take = trainer.train_step

    def stop_before(batch):
        if trainer.progress.step == step - 1:
            if not saved:
                raise RuntimeError("died")
            signal.raise_signal(signal.SIGTERM)
        take(batch)

    trainer.train_step = stop_before
    with pytest.raises((Interrupted, RuntimeError)):
        trainer.fit()
    Trainer.resume(tmp_path / "run", "numpy").fit()
    assert outcome(tmp_path / "run") == uninterrupted


def test_a_damaged_row_is_named(make_trainer, tmp_path):
    trainer = make_trainer(WATCH, run_dir=tmp_path / "run")
    trainer.train_step(next(trainer.loader.batches(0)))
    trainer.save()
    path = tmp_path / "run" / "metrics.jsonl"
    lines = path.read_text().splitlines()
    lines[1] = lines[1].replace('"step": 1', '"step": "one"')
    path.write_text("\n".join(lines) + "\n")
    trainer.run.unlock()
    with pytest.raises(CheckpointError, match=r"metrics\.jsonl, line 2: Expected `int`, got `str`"):
        Trainer.resume(tmp_path / "run", "numpy").fit()

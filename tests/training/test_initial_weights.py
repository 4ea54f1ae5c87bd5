"""Runs that start from weights: of a run, of one of its checkpoints, of a file."""

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gpucnn.data import ArrayDataset, DatasetPair, digits
from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.inference import load
from gpucnn.training.trainer import Trainer

LAYERS = ["0.conv2d", "1.batch_norm2d", "6.linear"]


def some_classes(first, last, train=150, test=60):
    """Digits of these classes alone, which then are 0, 1, …"""

    def part(dataset, count):
        places = np.flatnonzero((dataset.labels >= first) & (dataset.labels <= last))[:count]
        names = dataset.classes[first : last + 1]
        return ArrayDataset(dataset.images(places), dataset.labels[places] - first, names)

    pair = digits()
    return DatasetPair(part(pair.train, train), part(pair.test, test))


@pytest.fixture(scope="module")
def low():
    return some_classes(0, 4)


@pytest.fixture(scope="module")
def high():
    """The same number of classes, and others; darker, so that its statistics differ."""
    pair = some_classes(5, 9)
    dark = [
        ArrayDataset(part.images(np.arange(len(part))) // 2, part.labels, part.classes)
        for part in (pair.train, pair.test)
    ]
    return DatasetPair(*dark)


@pytest.fixture(scope="module")
def source(tmp_path_factory, make_config, low):
    path = tmp_path_factory.mktemp("source") / "run"
    Trainer(make_config("training.epochs=1"), "numpy", path, data=low).fit()
    return path


@pytest.fixture
def begin(make_config):
    """A trainer that starts from weights."""

    def make(weights, data, *overrides, run_dir=None):
        config = make_config(*overrides).starting_from(weights)
        return Trainer(config, "numpy", run_dir, data=data)

    return make


def weights_of(source):
    return load(source, "numpy").network.state()


def test_the_same_classes(begin, source, low):
    trainer = begin(source, low)
    for name, array in weights_of(source).items():
        np.testing.assert_array_equal(trainer.network.state()[name], array, err_msg=name)
    report = trainer.initial_weights
    assert (report.loaded, report.anew, report.unused) == (LAYERS, [], [])
    assert report.line == f"started from {source}: 3 of 3 layers loaded"


def test_other_classes_have_a_head_of_their_own(begin, source, high, make_config):
    """Though their number, and so each shape, is the same."""
    trainer = begin(source, high)
    fresh = Trainer(make_config(), "numpy", data=high).network.state()
    for name, array in weights_of(source).items():
        expected = fresh[name] if name.startswith("6.") else array
        np.testing.assert_array_equal(trainer.network.state()[name], expected, err_msg=name)
    assert trainer.initial_weights.anew == ["6.linear"]
    assert trainer.initial_weights.line.endswith("2 of 3 layers loaded; 6.linear anew")


def test_another_number_of_classes(begin, source, tiny_pair):
    assert begin(source, tiny_pair).initial_weights.anew == ["6.linear"]


@pytest.mark.parametrize("copied", [False, True])
def test_a_checkpoint(copied, begin, source, low, tmp_path):
    """Of the run, or copied from it: then there is no card, and shapes alone decide."""
    path = max(source.glob("checkpoints/*.safetensors"))
    if copied:
        path = shutil.copy(path, tmp_path / path.name)
    trainer = begin(path, low)
    np.testing.assert_array_equal(
        trainer.network.state()["0.conv2d.weight"],
        load_file(path)["network/0.conv2d.weight"],
    )
    assert trainer.initial_weights.unused == []
    assert len(trainer.initial_weights.loaded) == 3


def test_averages_are_what_is_used(begin, low, tmp_path, make_config):
    run = tmp_path / "averaged"
    overrides = ("training.ema_decay=0.9", "training.epochs=1")
    Trainer(make_config(*overrides), "numpy", run, data=low).fit()
    path = max(run.glob("checkpoints/*.safetensors"))
    expected = load_file(path)["ema/0.conv2d.weight"]
    assert not (expected == load_file(path)["network/0.conv2d.weight"]).all()
    copied = shutil.copy(path, tmp_path / path.name)
    for place in (path, copied):
        state = begin(place, low).network.state()
        np.testing.assert_array_equal(state["0.conv2d.weight"], expected)


def test_what_an_average_begins_with(begin, source, low, tmp_path):
    trainer = begin(source, low, "training.ema_decay=0.9", run_dir=tmp_path / "run")
    trainer.save()
    arrays = load_file(max((tmp_path / "run").glob("checkpoints/*.safetensors")))
    np.testing.assert_array_equal(arrays["ema/0.conv2d.weight"], arrays["network/0.conv2d.weight"])


def test_the_normalisation_is_that_of_the_weights(begin, source, high):
    theirs = load(source, "numpy").card.normalisation
    own = begin(source, high, "finetune.keep_normalisation=false").normalisation
    assert begin(source, high).normalisation == theirs != own
    given = begin(source, high, "data.mean=[0.5]", "data.std=[0.25]").normalisation
    assert (given.mean, given.std) == ((0.5,), (0.25,))
    none = begin(source, high, "data.normalise=false").normalisation
    assert (none.mean, none.std) == ((0.0,), (1.0,))


def test_a_file_has_no_normalisation(begin, source, high, tmp_path):
    save_file(weights_of(source), tmp_path / "weights.safetensors")
    own = begin(source, high, "finetune.keep_normalisation=false").normalisation
    assert begin(tmp_path / "weights.safetensors", high).normalisation == own


def test_what_was_loaded_is_kept_in_the_run(begin, source, high, tmp_path):
    begin(source, high, run_dir=tmp_path / "run")
    kept = json.loads((tmp_path / "run" / "environment.json").read_text())["initial_weights"]
    seal = json.loads(max(source.glob("checkpoints/*.json")).read_text())
    assert kept["sha256"] == seal["arrays"]["sha256"]
    assert kept["loaded"] == LAYERS[:2]
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert config["finetune"]["init_from"] == str(source)


def test_resumed_with_the_same_bits_and_without_the_weights(begin, source, high, tmp_path, outcome):
    """With a part frozen and rates of their own."""
    overrides = ("finetune.freeze=['0']", "finetune.rates={'1.*'=0.1}", "training.epochs=2")
    begin(source, high, *overrides, run_dir=tmp_path / "whole").fit()
    gone = shutil.copytree(source, tmp_path / "gone")
    trainer = begin(gone, high, *overrides, run_dir=tmp_path / "run")
    take = trainer.train_step

    def stopping(*batches):
        if trainer.progress.step == 3:
            raise RuntimeError("stopped")
        take(*batches)

    trainer.train_step = stopping
    with pytest.raises(RuntimeError, match="stopped"):
        trainer.fit()
    shutil.rmtree(gone)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("gpucnn.config.Config.load_data", lambda _: high)
        resumed = Trainer.resume(tmp_path / "run", "numpy")
    assert resumed.initial_weights is None
    resumed.fit()
    assert outcome(tmp_path / "run") == outcome(tmp_path / "whole")


def test_a_run_without_a_checkpoint_starts_from_the_weights_again(
    begin, source, high, tmp_path, monkeypatch
):
    monkeypatch.setattr("gpucnn.config.Config.load_data", lambda _: high)
    copied = shutil.copytree(source, tmp_path / "copied")
    begin(copied, high, "training.ema_decay=0.9", run_dir=tmp_path / "run").run.unlock()
    trainer = Trainer.resume(tmp_path / "run", "numpy")
    trainer.run.unlock()
    np.testing.assert_array_equal(
        trainer.network.state()["0.conv2d.weight"], weights_of(source)["0.conv2d.weight"]
    )
    environment = tmp_path / "run" / "environment.json"
    content = json.loads(environment.read_text())
    content["initial_weights"]["sha256"] = "0" * 64
    environment.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match="copied has changed since the run began"):
        Trainer.resume(tmp_path / "run", "numpy")
    environment.unlink()
    Trainer.resume(tmp_path / "run", "numpy").run.unlock()
    assert "initial_weights" in json.loads(environment.read_text())


def test_a_layer_is_loaded_as_a_whole(begin, source, low, tmp_path):
    """One array is missing, one has another shape, and one is not of this model."""
    state = weights_of(source)
    del state["1.batch_norm2d.running_mean"]
    state["0.conv2d.bias"] = np.zeros(5, np.float32)
    state["head.scale"] = np.zeros(3, np.float32)
    save_file(state, tmp_path / "weights.safetensors")
    report = begin(tmp_path / "weights.safetensors", low).initial_weights
    assert (report.loaded, report.anew) == (LAYERS[2:], LAYERS[:2])
    assert report.unused == ["head.scale"]
    assert report.line.endswith(
        "1 of 3 layers loaded; 0.conv2d, 1.batch_norm2d anew; the model has no head.scale"
    )


def test_a_layer_that_starts_anew_cannot_be_frozen(begin, source, high):
    with pytest.raises(ConfigError, match=r'finetune\.freeze: layer "6\.linear" is frozen, but'):
        begin(source, high, "finetune.freeze=['0', '6.linear']")


def test_nothing_fits(begin, source, low):
    wide = 'model={name="vgg", width=3, stages=2}'
    with pytest.raises(CheckpointError) as error:
        begin(source, low, wide)
    message = str(error.value)
    assert message.startswith(f"{source} has nothing that fits this model. It has 0.conv2d.bias (4")
    assert "the model has 0.conv2d.weight (3, 3, 3, 1)" in message
    assert message.endswith("Use the model that the weights are of")


@pytest.mark.parametrize(
    ("name", "array", "message"),
    [
        ("0.conv2d.bias", np.zeros(4, np.int32), r"is I32; what is read is F32, F64, F16, BF16"),
        ("0.conv2d.bias", np.zeros(4, np.uint8), r"is U8"),
        ("0.conv2d.bias", np.full(4, np.nan, np.float32), "not finite"),
        ("0.conv2d.bias", np.full(4, 1e300), "not finite"),
        ("1.batch_norm2d.running_variance", np.full(4, -1, np.float32), "negative"),
    ],
)
def test_arrays_that_cannot_be(name, array, message, begin, source, low, tmp_path):
    save_file({**weights_of(source), name: array}, tmp_path / "weights.safetensors")
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors: .*{name}.*{message}"):
        begin(tmp_path / "weights.safetensors", low)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a safetensors file, or is damaged"),
        (b"PK\3\4" * 100, "not a safetensors file, or is damaged"),
        (b"\xff" * 16, "not a safetensors file, or is damaged"),
        (b"\2\0\0\0\0\0\0\0{}", "nothing that fits this model. It has no arrays"),
    ],
)
def test_files_that_are_none(content, message, begin, low, tmp_path):
    (tmp_path / "weights.safetensors").write_bytes(content)
    with pytest.raises(CheckpointError, match=rf"weights\.safetensors .*{message}"):
        begin(tmp_path / "weights.safetensors", low)


def test_places_without_weights(begin, low, tmp_path):
    with pytest.raises(CheckpointError, match="nowhere is not there; to start from weights, give"):
        begin(tmp_path / "nowhere", low)
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(2**40)
    with pytest.raises(CheckpointError, match="is not a run folder"):
        begin(tmp_path, low)
    with pytest.raises(CheckpointError, match=r"huge: cannot be read \(has 1,099,511,627,776 byt"):
        begin(tmp_path / "huge", low)


def test_fine_tuning_is_better_than_starting_anew(make_config, begin, tmp_path):
    """Five digits learned from the other five: the same few steps on the same few images."""
    size = ('model={name="resnet9", width=4}', "augment.flip=false", "augment.crop_padding=0",
            "training.batch_size=32", "optimizer.learning_rate=0.003")  # fmt: skip
    first = (*size, "training.epochs=3", "data.validation=0")
    large = some_classes(0, 4, train=400, test=50)
    double = DatasetPair(*(_doubled(part) for part in (large.train, large.test)))
    Trainer(make_config(*first), "numpy", tmp_path / "source", data=double).fit()
    few = some_classes(5, 9, train=96, test=150)
    data = DatasetPair(*(_doubled(part) for part in (few.train, few.test)))
    short = (*size, "training.epochs=2", "data.validation=0")
    tuned = begin(tmp_path / "source", data, *short).fit()
    anew = Trainer(make_config(*short), "numpy", data=data).fit()
    assert tuned.accuracy > anew.accuracy + 0.1


def _doubled(dataset):
    """Of 16×16 pixels, which a ResNet-9 needs."""
    images = dataset.images(np.arange(len(dataset))).repeat(2, axis=1).repeat(2, axis=2)
    return ArrayDataset(images, dataset.labels, dataset.classes)

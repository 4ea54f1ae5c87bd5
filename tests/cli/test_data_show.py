"""``data show``: the picture has the pixels that a training would see."""

import numpy as np
import pytest

from gpucnn.config import load_config
from gpucnn.training.contact_sheet import Samples, draw_sheet, first_samples
from gpucnn.training.trainer import Trainer

Image = pytest.importorskip("PIL.Image")

CHANGES = ["augment.rotation=20", "augment.cutout=3", "augment.contrast=0.3", "augment.flip=true"]


def test_the_samples_are_those_of_the_first_step(config):
    loaded = load_config(config, CHANGES)
    samples = first_samples(loaded, loaded.load_data(), 30)
    trainer = Trainer(loaded, "numpy")
    batch = next(trainer.loader.batches(0))
    np.testing.assert_array_equal(samples.before, batch.images[:30])
    assert samples.captions == [(str(n), str(n)) for n in batch.labels[:30]]
    normalised = trainer.pipeline.inputs(batch)[:30]
    std, mean = np.array(trainer.normalisation.std), np.array(trainer.normalisation.mean)
    np.testing.assert_allclose(255 * (normalised * std + mean), samples.after, atol=1e-3)
    assert (samples.after != samples.before).any(axis=(1, 2, 3)).all()


@pytest.mark.parametrize("kind", ["mixup", "cutmix"])
def test_captions_of_mixed_samples(config, kind):
    loaded = load_config(config, [f"augment.{kind}=1"])
    samples = first_samples(loaded, loaded.load_data(), 30)
    trainer = Trainer(loaded, "numpy")
    batch = next(trainer.loader.batches(0))
    labels = trainer.loader.dataset.labels[batch.indices]
    partners = np.roll(labels, -1)
    for n, (before, after) in enumerate(samples.captions):
        assert before == str(labels[n])
        share = batch.draw.own_share[n]
        if labels[n] != partners[n] and 0 < share < 1:
            parts = sorted([(-share, labels[n]), (share - 1, partners[n])])
            assert after == ", ".join(f"{label} {-part:.0%}" for part, label in parts)


def test_the_picture(config, cli, tmp_path):
    path = tmp_path / "some.png"
    sets = [part for change in CHANGES for part in ("--set", change)]
    answer = cli("data", "show", config, *sets, "--out", path, "--count", 3).succeeded()
    assert answer.out.strip() == str(path)
    with Image.open(path) as picture:
        # Three pairs of images of 14 times 8 pixels.
        assert picture.size == (3 * (2 * 112 + 3 * 8) + 8, 112 + 16 + 8 + 8)
        pixels = np.asarray(picture.convert("L"))
    loaded = load_config(config, CHANGES)
    samples = first_samples(loaded, loaded.load_data(), 3)
    for n in range(3):
        for place, images in enumerate((samples.before, samples.after)):
            left = 8 + n * (2 * 112 + 3 * 8) + place * (112 + 8)
            shown = pixels[8 : 8 + 112, left : left + 112]
            np.testing.assert_array_equal(shown[7::14, 7::14], images[n, ..., 0])
    assert (pixels[8 + 112 : 8 + 112 + 16] < 128).any()  # something is written there


def test_as_many_as_there_are(config):
    loaded = load_config(config, ["training.batch_size=5"])
    samples = first_samples(loaded, loaded.load_data(), 400)
    assert len(samples.before) == len(samples.after) == len(samples.captions) == 5


@pytest.mark.parametrize("shape", [(300, 500, 3), (5, 9, 1), (20, 4, 4), (3, 3, 2)])
def test_images_of_any_shape_are_drawn(shape, rng):
    images = rng.integers(0, 256, (2, *shape), np.uint8)
    sheet = draw_sheet(Samples(images, images, [("a" * 300, ""), ("Ω и 猫", "b")]))
    assert max(sheet.size) < 1100


def test_what_is_refused(config, cli, tmp_path):
    for arguments, message in (
        ((config, "--out", tmp_path / "some.jpg"), "must end in .png"),
        ((config, "--set", "augment.saturation=0.5"), "saturation is 0.5; the images have 1"),
        ((config, "--set", "augment.rotate=5"), 'did you mean "rotation"'),
        ((tmp_path / "none.toml",), "none.toml"),
    ):
        answer = cli("data", "show", *arguments)
        assert answer.status == 2
        assert message in answer.err

"""Draws of flips and crops: each sample's own, whatever batch it is in."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gpucnn import random
from gpucnn.data import Augmentation, draws
from gpucnn.errors import ConfigError

BOTH = Augmentation(flip=True, crop_padding=4)
SHAPE = (32, 24, 3)
EVERYTHING = Augmentation(
    alternating_flip=True,
    translate=0.2,
    random_resized_crop=0.3,
    rotation=20,
    cutout=8,
    brightness=0.4,
    contrast=0.3,
    saturation=0.5,
    mixup=0.4,
    cutmix=1.0,
)


@given(
    indices=st.lists(st.integers(0, 10**6), min_size=1, max_size=30),
    seed=st.integers(0, 2**64 - 1),
    epoch=st.integers(0, 2**31),
)
def test_a_sample_is_drawn_the_same_alone_and_in_any_batch(indices, seed, epoch):
    together = BOTH.draw(seed, epoch, np.array(indices), SHAPE)
    for place, index in enumerate(indices):
        alone = BOTH.draw(seed, epoch, np.array([index]), SHAPE)
        assert alone.flip[0] == together.flip[place]
        assert alone.shift[0].tolist() == together.shift[place].tolist()


def test_draws_have_the_types_that_a_backend_takes():
    draw = BOTH.draw(1, 0, np.arange(5), SHAPE)
    assert (draw.flip.dtype, draw.flip.shape) == (np.uint8, (5,))
    assert (draw.shift.dtype, draw.shift.shape) == (np.int32, (5, 2))


def test_what_is_off_is_none():
    draw = Augmentation().draw(1, 0, np.arange(5), SHAPE)
    assert draw.flip is None
    assert draw.shift is None
    assert Augmentation(flip=True).draw(1, 0, np.arange(5), SHAPE).shift is None
    assert Augmentation(crop_padding=1).draw(1, 0, np.arange(5), SHAPE).flip is None


def test_flips_are_as_frequent_as_not_and_shifts_even():
    draw = BOTH.draw(3, 2, np.arange(18_000), SHAPE)
    assert abs(draw.flip.mean() - 0.5) < 0.02
    for axis in range(2):
        counts = np.bincount(draw.shift[:, axis] + 4)
        assert len(counts) == 9
        assert np.abs(counts - 2000).max() < 220  # five standard deviations
    assert abs(np.corrcoef(draw.shift.T)[0, 1]) < 0.04


def test_seed_and_epoch_each_change_the_draw():
    base = BOTH.draw(1, 0, np.arange(200), SHAPE)
    for other in (BOTH.draw(2, 0, np.arange(200), SHAPE), BOTH.draw(1, 1, np.arange(200), SHAPE)):
        assert 50 < np.count_nonzero(base.flip != other.flip) < 150
        assert np.count_nonzero(base.shift != other.shift) > 200


def test_each_use_has_its_words():
    indices = np.array([7, 2])
    draw = BOTH.draw(9, 3, indices, SHAPE)
    flips = random.words_at(9, random.Stream.FLIP, 3, indices)
    rows = random.words_at(9, random.Stream.CROP, 3, 2 * indices)
    columns = random.words_at(9, random.Stream.CROP, 3, 2 * indices + 1)
    assert draw.flip.tolist() == (flips >> 31).tolist()
    assert draw.shift[:, 0].tolist() == random.to_integers(rows, -4, 5).tolist()
    assert draw.shift[:, 1].tolist() == random.to_integers(columns, -4, 5).tolist()


def test_all_that_is_drawn_is_the_sample_s_own_but_its_partner():
    indices = np.array([5, 0, 901, 33])
    together = EVERYTHING.draw(3, 7, indices, SHAPE)
    for place, index in enumerate(indices):
        alone = EVERYTHING.draw(3, 7, np.array([index]), SHAPE)
        for name in ("warp", "colour", "hole", "own_share"):
            assert np.array_equal(getattr(alone, name)[0], getattr(together, name)[place]), name
        assert alone.mix[0, 1:].tolist() == together.mix[place, 1:].tolist()
    assert together.mix[:, 0].tolist() == [1, 2, 3, 0]
    assert together.flip is together.shift is None  # the matrices do both


def test_alternating_flips():
    """Half of the images in each epoch, and each of them in every other one."""
    alternating = Augmentation(alternating_flip=True)
    indices = np.arange(4000)
    flips = [alternating.draw(1, epoch, indices, SHAPE).flip for epoch in range(4)]
    assert abs(flips[0].mean() - 0.5) < 0.03
    assert flips[0].tolist() == Augmentation(flip=True).draw(1, 0, indices, SHAPE).flip.tolist()
    for epoch in range(3):
        assert (flips[epoch] != flips[epoch + 1]).all()


def test_translations_are_shares_of_the_sides():
    shift = Augmentation(translate=0.13).draw(1, 0, np.arange(2000), SHAPE).shift
    assert abs(shift).max(axis=0).tolist() == [4, 3]  # of 32 and 24


def numbers(fixed_point):
    return fixed_point / 65536


def test_rotations_keep_the_centre_and_the_distances():
    warp = numbers(Augmentation(rotation=30).draw(1, 0, np.arange(2000), SHAPE).warp)
    linear, added = warp.reshape(-1, 2, 3)[..., :2], warp.reshape(-1, 2, 3)[..., 2]
    centre = np.array([15.5, 11.5])
    assert abs(linear @ centre + added - centre).max() < 3e-4
    assert abs(linear @ linear.transpose(0, 2, 1) - np.eye(2)).max() < 1e-4
    angles = np.degrees(np.arctan2(linear[:, 1, 0], linear[:, 0, 0]))
    assert angles.min() == pytest.approx(-30, abs=0.2)
    assert angles.max() == pytest.approx(30, abs=0.2)


def test_crops_lie_in_the_image_and_are_as_large_as_asked_for():
    augmentation = Augmentation(random_resized_crop=0.25, crop_aspect=1.5)
    warp = numbers(augmentation.draw(1, 0, np.arange(4000), SHAPE).warp).reshape(-1, 2, 3)
    H, W, _ = SHAPE
    assert (warp[:, 0, 1] == 0).all()
    assert (warp[:, 1, 0] == 0).all()
    height, width = warp[:, 0, 0], warp[:, 1, 1]
    # The outer edges of the first and of the last pixel: -1/2 and size - 1/2.
    for size, scale, added in ((H, height, warp[:, 0, 2]), (W, width, warp[:, 1, 2])):
        first, last = added - scale / 2, added + scale * (size - 0.5)
        assert first.min() > -0.5 - 1e-3
        assert last.max() < size - 0.5 + 1e-3
        assert first.max() - first.min() > 0.4 * size  # anywhere
    area, aspect = height * width, width / height
    assert 0.2 < area.min() < 0.27  # smaller than 0.25 where a crop would be longer than a side
    assert area.max() > 0.97
    assert 1 / 1.5 - 1e-3 < aspect.min() < 0.7
    assert 1.43 < aspect.max() < 1.5 + 1e-3


def test_colours_are_factors_around_one():
    indices = np.arange(4000)
    for option, of_pixel, of_grey, added in (
        ("brightness", (0.5, 1.5), (0, 0), (0, 0)),
        ("contrast", (0.5, 1.5), (0, 0), (-64, 64)),
        ("saturation", (0.5, 1.5), (-0.5, 0.5), (0, 0)),
    ):
        colour = numbers(Augmentation(**{option: 0.5}).draw(1, 0, indices, SHAPE).colour)
        for column, (low, high) in enumerate((of_pixel, of_grey, added)):
            drawn = colour[:, column]
            assert drawn.min() == pytest.approx(low, abs=0.005 * max(1, high)), option
            assert drawn.max() == pytest.approx(high, abs=0.005 * max(1, high)), option
    # What is 128 stays 128 if contrast changes, and grey stays grey if saturation does.
    own, grey, addend = numbers(EVERYTHING.draw(1, 0, indices, SHAPE).colour).T
    contrast = 1 - addend / 128
    brightness = (own + grey) / contrast
    assert abs(brightness - 1).max() == pytest.approx(0.4, abs=0.005)


def test_squares_are_centred_on_any_pixel():
    hole = Augmentation(cutout=5).draw(1, 0, np.arange(4000), SHAPE).hole
    assert (hole[:, 2:] - hole[:, :2] == 5).all()
    centres = hole[:, :2] + 2
    assert centres.min(axis=0).tolist() == [0, 0]
    assert centres.max(axis=0).tolist() == [31, 23]


@pytest.mark.parametrize(
    ("alpha", "distribution"),
    [
        (0.5, lambda x: 2 / np.pi * np.arcsin(np.sqrt(x))),
        (1.0, lambda x: x),
        (2.0, lambda x: 3 * x**2 - 2 * x**3),
        (3.0, lambda x: 10 * x**3 - 15 * x**4 + 6 * x**5),
    ],
)
def test_weights_have_the_beta_distribution(alpha, distribution):
    """Of 20,000 numbers, none is off by more than 1.95/√n with a probability of 0.999."""
    of = draws.Sample(5, 0, np.arange(20_000), SHAPE)
    shares = np.sort(draws.mixing_shares(of, alpha))
    empirical = (np.arange(shares.size) + 0.5) / shares.size
    assert abs(distribution(shares) - empirical).max() < 1.95 / np.sqrt(shares.size)


@pytest.mark.parametrize("alpha", [0.001, 0.2, 100.0])
def test_the_variance_of_weights(alpha):
    """1/(8·alpha + 4)."""
    shares = draws.mixing_shares(draws.Sample(5, 0, np.arange(20_000), SHAPE), alpha)
    assert shares.var() == pytest.approx(1 / (8 * alpha + 4), rel=0.05)
    assert shares.min() >= 0
    assert shares.max() <= 1


def test_shares_are_the_weights_or_the_pixels_that_are_left():
    mixup = Augmentation(mixup=0.5).draw(1, 0, np.arange(50), SHAPE)
    assert mixup.own_share.tolist() == np.float32(numbers(mixup.mix[:, 1])).tolist()
    assert mixup.mix[:, 2:].tolist() == [[0, 0, 32, 24]] * 50
    cutmix = Augmentation(cutmix=0.5).draw(1, 0, np.arange(50), SHAPE)
    assert not cutmix.mix[:, 1].any()
    for (top, left, bottom, right), share in zip(cutmix.mix[:, 2:], cutmix.own_share, strict=True):
        is_own = np.ones(SHAPE[:2])
        is_own[top:bottom, left:right] = 0
        assert share == np.float32(is_own.mean())
    kinds = EVERYTHING.draw(1, 0, np.arange(2000), SHAPE).mix
    both_kinds = (kinds[:, 2:] == [0, 0, 32, 24]).all(axis=1).mean()
    assert abs(both_kinds - 0.5) < 0.1


def test_what_is_out_of_range_is_refused():
    for option, value in (
        ("crop_padding", -1), ("translate", 1.0), ("random_resized_crop", 0.0),
        ("random_resized_crop", 1.1), ("crop_aspect", 0.5), ("rotation", -5.0), ("cutout", -1),
        ("brightness", 1.5), ("contrast", -0.1), ("saturation", 2.0), ("mixup", -0.2),
        ("cutmix", 1000.0),
    ):  # fmt: skip
        with pytest.raises(ConfigError, match=f"^{option} is {value:g}"):
            Augmentation(**{option: value})
    both_flips = {"flip": True, "alternating_flip": True}
    for options in (both_flips, {"crop_padding": 1, "translate": 0.1}):
        with pytest.raises(ConfigError, match=" and ".join(options)):
            Augmentation(**options)


def test_what_images_cannot_have_is_refused():
    Augmentation(saturation=0.5, rotation=3).check_images((4096, 5, 3))
    with pytest.raises(ConfigError, match=r"saturation is 0\.5; the images have 1 channel,"):
        Augmentation(saturation=0.5).check_images((8, 8, 1))
    with pytest.raises(ConfigError, match="images of 4097×5 are too large for rotation"):
        Augmentation(rotation=1).check_images((4097, 5, 3))

"""Moved and mixed images against PyTorch's, if it is installed."""

import warnings

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.data import Augmentation

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")

N, H, W, C = 12, 21, 16, 3
SHAPE = (H, W, C)
ONE = 65536


@pytest.fixture
def images(rng):
    return rng.integers(0, 256, (N, H, W, C), np.uint8)


def ours(images, **changes):
    backend = get_backend("numpy", "fp64")
    return backend.augment_images(images, np.ones(C), np.zeros(C), **changes)


def tensor(images):
    return torch.tensor(images.astype(np.float64)).permute(0, 3, 1, 2)


@pytest.mark.parametrize(
    "augmentation",
    [
        Augmentation(rotation=180),
        Augmentation(random_resized_crop=0.1, crop_aspect=2),
        Augmentation(flip=True, translate=0.5, rotation=30, random_resized_crop=0.3),
    ],
    ids=["rotation", "crop", "all"],
)
def test_interpolation(images, augmentation):
    """A place is rounded to 1/256 of a pixel on each axis, so it is off by 1/512 at most.

    Between neighbours, the interpolation changes by 255 a pixel at most; and the result is rounded.
    """
    warp = augmentation.draw(4, 1, np.arange(N), SHAPE).warp
    matrix = torch.tensor(warp.reshape(N, 2, 3) / ONE)
    h, w = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    places = torch.stack([h, w, torch.ones_like(h)]).double().reshape(3, -1)
    rows, columns = (matrix @ places).reshape(N, 2, H, W).unbind(1)
    grid = torch.stack([2 * columns / (W - 1) - 1, 2 * rows / (H - 1) - 1], dim=-1)
    sampled = torch.nn.functional.grid_sample(
        tensor(images), grid, mode="bilinear", padding_mode="reflection", align_corners=True
    )
    theirs = sampled.permute(0, 2, 3, 1).numpy()
    bound = 2 * 255 / 512 + 0.5 + 1e-9
    error = abs(ours(images, warp=warp) - theirs)
    assert error.max() <= bound
    assert error.mean() < 0.5  # rounding alone is off by 1/4 on average


@pytest.mark.parametrize(
    "augmentation", [Augmentation(rotation=60), Augmentation(random_resized_crop=0.2)]
)
def test_places_are_those_of_affine_grid(augmentation):
    """Of the same rotation or crop, in PyTorch's coordinates, where an image is from -1 to 1.

    Each number of a matrix is rounded to 2⁻¹⁶.
    """
    warp = augmentation.draw(4, 1, np.arange(N), SHAPE).warp.reshape(N, 2, 3) / ONE
    theta = np.zeros((N, 2, 3))
    sides = np.array([[1, W / H], [H / W, 1]])  # a step down and one across are not as long
    theta[:, ::-1, 1::-1] = warp[:, :, :2] * sides
    # Where the centre of the result is found, from the centre of the image.
    centre = np.array([(H - 1) / 2, (W - 1) / 2])
    found = warp[:, :, :2] @ centre + warp[:, :, 2] - centre
    theta[:, ::-1, 2] = found / (np.array([H, W]) / 2)
    grid = torch.nn.functional.affine_grid(torch.tensor(theta), (N, C, H, W), align_corners=False)
    columns, rows = ((grid + 1) * torch.tensor([W, H]) - 1).numpy().transpose(3, 0, 1, 2) / 2
    h, w = np.meshgrid(np.arange(H), np.arange(W), indexing="ij")
    for row, theirs in enumerate((rows, columns)):
        a, b, c = (warp[:, row, k, None, None] for k in range(3))
        np.testing.assert_allclose(a * h + b * w + c, theirs, rtol=0, atol=1e-9)
    if augmentation.rotation:
        np.testing.assert_allclose(found, 0, atol=(H + W + 2) / ONE)


def test_flips_and_shifts(images):
    draw = Augmentation(flip=True, crop_padding=4).draw(4, 1, np.arange(N), SHAPE)
    padded = torch.nn.functional.pad(tensor(images), (4, 4, 4, 4), mode="reflect")
    for n, (down, right) in enumerate(draw.shift + 4):
        theirs = padded[n, :, down : down + H, right : right + W]
        # A flip mirrors where a crop takes from, and so what it takes.
        if draw.flip[n]:
            mirrored = padded[n].flip(-1)
            theirs = mirrored[:, down : down + H, right : right + W]
        mine = ours(images[n : n + 1], flip=draw.flip[n : n + 1], shift=draw.shift[n : n + 1])
        np.testing.assert_array_equal(mine[0], theirs.permute(1, 2, 0).numpy())


def test_mixup(images):
    """Rounded once."""
    draw = Augmentation(mixup=1.0).draw(4, 1, np.arange(N), SHAPE)
    share = torch.tensor(draw.mix[:, 1] / ONE)[:, None, None, None]
    own = tensor(images)
    theirs = torch.lerp(own.roll(-1, 0), own, share).permute(0, 2, 3, 1).numpy()
    assert abs(ours(images, mix=draw.mix) - theirs).max() <= 0.5 + 1e-9


def test_cutmix(images):
    draw = Augmentation(cutmix=1.0).draw(4, 1, np.arange(N), SHAPE)
    theirs = tensor(images)
    partners = theirs.roll(-1, 0)
    for n, (top, left, bottom, right) in enumerate(draw.mix[:, 2:]):
        theirs[n, :, top:bottom, left:right] = partners[n, :, top:bottom, left:right]
    expected = theirs.permute(0, 2, 3, 1).numpy()
    np.testing.assert_array_equal(ours(images, mix=draw.mix), expected)

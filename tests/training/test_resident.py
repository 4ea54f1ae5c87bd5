"""Images that stay on the device: the same batches and bits, and nothing moved but indices."""

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.training.resident import ResidentImages, fits
from gpucnn.training.trainer import Trainer


class Far(NumpyBackend):
    """NumPy, as if arrays were on a device with so much free memory."""

    def __init__(self, free=2**30):
        super().__init__()
        self.free = free
        self.moved = []

    def free_memory(self):
        return self.free

    def asarray(self, array, dtype=None):
        self.moved.append(np.asarray(array).shape)
        return super().asarray(array, dtype).copy()


def test_the_images_are_the_same(kernel_backend, tiny_pair):
    backend = kernel_backend
    images = ResidentImages(backend, tiny_pair.train)
    indices = np.array([7, 0, 7, len(images) - 1])
    np.testing.assert_array_equal(
        backend.to_numpy(images.images(indices)), tiny_pair.train.images(indices)
    )
    assert (images.image_shape, images.classes) == (
        tiny_pair.train.image_shape,
        tiny_pair.train.classes,
    )
    np.testing.assert_array_equal(images.labels, tiny_pair.train.labels)


def test_a_data_set_may_have_an_eighth_of_the_free_memory(tiny_pair):
    size = tiny_pair.train.images(np.arange(len(tiny_pair.train))).size
    assert fits(Far(8 * size), tiny_pair.train)
    assert not fits(Far(8 * size - 8), tiny_pair.train)
    assert not fits(get_backend("numpy"), tiny_pair.train)
    backend = Far(8 * size)
    assert not fits(backend, ResidentImages(backend, tiny_pair.train))


@pytest.mark.parametrize("free", [2**30, 1])
def test_the_bits_are_the_same(make_config, tiny_pair, free):
    plain = Trainer(make_config(), "numpy", data=tiny_pair)
    far = Trainer(make_config(), Far(free), data=tiny_pair)
    assert isinstance(far.loader.dataset, ResidentImages) == (free > 1)
    assert plain.fit().loss == far.fit().loss
    np.testing.assert_array_equal(plain.network.values, far.network.values)


def test_no_image_is_moved_in_a_step(make_config, tiny_pair):
    trainer = Trainer(make_config(), Far(), data=tiny_pair)
    trainer.evaluate("test")
    trainer.backend.moved.clear()
    trainer.train_step(next(trainer.loader.batches(0)))
    trainer.evaluate("test")
    assert trainer.backend.moved
    assert all(len(shape) <= 2 for shape in trainer.backend.moved)
    assert isinstance(trainer.test.images(np.arange(2)), np.ndarray)

"""Values from the host in arrays of the backend, in place."""

import numpy as np
import pytest

from gpucnn.errors import ShapeError


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 1, 4), (2, 3, 5), (0,), (3, 0)])
def test_values_of_the_arrays_shape(backend, rng, shape):
    array, host = backend.zeros(shape), rng.normal(size=shape)
    backend.write(array, host)
    np.testing.assert_array_equal(backend.to_numpy(array), host.astype(backend.dtype))


def test_part_of_an_array(backend):
    whole = backend.zeros((6,), np.int32)
    backend.write(whole[2:4].reshape(1, 2), [[7, 8]])
    np.testing.assert_array_equal(backend.to_numpy(whole), [0, 0, 7, 8, 0, 0])


def test_one_number_for_all(backend):
    array = backend.empty((2, 3))
    backend.write(array, 0.5)
    np.testing.assert_array_equal(backend.to_numpy(array), np.full((2, 3), 0.5))


def test_values_are_copied(backend):
    array, host = backend.zeros((3,)), np.ones(3, backend.dtype)
    backend.write(array, host)
    host[:] = 2
    np.testing.assert_array_equal(backend.to_numpy(array), np.ones(3))


def test_values_that_are_not_contiguous(backend, rng):
    array, host = backend.zeros((4, 3)), rng.normal(size=(3, 4)).T
    backend.write(array, host)
    np.testing.assert_array_equal(backend.to_numpy(array), host.astype(backend.dtype))


def test_what_does_not_fit_is_refused(backend):
    array = backend.zeros((2, 3))
    for values in (np.zeros(3), np.zeros((3, 2)), np.zeros((1, 1))):
        with pytest.raises(ShapeError, match="do not fit an array of"):
            backend.write(array, values)
    with pytest.raises(ShapeError, match=r"array of shape \(2, 2\) that is not contiguous"):
        backend.write(array[:, :2], 0.0)


def test_an_upload_is_what_was_given(backend):
    for number in range(5):
        host = np.full((3, number + 1), number, np.uint8)
        array = backend.upload(host)
        assert array.dtype == np.uint8
        np.testing.assert_array_equal(backend.to_numpy(array), host)

import numpy as np
import pytest
from described import check

from gpucnn.errors import ShapeError
from gpucnn.operations.dropout import philox_block

KEYS = {"seed": 7, "stream": 6, "step": 3}


def test_the_reference_is_philox():
    """Known answers of the authors' own library (Random123, kat_vectors)."""
    ones, pi = 2**32 - 1, (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344)
    known = {
        ((0,) * 4, (0, 0)): "6627e8d5 e169c58d bc57ac4c 9b00dbd8",
        ((ones,) * 4, (ones, ones)): "408f276d 41c83b0e a20bc7c6 6d5451fd",
        (pi, (0xA4093822, 0x299F31D0)): "d16cfe09 94fdcceb 5001e420 24126ea1",
    }
    for (counter, key), words in known.items():
        assert " ".join(f"{word:08x}" for word in philox_block(counter, key)) == words


def mask_of(backend, count, rate, seed, stream, step, offset):
    x = backend.asarray(np.ones(count))
    _, mask = backend.dropout_forward(x, rate, seed, stream, step, offset)
    assert mask.dtype == np.uint8
    return backend.to_numpy(mask)


@pytest.mark.parametrize(
    ("rate", "seed", "stream", "step", "offset"),
    [
        (0.5, 0, 6, 0, 0),
        (0.1, 7, 6, 1, 1),
        (0.9, 2**64 - 1, 6 | 3 << 8, 12, 2),
        (0.3, 2**32 + 5, 6, 2**32 - 1, 3),
        (0.5, 1, 6, 1, 4 * 2**32 - 5),  # the block's number passes 32 bits
    ],
)
def test_masks_are_philox_words(backend, rate, seed, stream, step, offset):
    key = {"seed": seed, "stream": stream, "step": step, "offset": offset}
    check(backend, "dropout_forward", x=np.ones(30, np.float32), rate=rate, **key)


@pytest.mark.parametrize(("above", "kept"), [(-0.6, 1), (0.0, 1), (0.4, 0), (0.6, 0), (1.0, 0)])
def test_a_word_is_dropped_exactly_below_the_rate(backend, above, kept):
    """The rate is the first word itself and a little more or less, as a share of 2³²."""
    word, *_ = philox_block((0, 0, 3, 6), (7, 0))
    assert mask_of(backend, 1, (word + above) / 2**32, **KEYS, offset=0)[0] == kept


def test_rate_zero_keeps_all(backend, rng):
    x = rng.standard_normal((3, 5)).astype(backend.dtype)
    y, mask = backend.dropout_forward(backend.asarray(x), 0.0, **KEYS)
    assert backend.to_numpy(mask).all()
    np.testing.assert_array_equal(backend.to_numpy(y), x)


def test_offset_is_a_place_in_the_global_batch(backend, rng):
    """A batch in two parts gets the mask that it would get whole."""
    x = rng.standard_normal((6, 7))
    _, whole = backend.dropout_forward(backend.asarray(x), 0.5, **KEYS)
    _, part = backend.dropout_forward(backend.asarray(x[2:]), 0.5, **KEYS, offset=14)
    np.testing.assert_array_equal(backend.to_numpy(part), backend.to_numpy(whole)[2:])


def test_share_that_is_dropped(backend):
    """Binomial: 5 standard deviations, of a count that never changes for these keys."""
    n, rate = 20000, 0.2
    dropped = n - int(mask_of(backend, n, rate, **KEYS, offset=0).sum())
    assert abs(dropped - n * rate) < 5 * np.sqrt(n * rate * (1 - rate))


def test_refuses(backend):
    x, mask = backend.zeros((2, 3)), backend.zeros((2, 3), np.uint8)
    other = backend.zeros((2, 3), np.float64 if backend.dtype == np.float32 else np.float32)
    for rate in (-0.1, 1.0, 2.0, float("nan")):
        with pytest.raises(ShapeError, match=f"rate is {rate}"):
            backend.dropout_forward(x, rate, **KEYS)
        with pytest.raises(ShapeError, match=f"rate is {rate}"):
            backend.dropout_input_grad(x, mask, rate)
    with pytest.raises(ShapeError, match=f"x is {other.dtype}"):
        backend.dropout_forward(other, 0.5, **KEYS)
    with pytest.raises(ShapeError, match=r"x of shape .* is not contiguous"):
        backend.dropout_forward(backend.zeros((2, 6))[:, ::2], 0.5, **KEYS)
    with pytest.raises(ShapeError, match=f"dy is {other.dtype}"):
        backend.dropout_input_grad(other, mask, 0.5)
    with pytest.raises(ShapeError, match=r"mask is .*uint8"):
        backend.dropout_input_grad(x, x, 0.5)
    with pytest.raises(ShapeError, match=r"mask has shape \(1, 3\), expected \(2, 3\)"):
        backend.dropout_input_grad(x, mask[:1], 0.5)

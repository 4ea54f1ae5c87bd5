"""Numbers of a config that FP32 cannot hold are refused where they are given."""

import numpy as np
import pytest

from gpucnn.config import Config
from gpucnn.errors import ConfigError
from gpucnn.fp32 import is_below_one, require_fp32
from gpucnn.optim import SGD, Adam, AdamW

TABLES = {
    "data": {"name": "digits"},
    "model": {"name": "lenet"},
    "optimizer": {"name": "sgd", "learning_rate": 0.1},
}


@pytest.mark.parametrize("number", [0.0, 1.0, -1e30, 3.4028234e38, 1.5e-45, 1e-45, 10**30, None])
def test_numbers_that_it_holds(number):
    require_fp32(number=number)
    if number:
        assert np.isfinite(np.float32(number))
        assert np.float32(number) != 0


@pytest.mark.parametrize(
    "number", [3.5e38, -1e39, 1e300, 10**39, 7e-46, 1e-46, 5e-324, float("inf")]
)
def test_numbers_that_it_does_not_hold(number):
    with pytest.raises(ConfigError, match="rate is ") as raised:
        require_fp32(fine=1.0, rate=number)
    assert str(number) in str(raised.value)
    with np.errstate(over="ignore", under="ignore"):
        held = np.array(float(number)).astype(np.float32)
    assert not np.isfinite(held) or held == 0


@pytest.mark.parametrize("number", [0.9, 1 - 2**-24, 1 - 2**-25, np.nextafter(1 - 2**-25, 0), 1.0])
def test_what_rounds_to_one(number):
    assert is_below_one(number) == bool(np.float32(number) < 1)


@pytest.mark.parametrize(
    ("make", "name"),
    [
        (lambda: SGD(1e39), "learning_rate is 1e"),
        (lambda: SGD(1e-60), "learning_rate is 1e-60"),
        (lambda: SGD(0.1, weight_decay=1e40), "weight_decay is 1e"),
        (lambda: SGD(0.1, momentum=0.99999999), "momentum is 0.99999999"),
        (lambda: Adam(0.1, epsilon=1e-50), "epsilon is 1e-50"),
        (lambda: AdamW(0.1, epsilon=1e39), "epsilon is 1e"),
        (lambda: Adam(0.1, beta2=0.9999999999), "beta2=0.9999999999"),
        (lambda: Config({**TABLES, "training": {"clip_norm": 1e39}}), r"training\.clip_norm is 1e"),
        (lambda: Config({**TABLES, "training": {"clip_value": 1e-60}}), r"training\.clip_value is"),
        (lambda: Config({**TABLES, "optimizer": {"name": "sgd", "learning_rate": 1e39}}),
         "optimizer: learning_rate is 1e"),
    ],
)  # fmt: skip
def test_they_are_refused_by_name(make, name):
    with pytest.raises(ConfigError, match=name):
        make()

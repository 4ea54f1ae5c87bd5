"""Every feature that docs/cuda-features.md lists is tried, and is as the page has it."""

import re

import numpy as np
import pytest
from cuda_features import FEATURES, MODES, PAGE, kernel_name, page, source

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.backends.devices.source import KERNELS
from gpucnn.emulator import RawModule
from gpucnn.emulator.errors import EmulatorError

pytestmark = [
    pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable()),
    pytest.mark.filterwarnings("ignore::gpucnn.emulator.errors.EmulatorWarning"),
]
BLOCKS, THREADS, SHARED_BYTES = 2, 64, 1024

SUPPORTED = [feature for feature in FEATURES if not feature.error]
REFUSED = [
    (feature, mode)
    for feature in FEATURES
    if feature.error
    for mode in (feature.modes if feature.modes != MODES else MODES[:1])  # before there is a mode
]


def module(features, options, mode):
    """The kernels of several features."""
    names = [kernel_name(feature) for feature in features]
    options = options.format(kernels=KERNELS).split()
    return RawModule(code=source(features), options=options, name_expressions=names, mode=mode)


@pytest.fixture(scope="module")
def compiled():
    """The module in which a feature is, with all others that have its options; compiled once."""
    modules = {}

    def compiled_with(feature, mode):
        key = feature.options, mode
        if key not in modules:
            others = [f for f in SUPPORTED if f.options == feature.options and mode in f.modes]
            modules[key] = module(others, feature.options, mode)
            try:
                modules[key].compile()
            except EmulatorError as error:
                modules[key] = error
        if isinstance(modules[key], EmulatorError):
            pytest.fail(f"one of the features does not compile: {modules[key]}", pytrace=False)
        return modules[key]

    return compiled_with


def run(kernel, feature):
    y = np.zeros(BLOCKS * THREADS, np.int32)
    kernel((BLOCKS,), (THREADS,), (y, *feature.further_arguments()), shared_mem=SHARED_BYTES)
    return y


@pytest.mark.parametrize(
    ("feature", "mode"),
    [(feature, mode) for feature in SUPPORTED for mode in feature.modes],
    ids=lambda value: getattr(value, "name", value),
)
def test_a_feature_that_is_supported(compiled, feature, mode):
    kernel = compiled(feature, mode).get_function(kernel_name(feature))
    assert run(kernel, feature).tolist() == feature.values(BLOCKS * THREADS)


@pytest.mark.parametrize(
    ("feature", "mode"), REFUSED, ids=lambda value: getattr(value, "name", value)
)
def test_a_feature_that_is_refused(feature, mode):
    with pytest.raises(EmulatorError) as caught:
        run(module([feature], feature.options, mode).get_function(kernel_name(feature)), feature)
    assert re.search(feature.error, str(caught.value)), str(caught.value)


def test_the_page_has_all_features():
    text = PAGE.read_text("utf-8")
    assert page(text) == text, "run python tests/cuda_features.py"

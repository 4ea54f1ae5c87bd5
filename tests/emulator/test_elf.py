"""A library's names as the loader sees them, against binutils."""

import subprocess

import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator.elf import dynamic_names

pytestmark = pytest.mark.skipif(bool(why_unavailable()), reason=why_unavailable())


def told(library, *options):
    """What nm tells: kind and name of each, with its version."""
    command = ["nm", "--dynamic", *options, str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return [tuple(line.split()[-2:]) for line in done.stdout.splitlines()]


@pytest.mark.parametrize("mode", [pytest.param("fast", marks=pytest.mark.slow), "race"])
def test_names_are_those_that_nm_tells(kernels, mode):
    text = """#include <string>
    __global__ void k(float* y) { y[0] = sinf(y[1]) + std::string(99, 'a').size(); assert(y[2]); }
    """
    _, module = kernels(text, mode)
    library = module["k"].library
    names = list(dynamic_names(library))
    defined = [name.partition("@")[0] for _, name in told(library, "--defined-only")]
    assert sorted(name.name for name in names if name.defined) == sorted(defined)
    needed = [
        name for kind, name in told(library, "--undefined-only") if kind == "U" and "@" not in name
    ]
    assert any(name.startswith("_ZN8emulator") for name in needed)
    assert sorted(name.name for name in names if name.needed) == sorted(needed)

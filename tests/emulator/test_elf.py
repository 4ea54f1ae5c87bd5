"""A library's names as the loader sees them, against binutils."""

import subprocess

import pytest

from gpucnn.backends.devices.emulator_device import why_unavailable
from gpucnn.emulator.elf import all_symbols, dynamic_symbols

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
    names = list(dynamic_symbols(library.read_bytes()))
    defined = [name.partition("@")[0] for _, name in told(library, "--defined-only")]
    assert sorted(name.name for name in names if name.defined) == sorted(defined)
    needed = [
        name for kind, name in told(library, "--undefined-only") if kind == "U" and "@" not in name
    ]
    assert any(name.startswith("_ZN8emulator") for name in needed)
    assert sorted(name.name for name in names if name.needed) == sorted(needed)


@pytest.mark.parametrize("mode", ["race", pytest.param("sanitize", marks=pytest.mark.slow)])
def test_places_and_sizes_are_those_that_nm_tells(kernels, mode):
    text = """
    __constant__ float weights[9];
    __global__ void k(float* y) { __shared__ float tile[32]; tile[0] = *y; y[0] = weights[0]; }
    """
    _, module = kernels(text, mode)
    library = module["k"].library
    command = ["nm", "--defined-only", "--print-size", "--format=sysv", str(library)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    rows = [[field.strip() for field in line.split("|")] for line in done.stdout.splitlines()]
    expected = {(row[0], int(row[1], 16), int(row[4], 16)) for row in rows[6:] if row[4]}
    found = {
        (symbol.name, symbol.offset, symbol.bytes)
        for symbol in all_symbols(library.read_bytes())
        if symbol.defined and symbol.bytes
    }
    assert found == expected
    assert any(name.endswith("4tile") for name, _, size in found if size >= 128)

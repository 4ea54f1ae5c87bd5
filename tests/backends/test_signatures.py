"""Every backend has the same operations with the same signatures, and there are problems of all."""

import inspect

import pytest

from gpucnn.backends.base import Backend
from gpucnn.backends.interface.arrays import ArrayOperations
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.backends.numpy_backend import NumpyBackend
from gpucnn.operations import OPERATIONS


def public_methods(cls):
    return {name for name, _ in inspect.getmembers(cls, inspect.isfunction) if name[0] != "_"}


def parameters(function):
    """Names, kinds and defaults. A backend may name its own type of array."""
    declared = inspect.signature(function).parameters.values()
    return [(each.name, each.kind, each.default) for each in declared]


COMMON = public_methods(Backend)
OF_DEVICES = {"synchronise", "is_idle", "compile_ahead", "free_memory", "hardware"}
OF_KERNELS = {"held_to", "dry_run"}
"""What only a backend that launches kernels can do."""


@pytest.mark.parametrize("cls", [NumpyBackend, KernelBackend])
def test_the_same_operations(cls):
    assert not cls.__abstractmethods__
    assert public_methods(cls) - OF_KERNELS == COMMON
    for name in COMMON:
        assert parameters(getattr(cls, name)) == parameters(getattr(Backend, name))


def test_every_operation_has_problems():
    operations = public_methods(Backend) - public_methods(ArrayOperations)
    assert set(OPERATIONS) == operations - OF_DEVICES

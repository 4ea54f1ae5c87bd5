"""The package as it is installed."""

import subprocess
import sys
from pathlib import Path

import gpucnn


def test_its_public_names_are_listed_before_they_are_imported():
    code = "import sys, gpucnn; print(*dir(gpucnn)); print(*sys.modules)"
    names, modules = subprocess.check_output([sys.executable, "-c", code], text=True).splitlines()
    assert set(names.split()) == {*gpucnn.__all__, "__version__"}
    assert not [name for name in modules.split() if name.startswith("gpucnn.")]
    for name in gpucnn.__all__:
        assert getattr(gpucnn, name) is not None


def test_it_is_found_beside_a_folder_of_the_same_name(tmp_path):
    """As a checkout is one, in the folder above it."""
    (tmp_path / "gpucnn").mkdir()
    code = "import gpucnn; print(gpucnn.__file__)"
    found = subprocess.check_output([sys.executable, "-c", code], cwd=tmp_path, text=True)
    assert Path(found.strip()) == Path(gpucnn.__file__)

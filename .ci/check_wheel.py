"""Checks the file list of a built wheel: every module and data file, and nothing besides."""

import sys
import zipfile
from pathlib import Path

root = Path(__file__).parent.parent
# Where each folder of the checkout lies in a wheel.
places = {root / "gpucnn": "gpucnn", root / "kernels": "gpucnn/kernels"}
expected = {
    f"{place}/{path.relative_to(folder).as_posix()}"
    for folder, place in places.items()
    for path in folder.rglob("*")
    if path.is_file() and "__pycache__" not in path.parts
}
with zipfile.ZipFile(sys.argv[1]) as wheel:
    names = {name for name in wheel.namelist() if ".dist-info/" not in name}
for name in sorted(expected - names):
    print(f"missing from the wheel: {name}")
for name in sorted(names - expected):
    print(f"should not be in the wheel: {name}")
print(f"the wheel has {len(names)} files, as expected" if names == expected else "wheel: wrong")
sys.exit(names != expected)

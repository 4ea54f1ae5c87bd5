"""What lies at a path decides which data set it is."""

import pytest

from gpucnn.data.recognition import recognise
from gpucnn.errors import DataError


@pytest.mark.parametrize(
    ("name", "files"),
    [
        ("mnist", ["train-images-idx3-ubyte.gz"]),
        ("mnist", ["train-images.idx3-ubyte"]),
        ("svhn", ["train_32x32.mat", "test_32x32.mat"]),
        ("cifar10", ["data_batch_1.bin"]),
        ("cifar10", ["cifar-10-batches-py/data_batch_1"]),
        ("cifar100", ["train", "test", "meta"]),
        ("image_folder", ["train/cat/1.png"]),
        ("image_folder", ["cat/1.png", "list.npz"]),
        ("image_folder", []),
    ],
)
def test_a_folder(tmp_path, name, files):
    for file in files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    assert recognise(tmp_path) == {"name": name, "root": str(tmp_path)}


def test_fashion_mnist_is_known_by_its_folder(tmp_path):
    folder = tmp_path / "Fashion-MNIST"
    folder.mkdir()
    (folder / "train-images-idx3-ubyte.gz").touch()
    assert recognise(folder)["name"] == "fashion_mnist"


@pytest.mark.parametrize(("file", "name"), [("a.npz", "npz"), ("a.CSV", "csv")])
def test_a_file_and_a_folder_with_it_alone(tmp_path, file, name):
    (tmp_path / file).touch()
    expected = {"name": name, "path": str(tmp_path / file)}
    assert recognise(tmp_path / file) == recognise(tmp_path) == expected


def test_what_is_not_known(tmp_path):
    (tmp_path / "a.pdf").touch()
    with pytest.raises(DataError, match="is not a kind of file that is known"):
        recognise(tmp_path / "a.pdf")
    with pytest.raises(DataError, match="there is no such file or folder"):
        recognise(tmp_path / "b.npz")

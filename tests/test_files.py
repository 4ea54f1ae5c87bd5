"""Files that many write at once; what a crash leaves of them is tested with the checkpoints."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from gpucnn.files import write_atomically


def test_writers_of_one_file_do_not_mix(tmp_path):
    path = tmp_path / "file"
    contents = [bytes([number]) * 100_000 for number in range(20)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda content: write_atomically(path, content), contents))
    assert path.read_bytes() in contents
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["n" * 255, "語" * 85])
def test_a_name_as_long_as_the_system_allows(name, tmp_path):
    path = tmp_path / name
    write_atomically(path, b"content")
    assert path.read_bytes() == b"content"


def test_nothing_is_left_where_the_file_cannot_take_its_place(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_atomically(tmp_path / "folder", b"content")
    assert [path.name for path in tmp_path.iterdir()] == ["folder"]

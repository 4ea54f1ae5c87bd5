"""Running the command line within the process that tests, which is quicker than a new one."""

import hashlib
import sys
from dataclasses import dataclass

import pytest

from gpucnn.cli import main


@dataclass
class Answer:
    """What a command ended with."""

    status: int
    out: str
    err: str


@pytest.fixture
def cli(monkeypatch, capsys):
    """Runs ``gpucnn ARGUMENTS``."""

    def run(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["gpucnn", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        written = capsys.readouterr()
        return Answer(ended.value.code or 0, written.out, written.err)

    return run


@pytest.fixture(scope="session")
def snapshot():
    """A folder's files and their contents, to see whether anything changed."""

    def take(folder):
        return {
            str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
            if path.is_file()
            else "folder"
            for path in sorted(folder.rglob("*"))
        }

    return take

"""Running the command line within the process that tests, which is quicker than a new one."""

import hashlib
import signal
import sys
from dataclasses import dataclass

import pytest

from gpucnn.cli import main
from gpucnn.config import load_config
from gpucnn.training.trainer import Trainer

CONFIG = """
seed = 1
[data]
name = "digits"
[model]
name = "sequential"
layers = [
    {type = "conv2d", filters = 4, kernel = 3, padding = "same"},
    {type = "relu"},
    {type = "max_pool2d", window = 2},
    {type = "flatten"},
    {type = "linear", features = "classes"},
]
[optimizer]
name = "adam"
learning_rate = 0.01
[training]
epochs = 2
batch_size = 100
"""


@dataclass
class Answer:
    """What a command ended with."""

    status: int
    out: str
    err: str

    def succeeded(self):
        """Itself, if the command did what it was asked for."""
        assert self.status == 0, self.err
        return self


SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@pytest.fixture
def cli(monkeypatch, capsys):
    """Runs ``gpucnn ARGUMENTS``."""

    def run(*arguments):
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["gpucnn", *map(str, arguments)])
        handlers = [signal.getsignal(number) for number in SIGNALS]
        with pytest.raises(SystemExit) as ended:
            main()
        for number, handler in zip(SIGNALS, handlers, strict=True):
            signal.signal(number, handler)  # main makes them end the process
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


@pytest.fixture(scope="session")
def config(tmp_path_factory):
    """A config of a small network on the digits."""
    path = tmp_path_factory.mktemp("config") / "small.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture(scope="session")
def run(tmp_path_factory, config):
    """A trained model's run folder."""
    path = tmp_path_factory.mktemp("runs") / "run"
    Trainer(load_config(config), "numpy", path).fit()
    return path

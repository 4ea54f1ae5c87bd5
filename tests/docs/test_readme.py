"""What README.md says about commands, extras, files and sizes is so."""

import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from gpucnn.cli import cli

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "README.md").read_text("utf-8")
PAGES = [ROOT / "README.md", *(ROOT / "docs").glob("*.md"), ROOT / "benchmarks" / "README.md"]
COMMANDS = sorted(set(re.findall(r"^gpucnn .+", TEXT, re.MULTILINE)))
EXTRAS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"][
    "optional-dependencies"
]


def parse(arguments):
    """Parses a line with its command's options; raises if there is no such command or option."""
    command, context = cli, click.Context(cli, **cli.context_settings)
    while isinstance(command, click.Group):
        name, *arguments = arguments
        command = command.get_command(context, name)
        assert command is not None, name
        context = click.Context(command, context)
    command.make_parser(context).parse_args(arguments)


def test_the_page_has_commands():
    assert len(COMMANDS) > 12


def test_a_wrong_option_would_be_noticed():
    with pytest.raises(click.NoSuchOption):
        parse(["train", "x.toml", "--no-such-option"])


@pytest.mark.parametrize("line", COMMANDS)
def test_commands_have_these_options(line):
    parse(shlex.split(line, comments=True)[1:])


def test_extras_exist_and_are_installed_from_a_checkout():
    shown = re.findall(r"pip install -e [\"']\.\[(\w+)\]", TEXT)
    assert set(shown) == EXTRAS.keys() - {"lint"}
    for path in PAGES:
        assert 'pip install "gpucnn' not in path.read_text("utf-8"), path


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)\)", path.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        if anchor:
            titles = re.findall(r"^#+ (.+)", page.read_text("utf-8"), re.MULTILINE)
            assert anchor in [re.sub(r"[^\w -]", "", t).lower().replace(" ", "-") for t in titles]


def test_the_example_in_python_works_whenever_it_is_run(tmp_path, monkeypatch, capsys):
    """And the second time it leaves alone what the first has made."""
    (example,) = re.findall(r"^```python\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
    shorter = example.replace("training.epochs=5", "training.epochs=1")
    assert shorter != example
    (tmp_path / "configs").symlink_to(ROOT / "configs")
    monkeypatch.chdir(tmp_path)
    contents = []
    for _ in range(2):
        exec(compile(shorter, "README.md", "exec"), {})
        first = sorted((tmp_path / "runs" / "mine-1").rglob("*"))
        contents.append({path: path.read_bytes() for path in first if path.is_file()})
    assert contents[0] == contents[1]
    assert {path.name for path in (tmp_path / "runs").iterdir()} == {"mine-1", "mine-2"}
    shown = capsys.readouterr().out
    assert shown.count("train loss") == shown.count(" of 355") == 2


def test_sizes():
    def lines(*patterns):
        files = [path for pattern in patterns for path in ROOT.glob(pattern)]
        return sum(len(path.read_text("utf-8").splitlines()) for path in files)

    kernels, python = re.search(r"([\d,]+) lines\s+of\s+CUDA.*?([\d,]+) lines\s+of\s+Python", TEXT,
                                re.DOTALL).groups()  # fmt: skip
    cuda = lines("kernels/**/*.cu", "kernels/**/*.cuh")
    assert int(kernels.replace(",", "")) == pytest.approx(cuda, rel=0.1)
    code = lines("gpucnn/layers/*.py", "gpucnn/training/*.py")
    assert int(python.replace(",", "")) == pytest.approx(code, rel=0.1)

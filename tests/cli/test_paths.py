"""``~`` is the home folder in every option, argument and key."""

import json

import pytest

OPTIONS = {
    "train": ("train", "{}/none.toml"),
    "resume": ("train", "--resume", "{}/none"),
    "summary": ("summary", "{}/none.toml"),
    "gradcheck": ("gradcheck", "{}/none.toml"),
    "evaluate": ("evaluate", "{}/none"),
    "predict": ("predict", "{}/none", "x.png"),
    "plot": ("plot", "{}/none"),
    "plot into": ("plot", "x", "--output", "{}/none/x.png"),
    "bench step": ("bench", "step", "{}/none.toml"),
    "bench train": ("bench", "train", "{}/none.toml"),
    "bench json": ("bench", "kernels", "--json", "{}/none/x"),
    "bench plot": ("bench", "kernels", "--plot", "{}/none/x.png"),
    "kernels": ("kernels", "check", "--kernels", "{}/none"),
    "own kernels": ("train", "x.toml", "--kernels", "{}/none"),
}


@pytest.fixture
def home(tmp_path, monkeypatch):
    place = tmp_path / "home"
    place.mkdir()
    monkeypatch.setenv("HOME", str(place))
    monkeypatch.chdir(tmp_path)
    return place


@pytest.mark.parametrize("name", OPTIONS)
def test_the_home_folder_in_options(name, cli, home):
    answers = [cli(*(part.format(place) for part in OPTIONS[name])) for place in ("~", home)]
    for answer in answers:
        assert answer.status == 2
        assert str(home / "none") in answer.err
    assert answers[0].err == answers[1].err


@pytest.mark.usefixtures("home")
@pytest.mark.parametrize("name", OPTIONS)
def test_a_user_who_does_not_exist(name, cli):
    answer = cli(*(part.format("~no-such-user") for part in OPTIONS[name]))
    assert (answer.status, answer.out) == (2, "")
    assert 'there is no user "no-such-user"; write the whole path' in answer.err


def test_a_run_in_the_home_folder(cli, config, home):
    options = ("--set", "training.epochs=1", "--quiet", "--backend", "numpy")
    cli("train", config, "--run-dir", "~/run", *options).succeeded()
    assert (home / "run" / "config.json").is_file()
    assert sorted(path.name for path in home.parent.iterdir()) == ["home"]
    answer = cli("evaluate", "~/run", "--json", "--backend", "numpy").succeeded()
    assert json.loads(answer.out)["n"] == 355


def test_the_home_folder_in_keys(cli, config, home):
    data = ("--set", "data.name=mnist", "--set")
    answers = [cli("train", config, *data, f"data.root={place}/none") for place in ("~", str(home))]
    for answer in answers:
        assert answer.status == 2
        assert f"{home}/none: there is no such folder" in answer.err
    answer = cli("train", config, *data, "data.root=~no-such-user")
    assert answer.status == 2
    assert "data.root: " in answer.err
    assert 'no user "no-such-user"' in answer.err

"""Each command does what its help says."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest

from gpucnn.layers import Conv2d, MaxPool2d

COMMANDS = (
    "new",
    "train",
    "evaluate",
    "predict",
    "plot",
    "summary",
    "gradcheck",
    "data",
    "bench",
    "kernels",
    "emulate",
    "doctor",
    "list",
)


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Test digits as PNG files, the name beginning with what they show."""
    image = pytest.importorskip("PIL.Image")
    from gpucnn.data import digits

    test = digits().test
    folder = tmp_path_factory.mktemp("photos")
    (folder / "more").mkdir()
    for number, pixels in enumerate(test.images(np.arange(20))):
        place = folder / "more" if number % 2 else folder
        image.fromarray(pixels[:, :, 0]).save(place / f"{test.labels[number]}-{number}.png")
    (folder / "notes.txt").write_text("not an image")
    return folder


def test_train_into_the_next_free_folder(cli, config, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for number in (1, 2):
        answer = cli("train", config, "--backend", "numpy").succeeded()
        assert answer.err == ""
        assert f"run folder runs/small-{number}" in answer.out
        assert f"everything is in runs/small-{number}" in answer.out
    run = tmp_path / "runs" / "small-1"
    assert sorted(path.name for path in run.iterdir()) == [
        "checkpoints", "config.json", "environment.json", "lock", "log.txt", "metrics.jsonl",
        "model.json", "report.json",
    ]  # fmt: skip
    assert (
        (run / "log.txt").read_text().splitlines()[0].startswith("sequential with 690 parameters")
    )


def test_train_as_json(cli, config, tmp_path):
    answer = cli(
        "train", config, "--backend", "numpy", "--run-dir", tmp_path / "r", "--json"
    ).succeeded()
    result = json.loads(answer.out)
    assert result["run"] == str(tmp_path / "r")
    assert result["n"] == 355
    report = json.loads((tmp_path / "r" / "report.json").read_text())
    assert {key: result[key] for key in report} == report


def test_quiet_prints_nothing(cli, config, tmp_path):
    answer = cli(
        "train", config, "--run-dir", tmp_path / "r", "--quiet"
    ).succeeded()  # also of the backend
    assert (answer.out, answer.err) == ("", "")
    answer = cli("train", "--resume", tmp_path / "r", "--quiet").succeeded()
    assert (answer.out, answer.err) == ("", "")
    assert " 2/2 " in (tmp_path / "r" / "log.txt").read_text()


def test_evaluate(cli, run):
    answer = json.loads(cli("evaluate", run, "--json", "--backend", "numpy").succeeded().out)
    report = json.loads((run / "report.json").read_text())
    assert {key: answer[key] for key in report} == report
    assert {"accuracy", "loss", "n", "split", "step"} <= answer.keys()
    assert answer["n"] == 355
    assert answer["accuracy"] > 0.5
    checkpoint = run / "checkpoints" / "step-00000015.safetensors"
    answer_of_one = cli(
        "evaluate", checkpoint, "--json", "--split", "train", "--backend", "numpy"
    ).succeeded()
    one = json.loads(answer_of_one.out)
    assert (one["step"], one["split"], one["n"]) == (15, "train", 1442)
    shown = cli("evaluate", run, "--backend", "numpy").succeeded().out
    assert f"test accuracy {answer['accuracy']:.2%}" in shown


def test_averages_over_views(cli, run, photos):
    """Other figures than without, and of as many images."""
    plain, averaged = (
        json.loads(cli("evaluate", run, *views, "--json", "--backend", "numpy").succeeded().out)
        for views in ((), ("--tta", "shift"))
    )
    assert (plain["tta"], averaged["tta"]) == (None, "shift")
    assert plain["n"] == averaged["n"]
    assert plain["loss"] != averaged["loss"]
    assert averaged["accuracy"] > 0.5
    plain, averaged = (
        cli("predict", run, photos, *views, "--json", "--backend", "numpy").succeeded().out
        for views in ((), ("--tta", "shift"))
    )
    assert plain != averaged
    assert [each["image"] for each in json.loads(plain)] == [
        each["image"] for each in json.loads(averaged)
    ]
    for command in (("evaluate", run), ("predict", run, photos)):
        answer = cli(*command, "--tta", "mirror")
        assert answer.status == 2
        assert 'tta is "mirror"; known: flip, flip+shift, shift' in answer.err


def test_predict_a_file_and_a_folder(cli, run, photos):
    answer = cli("predict", run, photos, "--json", "--top", "2", "--backend", "numpy").succeeded()
    results = json.loads(answer.out)
    assert len(results) == 20
    right = 0
    for result in results:
        first, second = result["predictions"]
        assert first["probability"] >= second["probability"] >= 0.0
        assert first["probability"] + second["probability"] <= 1.0 + 1e-6
        right += result["image"].rpartition("/")[2][0] == first["class"]
    assert right >= 10
    one = results[0]
    line = cli("predict", run, one["image"], "--backend", "numpy").succeeded().out
    best = one["predictions"][0]
    assert line.startswith(f"{one['image']}: {best['class']} {best['probability']:.2%}   ")
    assert line.count("%") == 3


def test_predict_more_classes_than_there_are(cli, run, photos):
    file = next(photos.glob("*.png"))
    answer = cli("predict", run, file, "--json", "--top", "50", "--backend", "numpy").succeeded()
    predictions = json.loads(answer.out)[0]["predictions"]
    assert sorted(p["class"] for p in predictions) == list("0123456789")
    assert sum(p["probability"] for p in predictions) == pytest.approx(1.0, abs=1e-5)


def test_predict_inverted(cli, run, photos, tmp_path):
    """Dark on light, turned around, is what it was."""
    from PIL import Image, ImageOps

    file = next(photos.glob("*.png"))
    ImageOps.invert(Image.open(file)).save(tmp_path / "dark.png")
    plain = json.loads(cli("predict", run, file, "--json", "--backend", "numpy").out)
    turned = json.loads(
        cli("predict", run, tmp_path / "dark.png", "--invert", "--json", "--backend", "numpy").out
    )
    assert turned[0]["predictions"] == plain[0]["predictions"]


def test_plot_a_run(cli, run, tmp_path):
    pytest.importorskip("matplotlib")
    picture = tmp_path / "picture.svg"
    assert cli("plot", run, "--output", picture).succeeded().out == f"{picture}\n"
    assert "<svg" in picture.read_text(encoding="utf-8")


def test_plot_without_matplotlib(cli, run, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    answer = cli("plot", run, "--output", tmp_path / "picture.png")
    assert (answer.status, answer.out) == (2, "")
    assert 'pip install -e ".[plot]"' in answer.err
    assert not any(tmp_path.iterdir())


def test_summary_of_a_model_counted_by_hand(cli, config):
    """8×8×1, 4 filters of 3×3, pooled to 4×4×4, 64 to 10."""
    answer = json.loads(cli("summary", config, "--json").succeeded().out)
    assert (answer["input"], answer["classes"]) == ([8, 8, 1], 10)
    expected = {
        "0.conv2d": ([8, 8, 4], 4 * 9 + 4, 8 * 8 * 4 * 9, 8 * 8 * 4 * 4),
        "1.relu": ([8, 8, 4], 0, 0, 8 * 8 * 4 * 4),
        "2.max_pool2d": ([4, 4, 4], 0, 0, 4 * 4 * 4 * 4),
        "3.flatten": ([64], 0, 0, 64 * 4),
        "4.linear": ([10], 64 * 10 + 10, 64 * 10, 10 * 4),
    }
    keys = ("output_shape", "parameters", "multiply_adds", "activation_bytes")
    found = {layer["name"]: tuple(layer[key] for key in keys) for layer in answer["layers"]}
    assert found == expected
    assert answer["total"] == {
        "parameters": 690,
        "frozen": 0,
        "multiply_adds": 2304 + 640,
        "activation_bytes": 1024 + 1024 + 256 + 256 + 40,
    }
    shown = cli("summary", config).succeeded().out
    assert "8×8×4" in shown
    assert "2,304" in shown


def test_summary_of_what_is_frozen(cli, config):
    frozen = ("--set", "finetune.freeze=['0.*', '*.bias']")
    answer = json.loads(cli("summary", config, "--json", *frozen).succeeded().out)
    layers = {layer["name"]: layer for layer in answer["layers"]}
    assert [layer["frozen"] for layer in layers.values()] == [40, 0, 0, 0, 10]
    assert layers["0.conv2d"]["names"] == ["0.conv2d.weight", "0.conv2d.bias"]
    assert answer["total"]["frozen"] == 50
    shown = cli("summary", config, *frozen).succeeded().out
    assert "frozen: 50 of 690 parameters, in 0.conv2d, 4.linear" in shown
    assert "matches no parameter" in cli("summary", config, "--set", "finetune.freeze=['9.*']").err


def test_summary_of_a_model_that_no_memory_holds(cli, config):
    answer = cli("summary", config, "--json", "--input", "8x8x1", "--classes", 10**12)
    assert json.loads(answer.succeeded().out)["total"]["parameters"] == 40 + 65 * 10**12


def test_a_config_may_begin_with_a_byte_order_mark(cli, config, tmp_path):
    (tmp_path / "marked.toml").write_bytes(b"\xef\xbb\xbf" + config.read_bytes())
    assert cli("summary", tmp_path / "marked.toml").out == cli("summary", config).out


def test_train_tells_that_all_of_it_is_warm_up(cli, config, tmp_path):
    told = "all of it is warm-up: schedule.warmup_epochs = 2, training.epochs = 2"
    for warmup, shown in ((1.9, False), (2, True)):
        options = ("--set", f"schedule.warmup_epochs={warmup}", "--backend", "numpy")
        answer = cli("train", config, *options, "--run-dir", tmp_path / str(warmup)).succeeded()
        assert (told in answer.out.splitlines()) == shown


def test_a_run_that_was_complete_is_evaluated(cli, run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    answer = cli("train", "--resume", tmp_path / "run", "--backend", "numpy").succeeded()
    assert answer.out.startswith(f"{tmp_path / 'run'} was complete: its best checkpoint")
    assert "test accuracy" in answer.out


def test_summary_of_another_shape_reads_no_data(cli, config):
    answer = cli("summary", config, "--json", "--input", "16x16x3", "--classes", "7",
                 "--set", "data.name=mnist", "--set", "data.root=nowhere")  # fmt: skip
    total = json.loads(answer.succeeded().out)["total"]
    assert total["parameters"] == 4 * 27 + 4 + 7 * (8 * 8 * 4) + 7


def test_gradcheck_passes(cli, config):
    answer = json.loads(cli("gradcheck", config, "--json").succeeded().out)
    assert answer["passed"]
    assert answer["worst"] == max(check["error"] for check in answer["checks"]) <= 1e-6
    names = [check["name"] for check in answer["checks"]]
    assert names == ["0.conv2d", "1.relu", "2.max_pool2d", "3.flatten", "4.linear", "loss", "model"]
    assert "within the bound of 1e-06" in cli("gradcheck", config).out


def test_gradcheck_fails_over_a_bound_that_no_one_meets(cli, config):
    answer = cli("gradcheck", config, "--bound", "1e-9", "--set", "loss.name=mean_squared_error",
                 "--set", "seed=5", "--json")  # fmt: skip
    result = json.loads(answer.out)
    assert answer.status == (0 if result["worst"] <= 1e-9 else 1)
    assert result["passed"] == (answer.status == 0)


@pytest.mark.parametrize("kind", [Conv2d, MaxPool2d])
def test_gradcheck_finds_a_wrong_backward(kind, cli, config, monkeypatch):
    backward = kind.backward

    def wrong(self, dy):
        dx = backward(self, dy)
        return None if dx is None else dx * 1.001

    monkeypatch.setattr(kind, "backward", wrong)
    answer = cli("gradcheck", config)
    assert (answer.status, answer.err) == (1, "")
    layer = "0.conv2d" if kind is Conv2d else "2.max_pool2d"
    over = 'OVER the bound of 1e-06, in\n"{}"\n'
    assert answer.out.endswith((over.format(layer), over.format("model")))


def test_list(cli):
    answer = json.loads(cli("list", "--json").succeeded().out)
    assert set(answer) == {
        "tables", "models", "layers", "losses", "optimizers", "schedules", "datasets",
        "initialisers",
    }  # fmt: skip
    for entries in answer.values():
        assert entries
        for entry in entries:
            assert entry["summary"], entry["name"]
    sgd = next(entry for entry in answer["optimizers"] if entry["name"] == "sgd")
    rate = next(option for option in sgd["options"] if option["name"] == "learning_rate")
    assert rate["required"]
    assert rate["type"] == "float"
    assert set(json.loads(cli("list", "losses", "--json").out)) == {"losses"}
    tables = {entry["name"]: entry["options"] for entry in answer["tables"]}
    fixed = {
        "top", "[data]", "[augment]", "[training]", "[finetune]", "[checkpoint]", "[plugins]",
        "[[extensions]]",
    }  # fmt: skip
    assert set(tables) == fixed
    for entries in answer.values():
        for entry in entries:
            for option in entry["options"]:
                assert len(option["meaning"]) > 8, (entry["name"], option["name"])
                assert "``" not in option["meaning"]
    (seed,) = tables["top"]
    assert (seed["name"], seed["type"], seed["default"]) == ("seed", "int", 0)
    shown = cli("list").succeeded().out
    assert "      clip_norm: float | None = None\n          the largest global norm" in shown
    assert "      nesterov: bool = false\n          whether to look ahead" in shown
    assert max(map(len, shown.splitlines())) <= 80
    assert all(name in shown for name in ("resnet9", "conv2d", "one_cycle", "image_folder"))


SUBCOMMANDS = [
    ("data", "check"),
    ("data", "pack"),
    *(("bench", name) for name in ("step", "kernels", "train")),
]


@pytest.mark.parametrize("command", [*((name,) for name in COMMANDS), *SUBCOMMANDS, ()])
def test_help_has_an_example(command, cli):
    for flag in ("--help", "-h"):
        answer = cli(*command, flag).succeeded()
        assert "Example:" in answer.out
        assert f"gpucnn {' '.join(command)}" in answer.out


def test_version(cli):
    from gpucnn import __version__

    assert __version__ in cli("--version").succeeded().out


def python(script):
    answer = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=False
    )
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


HEAVY = "print(sorted({'numpy', 'cupy', 'torch', 'PIL', 'matplotlib'} & set(sys.modules)))"


def test_import_is_light():
    assert python(f"import sys, gpucnn; {HEAVY}") == "[]\n"
    answer = python(
        "import sys; sys.argv = ['gpucnn', '--version']; import gpucnn.cli\n"
        f"try: gpucnn.cli.main()\nexcept SystemExit: {HEAVY}"
    )
    assert answer.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", [[], *([name] for name in COMMANDS)])
def test_help_imports_no_numpy(command):
    answer = python(
        f"import sys; sys.argv = ['gpucnn', *{command}, '--help']; import gpucnn.cli\n"
        f"try: gpucnn.cli.main()\nexcept SystemExit: {HEAVY}"
    )
    assert answer.splitlines()[-1] == "[]"


def test_training_imports_neither_cupy_nor_torch(config, tmp_path):
    answer = python(
        f"import sys; sys.argv = ['gpucnn', 'train', {str(config)!r}, '--run-dir', "
        f"{str(tmp_path / 'run')!r}, '--backend', 'numpy', '--quiet']; import gpucnn.cli\n"
        f"try: gpucnn.cli.main()\nexcept SystemExit: {HEAVY}"
    )
    assert answer == "['numpy']\n"


def test_output_is_plain_where_it_is_not_a_terminal(config, tmp_path):
    """No colours, no bar, no carriage returns; and stderr says which backend was chosen."""
    command = [sys.executable, "-m", "gpucnn"]
    answer = subprocess.run(
        [*command, "train", str(config), "--run-dir", "run"],
        capture_output=True, text=True, check=True, cwd=tmp_path,
    )  # fmt: skip
    listed = subprocess.run([*command, "list"], capture_output=True, text=True, check=True)
    for text in (answer.stdout, answer.stderr, listed.stdout, listed.stderr):
        assert "\x1b" not in text
        assert "\r" not in text
    assert answer.stderr.startswith("backend: ")
    assert answer.stderr.count("\n") == 1


def test_debug_shows_the_traceback(tmp_path):
    answer = subprocess.run(
        [sys.executable, "-m", "gpucnn", "train", "none.toml", "--debug"],
        capture_output=True, text=True, check=False, cwd=tmp_path,
    )  # fmt: skip
    assert answer.returncode == 2
    assert "Traceback" in answer.stderr
    assert "ConfigError" in answer.stderr

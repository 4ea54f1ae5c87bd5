import dataclasses
import errno
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from gpucnn.errors import CheckpointError
from gpucnn.files import remove_unfinished
from gpucnn.training import run_files
from gpucnn.training.checkpoint import Checkpoint, CheckpointFolder, Progress
from gpucnn.training.seal import seal


@pytest.fixture
def reports():
    return []


@pytest.fixture
def folder(tmp_path, reports):
    return CheckpointFolder(tmp_path, reports.append)


def make(step, best_step=-1, size=50):
    values = np.random.default_rng(step).standard_normal(size).astype(np.float32)
    arrays = {"network/0.linear.weight": values, "optimizer/mean": values[::-1].copy() ** 2}
    return Checkpoint(arrays, Progress(step=step, best_step=best_step, loss_sum=0.1 + step / 3))


def fill(folder, *steps):
    for step in steps:
        folder.save(make(step))


def assert_same(actual, expected):
    assert actual.progress == expected.progress
    assert actual.arrays.keys() == expected.arrays.keys()
    for name, array in expected.arrays.items():
        assert actual.arrays[name].dtype == array.dtype
        np.testing.assert_array_equal(actual.arrays[name], array, strict=True)


def contents(path):
    return {file.name: file.read_bytes() for file in sorted(path.iterdir())}


def test_comes_back_as_it_was_saved(folder):
    progress = Progress(12, 3, 4, 0.1, 17.0, 0.9375, 11, 1.25, 678, 0.75, 2)
    arrays = {
        "network/a": np.array([np.pi, -0.0, 3e38, 1e-45], np.float32),
        "network/b": np.arange(6, dtype=np.float64).reshape(1, 2, 3),
        "optimizer/c": np.zeros((0,), np.float32),
    }
    folder.save(Checkpoint(arrays, progress))
    assert_same(folder.newest(), Checkpoint(arrays, progress))
    assert np.signbit(folder.newest().arrays["network/a"][1])
    assert set(folder.newest().group("network")) == {"a", "b"}


def test_progress_is_all_saved():
    """The test above gives each field a value of its own."""
    assert len(dataclasses.fields(Progress)) == 11


def test_arrays_that_are_not_contiguous_survive(folder, rng):
    whole = rng.standard_normal((6, 8)).astype(np.float32)
    arrays = {"t": whole.T, "s": whole[::2, ::-1], "f": np.asfortranarray(whole)}
    folder.save(Checkpoint(arrays, Progress(step=1)))
    assert_same(folder.newest(), Checkpoint(arrays, Progress(step=1)))


def test_either_file_opens_it(folder, tmp_path):
    fill(folder, 5)
    for suffix in (".json", ".safetensors"):
        assert_same(folder.read_file(tmp_path / f"step-00000005{suffix}"), make(5))


def test_steps_beyond_eight_digits_are_found(folder):
    fill(folder, 99_999_999, 100_000_000)
    assert folder.newest().progress.step == 100_000_000


def test_no_checkpoint_is_an_error(folder):
    with pytest.raises(CheckpointError, match="no checkpoint that can be used"):
        folder.newest()


def flip(place):
    def damage(path):
        content = bytearray(path.read_bytes())
        content[place if place < 0 else place * len(content) // 100] ^= 4
        path.write_bytes(content)

    return damage


def cut(share):
    return lambda path: path.write_bytes(path.read_bytes()[: len(path.read_bytes()) * share // 100])


def other_format(path):
    """A seal as a later version might write it, its checksum included."""
    seal = {key: value for key, value in json.loads(path.read_text()).items() if key != "sha256"}
    seal["format"] = 99
    digest = hashlib.sha256(json.dumps(seal, sort_keys=True).encode()).hexdigest()
    path.write_text(json.dumps({**seal, "sha256": digest}))


def resealed(**change):
    """A seal with another progress or other arrays, its checksum made anew."""

    def damage(path):
        content = json.loads(path.read_text())
        run = content["run"]
        for key in ("format", "run", "sha256"):
            del content[key]
        for key, value in change.items():
            for part in content.values():
                if key in part:
                    part[key] = value
        path.write_bytes(seal({**content, **change.get("top", {})}, run))

    return damage


def without_epoch(path):
    content = json.loads(path.read_text())
    del content["progress"]["epoch"]
    path.write_bytes(seal({key: content[key] for key in ("arrays", "progress")}, None))


def a_fifo(path):
    path.unlink()
    os.mkfifo(path)


def a_link(path):
    path.rename(path.with_name("elsewhere"))
    path.symlink_to("elsewhere")


def enormous(path):
    with path.open("ab") as file:
        file.truncate(10**11)


def unreadable(path):
    path.unlink()
    path.mkdir()


BOTH = {
    **{f"byte flipped at {place} %": flip(place) for place in (0, 3, 20, 50, 75, 99)},
    "last byte flipped": flip(-1),
    **{f"cut to {share} %": cut(share) for share in (99, 50, 1, 0)},
    "something added": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "a folder instead": unreadable,
    "a FIFO instead": a_fifo,
    "a link instead": a_link,
    "100 GB": enormous,
}
SEAL = {
    "other format": other_format,
    "other fields": without_epoch,
    "another run's": lambda path: path.write_bytes(seal({"arrays": {}, "progress": {}}, "ab")),
    "no progress": resealed(top={"progress": 3}),
    "a list for progress": resealed(top={"progress": []}),
    "one key more": resealed(top={"extra": 1}),
    "arrays without size": resealed(top={"arrays": {"sha256": "00"}}),
    "a name that is not printable": resealed(
        top={"arrays": {"sha256": "00", "bytes": 1, "\u2028\x1b[31m": 1}}
    ),
    "a size that is text": resealed(bytes="12"),
    "a negative size": resealed(bytes=-1),
    "a checksum that is no text": resealed(sha256=1),
    "another step": resealed(step=3),
    "a step that is text": resealed(step="2"),
    "a step that is not whole": resealed(step=2.5),
    "a step that is true": resealed(step=True),
    "a negative step": resealed(step=-2),
    "a negative epoch": resealed(epoch=-1),
    "a negative batch": resealed(batch=-1),
    "a negative length of metrics": resealed(metrics_bytes=-1),
    "a best step to come": resealed(best_step=3),
    "a best step below -1": resealed(best_step=-2),
    "a loss that is null": resealed(loss_sum=None),
    "a loss beyond float64": lambda path: path.write_text(
        path.read_text().replace('"correct": 0.0', '"correct": 1e999')
    ),
    "a list": lambda path: path.write_text("[1, 2]"),
    "a string": lambda path: path.write_text('"abc"'),
    "null": lambda path: path.write_text("null"),
    "an empty object": lambda path: path.write_text("{}"),
    "not JSON": lambda path: path.write_text("step"),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "deep nesting": lambda path: path.write_text("[" * 100_000),
}


def sealed_arrays(content):
    """Other bytes in place of the arrays, with the checksum that belongs to them."""

    def damage(path):
        path.write_bytes(content)
        digest = hashlib.sha256(content).hexdigest()
        resealed(sha256=digest, bytes=len(content))(path.with_suffix(".json"))

    return damage


def half(path):
    sealed_arrays(save({"network/a": np.ones(3, np.float16)}))(path)


ARRAYS = {
    "missing": Path.unlink,
    "sealed, but not safetensors": sealed_arrays(b"PK" * 100),
    "sealed, but empty": sealed_arrays(b""),
    "sealed, but a header that is too long": sealed_arrays(b"\xff" * 8),
    "of another dtype": half,
    "with NaN": sealed_arrays(save({"network/a": np.array([1.0, np.nan], np.float32)})),
    "with infinity": sealed_arrays(save({"optimizer/a": np.array([-np.inf], np.float64)})),
}
DAMAGES = [
    pytest.param(suffix, damage, id=f"{suffix[1:]}: {name}")
    for suffix, kinds in ((".json", BOTH | SEAL), (".safetensors", BOTH | ARRAYS))
    for name, damage in kinds.items()
]


@pytest.mark.parametrize(("suffix", "damage"), DAMAGES)
def test_a_damaged_one_is_reported_by_name_and_passed_over(
    suffix, damage, folder, reports, tmp_path
):
    fill(folder, 1, 2)
    damage(tmp_path / f"step-00000002{suffix}")
    assert_same(folder.newest(), make(1))
    assert len(reports) == 1
    assert f"step-00000002{suffix}" in reports[0]
    assert reports[0].isprintable()


@pytest.mark.parametrize("place", ["network/a", "optimizer/b"])
def test_what_is_not_finite_is_named(place, folder):
    with pytest.raises(CheckpointError, match=f'array "{place}" has values that are not finite'):
        folder.save(Checkpoint({place: np.array([np.nan], np.float32)}, Progress()))


def test_checkpoints_of_version_0_1_are_read(folder, tmp_path):
    """As that version wrote them, byte for byte."""
    content = save({"network/a": np.array([1.5, -2.0], np.float32)})
    seal = {
        "format": 1,
        "arrays": {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)},
        "progress": dataclasses.asdict(Progress(step=4, epoch=1, seconds=0.5)),
    }
    digest = hashlib.sha256(json.dumps(seal, sort_keys=True).encode()).hexdigest()
    (tmp_path / "step-00000004.safetensors").write_bytes(content)
    (tmp_path / "step-00000004.json").write_text(json.dumps({**seal, "sha256": digest}, indent=1))
    read = folder.newest()
    assert read.progress == Progress(step=4, epoch=1, seconds=0.5)
    assert read.arrays["network/a"].tolist() == [1.5, -2.0]
    with pytest.raises(CheckpointError, match="belongs to another run"):
        CheckpointFolder(tmp_path, print, "a run of today").read(4)


def test_no_flipped_bit_of_a_seal_changes_what_is_read(folder, tmp_path):
    fill(folder, 1)
    path = tmp_path / "step-00000001.json"
    whole = path.read_bytes()
    for place in range(len(whole)):
        for bit in range(8):
            flipped = bytearray(whole)
            flipped[place] ^= 1 << bit
            path.write_bytes(flipped)
            try:
                assert folder.read(1).progress == make(1).progress
            except CheckpointError as error:
                assert "step-00000001.json" in str(error)


def test_a_folder_in_the_place_of_a_file_is_named(folder):
    for step, ending in ((1, "safetensors"), (2, "json")):
        name = f"step-{step:08d}.{ending}"
        (folder.folder / name).mkdir()
        with pytest.raises(CheckpointError, match=rf"{name} is a folder, not a file; .*remove it"):
            folder.save(make(step))


@pytest.mark.parametrize(("make_it", "kind"), [(os.mkfifo, "a FIFO"), (Path.touch, "a file")])
def test_something_else_in_the_place_of_the_folder_is_named(make_it, kind, tmp_path):
    make_it(tmp_path / "checkpoints")
    folder = CheckpointFolder(tmp_path / "checkpoints", print)
    with pytest.raises(CheckpointError, match=f"checkpoints is {kind}, not a folder; restore"):
        folder.newest()


def test_a_folder_that_cannot_be_listed_is_named(folder, monkeypatch):
    def refuse(_):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    fill(folder, 1)
    monkeypatch.setattr(Path, "iterdir", refuse)
    with pytest.raises(CheckpointError, match=r"cannot be listed .*check the folder's permissions"):
        folder.newest()


def test_a_linked_folder_is_not_followed(tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "checkpoints").symlink_to("elsewhere")
    with pytest.raises(CheckpointError, match="is a symbolic link"):
        CheckpointFolder(tmp_path / "checkpoints", print).newest()


def test_a_chosen_step(folder):
    fill(folder, 3, 5)
    assert_same(folder.at(3), make(3))
    with pytest.raises(CheckpointError, match="no checkpoint of step 4; there are: 3, 5"):
        folder.at(4)


def test_later_ones_can_be_discarded(folder, tmp_path):
    for step in (1, 3, 5):
        folder.save(make(step, best_step=1))
    (tmp_path / "step-00000009.safetensors").write_bytes(b"half a checkpoint")
    folder.discard_after(3)
    assert folder.steps() == [1, 3]
    assert len(list(tmp_path.iterdir())) == 4


def test_a_folder_in_place_of_an_old_checkpoint_stays(folder, tmp_path):
    fill(folder, 1, 2)
    unreadable(tmp_path / "step-00000001.json")
    fill(folder, 3, 4)
    assert folder.newest().progress.step == 4


@pytest.mark.parametrize(
    ("progress", "fits"),
    [
        (Progress(step=0), True),
        (Progress(step=13, epoch=1, batch=3), True),
        (Progress(step=20, epoch=1, batch=10), True),
        (Progress(step=20, epoch=2), True),
        (Progress(step=21, epoch=2, batch=1), False),
        (Progress(step=30, epoch=3), False),
        (Progress(step=11, epoch=0, batch=11), False),
        (Progress(step=12, epoch=1, batch=3), False),
    ],
)
def test_a_place_that_the_run_does_not_have(progress, fits):
    """In a run of two epochs of ten steps."""
    checkpoint = Checkpoint({}, progress)
    if fits:
        checkpoint.check_place(2, 10)
    else:
        with pytest.raises(CheckpointError, match="2 epochs of 10 steps"):
            checkpoint.check_place(2, 10)


def test_a_seal_that_is_gone_means_that_it_was_never_finished(folder, reports, tmp_path):
    fill(folder, 1, 2)
    (tmp_path / "step-00000002.json").unlink()
    assert_same(folder.newest(), make(1))
    assert reports == []


def test_all_damaged_is_an_error_after_a_report_of_each(folder, reports, tmp_path):
    fill(folder, 1, 2)
    for path in tmp_path.glob("*.safetensors"):
        flip(50)(path)
    with pytest.raises(CheckpointError, match="no checkpoint that can be used"):
        folder.newest()
    assert len(reports) == 2


def test_arrays_of_another_step_do_not_pass(folder, tmp_path):
    fill(folder, 1, 2)
    (tmp_path / "step-00000002.safetensors").write_bytes(
        (tmp_path / "step-00000001.safetensors").read_bytes()
    )
    assert_same(folder.newest(), make(1))


def test_the_newest_two_and_the_best_are_kept(folder):
    for step in range(1, 8):
        folder.save(make(step, best_step=3 if step >= 3 else -1))
        wanted = [s for s in range(1, step + 1) if s > step - 2 or (s == 3 and step >= 3)]
        assert folder.steps() == wanted
        assert len(list(folder.folder.iterdir())) == 2 * len(wanted)


@pytest.mark.parametrize("suffix", [".safetensors", ".json"])
@pytest.mark.parametrize(
    "stem", ["step-00000001-good", "step-1", "step-000000001", "step-٠٠٠٠٠٠٠١"]
)
def test_files_of_others_stay_and_do_not_count(stem, suffix, folder, tmp_path):
    stray = tmp_path / f"{stem}{suffix}"
    stray.write_text("mine")
    fill(folder, 1, 2, 3)
    assert folder.steps() == [2, 3]
    assert stray.read_text() == "mine"
    assert len(list(tmp_path.iterdir())) == 5


def test_a_new_best_replaces_the_old(folder):
    for step, best in ((1, 1), (2, 1), (3, 1), (4, 4), (5, 4), (6, 4), (7, 4)):
        folder.save(make(step, best))
    assert folder.steps() == [4, 6, 7]
    assert folder.best().progress.step == 4


def test_best_is_the_newest_without_validation(folder):
    fill(folder, 1, 2)
    assert folder.best().progress.step == 2


def test_best_that_is_damaged_is_reported_and_the_newest_used(folder, reports, tmp_path):
    for step in (1, 2, 3):
        folder.save(make(step, best_step=1))
    flip(50)(tmp_path / "step-00000001.safetensors")
    assert folder.best().progress.step == 3
    assert "step-00000001.safetensors" in reports[0]


def test_damaged_newer_ones_do_not_push_out_good_ones(folder, tmp_path):
    """A run that resumed before two damaged checkpoints keeps what it saves from there."""
    for step in (1, 8, 9):
        folder.save(make(step, best_step=1))
    for step in (8, 9):
        flip(50)(tmp_path / f"step-0000000{step}.safetensors")
    folder.save(make(2, best_step=1))
    assert folder.newest().progress.step == 2
    folder.save(make(3, best_step=1))
    assert folder.newest().progress.step == 3
    folder.save(make(10, best_step=1))
    assert folder.newest().progress.step == 10
    assert 8 not in folder.steps()


def raising(number):
    def refuse(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    return refuse


ADVICE = {errno.ENOSPC: "free some space", errno.EACCES: "permissions", errno.EIO: "--run-dir"}


@pytest.mark.parametrize("number", ADVICE)
@pytest.mark.parametrize("where", ["open", "fsync", "replace"])
def test_a_write_that_fails_leaves_the_old_ones(where, number, folder, tmp_path):
    fill(folder, 1, 2)
    before = contents(tmp_path)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os if where == "fsync" else Path, where, raising(number))
        with pytest.raises(CheckpointError, match=ADVICE[number]) as caught:
            folder.save(make(3))
    assert "step-00000003.safetensors" in str(caught.value)
    assert os.strerror(number) in str(caught.value)
    after = contents(tmp_path)
    assert {name: after[name] for name in before} == before
    assert not any("unfinished" in name for name in after)
    assert folder.newest().progress.step == 2
    folder.save(make(3))
    assert folder.newest().progress.step == 3
    assert folder.steps() == [2, 3]


def test_the_seal_is_what_fails(folder, tmp_path):
    """The arrays are there already then, but without a seal they do not count."""
    fill(folder, 1, 2)
    fsync, calls = os.fsync, []

    def third_fails(descriptor):
        calls.append(descriptor)
        if len(calls) == 3:  # the arrays, their folder, the seal
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        fsync(descriptor)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", third_fails)
        with pytest.raises(CheckpointError, match=r"step-00000003\.json.*free some space"):
            folder.save(make(3))
    assert folder.newest().progress.step == 2
    assert not list(tmp_path.glob("*.unfinished"))


def test_arrays_that_do_not_read_back_are_noticed_before_anything_is_deleted(folder, monkeypatch):
    fill(folder, 1, 2)
    write = run_files.write
    monkeypatch.setattr(run_files, "write", lambda p, c: write(p, c[:-1] + b"\0"))
    with pytest.raises(CheckpointError, match="damaged"):
        folder.save(make(3))
    monkeypatch.undo()
    assert folder.newest().progress.step == 2
    assert folder.steps()[:2] == [1, 2]


def test_a_disk_that_is_full(mount_disk):
    small_disk = mount_disk(64)
    folder = CheckpointFolder(small_disk, print)
    folder.save(make(1))
    before = contents(small_disk)
    with pytest.raises(CheckpointError, match=r"No space left on device.*free some space"):
        folder.save(make(2, size=20_000))
    assert contents(small_disk) == before
    folder.save(make(2))
    assert folder.newest().progress.step == 2


def test_what_a_killed_process_left_is_removed(folder, tmp_path):
    fill(folder, 1)
    script = (
        "import os, signal, sys; from pathlib import Path; import gpucnn.files as f\n"
        "os.fsync = lambda _: os.kill(os.getpid(), signal.SIGKILL)\n"
        "f.write_atomically(Path(sys.argv[1]) / 'step-00000002.safetensors', b'half')\n"
    )
    died = subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    assert died.returncode == -9
    assert [path.name for path in tmp_path.glob("*.unfinished")]
    assert folder.newest().progress.step == 1
    remove_unfinished(tmp_path)
    assert not list(tmp_path.glob("*.unfinished"))
    assert_same(folder.newest(), make(1))

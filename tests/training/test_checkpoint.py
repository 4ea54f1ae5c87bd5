import dataclasses
import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from gpucnn.errors import CheckpointError
from gpucnn.files import remove_unfinished
from gpucnn.training import checkpoint as module
from gpucnn.training.checkpoint import Checkpoint, CheckpointFolder, Progress, read_checkpoint


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
    progress = Progress(12, 3, 4, 0.1, 17.0, 0.9375, 11, 1.25, 678)
    arrays = {
        "network/a": np.array([np.pi, -0.0, np.inf, 1e-45], np.float32),
        "network/b": np.arange(6, dtype=np.float64).reshape(1, 2, 3),
        "optimizer/c": np.zeros((0,), np.float32),
    }
    folder.save(Checkpoint(arrays, progress))
    assert_same(folder.newest(), Checkpoint(arrays, progress))
    assert np.signbit(folder.newest().arrays["network/a"][1])
    assert set(folder.newest().group("network")) == {"a", "b"}


def test_progress_is_all_saved():
    """The test above gives each field a value of its own."""
    assert len(dataclasses.fields(Progress)) == 9


def test_arrays_that_are_not_contiguous_survive(folder, rng):
    whole = rng.standard_normal((6, 8)).astype(np.float32)
    arrays = {"t": whole.T, "s": whole[::2, ::-1], "f": np.asfortranarray(whole)}
    folder.save(Checkpoint(arrays, Progress(step=1)))
    assert_same(folder.newest(), Checkpoint(arrays, Progress(step=1)))


def test_either_file_opens_it(folder, tmp_path):
    fill(folder, 5)
    for suffix in (".json", ".safetensors"):
        assert_same(read_checkpoint(tmp_path / f"step-00000005{suffix}"), make(5))


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
    seal = json.loads(path.read_text())
    seal.pop("sha256")
    seal["format"] = 99
    path.write_text(json.dumps({**seal, "sha256": module._checksum(seal)}))


def other_fields(path):
    seal = json.loads(path.read_text())
    seal.pop("sha256")
    seal["progress"].pop("epoch")
    path.write_text(json.dumps({**seal, "sha256": module._checksum(seal)}))


def unreadable(path):
    path.unlink()
    path.mkdir()


BOTH = {
    **{f"byte flipped at {place} %": flip(place) for place in (0, 3, 20, 50, 75, 99)},
    "last byte flipped": flip(-1),
    **{f"cut to {share} %": cut(share) for share in (99, 50, 1, 0)},
    "something added": lambda path: path.write_bytes(path.read_bytes() + b"x"),
    "a folder instead": unreadable,
}
SEAL = {
    "other format": other_format,
    "other fields": other_fields,
    "a list": lambda path: path.write_text("[1, 2]"),
    "a string": lambda path: path.write_text('"abc"'),
    "null": lambda path: path.write_text("null"),
    "an empty object": lambda path: path.write_text("{}"),
    "not JSON": lambda path: path.write_text("step"),
    "binary": lambda path: path.write_bytes(bytes(range(256))),
    "deep nesting": lambda path: path.write_text("[" * 100_000),
}
ARRAYS = {"missing": Path.unlink}
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
    write = module.write_atomically
    monkeypatch.setattr(module, "write_atomically", lambda p, c: write(p, c[:-1] + b"\0"))
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

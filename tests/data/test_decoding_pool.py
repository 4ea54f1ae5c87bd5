"""Worker processes: what they survive, what ends them, and what they never do."""

import os
import pickle
import signal
import subprocess
import sys
import textwrap
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from processes import is_running

import gpucnn
from gpucnn import text
from gpucnn.data import decoding_pool
from gpucnn.data.decoding import DamagedImageError, Decoding, decode_chunk
from gpucnn.data.decoding_pool import ImageDecoder
from gpucnn.errors import DataError

SHAPE = (4, 5, 3)
WORK = partial(decode_chunk, decoding=Decoding(SHAPE, None))
CHECKOUT = Path(gpucnn.__file__).parents[1]


@pytest.fixture
def files(tmp_path):
    """Forty images; each holds its number."""
    paths = []
    for number in range(40):
        paths.append(str(tmp_path / f"{number}.png"))
        Image.fromarray(np.full(SHAPE, number, np.uint8)).save(paths[-1])
    return paths


@pytest.fixture(autouse=True)
def _warnings_are_new(monkeypatch):
    monkeypatch.setattr(text, "_has_warned", set())


def _decoder(workers=2):
    return ImageDecoder(Decoding(SHAPE, None), workers)


def _numbers(decoder, files):
    return np.concatenate([chunk.images[:, 0, 0, 0] for chunk in decoder.decode(files)]).tolist()


def _processes(decoder):
    return [worker._process for worker in decoder._pool._workers]


def _wait_until(condition, seconds=20):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("workers", [0, 1, 3])
def test_chunks_come_in_order(files, monkeypatch, workers):
    monkeypatch.setattr(decoding_pool, "_LARGEST_CHUNK", 3)
    decoder = _decoder(workers)
    for _ in range(2):
        assert _numbers(decoder, files) == list(range(40))
    assert list(decoder.decode([])) == []
    decoder.close()


def test_two_threads_may_decode_at_once(files, monkeypatch):
    monkeypatch.setattr(decoding_pool, "_LARGEST_CHUNK", 2)
    decoder = _decoder()
    seen = []
    threads = [
        threading.Thread(target=lambda part=part: seen.append(_numbers(decoder, part)))
        for part in (files, files[::-1])
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(seen) == [list(range(40)), list(range(40))[::-1]]
    decoder.close()


def test_errors_come_with_their_places(files):
    Path(files[7]).write_bytes(b"")
    Path(files[9]).unlink()
    decoder = _decoder()
    errors = {}
    done = 0
    for chunk in decoder.decode(files):
        errors.update({done + place: error for place, error in chunk.errors.items()})
        done += len(chunk.images)
    decoder.close()
    assert list(errors) == [7, 9]
    assert isinstance(errors[7], DamagedImageError)
    assert not isinstance(errors[9], DamagedImageError)
    assert [files[7] in str(errors[7]), files[9] in str(errors[9])] == [True, True]


def test_a_chunk_is_not_larger_than_memory_allows(files, monkeypatch):
    monkeypatch.setattr(decoding_pool, "_CHUNK_BYTES", 4 * 5 * 3 * 2)
    assert [len(chunk.images) for chunk in _decoder(0).decode(files)] == [2] * 20


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_requests_to_stop_are_left_to_the_parent(files, number):
    decoder = _decoder()
    _numbers(decoder, files)
    for process in _processes(decoder):
        process.send_signal(number)
    time.sleep(0.1)
    assert _numbers(decoder, files) == list(range(40))
    decoder.close()


def test_the_parent_still_receives_them():
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())
    decoder = _decoder(1)
    decoder._pool.start()
    decoder.close()
    assert signal.pthread_sigmask(signal.SIG_BLOCK, ()) == before


def test_closing_ends_processes_and_threads(files):
    decoder = _decoder()
    _numbers(decoder, files)
    processes = _processes(decoder)
    decoder.close()
    decoder.close()
    assert all(process.returncode is not None for process in processes)
    assert not [t for t in threading.enumerate() if t.name == "gpucnn-decoder"]
    with pytest.raises(DataError, match="closed"):
        _numbers(decoder, files)


def test_a_decoder_that_is_dropped_is_closed(files):
    decoder = _decoder()
    _numbers(decoder, files)
    processes = _processes(decoder)
    del decoder
    assert all(process.returncode is not None for process in processes)


def test_stopping_early_leaves_the_workers_usable(files, monkeypatch):
    monkeypatch.setattr(decoding_pool, "_LARGEST_CHUNK", 1)
    decoder = _decoder()
    chunks = decoder.decode(files)
    next(chunks)
    chunks.close()
    assert _numbers(decoder, files) == list(range(40))
    decoder.close()


@pytest.mark.parametrize("moment", ["before", "while"])
def test_a_killed_worker_is_an_error_that_says_so(files, monkeypatch, moment):
    monkeypatch.setattr(decoding_pool, "_LARGEST_CHUNK", 1)
    decoder = _decoder()
    if moment == "before":
        _numbers(decoder, files)
        for process in _processes(decoder):
            process.kill()
            process.wait()
        with pytest.raises(DataError) as caught:
            _numbers(decoder, files)
    else:
        chunks = decoder.decode(files)
        next(chunks)
        for process in _processes(decoder):
            process.kill()
        with pytest.raises(DataError) as caught:
            list(chunks)
    for part in (".png", "SIGKILL", "memory", "data.workers = 0"):
        assert part in str(caught.value)
    with pytest.raises(DataError, match="SIGKILL"):  # and at once, ever after
        _numbers(decoder, files)
    decoder.close()


def test_what_a_worker_last_said_is_in_the_error(files, monkeypatch):
    broken = [sys.executable, "-c", "print('noise'); raise SystemExit('no disk left\\x1b')"]
    monkeypatch.setattr(decoding_pool, "_command", lambda: broken)
    decoder = _decoder()
    with pytest.raises(DataError, match=r"exit status was 1.*no disk left\\x1b"):
        _numbers(decoder, files)
    decoder.close()


def test_workers_need_no_semaphores_and_no_shared_memory(files):
    script = textwrap.dedent(
        """
        import sys
        import _multiprocessing

        def refuse(*_):
            raise OSError(28, "no shared memory")

        _multiprocessing.SemLock = refuse
        from gpucnn.data.decoding import Decoding
        from gpucnn.data.decoding_pool import ImageDecoder
        decoder = ImageDecoder(Decoding((4, 5, 3), None), 2)
        print(sum(len(chunk.images) for chunk in decoder.decode(sys.argv[1:])))
        """
    )
    done = _python("-c", script, *files)
    assert (done.stdout, done.stderr) == ("40\n", "")


def _python(*arguments, **options):
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT), **options.pop("env", {})}
    return subprocess.run(
        [sys.executable, *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        env=environment,
        **options,
    )


USE = """
import os, sys, time
from gpucnn.data.decoding import Decoding
from gpucnn.data.decoding_pool import ImageDecoder
decoder = ImageDecoder(Decoding((4, 5, 3), None), 2)
for chunk in decoder.decode(sys.argv[1:]):
    pass
print(*(worker._process.pid for worker in decoder._pool._workers), flush=True)
"""


def test_a_script_needs_no_main_guard_and_ends_without_a_word(files, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(USE)
    done = _python(script, *files)
    assert (done.returncode, done.stderr) == (0, "")
    assert not any(is_running(int(pid)) for pid in done.stdout.split())


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_no_worker_outlives_its_parent(files, number):
    command = [sys.executable, "-c", USE + "time.sleep(60)", *files]
    environment = {**os.environ, "PYTHONPATH": str(CHECKOUT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as parent:
        workers = [int(pid) for pid in parent.stdout.readline().split()]
        assert all(is_running(pid) for pid in workers)
        parent.send_signal(number)
        parent.wait()
        _wait_until(lambda: not any(is_running(pid) for pid in workers), seconds=5)


# The import path ----------------------------------------------------------------------------------

STRAY = (
    *("signal", "numpy", "PIL", "pickle", "struct", "random", "msgspec", "queue", "warnings"),
    *("sitecustomize", "usercustomize", "typing_extensions", "defusedxml", "olefile", "gpucnn"),
    *("encodings", "zlib", "json", "string", "types"),
)


@pytest.fixture
def data_with_scripts(tmp_path):
    """Next to the images, and in the current folder, files with the names of modules."""
    folder = tmp_path / "here"
    folder.mkdir()
    for place in (folder, tmp_path):
        for name in STRAY:
            (place / f"{name}.py").write_text(
                f"open({str(tmp_path / 'ran')!r}, 'a').write(__file__)\nraise SystemExit('ran')\n"
            )
    return folder


@pytest.mark.parametrize("further", ["", os.pathsep, f"{os.pathsep}."], ids=["", "empty", "dot"])
def test_workers_run_no_python_file_of_the_current_folder(
    tmp_path, files, data_with_scripts, further
):
    # The parent itself starts elsewhere: what it imports from its own folder is not at issue.
    change = (
        f"import os; os.environ['PYTHONPATH'] += {further!r}; os.chdir({str(data_with_scripts)!r})"
    )
    imports = "import sys; import gpucnn.data; import PIL.Image; sys.path.insert(0, ''); "
    use = USE.replace("import os, sys, time", "import os, time")
    done = _python("-c", f"{imports}\n{change}\n{use}", *files, cwd="/")
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "ran").exists()


def test_workers_run_no_python_file_next_to_the_package(tmp_path, files):
    checkout = tmp_path / "checkout"
    checkout.mkdir()
    (checkout / "gpucnn").symlink_to(CHECKOUT / "gpucnn")
    for name in ("defusedxml", "olefile", "typing_extensions"):
        (checkout / f"{name}.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    without = "import sys; sys.modules.update(dict.fromkeys({!r}))\n".format(
        ("defusedxml", "olefile", "typing_extensions")  # in the parent, which searches there
    )
    use = without + USE
    done = _python("-P", "-c", use, *files, env={"PYTHONPATH": str(checkout)}, cwd=checkout)
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "ran").exists()


def test_packages_come_from_where_the_parent_has_them(files):
    """Also if that is no folder that Python would search."""
    command = [sys.executable, "-S", *decoding_pool._command()[1:]]  # no installed packages
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=decoding_pool._environment()
    ) as process:
        process.stdin.write(pickle.dumps(WORK) + pickle.dumps(files[:2]))
        process.stdin.flush()
        assert pickle.load(process.stdout).images[:, 0, 0, 0].tolist() == [0, 1]
    assert process.returncode == 0


# What the system may refuse -----------------------------------------------------------------------


def _refuse_after(monkeypatch, place, count, error):
    real = getattr(*place)
    calls = []

    def start(*args, **options):
        calls.append(args)
        if len(calls) > count:
            raise error
        return real(*args, **options)

    monkeypatch.setattr(*place, start)


REFUSALS = {
    "processes": ((subprocess, "Popen"), BlockingIOError(11, "temporarily unavailable")),
    "memory": ((subprocess, "Popen"), OSError(12, "Cannot allocate memory")),
    "threads": ((threading.Thread, "start"), RuntimeError("can't start new thread")),
}


@pytest.mark.parametrize("count", [0, 1])
@pytest.mark.parametrize("what", REFUSALS)
def test_decoding_goes_on_with_what_could_be_started(files, monkeypatch, capsys, what, count):
    place, error = REFUSALS[what]
    _refuse_after(monkeypatch, place, count, error)
    decoder = _decoder(3)
    for _ in range(2):
        assert _numbers(decoder, files) == list(range(40))
    assert len(_processes(decoder)) == count
    decoder.close()
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 1
    assert "data.workers = 3" in lines[0]
    assert ("thread" if what == "threads" else "process") in lines[0]


def test_a_worker_without_a_thread_to_spare(files):
    """The system's limit may be reached inside of a worker."""
    command = decoding_pool._command()
    at = next(i for i, argument in enumerate(command) if argument.endswith("decoding_worker.py"))
    refuse = (
        "import runpy, sys, threading\n"
        'def start(self): raise RuntimeError("can\'t start new thread")\n'
        "threading.Thread.start = start\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    done = subprocess.run(
        [*command[:at], "-c", refuse, *command[at:]],
        input=pickle.dumps(WORK) + pickle.dumps(files[:2]),
        capture_output=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr) == (0, b"")
    assert pickle.loads(done.stdout).images[:, 0, 0, 0].tolist() == [0, 1]


# The whole program --------------------------------------------------------------------------------

CONFIG = """
seed = 1
data = { name = "image_folder", root = "d", workers = 2, memory_limit_mb = 0 }
model = { name = "vgg", width = 4, stages = 1, convolutions = 1 }
optimizer = { name = "sgd", learning_rate = 0.05 }
training = { epochs = 1, batch_size = 8 }
"""
SCRIPT = Path(sys.executable).with_name("gpucnn")


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, "-m", "gpucnn"],
        pytest.param(
            [str(SCRIPT)],
            marks=[
                pytest.mark.slow,
                pytest.mark.skipif(not SCRIPT.exists(), reason="the package is not installed"),
            ],
        ),
    ],
    ids=["module", "script"],
)
def test_training_runs_no_python_file_next_to_the_data(tmp_path, data_with_scripts, command):
    for name in ("types", "warnings", "gpucnn"):  # `python -m` itself looks for these
        (data_with_scripts / f"{name}.py").unlink()
    for split in ("train", "test"):
        for name in "ab":
            folder = data_with_scripts / "d" / split / name
            folder.mkdir(parents=True)
            for number in range(5):
                pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.png")
    (data_with_scripts / "d" / "signal.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    (data_with_scripts / "c.toml").write_text(CONFIG)
    done = subprocess.run(
        [*command, "train", "c.toml", "--backend", "numpy", "--quiet"],
        cwd=data_with_scripts,
        env={**os.environ, "PYTHONPATH": str(CHECKOUT)},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not (tmp_path / "ran").exists()

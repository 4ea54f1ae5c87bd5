"""Trains with a kill at each file operation, resumes, and compares; run by test_crash_points.py.

usage: LD_PRELOAD=SHIM CRASH_FOLDER=FOLDER/ crash_points.py SHIM FOLDER SHARE SHARES

Each training is a forked child of this process, in which everything is imported already: so
hundreds take as long as a few dozen processes would. Prints a JSON object: how many kills there
were, and what went wrong at which of them.
"""

import ctypes
import hashlib
import json
import os
import shutil
import signal
import sys
import traceback
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

from gpucnn.cli import main
from gpucnn.cli.train_command import command  # noqa: F401 - imported before the first fork
from gpucnn.training import trainer  # noqa: F401

CONFIG = """
seed = 3
data = {name = "digits", validation = 0.1}
augment = {flip = true, crop_padding = 1}
model = {name = "vgg", width = 2, stages = 1, convolutions = 1, dropout = 0.1}
optimizer = {name = "adam", learning_rate = 0.005}
schedule = {name = "one_cycle"}
training = {epochs = 2, batch_size = 400}
checkpoint = {every_steps = 2}
"""


def train(arguments, log, crash=None):
    """Runs ``gpucnn train`` in a child; its status, negative if it was killed.

    Args:
        arguments: of the command.
        log: where its output goes.
        crash: sets the child's crash point.
    """
    child = os.fork()
    if child == 0:
        status = 99
        try:
            sys.argv = ["gpucnn", "train", *map(str, arguments), "--backend", "numpy"]
            with log.open("w") as file, redirect_stdout(file), redirect_stderr(file):
                if crash:
                    crash()
                try:
                    main()
                except SystemExit as end:
                    status = end.code
                except BaseException:
                    traceback.print_exc(file=file)
        finally:
            os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def outcome(run):
    """What a run leaves, but for what depends on the clock."""
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    for row in rows:
        row.pop("seconds", None)
    files = [*run.glob("checkpoints/*.safetensors"), run / "report.json"]
    digests = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in sorted(files)}
    return rows, digests


def unexpected(folder, number, torn, shim, expected):
    """What is wrong after a kill at an operation and a resume; None if there was no kill."""
    run, config, log = folder / "run", folder / "config.toml", folder / "log"
    shutil.rmtree(run, ignore_errors=True)
    status = train([config, "--run-dir", run], log, lambda: shim.crash_at(number, torn))
    if status == 0:
        return None
    if status != -signal.SIGKILL:
        return f"ended with {status}: {log.read_text()[-600:]}"
    again = ["--resume", run]
    if not (run / "config.json").exists():
        status, said = train(again, log), log.read_text()
        if status != 2 or not ("nothing was started" in said or "is not there" in said):
            return f"resume ended with {status}: {said[-600:]}"
        again = [config, "--run-dir", run]
    if status := train(again, log):
        return f"{again[0]} ended with {status}: {log.read_text()[-600:]}"
    if outcome(run) != expected:
        return "it ended with other bytes"
    left = [path.name for path in run.rglob("*.unfinished")]
    return f"it left {left}" if left else ""


def check(shim_path, folder, share, shares):
    shim = ctypes.CDLL(shim_path)
    folder = Path(folder)
    (folder / "config.toml").write_text(CONFIG)
    whole = [folder / "config.toml", "--run-dir", folder / "run"]
    assert train(whole, folder / "log") == 0, (folder / "log").read_text()
    expected = outcome(folder / "run")
    kills, wrong = 0, {}
    for torn in (False, True):
        number = 1 + share
        while (problem := unexpected(folder, number, torn, shim, expected)) is not None:
            kills += 1
            if problem:
                wrong[f"{'torn ' if torn else ''}{number}"] = problem
            number += shares
    return {"kills": kills, "wrong": wrong}


if __name__ == "__main__":
    print(json.dumps(check(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))))

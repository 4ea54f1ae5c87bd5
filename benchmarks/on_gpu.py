"""Everything that only a GPU can show, in one run of under nine minutes.

Runs from a checkout, with nothing installed but Python, NumPy, CuPy and PyTorch, and the packages
that gpucnn itself needs; those may come as wheels, without a network:

    python benchmarks/on_gpu.py --data-root DATA --wheels WHEELS --out RESULTS

Each part runs in a process of its own with a time limit of its own; one that fails or is late does
not stop the others. The results so far are written after each part: NAME.json, NAME.md and
NAME-roofline.png. The exit status is 0 if all parts were done, 1 if not, and 2 if none can be.
SIGINT, SIGTERM and SIGHUP end the part that is running, the results so far are written, and the
exit status is 128 + the signal's number. However this process ends, so do those that it started.
See README.md in this folder.
"""

import argparse
import importlib.util
import json
import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from types import FrameType
from typing import Any

from on_gpu_summary import Json, summary

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

# These need nothing but Python.
from gpucnn.emulator.programs import Finished, Program, run_program  # noqa: E402
from gpucnn.emulator.scratch import remove_abandoned_folders, scratch_folder  # noqa: E402
from gpucnn.files import write_atomically  # noqa: E402

PACKAGES = ("gpucnn", "numpy", "cupy-cuda13x", "cupy-cuda12x", "torch", "pytest", "hypothesis")
NEEDED = ("numpy", "click", "msgspec", "safetensors", "threadpoolctl", "tqdm")
NEEDED_FOR_TESTS = ("pytest", "hypothesis")
PARTS = ("tests", "kernels", "step_lenet", "step_resnet9", "step_resnet18", "unpack_cifar10",
         "train_mnist", "train_cifar10", "train_digits")  # fmt: skip
GRACE = 15.0
"""Seconds of a part's time that it has to write its results when it is late, before it is killed.
The processes of pytest may take 10 of them to end."""
LAST_GRACE = 5.0
"""The same if this process was told to end, which may soon be killed itself."""
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stopped(BaseException):
    """This process was told to end.

    Attributes:
        number: the signal that said so.
    """

    def __init__(self, number: int) -> None:
        super().__init__(f"stopped by {signal.Signals(number).name}")
        self.number = number


@dataclass
class Part:
    """A command, and what becomes of it.

    Attributes:
        name: of the result, in the JSON file.
        title: of its section in the summary.
        arguments: of Python.
        seconds: its time limit.
        needs: modules without which it cannot begin.
        result: the file that it writes its result to; None if it prints it.
        in_lines: whether its result is a line of JSON for each contestant, as they are done.
    """

    name: str
    title: str
    arguments: list[str]
    seconds: float
    needs: tuple[str, ...] = NEEDED
    result: Path | None = None
    in_lines: bool = False


def main() -> int:
    options = parse()
    for number in SIGNALS:
        if signal.getsignal(number) != signal.SIG_IGN:  # as under nohup
            signal.signal(number, raise_stopped)
    remove_abandoned_folders()
    try:
        with scratch_folder() as scratch:
            environment = child_environment(options, scratch)
            if why := why_unavailable(options.backend, environment):
                print(f"error: {why}", file=sys.stderr)
                return 2
            options.out.mkdir(parents=True, exist_ok=True)
            return run_all(options, environment, scratch)
    except Stopped as stop:
        print(stop, file=sys.stderr)
        return 128 + stop.number


def raise_stopped(number: int, _frame: FrameType | None) -> None:
    for each in SIGNALS:  # what is left to do takes seconds
        signal.signal(each, signal.SIG_IGN)
    raise Stopped(number)


def run_all(options: argparse.Namespace, environment: dict[str, str], scratch: Path) -> int:
    """Runs the parts one after the other; the exit status.

    Raises:
        Stopped: a signal said so; what was done by then is written.
    """
    begin = time.monotonic()
    report: Json = {"environment": describe(options), "parts": {}}
    stem = options.name or default_name(report["environment"])
    for part in parts(options, stem, scratch):
        if options.only and part.name not in options.only:
            continue
        left = options.minutes * 60 - (time.monotonic() - begin)
        print(f"{part.title} ...", flush=True)
        # However little it is, an emulator and its compiler take long.
        limit = min(left, 3 * part.seconds if options.quick else part.seconds)
        outcome, stop = run(part, environment, limit)
        report["parts"][part.name] = outcome
        outcome["title"] = part.title
        print(f"  {outcome['status']}, {outcome['seconds']} s", flush=True)
        report["seconds"] = round(time.monotonic() - begin, 1)
        write(options.out, stem, report)
        if stop:
            print(f"see {options.out / stem}.md for what was done", file=sys.stderr)
            raise stop
    print(f"\n{(options.out / f'{stem}.md').read_text(encoding='utf-8')}")
    undone = [name for name, outcome in report["parts"].items() if outcome["status"] != "done"]
    if undone:
        print(f"not done: {', '.join(undone)}", file=sys.stderr)
    return 1 if undone else 0


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--data-root", type=Path, metavar="DATA",
        help="a folder with mnist/ (the four idx files) and cifar10/ (train/CLASS/*.jpg and "
        "test/CLASS/*.jpg), or cifar10*.tar.* with that inside",
    )  # fmt: skip
    parser.add_argument(
        "--wheels", type=Path, help="a folder of wheels to use what is missing from"
    )
    parser.add_argument("--out", type=Path, default=ROOT / "benchmarks" / "results")
    parser.add_argument("--name", help="of the files; default: the date and the GPU")
    parser.add_argument("--commit", help="of the checkout, where git does not know it")
    parser.add_argument("--backend", default="cuda", choices=("cuda", "emulator", "numpy"))
    parser.add_argument("--minutes", type=float, default=8.75, help="for all parts together")
    parser.add_argument(
        "--only", action="append", choices=PARTS, metavar="PART",
        help=f"one of {', '.join(PARTS)}; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--quick", action="store_true", help="little of each part, to see that all of them work"
    )
    options = parser.parse_args()
    if options.wheels and not any(options.wheels.glob("*.whl")):
        parser.error(f"--wheels {options.wheels}: there are no wheels in this folder")
    for folder in (options.wheels, options.data_root):
        if folder and not folder.is_dir():
            parser.error(f"{folder} is not a folder")
    # Parts run in the checkout's folder, whatever this one is.
    options.out = options.out.absolute()
    options.data_root = options.data_root and options.data_root.absolute()
    return options


def parts(options: argparse.Namespace, stem: str, scratch: Path) -> Iterator[Part]:
    """All parts in turn; some depend on what those before them have left behind."""
    quick = options.quick
    backend = ["--backend", options.backend]
    bench = ["-m", "gpucnn", "bench"]
    kernels = scratch / "kernels.json"
    picture = []
    if importlib.util.find_spec("matplotlib"):
        picture = ["--plot", str(options.out / f"{stem}-roofline.png")]
    torch = ["--against", "torch"] if importlib.util.find_spec("torch") else []
    repetitions = ["--repetitions", "2" if quick else "20"]
    narrow = ["--set", "model.width=4", "--set", "training.batch_size=8"] if quick else []
    small = ["--set", "training.batch_size=8"] if quick else []

    tests = [
        "-m", "pytest", "-m", "gpu", "-q", "--hypothesis-profile=few", "-p", "no:cacheprovider",
    ]  # fmt: skip
    if importlib.util.find_spec("xdist"):
        tests += ["-n", str(min(16, os.cpu_count() or 1)), "--dist", "worksteal"]
    if quick:
        tests += ["-k", "test_augmentation"]
    # All limits but that of the last training leave over a minute of the time for that one; what
    # the parts before it do not need is its too.
    listed = [
        Part("tests", "The tests on the GPU", tests, 200, (*NEEDED, *NEEDED_FOR_TESTS)),
        Part(
            "kernels", "Single operations",
            [*bench, "kernels", *backend, "--json", str(kernels), "--time-limit", "70", *picture,
             "--repetitions", "3" if quick else "20", *(["--quick"] if quick else [])],
            90, result=kernels,
        ),
        Part(
            "step_lenet", "A training step of LeNet, 28×28×1",
            [*bench, "step", "configs/mnist.toml", "--input", "28x28x1", "--classes", "10",
             *backend, *torch, *repetitions, *small, "--json"],
            25,
        ),
        Part(
            "step_resnet9", "A training step of ResNet-9, 32×32×3",
            [*bench, "step", "configs/cifar10_resnet9.toml", "--input", "32x32x3",
             "--classes", "10", *backend, *torch, *repetitions, *narrow, "--json"],
            30,
        ),
        Part(
            "step_resnet18", "A training step of ResNet-18, 32×32×3",
            [*bench, "step", "configs/cifar10_resnet18.toml", "--input", "32x32x3",
             "--classes", "10", *backend, *torch, *repetitions, *narrow, "--json"],
            35,
        ),
    ]  # fmt: skip
    yield from listed
    yield from trainings(options, [*bench, "train"], [*backend, *torch, "--json"], scratch)


def trainings(
    options: argparse.Namespace, command: list[str], flags: list[str], scratch: Path
) -> Iterator[Part]:
    """Whole runs, of the data sets that are there; of the digits where it must be quick."""
    if options.quick:
        quick = ["--set", "training.epochs=1", "--set", "model.width=4"]
        arguments = [*command, "configs/digits.toml", *quick, *flags]
        title = "Training on the digits, 1 epoch"
        yield Part("train_digits", title, arguments, 120, in_lines=True)
        return
    if options.data_root is None:
        return
    mnist, cifar10 = options.data_root / "mnist", options.data_root / "cifar10"
    if mnist.is_dir():
        root = ["--set", f"data.root={mnist}"]
        arguments = [*command, "configs/mnist.toml", *root, *flags]
        title = "Training LeNet on MNIST, 3 epochs"
        yield Part("train_mnist", title, arguments, 35, in_lines=True)
    archives = sorted(options.data_root.glob("cifar10*.tar.*"))
    if not cifar10.is_dir() and archives:
        folder = scratch / "cifar10"
        unpack = ["-m", "tarfile", "-e", str(archives[0]), str(folder)]
        yield Part("unpack_cifar10", "Unpacking CIFAR-10", unpack, 40, needs=())
        # It has run by now.
        places = [folder, *folder.glob("*/")]
        cifar10 = next((place for place in places if (place / "train").is_dir()), cifar10)
    if cifar10.is_dir():
        changes = ["--set", f"data.root={cifar10}", "--set", "training.epochs=10"]
        arguments = [*command, "configs/cifar10_resnet9.toml", *changes, *flags]
        title, needs = "Training ResNet-9 on CIFAR-10, 10 epochs", (*NEEDED, "PIL")
        yield Part("train_cifar10", title, arguments, 300, needs, in_lines=True)


def child_environment(options: argparse.Namespace, scratch: Path) -> dict[str, str]:
    """This process's own, with the checkout to import from and the wheels behind it."""
    paths = [str(ROOT)]
    if options.wheels:
        site = scratch / "site"
        wheels = [str(path) for path in sorted(options.wheels.glob("*.whl"))]
        install = ["pip", "install", "-q", "--no-index", "--no-deps", "--target", str(site)]
        done = run_program([sys.executable, "-P", "-m", *install, *wheels])
        if done.status:
            print(f"error: pip cannot install the wheels:\n{done.errors.strip()}", file=sys.stderr)
            raise SystemExit(2)
        paths.append(str(site))
        sys.path.append(str(site))  # so that what is in them is found here too
    if os.environ.get("PYTHONPATH"):
        paths.append(os.environ["PYTHONPATH"])
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "CI": "1"}


def why_unavailable(backend: str, environment: dict[str, str]) -> str:
    """In a line, why no part could work; nothing where they can."""
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        return f"{', '.join(missing)} not installed (see --wheels)"
    look = "import sys; from gpucnn.backends import why_unavailable as w; print(w(sys.argv[1]))"
    done = run_program([sys.executable, "-P", "-c", look, backend], environment)
    return done.out.strip() if done.status == 0 else done.errors.strip()


def run(part: Part, environment: dict[str, str], limit: float) -> tuple[Json, Stopped | None]:
    """Runs a part, and stops it when its time is up.

    Returns:
        Its outcome, whatever happens; and the signal that ended it, if one did.
    """
    missing = [name for name in part.needs if importlib.util.find_spec(name) is None]
    if missing:
        why = f"not run: {', '.join(missing)} not installed (see --wheels)"
        return {"status": why, "seconds": 0.0}, None
    if limit <= 0:
        return {"status": "not run: no time was left", "seconds": 0.0}, None
    begin, stop = time.monotonic(), None
    with Program([sys.executable, "-P", *part.arguments], environment, ROOT) as program:
        try:
            try:
                done = program.finish(max(limit - GRACE, limit / 2))
                status = "done" if done.status == 0 else f"failed with status {done.status}"
            except subprocess.TimeoutExpired:
                status = f"stopped after {limit:.0f} s"
                done = interrupt(program, GRACE)
        except Stopped as error:
            status, stop = str(error), error
            done = interrupt(program, LAST_GRACE)
    outcome = {"status": status, "seconds": round(time.monotonic() - begin, 1)}
    outcome["command"] = " ".join(["python", *part.arguments])
    outcome["output"], outcome["errors"] = done.out[-12000:], done.errors[-6000:]
    result = result_of(part, done.out)
    if result:
        outcome["result"] = result
        if part.result is None:
            del outcome["output"]
    return outcome, stop


def interrupt(program: Program, grace: float) -> Finished:
    """Interrupts a program, so that pytest shows what has failed, and kills it if it is late."""
    program.send(signal.SIGINT)
    try:
        return program.finish(grace)
    except subprocess.TimeoutExpired:
        program.end()
        return program.finish()


def result_of(part: Part, out: str) -> Any:
    """What a part found, also one that did not come to its end; None where it is nothing."""
    try:
        content = out if part.result is None else part.result.read_text(encoding="utf-8")
        if not part.in_lines:
            return json.loads(content)
        return [json.loads(line) for line in content.splitlines() if line.endswith("}")]
    except (OSError, ValueError):  # the tests print no JSON, and a part that failed none either
        return None


def describe(options: argparse.Namespace) -> Json:
    """Device, driver, versions, commit and date."""
    versions = {}
    for name in PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    commit = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "gpu": answer(query) if options.backend == "cuda" else None,
        "backend": options.backend,
        "quick": options.quick,
        "python": platform.python_version(),
        "processor": processor(),
        "packages": versions,
        "commit": options.commit or answer(commit),
    }


def processor() -> str:
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines():
        if line.startswith("model name"):
            return f"{line.partition(':')[2].strip()}, {os.cpu_count()} cores"
    return platform.machine()


def answer(command: list[str]) -> str | None:
    """What a command prints; None where it cannot run or fails."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip() or None


def default_name(environment: Json) -> str:
    device = (environment["gpu"] or environment["backend"]).split(",")[0]
    return f"{environment['date'][:10]}-{'-'.join(device.lower().split())}"


def write(folder: Path, stem: str, report: Json) -> None:
    content = json.dumps(report, indent=1, ensure_ascii=False)
    write_atomically(folder / f"{stem}.json", f"{content}\n".encode())
    write_atomically(folder / f"{stem}.md", summary(report).encode())


if __name__ == "__main__":
    sys.exit(main())

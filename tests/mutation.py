"""Runs mutants of kernels over a few cases each, in processes of their own.

A mutant may end the process that it runs in, or never end; either is as good as a wrong result.
"""

import hashlib
import math
import multiprocessing
import os
import resource
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple

from mutants import Mutant

from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.check.cases import draw
from gpucnn.check.checker import Checker, run
from gpucnn.check.expected import expect
from gpucnn.emulator.builder import Builder
from gpucnn.emulator.cache import Cache
from gpucnn.emulator.errors import EmulatorError
from gpucnn.emulator.modes import MODES as BUILDS
from gpucnn.operations import OPERATIONS

ROUNDS = (("race", 1), ("race", 2), ("race", 4), ("fast", 2), ("sanitize", 4), ("race", 99))
"""Modes in the order in which they are tried, and with how many ranks of cases.

Race mode sees most, is compiled fastest, and survives accesses out of bounds.
"""

_DRAWN = 30
"""Cases of each operation and variant, from which a file's are taken."""
_SECONDS = 10
"""Of processor time that a mutant may take; the kernels themselves take hundredths."""
_PATIENCE = 300.0
"""Seconds until one that takes no processor time, or gets none, is given up."""
_LIFETIME = 60
"""Mutants a process: each has libraries that stay loaded."""


@dataclass(frozen=True)
class Trial:
    """A mutant in one of its hosts and one mode.

    Attributes:
        mutant: which.
        host: the .cu file.
        folder: where its text is.
        mode: of the emulator.
        ranks: how many ranks of cases the host has to do.
    """

    mutant: Mutant
    host: str
    folder: Path
    mode: str
    ranks: int


class _Asked(NamedTuple):
    """A kernel that is asked for."""

    file: str
    name: str
    parameter_count: None = None


class _Names(dict):
    """A file's kernels, whatever they are called."""

    def __init__(self, file):
        super().__init__()
        self._file = file

    def __missing__(self, name):
        return _Asked(self._file, name)


class _Recorder(PlanningDevice):
    """Also writes down which kernels are launched, and along which axes with several blocks."""

    def __init__(self):
        super().__init__()
        self.launched = {}

    def compile(self, source):
        super().compile(source)
        return _Names(source.file)

    def launch(self, kernel, grid, *arguments):
        self.launched[kernel.file, kernel.name] = tuple(blocks > 1 for blocks in grid)


def _planned(case, kernels=None):
    """What a case has compiled, and the kernels that it launches, each as file and name."""
    recorder = _Recorder()
    backend = KernelBackend(recorder)
    backend.kernels = kernels
    run(case, backend)
    return recorder.sources, recorder.launched


def cases_of(file, ranks=4):
    """Cases that take a file: those of the first so many ranks.

    The first rank has each kernel once. Each further one has it once for every operation, with one
    block and with several along each axis.
    """
    return [case for case, rank in _cases_by_file().get(file, ()) if rank < ranks]


@cache
def _cases_by_file():
    chosen, times = {}, Counter()
    for name in OPERATIONS:
        for case in draw(name, _DRAWN, seed=2):
            _, launched = _planned(case)
            for file in {file for file, _ in launched}:
                kernels = [kernel for kernel in launched if kernel[0] == file]
                uses = [(name, case.variant, each, launched[each]) for each in kernels]
                is_first = any(times[kernel] == 0 for kernel in kernels)
                rank = 0 if is_first else 1 + min(times[use] for use in uses)
                chosen.setdefault(file, []).append((case, rank))
                times.update([*kernels, *uses])
    return chosen


_expected = cache(expect)


def survivors(mutants, folder, report=print):
    """The mutants that nothing notices, and those that do not compile.

    A mutant of a header is tried in each file that includes it, until one gives it away.
    """
    left, broken = {mutant: list(_written(mutant, folder)) for mutant in mutants}, []
    for mode, ranks in ROUNDS:
        for place in range(max((len(hosts) for hosts in left.values()), default=0)):
            trials = [
                Trial(mutant, *hosts[place], mode, ranks)
                for mutant, hosts in left.items()
                if place < len(hosts)
            ]
            compiling = compiled(trials)
            found = caught(compiling)
            broken += [trial.mutant for trial in trials if trial not in compiling]
            gone = {*broken, *(trial.mutant for trial, _ in found)}
            left = {mutant: hosts for mutant, hosts in left.items() if mutant not in gone}
            report(f"{mode}: {len(found)} of {len(trials)} mutants caught")
    return list(left), broken


def _written(mutant, folder):
    """Writes a mutant's hosts to folders of their own: pairs of the file and its folder."""
    for host, text in mutant.hosts:
        if cases_of(host):
            place = folder / hashlib.sha256(text.encode()).hexdigest()[:16]
            place.mkdir(parents=True, exist_ok=True)
            (place / host).write_text(text, encoding="utf-8")
            yield host, place


def compiled(trials):
    """Compiles the kernels of trials in one mode, several in a unit; the trials that compile."""
    if not trials:
        return []
    builder = Builder(BUILDS[trials[0].mode], Cache())
    sources = {trial.folder: _mutated_sources(trial) for trial in trials}
    with suppress(EmulatorError):  # One of them does not compile: below it is seen which.
        builder.libraries(source.as_text() for each in sources.values() for source in each)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        compiles = pool.map(lambda trial: _compiles(builder, sources[trial.folder]), trials)
        return [trial for trial, is_right in zip(trials, compiles, strict=True) if is_right]


def _mutated_sources(trial):
    cases = cases_of(trial.host, trial.ranks)
    sources = (source for p in cases for source in _planned(p, trial.folder)[0])
    return list(dict.fromkeys(source for source in sources if source.folder == trial.folder))


def _compiles(builder, sources):
    try:
        builder.libraries(source.as_text() for source in sources)
    except EmulatorError:
        return False
    return True


def caught(trials):
    """The trials that are noticed, of those given, each with what gave it away."""
    shares = [trials[place :: os.cpu_count()] for place in range(os.cpu_count())]
    with ThreadPoolExecutor(len(shares)) as pool:
        return [finding for findings in pool.map(_caught, shares) for finding in findings]


def _caught(trials):
    findings, worker = [], None
    for number, trial in enumerate(trials):
        if worker is None or number % _LIFETIME == 0:
            worker = _Worker(worker)
        complaint, worker = worker.ask(trial)
        if complaint:
            findings.append((trial, complaint))
    if worker is not None:
        worker.end()
    return findings


class _Worker:
    """A process that checks one trial after the other."""

    def __init__(self, earlier=None):
        if earlier is not None:
            earlier.end()
        context = multiprocessing.get_context("spawn")
        self._pipe, there = context.Pipe()
        self._process = context.Process(target=_serve, args=(there,), daemon=True)
        self._process.start()
        there.close()

    def ask(self, trial):
        """What is wrong with a trial, and the worker for the next."""
        self._pipe.send((trial.host, trial.folder, trial.mode, trial.ranks))
        try:
            self._pipe.recv()  # All is prepared.
            if self._pipe.poll(_PATIENCE):
                return self._pipe.recv(), self
        except EOFError:
            return "the process ended", _Worker(self)
        return "it does not end", _Worker(self)

    def end(self):
        self._process.kill()
        self._process.join()
        self._pipe.close()


def _serve(pipe):
    while True:
        host, folder, mode, ranks = pipe.recv()
        cases = cases_of(host, ranks)
        checker, expected = Checker(mode, folder), {each: _expected(each) for each in cases}
        pipe.send("prepared")
        _limit_processor_time()
        pipe.send(_complaint(checker, expected))


def _limit_processor_time():
    """Ends this process where it takes more than ``_SECONDS`` from now on."""
    limit = math.ceil(time.process_time()) + _SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (limit, resource.RLIM_INFINITY))


def _complaint(checker, expected):
    for case, outcome in expected.items():
        finding = checker.check(case, outcome)
        if finding.complaint:
            return finding.complaint
    return ""

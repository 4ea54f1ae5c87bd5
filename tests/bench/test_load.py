"""Whether the machine was busy: from the system's statistics, quartiles and drift."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from gpucnn.bench import load as module
from gpucnn.bench.load import Load, LoadMeter, warning, why_busy, why_mostly_busy
from gpucnn.bench.timing import Timing

STEADY = Timing("ours", 10.0, 9.9, 10.1)


def test_what_is_busy():
    assert Load(0.1, 2).why_busy == ""
    assert Load(None, 2).why_busy == ""
    assert Load(0.3, 2).why_busy == "other processes kept 0.3 of 2 cores busy"
    assert Load(0.3, 16).why_busy == ""
    assert Load(None, 2).as_json() == {"busy": False, "cores_busy_with_others": None, "cores": 2}


def test_what_is_unsteady():
    idle = Load(0.0, 2)
    assert why_busy(idle, [STEADY]) == ""
    assert why_busy(idle, []) == ""
    wide = Timing("torch", 10.0, 7.0, 13.0)
    assert why_busy(idle, [STEADY, wide]) == "the quartiles of torch are 60% of the median apart"
    slower = Timing("torch", 10.0, 9.9, 10.1, drift=0.3)
    told = "the second half of the runs of torch was 30% slower than the first"
    assert why_busy(idle, [STEADY, slower]) == told
    faster = Timing("", 10.0, 9.9, 10.1, drift=-0.3)
    assert "the second half of the runs was 30% faster" in why_busy(idle, [STEADY, faster])
    assert why_busy(Load(2.0, 2), [wide]).startswith(
        "other processes kept 2.0 of 2 cores busy, and"
    )
    assert "measure again on an idle machine" in warning("x")


def test_one_unsteady_time_of_many_says_nothing_of_the_machine():
    wide = Timing("torch", 10.0, 7.0, 13.0)
    assert why_mostly_busy(Load(0.0, 2), [STEADY, STEADY, wide]) == ""
    told = why_mostly_busy(Load(0.0, 2), [STEADY, wide, wide])
    assert told == "of half of the measurements the quartiles are 60% of the median apart or more"


@pytest.fixture
def system(monkeypatch, tmp_path):
    """A system of two cores whose time and statistics stand still unless they are moved."""
    now = {"wall": 100.0, "own": 5.0, "ticks": [1000, 1000]}

    def write():
        row = "cpu{} {} 7 0 9000 50 0 0 3 11 0"
        rows = [row.format(core, ticks) for core, ticks in enumerate([*now["ticks"], 77])]
        (tmp_path / "stat").write_text("\n".join(["cpu 1 2 3", *rows, "intr 5"]) + "\n")

    write()
    monkeypatch.setattr(module, "_STATISTICS", tmp_path / "stat")
    monkeypatch.setattr(module, "available_cores", lambda: 2)
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1})
    monkeypatch.setattr(time, "monotonic", lambda: now["wall"])
    monkeypatch.setattr(os, "times", lambda: os.times_result((now["own"], 1.0, 0.0, 0.0, 0.0)))

    def move(wall, own, *ticks):
        now["wall"] += wall
        now["own"] += own
        now["ticks"] = [before + more for before, more in zip(now["ticks"], ticks, strict=True)]
        write()

    return move


def test_others_are_what_is_not_ours(system):
    second = module._TICKS
    meter = LoadMeter()
    system(10.0, 12.0, 9 * second, 7 * second)  # 16 s on our cores, of which 12 are ours
    assert meter.read().others == pytest.approx(0.4, abs=0.01)
    meter = LoadMeter()
    system(10.0, 16.0, 9 * second, 7 * second)
    assert meter.read().others == 0.0
    assert LoadMeter().read().others == 0.0  # of no time at all


def test_systems_without_statistics(monkeypatch, tmp_path):
    monkeypatch.setattr(module, "_STATISTICS", tmp_path / "none")
    assert LoadMeter().read().others is None
    (tmp_path / "none").write_text("cpu 0 0 0\n")
    assert LoadMeter().read().others is None


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="there is no /proc/stat")
def test_a_busy_process_is_noticed_and_our_own_work_is_not():
    loop = [sys.executable, "-c", "while True: pass"]
    with subprocess.Popen(loop) as other:
        meter = LoadMeter()
        time.sleep(0.7)
        with_other = meter.read()
        other.kill()
    assert with_other.others > 0.3

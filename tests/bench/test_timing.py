"""Clocks and turns, with time that stands still unless it is told to move."""

import types

import pytest

from gpucnn.bench import timing
from gpucnn.bench.timing import Clock, EventClock, HostClock, Timing, time_in_turns


class Time:
    """The host's time and a GPU's: the GPU begins when it is given work, and works behind."""

    def __init__(self):
        self.now, self.gpu = 0.0, 0.0

    def launch(self, host, gpu):
        """The host takes ``host`` seconds, the GPU ``gpu`` seconds, once it is free."""
        self.now += host
        self.gpu = max(self.gpu, self.now) + gpu

    def wait(self):
        self.now = max(self.now, self.gpu)


@pytest.fixture
def clock(monkeypatch):
    time = Time()
    fake = types.SimpleNamespace(
        perf_counter=lambda: time.now, sleep=lambda seconds: time.launch(seconds, 0.0)
    )
    monkeypatch.setattr(timing, "time", fake)
    return time


def test_the_host_s_clock_waits_for_the_device_before_and_after(clock):
    clock.launch(0.0, 5.0)
    host = HostClock(clock.wait, pause=3.0)
    assert host.seconds(lambda: clock.launch(0.5, 2.0), times=4) == pytest.approx(8.5 / 4)


def test_the_host_s_clock_starts_behind_a_first_run(clock):
    """That one wakes threads, and takes as long as it likes."""
    durations = iter([40.0, 1.0, 2.0, 3.0])
    seconds = HostClock(clock.wait).seconds(lambda: clock.launch(next(durations), 0.0), times=3)
    assert seconds == pytest.approx(2.0)


def fake_cupy(clock):
    class Event:
        def record(self, stream):
            self.at = max(clock.gpu, clock.now)

        @property
        def done(self):
            return self.at <= clock.now

        def synchronize(self):
            clock.wait()

    def elapsed(start, end):
        return 1e3 * (end.at - start.at)

    return types.SimpleNamespace(cuda=types.SimpleNamespace(Event=Event, get_elapsed_time=elapsed))


def test_events_leave_out_the_time_of_launching(clock):
    """20 µs on the GPU that take the host 100 µs to launch."""
    stream = types.SimpleNamespace(synchronize=clock.wait)
    occupied = []

    def occupy(seconds):
        occupied.append(seconds)
        clock.launch(1e-6, seconds)

    events = EventClock(fake_cupy(clock), stream, occupy)
    measured = events.seconds(lambda: clock.launch(100e-6, 20e-6), times=50)
    assert measured == pytest.approx(20e-6)
    assert occupied[-1] >= 50 * 100e-6
    assert occupied == sorted(occupied)
    # The next one begins with about as much as was enough.
    first = len(occupied)
    events.seconds(lambda: clock.launch(100e-6, 20e-6), times=50)
    assert len(occupied) - first <= 2


def test_events_give_up_on_a_run_that_waits_for_the_gpu(clock):
    def run():
        clock.launch(100e-6, 20e-6)
        clock.wait()

    stream = types.SimpleNamespace(synchronize=clock.wait)
    events = EventClock(fake_cupy(clock), stream, lambda seconds: clock.launch(0.0, seconds))
    assert events.seconds(run, times=2) > 20e-6


class Recorder(Clock):
    """Takes note of who is timed and how often; the n-th reading is n seconds."""

    def __init__(self):
        self.readings = []

    def seconds(self, run, times=1):
        self.readings.append((run(), times))
        return float(len(self.readings))


def test_contestants_take_turns_and_warm_ups_do_not_count():
    recorder = Recorder()
    contestants = {"a": lambda: "a", "b": lambda: "b"}
    a, b = time_in_turns(contestants, recorder, 3, warm_up=2, times={"a": 1, "b": 7})
    assert recorder.readings == [("a", 1), ("b", 7)] * 5
    # Readings 5, 7, 9 are a's, and 6, 8, 10 b's.
    assert (a.name, a.median) == ("a", 7e3)
    assert (b.name, b.median) == ("b", 8e3)


def test_a_timing_has_a_spread_and_a_drift():
    timing = Timing.of("x", [1.0, 1.0, 1.0, 2.0, 2.0, 2.0])
    assert timing.drift == pytest.approx(1.0)
    assert timing.spread == pytest.approx((timing.high - timing.low) / timing.median)
    assert Timing.of("x", [1.0, 2.0, 1.0, 2.0]).drift == pytest.approx(0.0)
    assert Timing("x", 0.0, 0.0, 0.0).spread == 0.0


def test_a_timing_is_the_median_between_quartiles():
    timing = Timing.of("x", [0.004, 0.001, 0.003, 0.002, 0.005])
    assert (timing.low, timing.median, timing.high) == pytest.approx((1.5, 3.0, 4.5))

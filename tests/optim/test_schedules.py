import math

import pytest

from gpucnn.errors import ConfigError
from gpucnn.optim import Constant, Cosine, OneCycle, Step, schedules


def factors(schedule, total, per_epoch=10):
    return [schedule.factor(step, total, per_epoch) for step in range(total)]


def half_cosine(start, end, share):
    return (start + end) / 2 + (start - end) / 2 * math.cos(math.pi * share)


def test_constant():
    assert factors(Constant(), 5) == [1.0] * 5


def test_step():
    got = factors(Step(every_epochs=2, decay=0.5), 70)
    assert got == [0.5 ** (step // 20) for step in range(70)]
    assert factors(Step(every_epochs=0.25, decay=0.1), 6)[:4] == pytest.approx([1, 1, 0.1, 0.1])
    assert factors(Step(every_epochs=0.001, decay=0.5), 3) == [1, 0.5, 0.25]


@pytest.mark.parametrize("final", [0.0, 0.1, 1.0])
def test_cosine(final):
    got = factors(Cosine(final=final), 40)
    assert got == pytest.approx([half_cosine(1, final, step / 40) for step in range(40)])
    assert got[0] == 1
    assert got[20] == pytest.approx((1 + final) / 2)


@pytest.mark.parametrize("peak", [0.1, 0.25, 0.5, 0.9])
def test_one_cycle(peak):
    total = 40
    got = factors(OneCycle(peak=peak, initial=0.04, final=0.001), total)
    top, last = round(peak * total) - 1, total - 1
    rise = [half_cosine(0.04, 1, step / top) for step in range(top)]
    fall = [half_cosine(1, 0.001, step / (last - top)) for step in range(last - top + 1)]
    assert got == pytest.approx(rise + fall)
    assert got[0] == pytest.approx(0.04)
    assert got[top] == pytest.approx(1)
    assert got[-1] == pytest.approx(0.001)
    assert max(got) <= 1


def test_one_cycle_at_its_ends():
    """A peak of 1 rises to the end; of 0, falls from the start."""
    rising = factors(OneCycle(peak=1.0, initial=0.1), 20)
    assert rising == sorted(rising)
    assert rising[-1] == pytest.approx(1)
    falling = factors(OneCycle(peak=0.0, final=0.1), 20)
    assert falling == sorted(falling, reverse=True)
    assert falling[-1] == pytest.approx(0.1)


@pytest.mark.parametrize(
    "schedule",
    [
        lambda warmup: Constant(warmup),
        lambda warmup: Step(1, 0.5, warmup),
        lambda warmup: Cosine(0.1, warmup),
        lambda warmup: OneCycle(0.3, 0.04, 0.001, warmup),
    ],
)
def test_warm_up(schedule):
    """n steps up to 1 in equal parts, then the schedule as if it began there."""
    got = factors(schedule(1.5), 60)
    assert got[:15] == pytest.approx([(step + 1) / 15 for step in range(15)])
    assert got[15:] == pytest.approx(factors(schedule(0.0), 45))
    # A warm-up longer than the run fills it.
    assert factors(schedule(9.0), 20) == pytest.approx([(step + 1) / 20 for step in range(20)])
    assert schedule(9.0).factor(20, 20, 10) > 0


@pytest.mark.parametrize("schedule", [Constant(), Step(1), Cosine(), OneCycle()])
def test_one_step_runs(schedule):
    assert 0 < schedule.factor(0, 1, 1) <= 1


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Constant(warmup_epochs=-1), "warmup_epochs is -1"),
        (lambda: Step(0), "every_epochs=0"),
        (lambda: Step(1, decay=0.0), "decay=0.0"),
        (lambda: Step(1, decay=1.5), "decay=1.5"),
        (lambda: Cosine(final=1.1), "final is 1.1"),
        (lambda: Cosine(final=-0.1), "final is -0.1"),
        (lambda: OneCycle(peak=1.1), "peak=1.1"),
        (lambda: OneCycle(initial=-1.0), "initial=-1.0"),
        (lambda: OneCycle(final=2.0), "final=2.0"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_by_name():
    assert schedules.names() == ["constant", "step", "cosine", "one_cycle"]
    schedule = schedules.create({"name": "step", "every_epochs": 2}, "schedule")
    assert (schedule.every_epochs, schedule.decay) == (2, 0.1)

"""What is concluded from records, and what is not."""

import pytest

from gpucnn.training.diagnosis import Epoch, History, LayerRecord, diagnose

LAYERS = ["first", "middle", "last"]
HEALTHY = {"first": (0.3, 0.01), "middle": (0.2, 0.01), "last": (0.5, 0.02)}
"""The norm of the gradient, and the ratio of update to weight."""


def history(*steps, dead=0.0, chance=0.1):
    made = History(LAYERS, chance)
    for number, step in enumerate(steps, 1):
        for layer, (norm, ratio) in step.items():
            made.add(LayerRecord(number, layer, norm, 1.0, ratio))
        made.add(LayerRecord(number, "relu", dead=dead))
    return made


def found(made):
    return [(finding.finding, finding.layer) for finding in diagnose(made)]


def test_nothing_is_said_of_a_healthy_run():
    made = history(*[HEALTHY] * 5, dead=0.2)
    made.epochs = [Epoch(2.0 / n, 0.3 * n) for n in (1, 2, 3)]
    assert found(made) == []


def test_nothing_is_said_without_records():
    assert found(History(LAYERS, 0.1)) == []


def test_a_gradient_that_vanishes():
    vanished = {**HEALTHY, "first": (0.5e-5, 1e-9)}
    assert found(history(*[vanished] * 2)) == []
    assert found(history(*[vanished] * 3)) == [("vanishing", "first")]
    assert found(history(vanished, HEALTHY, vanished)) == []
    barely = {**HEALTHY, "first": (6e-5, 1e-9)}
    assert found(history(*[barely] * 3)) == []


def test_a_last_layer_that_begins_with_zeros():
    """Nothing gets through it in the first step, and the second changes it by more than it has."""
    first = {"first": (0.0, 0.0), "middle": (0.0, 0.0), "last": (1.0, None)}
    second = {"first": (1e-3, 1e-4), "middle": (1e-3, 1e-4), "last": (1.0, 1.9)}
    assert found(history(first, second, HEALTHY, HEALTHY)) == []


def test_a_gradient_that_explodes():
    exploded = {**HEALTHY, "middle": (50.0, 3.0)}
    (finding,) = diagnose(history(HEALTHY, exploded))
    assert (finding.finding, finding.layer) == ("exploding", "middle")
    assert "clip_norm" in finding.message
    other = finding.explained_by("The kernels are suspected.")
    assert other.message.endswith("their own norm. The kernels are suspected.")
    assert "learning_rate" not in other.message
    only_large = {**HEALTHY, "middle": (50.0, 0.5)}
    assert found(history(HEALTHY, only_large)) == []
    large_from_the_beginning = dict.fromkeys(LAYERS, (1e3, 0.1))
    assert found(history(large_from_the_beginning, large_from_the_beginning)) == []


def test_the_first_step_is_remembered():
    exploded = {**HEALTHY, "middle": (50.0, 3.0)}
    assert found(history(*[HEALTHY] * 6, exploded)) == [("exploding", "middle")]


def test_dead_units():
    assert found(history(*[HEALTHY] * 2, dead=0.5)) == []
    (finding,) = diagnose(history(*[HEALTHY] * 3, dead=0.5))
    assert (finding.finding, finding.layer) == ("dead", "relu")
    assert finding.message.startswith('50% of the units of layer "relu" are dead')
    assert found(history(*[HEALTHY] * 3, dead=0.49)) == []


def test_a_gradient_that_vanishes_in_dead_units():
    """One cause, one message."""
    vanished = {**HEALTHY, "first": (0.0, 0.0)}
    made = history(*[vanished] * 3, dead=1.0)
    assert found(made) == [("dead", "relu")]
    made.said.add("dead")
    assert found(made) == []


@pytest.mark.parametrize(
    ("accuracies", "chance", "stays"),
    [
        ((0.1, 0.11, 0.12), 0.1, True),
        ((0.1, 0.11, 0.16), 0.1, False),
        ((0.9, 0.905, 0.9), 0.9, True),
        ((0.9, 0.905, 0.93), 0.9, False),
        ((0.002, 0.003, 0.004), 0.001, False),
        ((0.5, 0.5), 0.5, False),
    ],
)
def test_accuracy_at_chance(accuracies, chance, stays):
    made = history(HEALTHY, chance=chance)
    made.epochs = [Epoch(2.0 - 0.1 * n, accuracy) for n, accuracy in enumerate(accuracies)]
    assert found(made) == ([("stuck", "first")] if stays else [])


@pytest.mark.parametrize(("losses", "moves"), [((2.3, 2.31, 2.3), False), ((2.3, 2.3, 2.2), True)])
def test_a_loss_that_does_not_move(losses, moves):
    made = history(HEALTHY)
    made.epochs = [Epoch(loss, 0.5) for loss in losses]
    assert found(made) == ([] if moves else [("stuck", "first")])


def test_everything_is_said_once():
    made = history(*[{**HEALTHY, "first": (1e-9, 1e-9)}] * 3)
    made.said.add("vanishing")
    assert found(made) == []

from types import MappingProxyType

import numpy as np
import pytest
from tolerance import assert_close

from gpucnn.errors import CheckpointError, ConfigError
from gpucnn.layers import Flatten, Linear, Network
from gpucnn.operations import OPERATIONS
from gpucnn.operations.tracked import Tracked
from gpucnn.optim import SGD, Adam, AdamW, optimizers

RATE, DECAY = 0.1, 0.01


def network_of(backend, seed=1, rate_factors=MappingProxyType({})):
    """Two weights that decay and two biases that do not, with biases that are not 0."""
    layers = [Flatten(), Linear(5), Linear("classes")]
    network = Network(layers, (2, 2, 3), 4, backend, seed, rate_factors=rate_factors)
    backend.write(network.parameters()["1.linear.bias"].value, 0.5)
    backend.write(network.parameters()["2.linear.bias"].value, -2.0)
    return network


def set_gradients(network, step):
    rng = np.random.default_rng(step)
    for parameter in network.parameters().values():
        if parameter.learns:
            network.backend.write(parameter.gradient, rng.standard_normal(parameter.shape))


def expected_after(backend, optimizer, name, parameter, step, factor, decay):
    """The parameter after its first step, and the bound of its error."""
    arrays = (parameter.value, parameter.gradient)
    w, g = (Tracked(backend.to_numpy(array), dtype=backend.dtype) for array in arrays)
    numbers = {"learning_rate": RATE * factor, "weight_decay": decay}
    if name == "sgd":
        numbers |= {"momentum": optimizer.momentum, "nesterov": optimizer.nesterov}
    else:
        betas = {"beta1": optimizer.beta1, "beta2": optimizer.beta2}
        numbers |= {**betas, "epsilon": optimizer.epsilon, "step": step}
    state = dict.fromkeys(["velocity"] if name == "sgd" else ["mean", "square"], 0.0 * w)
    step_taken = OPERATIONS[f"{name}_step"].reference(parameters=w, gradients=g, **state, **numbers)
    return step_taken["parameters"]


MAKERS = {
    "sgd": lambda **options: SGD(RATE, momentum=0.9, **options),
    "adam": lambda **options: Adam(RATE, **options),
    "adamw": lambda **options: AdamW(RATE, **options),
}


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("name", MAKERS)
def test_first_step(backend, name, decay_all):
    """Weights decay; biases only where all decay."""
    network = network_of(backend)
    optimizer = MAKERS[name](weight_decay=DECAY, decay_all=decay_all)
    optimizer.attach(network)
    set_gradients(network, 0)
    expected = {}
    for key, parameter in network.parameters().items():
        decay = DECAY if decay_all or key.endswith("weight") else 0.0
        expected[key] = expected_after(backend, optimizer, name, parameter, 1, 0.5, decay)
    optimizer.step(1, factor=0.5)
    for key, parameter in network.parameters().items():
        assert_close(backend.to_numpy(parameter.value), expected[key].value, expected[key].bound)


@pytest.mark.parametrize("decay_all", [False, True])
@pytest.mark.parametrize("name", MAKERS)
def test_rates_by_pattern(backend, name, decay_all):
    """What is frozen has neither state nor decay; a launch or two for each factor is enough."""
    factors = {"1.linear.weight": 0.25, "2.linear": 4.0, "2.linear.weight": 0.0}
    network = network_of(backend, rate_factors=factors)
    optimizer = MAKERS[name](weight_decay=DECAY, decay_all=decay_all)
    optimizer.attach(network)
    set_gradients(network, 0)
    expected, frozen = {}, backend.to_numpy(network.parameters()["2.linear.weight"].value)
    for key, parameter in network.parameters().items():
        if parameter.learns:
            decay = DECAY if decay_all or key.endswith("weight") else 0.0
            rate = {"1.linear.weight": 0.25, "1.linear.bias": 1.0, "2.linear.bias": 4.0}[key]
            expected[key] = expected_after(backend, optimizer, name, parameter, 1, rate, decay)
    optimizer.step(1)
    for key, answer in expected.items():
        value = backend.to_numpy(network.parameters()[key].value)
        assert_close(value, answer.value, answer.bound)
    after = backend.to_numpy(network.parameters()["2.linear.weight"].value)
    np.testing.assert_array_equal(after, frozen)
    assert {array.size for array in optimizer.state().values()} == {network.gradients.size}
    assert network.gradients.size == 64 + 32 + 32


def test_without_factors_there_are_two_launches_a_step(exact, monkeypatch):
    network, calls = network_of(exact), []
    monkeypatch.setattr(exact, "sgd_step", lambda *args: calls.append(args), raising=False)
    for decay_all, count in ((False, 2), (True, 1)):
        optimizer = SGD(RATE, weight_decay=DECAY, decay_all=decay_all)
        optimizer.attach(network)
        optimizer.step(1)
        assert len(calls) == count
        calls.clear()


@pytest.mark.parametrize("nesterov", [False, True])
def test_velocity_by_hand(exact, nesterov):
    """A gradient of 1 twice, momentum a half: v is 1, then 1.5."""
    network = network_of(exact)
    network.values.fill(0)
    optimizer = SGD(1.0, momentum=0.5, nesterov=nesterov)
    optimizer.attach(network)
    network.gradients.fill(1)
    places = []
    for step in (1, 2):
        optimizer.step(step)
        places.append(network.values[0])
    assert places == ([-1.5, -3.25] if nesterov else [-1.0, -2.5])


@pytest.mark.parametrize("name", MAKERS)
def test_the_optimum_of_a_bowl_is_found(exact, name):
    """Gradient = w: every optimizer must walk towards 0."""
    network = network_of(exact)
    optimizer = MAKERS[name]()
    optimizer.attach(network)
    before = abs(network.values).max()
    for step in range(1, 200):
        network.gradients[...] = network.values
        optimizer.step(step)
    assert abs(network.values).max() < 0.02 * before


@pytest.mark.parametrize("name", MAKERS)
def test_state_round_trip(backend, name):
    """Stopped after two steps and resumed, the third and fourth give the same bits."""
    whole, parted = network_of(backend), network_of(backend)
    optimizer, first = MAKERS[name](weight_decay=DECAY), MAKERS[name](weight_decay=DECAY)
    optimizer.attach(whole)
    first.attach(parted)
    for step in (1, 2):
        for network, chosen in ((whole, optimizer), (parted, first)):
            set_gradients(network, step)
            chosen.step(step)
    kept, state = parted.state(), first.state()
    assert set(state) == set(first.state_names)
    resumed, second = network_of(backend, seed=9), MAKERS[name](weight_decay=DECAY)
    second.attach(resumed)
    resumed.load_state(kept)
    second.load_state(state)
    for step in (3, 4):
        for network, chosen in ((whole, optimizer), (resumed, second)):
            set_gradients(network, step)
            chosen.step(step)
    np.testing.assert_array_equal(backend.to_numpy(whole.values), backend.to_numpy(resumed.values))


def test_state_is_a_copy_and_attach_begins_anew(exact):
    network = network_of(exact)
    optimizer = SGD(RATE)
    optimizer.attach(network)
    set_gradients(network, 0)
    optimizer.step(1)
    state = optimizer.state()
    assert state["velocity"].any()
    state["velocity"].fill(7)
    assert not (optimizer.state()["velocity"] == 7).any()
    optimizer.attach(network)
    assert not optimizer.state()["velocity"].any()


def test_plain_sgd_has_no_state(exact):
    network = network_of(exact)
    optimizer = SGD(RATE, momentum=0.0)
    optimizer.attach(network)
    assert optimizer.state() == {}
    network.gradients.fill(2)
    before = network.values.copy()
    optimizer.step(1)
    np.testing.assert_array_equal(network.values, before - RATE * network.gradients)


def test_load_state_refuses(exact):
    optimizer = Adam(RATE)
    optimizer.attach(network_of(exact))
    state = optimizer.state()
    with pytest.raises(CheckpointError, match='"square"'):
        optimizer.load_state({"mean": state["mean"]})
    with pytest.raises(CheckpointError, match=f'"mean" of {state["mean"].size} values'):
        optimizer.load_state({**state, "mean": np.zeros(3)})


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: SGD(0.0), "learning_rate is 0.0"),
        (lambda: SGD(-1.0), "learning_rate is -1.0"),
        (lambda: SGD(0.1, weight_decay=-0.1), "weight_decay is -0.1"),
        (lambda: SGD(0.1, momentum=1.0), "momentum is 1.0"),
        (lambda: SGD(0.1, momentum=-0.1), "momentum is -0.1"),
        (lambda: SGD(0.1, momentum=0.0, nesterov=True), "nesterov"),
        (lambda: Adam(0.1, beta1=1.0), "beta1=1.0"),
        (lambda: Adam(0.1, beta2=-0.5), "beta2=-0.5"),
        (lambda: AdamW(0.1, epsilon=0.0), "epsilon=0.0"),
        (lambda: AdamW(0.0), "learning_rate is 0.0"),
    ],
)
def test_refuses(make, message):
    with pytest.raises(ConfigError, match=message):
        make()


def test_by_name():
    assert optimizers.names() == ["sgd", "adam", "adamw"]
    optimizer = optimizers.create({"name": "adamw", "learning_rate": 0.5}, "optimizer")
    assert isinstance(optimizer, AdamW)
    assert (optimizer.learning_rate, optimizer.weight_decay) == (0.5, 0.01)

"""PyTorch's layers, losses, optimizers and schedules against ours, where it is installed.

Results agree to 10⁻⁵ of the largest magnitude in the tensor compared: PyTorch works in float64
where it can, ours in FP32, and the sums here are a few hundred terms long.
"""

import warnings

import numpy as np
import pytest

from gpucnn import layers as nn
from gpucnn import optim
from gpucnn.backends import get_backend
from gpucnn.losses import SoftmaxCrossEntropy

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    torch = pytest.importorskip("torch")

N = 3


@pytest.fixture(scope="module")
def be():
    return get_backend("numpy", "fp32")


def agree(ours, theirs):
    theirs = theirs.detach().numpy()
    assert ours.shape == theirs.shape
    assert abs(ours - theirs).max() <= 1e-5 * abs(theirs).max()


def to_torch(array):
    """NHWC to NCHW in float64, for images; as it is for vectors."""
    tensor = torch.tensor(np.asarray(array, np.float64))
    return tensor.permute(0, 3, 1, 2).contiguous() if tensor.ndim == 4 else tensor


def to_nhwc(tensor):
    return tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor


def ready(layer, be, shape, rng):
    """The layer by itself, with random parameters."""
    layer.attach(nn.Context(be, seed=0, classes=10, training=True), "0")
    layer.declare(shape)
    for parameter in layer.parameters.values():
        parameter.value = be.asarray(rng.standard_normal(parameter.shape))
        parameter.gradient = be.zeros(parameter.shape)
    for buffer in layer.buffers.values():
        buffer.value = be.asarray(np.full(buffer.shape, buffer.initial))
    return layer


def conv(K, kernel, padded=None, **options):
    """Ours and theirs; ``padded`` is (left, right, top, bottom) where the sides differ."""
    if padded is not None:
        options["padding"] = (tuple(padded[2:]), tuple(padded[:2]))

    def theirs(C):
        given = {**options, "padding": 0} if padded is not None else options
        module = torch.nn.Conv2d(C, K, kernel, **given)
        return torch.nn.Sequential(torch.nn.ZeroPad2d(padded or 0), module)

    return nn.Conv2d(K, kernel, **options), theirs


def simple(ours, theirs):
    return ours, lambda _: theirs


CASES = {
    "conv": conv(6, 3),
    "conv 1×1": conv(5, 1),
    "conv strided": conv(6, (3, 2), stride=(2, 3), padding=(1, 0)),
    "conv dilated": conv(6, 3, dilation=(2, 1), padding=2),
    "conv grouped": conv(6, 3, groups=2, padding=1),
    "conv depthwise": conv(8, 3, groups=4, padding=1),
    "conv same": conv(4, (4, 3), padding="same", dilation=(1, 2)),
    "conv unequal": conv(4, 4, padded=(2, 1, 0, 3), stride=2),
    "conv without bias": conv(4, 3, bias=False),
    "max": simple(nn.MaxPool2d(2), torch.nn.MaxPool2d(2)),
    "max padded": simple(nn.MaxPool2d(3, 2, 1), torch.nn.MaxPool2d(3, 2, 1)),
    "average": simple(nn.AvgPool2d((2, 3), 1), torch.nn.AvgPool2d((2, 3), 1)),
    "average padded": simple(nn.AvgPool2d(3, 2, 1), torch.nn.AvgPool2d(3, 2, 1)),
    "global average": simple(
        nn.GlobalAvgPool2d(),
        torch.nn.Sequential(torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten()),
    ),
    "batch norm": (nn.BatchNorm2d(0.2, 1e-3), lambda C: torch.nn.BatchNorm2d(C, 1e-3, 0.2)),
    "relu": simple(nn.ReLU(), torch.nn.ReLU()),
    "leaky relu": simple(nn.LeakyReLU(0.1), torch.nn.LeakyReLU(0.1)),
    "sigmoid": simple(nn.Sigmoid(), torch.nn.Sigmoid()),
    "tanh": simple(nn.Tanh(), torch.nn.Tanh()),
}

NAMES = {"scale": "weight", "shift": "bias"}


def give_parameters(layer, module):
    """Ours to theirs; returns theirs by our names."""
    named = {name.rpartition(".")[2]: p for name, p in module.named_parameters()}
    paired = {name: named[NAMES.get(name, name)] for name in layer.parameters}
    with torch.no_grad():
        for name, parameter in layer.parameters.items():
            paired[name].copy_(to_torch(parameter.value))
    return paired


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
@pytest.mark.parametrize(("ours", "theirs"), CASES.values(), ids=CASES)
def test_layers(be, rng, ours, theirs):
    shape = (9, 8, 4)
    layer, module = ready(ours, be, shape, rng), theirs(shape[2]).double()
    paired = give_parameters(layer, module)
    x = rng.standard_normal((N, *shape)).astype(np.float32)
    tx = to_torch(x).requires_grad_()
    y, ty = layer.forward(be.asarray(x)), module(tx)
    agree(y, to_nhwc(ty))
    dy = rng.standard_normal(y.shape).astype(np.float32)
    ty.backward(to_torch(dy))
    agree(layer.backward(be.asarray(dy)), to_nhwc(tx.grad))
    for name, parameter in layer.parameters.items():
        agree(parameter.gradient, to_nhwc(paired[name].grad))
    for name, buffer in layer.buffers.items():
        agree(buffer.value, getattr(module, name.replace("variance", "var")))
    if layer.buffers:
        layer.context.training = False
        module.eval()
        agree(layer.forward(be.asarray(x)), to_nhwc(module(tx)))


def test_linear(be, rng):
    layer, module = ready(nn.Linear(7), be, (11,), rng), torch.nn.Linear(11, 7).double()
    paired = give_parameters(layer, module)
    x, dy = (rng.standard_normal((N, size)).astype(np.float32) for size in (11, 7))
    tx = to_torch(x).requires_grad_()
    ty = module(tx)
    agree(layer.forward(be.asarray(x)), ty)
    ty.backward(to_torch(dy))
    agree(layer.backward(be.asarray(dy)), tx.grad)
    for name, parameter in layer.parameters.items():
        agree(parameter.gradient, paired[name].grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(be, rng, smoothing):
    scores = (3 * rng.standard_normal((8, 10))).astype(np.float32)
    labels = rng.integers(0, 10, 8).astype(np.int32)
    tensor = to_torch(scores).requires_grad_()
    target = torch.tensor(labels.astype(np.int64))
    options = {"label_smoothing": smoothing}
    theirs = torch.nn.functional.cross_entropy(tensor, target, reduction="none", **options)
    loss = SoftmaxCrossEntropy(smoothing)
    agree(loss.forward(be, be.asarray(scores), be.asarray(labels)), theirs)
    theirs.mean().backward()
    agree(loss.backward(be, 8), tensor.grad)


def small_network(be):
    body = [nn.Conv2d(4, 3), nn.BatchNorm2d(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Network([*body, nn.Linear("classes")], (6, 6, 3), 5, be, seed=4)


OPTIMIZERS = {
    "sgd": (optim.SGD(0.1, momentum=0.0), torch.optim.SGD, {}),
    "sgd, decay": (
        optim.SGD(0.1, momentum=0.0, weight_decay=0.1, decay_all=True),
        torch.optim.SGD, {"weight_decay": 0.1},
    ),
    "sgd, momentum": (optim.SGD(0.1, momentum=0.9), torch.optim.SGD, {"momentum": 0.9}),
    "sgd, nesterov, decay": (
        optim.SGD(0.1, momentum=0.9, nesterov=True, weight_decay=0.1, decay_all=True),
        torch.optim.SGD, {"momentum": 0.9, "nesterov": True, "weight_decay": 0.1},
    ),
    "adam": (optim.Adam(0.1), torch.optim.Adam, {}),
    "adam, options": (
        optim.Adam(0.1, 0.8, 0.99, 1e-4, weight_decay=0.1, decay_all=True),
        torch.optim.Adam, {"betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.1},
    ),
    "adamw": (optim.AdamW(0.1, decay_all=True), torch.optim.AdamW, {}),
    "adamw, options": (
        optim.AdamW(0.1, 0.8, 0.99, 1e-4, weight_decay=0.3, decay_all=True),
        torch.optim.AdamW, {"betas": (0.8, 0.99), "eps": 1e-4, "weight_decay": 0.3},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("ours", "kind", "options"), OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_five_steps(be, rng, ours, kind, options):
    """With the same gradients, so that only the optimizers are compared."""
    network = small_network(be)
    ours.attach(network)
    parameters = network.parameters()
    theirs = {name: torch.nn.Parameter(to_torch(p.value)) for name, p in parameters.items()}
    stepper = kind(theirs.values(), lr=0.1, **options)
    for step in range(1, 6):
        for name, parameter in parameters.items():
            gradient = rng.standard_normal(parameter.shape).astype(np.float32)
            parameter.gradient[...] = gradient
            theirs[name].grad = to_torch(gradient)
        ours.step(step)
        stepper.step()
    for name, parameter in parameters.items():
        agree(parameter.value, to_nhwc(theirs[name]))


def test_five_steps_of_training(be, rng):
    """A whole network in FP32 and in PyTorch's float64, parameters and statistics compared."""
    network = small_network(be)
    module = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU(), torch.nn.MaxPool2d(2)
    ).double()
    classifier = torch.nn.Linear(16, 5).double()
    ours = network.parameters()
    paired = dict(zip(ours, [*module.parameters(), *classifier.parameters()], strict=True))
    with torch.no_grad():
        for name, parameter in ours.items():
            paired[name].copy_(to_torch(parameter.value))
    sgd, loss = optim.SGD(0.1, momentum=0.9), SoftmaxCrossEntropy()
    sgd.attach(network)
    stepper = torch.optim.SGD(paired.values(), lr=0.1, momentum=0.9)
    network.train()
    for step in range(1, 6):
        x = rng.standard_normal((8, 6, 6, 3)).astype(np.float32)
        labels = rng.integers(0, 5, 8).astype(np.int32)
        loss.forward(be, network.forward(be.asarray(x)), be.asarray(labels))
        network.backward(loss.backward(be, 8))
        sgd.step(step)
        stepper.zero_grad()
        scores = classifier(module(to_torch(x)).permute(0, 2, 3, 1).reshape(8, -1))
        target = torch.tensor(labels.astype(np.int64))
        torch.nn.functional.cross_entropy(scores, target).backward()
        stepper.step()
    # The bias before a normalisation has no gradient but rounding, and stays at that.
    for name in set(ours) - {"0.conv2d.bias"}:
        agree(ours[name].value, to_nhwc(paired[name]))
    assert abs(ours["0.conv2d.bias"].value).max() < 1e-5
    agree(network.buffers()["1.batch_norm2d.running_mean"].value, module[1].running_mean)
    agree(network.buffers()["1.batch_norm2d.running_variance"].value, module[1].running_var)


TOTAL, PER_EPOCH, BASE = 40, 8, 0.5

SCHEDULES = {
    "step": (
        optim.Step(every_epochs=1.5, decay=0.3),
        lambda o: torch.optim.lr_scheduler.StepLR(o, 12, 0.3),
    ),
    "cosine": (
        optim.Cosine(final=0.1),
        lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, TOTAL, BASE * 0.1),
    ),
    "one cycle": (
        optim.OneCycle(peak=0.3, initial=1 / 25, final=1 / (25 * 1e4)),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(o, BASE, TOTAL, pct_start=0.3),
    ),
    "one cycle, options": (
        optim.OneCycle(peak=0.45, initial=0.1, final=0.1 / 50),
        lambda o: torch.optim.lr_scheduler.OneCycleLR(
            o, BASE, TOTAL, pct_start=0.45, div_factor=10, final_div_factor=50
        ),
    ),
    "warm-up": (
        optim.Constant(warmup_epochs=1.25),
        lambda o: torch.optim.lr_scheduler.LinearLR(o, 1 / 10, 1, 9),
    ),
}


@pytest.mark.parametrize(("ours", "theirs"), SCHEDULES.values(), ids=SCHEDULES)
def test_schedules(ours, theirs):
    stepper = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=BASE)
    schedule, rates = theirs(stepper), []
    for _ in range(TOTAL):
        rates.append(stepper.param_groups[0]["lr"])
        stepper.step()
        schedule.step()
    got = [BASE * ours.factor(step, TOTAL, PER_EPOCH) for step in range(TOTAL)]
    np.testing.assert_allclose(got, rates, rtol=0, atol=1e-5 * max(rates))
    # Small rates late in a cycle must agree too, not only beside the largest.
    np.testing.assert_allclose(got, rates, rtol=1e-5)

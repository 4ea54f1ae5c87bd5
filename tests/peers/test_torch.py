"""Our layers, losses, optimizers and schedules against PyTorch's, if it is installed.

Which of PyTorch's is the counterpart of one of ours, ``gpucnn bench`` and these tests agree upon.

Results agree to 10⁻⁵ of the largest magnitude in the tensor compared: PyTorch works in float64
where it can, ours in FP32, and the sums here are a few hundred terms long.
"""

import warnings

import numpy as np
import pytest

from gpucnn import layers as nn
from gpucnn import optim
from gpucnn.backends import get_backend
from gpucnn.bench.torch_peer import to_torch, torch_layer, torch_loss, torch_optimizer
from gpucnn.errors import ConfigError
from gpucnn.layers.activation import Activation
from gpucnn.losses import Huber, Loss, MeanSquaredError, SoftmaxCrossEntropy

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


def tensor(array):
    """NHWC to NCHW in float64, for images and filters; anything else as it is."""
    of_array = torch.tensor(np.asarray(array, np.float64))
    return of_array.permute(0, 3, 1, 2).contiguous() if of_array.ndim == 4 else of_array


def to_nhwc(of_array):
    return of_array.permute(0, 2, 3, 1) if of_array.ndim == 4 else of_array


def ready(layer, be, shape, rng):
    """The layer by itself, with random parameters."""
    layer.attach(nn.Context(be, seed=0, classes=10, training=True), "0")
    layer.declare(shape)
    for part in layer.walk():
        for parameter in part.parameters.values():
            parameter.value = be.asarray(rng.standard_normal(parameter.shape))
            parameter.gradient = be.zeros(parameter.shape)
        for buffer in part.buffers.values():
            buffer.value = be.asarray(np.full(buffer.shape, buffer.initial))
    return layer


def everything(layer, kind):
    return [(name, each) for part in layer.walk() for name, each in getattr(part, kind).items()]


IMAGES, VECTORS = (9, 8, 4), (11,)
LAYERS = {
    "conv": (nn.Conv2d(6, 3), IMAGES),
    "conv 1×1": (nn.Conv2d(5, 1), IMAGES),
    "conv strided": (nn.Conv2d(6, (3, 2), stride=(2, 3), padding=(1, 0)), IMAGES),
    "conv dilated": (nn.Conv2d(6, 3, dilation=(2, 1), padding=2), IMAGES),
    "conv grouped": (nn.Conv2d(6, 3, groups=2, padding=1), IMAGES),
    "conv depthwise": (nn.Conv2d(8, 3, groups=4, padding=1), IMAGES),
    "conv same": (nn.Conv2d(4, (4, 3), padding="same", dilation=(1, 2)), IMAGES),
    "conv unequal": (nn.Conv2d(4, 4, padding=((0, 3), (2, 1)), stride=2), IMAGES),
    "conv without bias": (nn.Conv2d(4, 3, bias=False), IMAGES),
    "max": (nn.MaxPool2d(2), IMAGES),
    "max padded": (nn.MaxPool2d(3, 2, 1), IMAGES),
    "average": (nn.AvgPool2d((2, 3), 1), IMAGES),
    "average padded": (nn.AvgPool2d(3, 2, 1), IMAGES),
    "global average": (nn.GlobalAvgPool2d(), IMAGES),
    "batch norm": (nn.BatchNorm2d(0.2, 1e-3), IMAGES),
    **{kind.kind: (kind(), IMAGES) for kind in Activation.__subclasses__()},
    "leaky relu, steep": (nn.LeakyReLU(0.1), IMAGES),
    "flatten": (nn.Flatten(), IMAGES),
    "linear": (nn.Linear(7), VECTORS),
    "linear without bias": (nn.Linear(7, bias=False), VECTORS),
    "residual": (nn.Residual([nn.Conv2d(4, 3, padding=1), nn.Tanh()]), IMAGES),
    "projected": (nn.Residual([nn.Conv2d(6, 3, padding=1)], [nn.Conv2d(6, 1)]), IMAGES),
}


@pytest.mark.parametrize(("layer", "shape"), LAYERS.values(), ids=LAYERS)
def test_layers(be, rng, layer, shape):
    layer = ready(layer, be, shape, rng)
    module = torch_layer(layer).double()
    x = rng.standard_normal((N, *shape)).astype(np.float32)
    tx = tensor(x).requires_grad_()
    y, ty = layer.forward(be.asarray(x)), module(tx)
    agree(y, to_nhwc(ty))
    dy = rng.standard_normal(y.shape).astype(np.float32)
    ty.backward(tensor(dy))
    agree(layer.backward(be.asarray(dy)), to_nhwc(tx.grad))
    parameters = everything(layer, "parameters")
    for (_, ours), theirs in zip(parameters, module.parameters(), strict=True):
        agree(ours.gradient, to_nhwc(theirs.grad))
    buffers = everything(layer, "buffers")
    for name, buffer in buffers:
        agree(buffer.value, getattr(module, name.replace("variance", "var")))
    if buffers:
        layer.context.training = False
        module.eval()
        agree(layer.forward(be.asarray(x)), to_nhwc(module(tx)))


def test_all_layers_are_compared():
    compared = {part.kind for layer, _ in LAYERS.values() for part in layer.walk()}
    assert compared == set(nn.layers.names()) - {"dropout"}  # whose masks are our own


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel:UserWarning")
def test_the_same_padding_is_pytorchs(be, rng):
    layer = ready(nn.Conv2d(4, (4, 3), padding="same", dilation=(1, 2)), be, IMAGES, rng)
    weight, bias = (tensor(layer.parameters[name].value) for name in ("weight", "bias"))
    x = rng.standard_normal((N, *IMAGES)).astype(np.float32)
    conv2d = torch.nn.functional.conv2d
    theirs = conv2d(tensor(x), weight, bias, padding="same", dilation=(1, 2))
    agree(layer.forward(be.asarray(x)), to_nhwc(theirs))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_cross_entropy(be, rng, smoothing):
    loss = SoftmaxCrossEntropy(smoothing)
    scores = (3 * rng.standard_normal((8, 10))).astype(np.float32)
    labels = rng.integers(0, 10, 8).astype(np.int32)
    leaf = tensor(scores).requires_grad_()
    criterion, target = torch_loss(loss), torch.tensor(labels.astype(np.int64))
    criterion(leaf, target).backward()
    criterion.reduction = "none"
    agree(loss.forward(be, be.asarray(scores), be.asarray(labels)), criterion(leaf, target))
    agree(loss.backward(be, 8), leaf.grad)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_class_weights(be, rng, smoothing):
    """As PyTorch's, but that the mean divides by the samples and not by their weights."""
    weights = [0.5, 2.0, 0.0, 1.0]
    loss = SoftmaxCrossEntropy(smoothing, weights)
    loss.prepare(np.array([1, 1, 1, 1]))
    scores = (3 * rng.standard_normal((8, 4))).astype(np.float32)
    labels = rng.integers(0, 4, 8).astype(np.int32)
    leaf = tensor(scores).requires_grad_()
    theirs = torch.nn.functional.cross_entropy(
        leaf,
        torch.tensor(labels.astype(np.int64)),
        weight=torch.tensor(weights, dtype=torch.float64),
        label_smoothing=smoothing,
        reduction="none",
    )
    (theirs.sum() / 8).backward()
    target = be.asarray(loss.target(labels, None, is_training=True))
    agree(loss.forward(be, be.asarray(scores), target), theirs)
    agree(loss.backward(be, 8), leaf.grad)


@pytest.mark.parametrize("loss", [MeanSquaredError(), Huber(), Huber(0.3)])
def test_losses_of_numbers(be, rng, loss):
    x, y = (2 * rng.standard_normal((2, 8, 5))).astype(np.float32)
    leaf = tensor(x).requires_grad_()
    theirs = torch_loss(loss)(leaf, tensor(y))
    theirs.backward()
    losses = np.asarray(loss.forward(be, be.asarray(x), be.asarray(y)))
    agree(losses.mean(dtype=np.float64), theirs)
    agree(loss.backward(be, 8), leaf.grad)


def test_squared_error_of_labels(be, rng):
    scores, labels = rng.standard_normal((8, 5)).astype(np.float32), np.arange(8) % 5
    leaf = tensor(scores).requires_grad_()
    theirs = torch_loss(MeanSquaredError())(leaf, torch.tensor(labels))
    theirs.backward()
    loss, target = MeanSquaredError(), be.asarray(labels.astype(np.int32))
    losses = np.asarray(loss.forward(be, be.asarray(scores), target))
    agree(losses.mean(dtype=np.float64), theirs)
    agree(loss.backward(be, 8), leaf.grad)


def test_losses_without_a_counterpart():
    class Other(Loss):
        forward = backward = None

    with pytest.raises(ConfigError, match="no comparison for the loss Other"):
        torch_loss(Other())
    with pytest.raises(ConfigError, match=r"leave loss\.class_weights out"):
        torch_loss(SoftmaxCrossEntropy(class_weights="balanced"))


def small_network(be):
    body = [nn.Conv2d(4, 3), nn.BatchNorm2d(), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten()]
    return nn.Network([*body, nn.Linear("classes")], (6, 6, 3), 5, be, seed=4)


OPTIMIZERS = {
    "sgd": optim.SGD(0.1, momentum=0.0),
    "sgd, decay": optim.SGD(0.1, momentum=0.0, weight_decay=0.1, decay_all=True),
    "sgd, momentum": optim.SGD(0.1, momentum=0.9),
    "sgd, nesterov, decay": optim.SGD(
        0.1, momentum=0.9, nesterov=True, weight_decay=0.1, decay_all=True
    ),
    "adam": optim.Adam(0.1),
    "adam, options": optim.Adam(0.1, 0.8, 0.99, 1e-4, weight_decay=0.1, decay_all=True),
    "adamw": optim.AdamW(0.1, decay_all=True),
    "adamw, options": optim.AdamW(0.1, 0.8, 0.99, 1e-4, weight_decay=0.3, decay_all=True),
    "adamw, weights alone decay": optim.AdamW(0.1, weight_decay=0.3),
}


def paired_with(network, module):
    """Their parameters by our names: both come in the order of the forward pass."""
    return dict(zip(network.parameters(), module.parameters(), strict=True))


@pytest.mark.parametrize("ours", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_five_steps(be, rng, ours):
    """With the same gradients, so that only the optimizers are compared."""
    network = small_network(be)
    ours.attach(network)
    module = to_torch(network).double()
    theirs, stepper = paired_with(network, module), torch_optimizer(module, ours)
    for step in range(1, 6):
        for name, parameter in network.parameters().items():
            gradient = rng.standard_normal(parameter.shape).astype(np.float32)
            parameter.gradient[...] = gradient
            theirs[name].grad = tensor(gradient)
        ours.step(step)
        stepper.step()
    for name, parameter in network.parameters().items():
        agree(parameter.value, to_nhwc(theirs[name]))


def test_five_steps_of_training(be, rng):
    """A whole network in FP32 and in PyTorch's float64, parameters and statistics compared."""
    network = small_network(be)
    sgd, loss = optim.SGD(0.1, momentum=0.9), SoftmaxCrossEntropy()
    sgd.attach(network)
    module = to_torch(network).double()
    stepper, their_loss = torch_optimizer(module, sgd), torch_loss(loss)
    network.train()
    for step in range(1, 6):
        x = rng.standard_normal((8, 6, 6, 3)).astype(np.float32)
        labels = rng.integers(0, 5, 8).astype(np.int32)
        loss.forward(be, network.forward(be.asarray(x)), be.asarray(labels))
        network.backward(loss.backward(be, 8))
        sgd.step(step)
        stepper.zero_grad()
        their_loss(module(tensor(x)), torch.tensor(labels.astype(np.int64))).backward()
        stepper.step()
    ours, theirs = network.parameters(), paired_with(network, module)
    # The bias before a normalisation has no gradient but rounding, and stays at that.
    for name in set(ours) - {"0.conv2d.bias"}:
        agree(ours[name].value, to_nhwc(theirs[name]))
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


def test_moving_average(be, rng):
    from torch.optim.swa_utils import get_ema_multi_avg_fn

    average, values = (rng.standard_normal(100).astype(np.float32) for _ in range(2))
    expected = [tensor(average)]
    be.update_average(average, values, 1 - 0.9)
    get_ema_multi_avg_fn(0.9)(expected, [tensor(values)], None)
    agree(average, expected[0])

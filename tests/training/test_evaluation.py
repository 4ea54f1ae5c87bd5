import json

import numpy as np
import pytest

from gpucnn.data import ArrayDataset, BatchLoader, Normalisation
from gpucnn.layers import Flatten, Linear, Network
from gpucnn.losses import MeanSquaredError, SoftmaxCrossEntropy
from gpucnn.training.classification import Classification, ClassificationResult
from gpucnn.training.evaluation import evaluate
from gpucnn.training.input_pipeline import InputPipeline

CLASSES = ("a", "b", "c")


@pytest.fixture
def dataset(rng):
    images = rng.integers(0, 256, (23, 2, 3, 1), dtype=np.uint8)
    return ArrayDataset(images, rng.integers(0, 3, 23).astype(np.int32), CLASSES)


@pytest.fixture
def network(exact):
    return Network([Flatten(), Linear("classes")], (2, 3, 1), 3, exact, seed=3)


def run(network, dataset, loss, size=5):
    pipeline = InputPipeline(network.backend, Normalisation((0.4,), (0.25,)))
    batches = BatchLoader(dataset, size, 0, shuffle=False).batches(0)
    return evaluate(network, loss, pipeline, Classification(CLASSES), batches)


def scores_of(network, dataset):
    pixels = dataset.images(np.arange(len(dataset))).reshape(len(dataset), -1) / 255.0
    parameters = network.parameters()
    weight, bias = (parameters[f"1.linear.{name}"].value for name in ("weight", "bias"))
    return (pixels - 0.4) / 0.25 @ weight.T + bias


def direct(scores, labels):
    """Confusion matrix and accuracy, image by image."""
    confusion = np.zeros((3, 3), int)
    for row, label in zip(scores, labels, strict=True):
        confusion[label, max(range(3), key=lambda k: row[k])] += 1
    return confusion


def cross_entropy(scores, labels):
    return [
        np.log(sum(np.exp(row - row[label]))) for row, label in zip(scores, labels, strict=True)
    ]


def squared_error(scores, labels):
    return [
        sum((row - np.eye(3)[label]) ** 2) / 3 for row, label in zip(scores, labels, strict=True)
    ]


@pytest.mark.parametrize("size", [1, 5, 23, 500])
@pytest.mark.parametrize(
    ("loss", "by_hand"),
    [(SoftmaxCrossEntropy(), cross_entropy), (MeanSquaredError(), squared_error)],
    ids=["softmax_cross_entropy", "mean_squared_error"],
)
def test_against_a_direct_computation(loss, by_hand, size, network, dataset):
    result = run(network, dataset, loss, size)
    scores, labels = scores_of(network, dataset), dataset.labels
    confusion = direct(scores, labels)
    np.testing.assert_array_equal(result.confusion, confusion)
    assert result.n == 23
    assert result.correct == int((scores.argmax(1) == labels).sum())
    assert result.accuracy == result.correct / 23
    assert result.loss == pytest.approx(np.mean(by_hand(scores, labels)), rel=1e-12)
    for k, share in enumerate(result.class_accuracy()):
        assert share == pytest.approx((scores.argmax(1)[labels == k] == k).mean())


def test_scores_are_read_a_few_batches_at_a_time(network, dataset, monkeypatch):
    """To read one is to wait for the device, and it would wait for the host in turn."""
    events, forward, to_numpy = [], network.forward, network.backend.to_numpy
    monkeypatch.setattr(network, "forward", lambda x: (events.append("run"), forward(x))[1])
    monkeypatch.setattr(
        network.backend, "to_numpy", lambda array: (events.append("read"), to_numpy(array))[1]
    )
    run(network, dataset, SoftmaxCrossEntropy(), size=1)
    assert events == ["run"] * 16 + ["read"] * 16 + ["run"] * 7 + ["read"] * 7 + ["read"]


def test_scores_that_are_not_numbers_belong_to_no_class(network, dataset):
    network.parameters()["1.linear.weight"].value[...] = np.nan
    result = run(network, dataset, SoftmaxCrossEntropy())
    assert (result.n, result.correct, result.accuracy) == (23, 0, 0.0)
    assert not result.confusion.any()
    np.testing.assert_array_equal(result.unclassified, np.bincount(dataset.labels, minlength=3))
    assert result.class_accuracy() == [0.0, 0.0, 0.0]
    assert np.isnan(result.loss)
    answer = result.as_json(CLASSES)
    assert (answer["n"], answer["unclassified"], answer["accuracy"]) == (23, 23, 0.0)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_one_nan_among_the_scores_is_enough(place, network, dataset):
    network.parameters()["1.linear.bias"].value[place] = np.nan
    result = run(network, dataset, SoftmaxCrossEntropy())
    assert (result.correct, int(np.sum(result.unclassified))) == (0, 23)


def test_unclassified_samples_count_in_the_denominators(network, dataset, monkeypatch):
    """Of every fifth image only: the scores of the others are as they were."""
    whole, forward = run(network, dataset, SoftmaxCrossEntropy()), network.forward
    seen = []

    def poisoned(x):
        scores = forward(x)
        for row in range(len(scores)):
            if len(seen) % 5 == 0:
                scores[row, 1] = np.nan
            seen.append(None)
        return scores

    monkeypatch.setattr(network, "forward", poisoned)
    result = run(network, dataset, SoftmaxCrossEntropy())
    lost = np.arange(23) % 5 == 0
    predicted = scores_of(network, dataset).argmax(axis=1)
    right = (predicted == dataset.labels) & ~lost
    assert (whole.n, result.n) == (23, 23)
    assert result.accuracy == right.sum() / 23
    for k, share in enumerate(result.class_accuracy()):
        assert share == right[dataset.labels == k].sum() / (dataset.labels == k).sum()


def test_an_error_puts_it_back_into_training_too(network, dataset):
    class Failing(SoftmaxCrossEntropy):
        def forward(self, backend, scores, labels):
            raise MemoryError

    with pytest.raises(MemoryError):
        run(network, dataset, Failing())
    assert network.context.training


def test_the_first_of_equal_scores_is_the_prediction(network, dataset):
    for parameter in network.parameters().values():
        parameter.value.fill(0.0)
    result = run(network, dataset, SoftmaxCrossEntropy())
    np.testing.assert_array_equal(result.confusion[:, 0], np.bincount(dataset.labels, minlength=3))
    assert result.loss == pytest.approx(np.log(3.0))


def test_it_is_put_back_into_training(network, dataset):
    network.train()
    run(network, dataset, SoftmaxCrossEntropy())
    assert network.context.training


def test_a_class_without_samples_has_no_accuracy():
    result = ClassificationResult(np.array([[3, 1, 0], [0, 0, 0], [0, 1, 1]]), 0.5)
    assert result.class_accuracy() == [0.75, None, 0.5]
    assert result.accuracy == 4 / 6
    answer = json.loads(json.dumps(result.as_json(CLASSES)))
    assert answer == {
        "accuracy": 4 / 6,
        "loss": 0.5,
        "n": 6,
        "unclassified": 0,
        "class_accuracy": {"a": 0.75, "b": None, "c": 0.5},
        "confusion": [[3, 1, 0], [0, 0, 0], [0, 1, 1]],
    }


def scored(rows, labels):
    """The result of an evaluation whose scores are these."""
    judge = Classification.of_count(len(rows[0])).judge()
    judge.add(np.array(labels, np.int32), None, np.array(rows, np.float32))
    return judge.result(loss_sum=0.0)


def test_top_5_accuracy_by_hand():
    seven = [6, 5, 4, 3, 2, 1, 0]
    ties = [1, 1, 1, 1, 1, 1, 0]
    nan = [6, 5, np.nan, 3, 2, 1, 0]
    rows = [seven, seven, seven, ties, ties, ties, nan, nan]
    labels = [0, 4, 5, 0, 4, 5, 0, 2]
    # Of equal scores the first is better, so the fifth is in and the sixth is not.
    result = scored(rows, labels)
    assert result.among_first == 4
    assert result.top5_accuracy == 4 / 8
    assert result.accuracy == 2 / 8
    assert result.figures() == {"loss": 0.0, "accuracy": 0.25, "top5_accuracy": 0.5}
    assert result.as_json("abcdefg")["top5_accuracy"] == 0.5
    assert "top-5 accuracy 50.00%" in result.text


def test_with_five_classes_or_fewer_there_is_no_top_5_accuracy():
    result = scored(np.eye(5), range(5))
    assert result.top5_accuracy is None
    assert list(result.figures()) == ["loss", "accuracy"]
    assert "top5_accuracy" not in result.as_json("abcde")
    assert "top-5" not in result.text


def test_top_5_accuracy_is_that_of_a_sorting(rng):
    scores = rng.integers(0, 6, (300, 11)).astype(float)  # many are equal
    labels = rng.integers(0, 11, 300)
    found = [
        label in sorted(range(11), key=lambda k: -row[k])[:5]  # which keeps the order of equals
        for row, label in zip(scores, labels, strict=True)
    ]
    assert scored(scores, labels).among_first == sum(found)

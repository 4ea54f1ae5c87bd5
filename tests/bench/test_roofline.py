"""The roofline's picture."""

import itertools

import pytest

from gpucnn.bench.ceilings import Ceilings
from gpucnn.bench.measurement import Measurement
from gpucnn.bench.problems import QUICK
from gpucnn.bench.roofline import can_be_drawn, draw
from gpucnn.bench.timing import Timing

CEILINGS = Ceilings(bandwidth=1e9, arithmetic=1e10)
TORCH = (Timing("torch, contiguous", 2.0, 1.0, 3.0),)


def measured(problems):
    ours = Timing("", 1.0, 0.5, 2.0)
    return [Measurement(problem, "", True, ours, TORCH, CEILINGS) for problem in problems]


@pytest.fixture
def figures(monkeypatch):
    """What is drawn, as it is written to the file."""
    pytest.importorskip("matplotlib")
    from matplotlib import pyplot

    kept, close = [], pyplot.close

    def keep(figure):
        kept.append(figure)
        close(figure)

    monkeypatch.setattr(pyplot, "close", keep)
    return kept


@pytest.mark.parametrize("problems", [QUICK, QUICK[:2]], ids=["all", "two"])
def test_nothing_covers_another_or_is_cut_off(problems, figures, tmp_path):
    """Problems that only move bytes have no place in it, and are no error."""
    path = tmp_path / "roofline.png"
    draw(measured(problems), CEILINGS, path, "all of them")
    assert path.read_bytes().startswith(b"\x89PNG")
    (figure,) = figures
    (axes,), (legend,) = figure.axes, figure.legends
    texts = [text.get_window_extent() for text in axes.texts]
    assert len(texts) > len(problems) // 3
    assert not any(a.overlaps(b) for a, b in itertools.combinations(texts, 2))
    inside = axes.get_window_extent()
    for box in texts:
        assert box.x0 >= inside.x0
        assert box.x1 <= inside.x1
    whole = legend.get_window_extent()
    assert whole.x1 <= figure.bbox.x1
    assert whole.y0 >= 0


def test_the_roof_has_its_corner_and_its_ends(figures, tmp_path):
    draw(measured(QUICK[:2]), CEILINGS, tmp_path / "roofline.svg", "")
    ((axes,),) = (figure.axes for figure in figures)
    corners = axes.get_lines()[0].get_xydata()
    assert corners[1] == pytest.approx((10, 10))  # 1e10 operations for 1e9 bytes; GFLOP/s
    assert corners[0][1] == pytest.approx(corners[0][0])
    assert corners[2][1] == pytest.approx(10)


def test_families_are_in_the_legend(figures, tmp_path):
    draw(measured(QUICK), CEILINGS, tmp_path / "roofline.pdf", "")
    names = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert names == [
        "convolution", "pooling", "normalisation", "activation", "dropout", "matrix", "loss",
        "optimizer", "guard", "augmentation", "PyTorch's best",
    ]  # fmt: skip


def test_what_only_moves_bytes_cannot_be_drawn():
    moving = [problem for problem in QUICK if problem.flops == 0]
    assert moving
    assert not can_be_drawn(measured(moving))
    assert can_be_drawn(measured(QUICK))

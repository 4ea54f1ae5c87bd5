"""The roofline's picture."""

import itertools
from dataclasses import replace

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
    return [Measurement(timed, "", True, ours, TORCH, CEILINGS) for timed in problems]


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
    assert len(texts) > len(problems) // 4
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


def test_no_point_is_above_its_roof(figures, tmp_path):
    """Points of cached data, which are small, may be above the memory's, but not the caches'."""
    ceilings = Ceilings(bandwidth=1e9, arithmetic=1e10)
    ceilings = replace(ceilings, cores=2, cached_bandwidth=2e9, cache_bytes=1 << 20)
    one_a_byte = [t for t in QUICK if 0 < t.problem.flops < 10 * t.problem.traffic]
    times = [1e3 * p.problem.traffic / (40e9 if k % 2 else 5e9) for k, p in enumerate(one_a_byte)]
    points = [
        Measurement(p, "", True, Timing("", t, t, t), (), ceilings, k % 2 == 1)
        for k, (p, t) in enumerate(zip(one_a_byte, times, strict=True))
    ]
    for point in points:
        ceilings = point.within(ceilings)
    assert ceilings.cached_bandwidth == pytest.approx(40e9)
    assert ceilings.bandwidth == pytest.approx(5e9)
    draw([replace(p, ceilings=ceilings) for p in points], ceilings, tmp_path / "r.svg", "")
    ((axes,),) = (figure.axes for figure in figures)
    solid, dashed = (line.get_xydata() for line in axes.get_lines())
    assert dashed[-1] == pytest.approx(solid[1])
    seen = set()
    for marks in axes.collections:
        for (x, y), area in zip(marks.get_offsets(), marks.get_sizes(), strict=False):
            is_small = area < 20
            seen.add(is_small)
            rate = 40 if is_small else 5
            assert y <= min(x * rate, solid[1][1]) * 1.000001
    assert seen == {True, False}
    texts = [text.get_text() for text in axes.texts]
    assert "memory, 5 GB/s" in texts
    assert "caches, 40 GB/s" in texts


def test_families_are_in_the_legend(figures, tmp_path):
    draw(measured(QUICK), CEILINGS, tmp_path / "roofline.pdf", "")
    names = [text.get_text() for text in figures[0].legends[0].get_texts()]
    assert names == [
        "convolution", "pooling", "normalisation", "activation", "dropout", "matrix", "loss",
        "regression", "optimizer", "guard", "augmentation", "PyTorch's best",
    ]  # fmt: skip


def test_what_only_moves_bytes_cannot_be_drawn():
    moving = [timed for timed in QUICK if timed.problem.flops == 0]
    assert moving
    assert not can_be_drawn(measured(moving))
    assert can_be_drawn(measured(QUICK))

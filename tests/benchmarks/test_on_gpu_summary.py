"""benchmarks/on_gpu_summary.py: what was measured, in tables."""

import importlib
from pathlib import Path

import pytest


@pytest.fixture
def on_gpu_summary(monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[2] / "benchmarks")
    return importlib.import_module("on_gpu_summary")


def test_tables_without_pytorch_and_of_one_epoch(on_gpu_summary):
    ceilings = {"gb_per_second": 1.0, "tflops": 2.0}
    told = on_gpu_summary.kernel_table({"ceilings": ceilings, "torch": None, "measurements": []})
    assert told[0].endswith("2 TFLOP/s of FP32. Without PyTorch.")
    run = {"name": "gpucnn", "accuracy": 0.5, "seconds": 1.0}
    assert on_gpu_summary.training_table([{**run, "epochs": 1}])[0].startswith("| 1 epoch |")
    assert on_gpu_summary.training_table([{**run, "epochs": 2}])[0].startswith("| 2 epochs |")

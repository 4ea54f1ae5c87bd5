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


def test_ratios_are_those_of_a_precision(on_gpu_summary):
    measured = {
        "problem": "one", "operation": "conv2d_forward", "variant": "", "chosen": True,
        "ours": {"median": 0.001}, "tflops": 1.0, "gb_per_second": 1.0, "share_of_ceiling": 0.5,
        "ratio": 0.5, "torch_best": "torch, contiguous",
        "ratio_tf32": 2.0, "torch_best_tf32": "torch, channels_last, TF32",
    }  # fmt: skip
    without = {**measured, "ratio_tf32": None, "torch_best_tf32": None}
    ceilings = {"gb_per_second": 1.0, "tflops": 2.0}
    told = on_gpu_summary.kernel_table(
        {"ceilings": ceilings, "torch": "2", "measurements": [measured, without]}
    )
    assert told[-2].endswith("| 0.50 (contiguous) | 2.00 (channels_last) |")
    assert told[-1].endswith("| 0.50 (contiguous) |  |")

"""Optimizers, and schedules of their learning rate."""

from gpucnn.optim.optimizers import SGD, Adam, AdamW, Optimizer, optimizers
from gpucnn.optim.schedules import Constant, Cosine, OneCycle, Schedule, Step, schedules

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "OneCycle",
    "Optimizer",
    "Schedule",
    "Step",
    "optimizers",
    "schedules",
]

"""Optimizers, and schedules of their learning rate."""

from gpucnn.optim.optimizers import SGD, Adam, AdamW, Optimizer, optimizers
from gpucnn.optim.schedules import Constant, Cosine, OneCycle, Parts, Schedule, Step, schedules

__all__ = [
    "SGD",
    "Adam",
    "AdamW",
    "Constant",
    "Cosine",
    "OneCycle",
    "Optimizer",
    "Parts",
    "Schedule",
    "Step",
    "optimizers",
    "schedules",
]

"""What is built, and how far that has come; the compiler is not needed for that."""

import threading

from gpucnn.backends.devices.source import KernelSource
from gpucnn.inspect import build
from gpucnn.inspect.build import Built, build_all


def test_progress_does_not_wait_for_the_first(monkeypatch):
    """Results are in order, whichever is ready first."""
    others = threading.Event()
    sources = [KernelSource("sum_slices.cu", (("K", number),)) for number in range(4)]

    def build_one(store, source, _disassemble):
        if (store.architecture, source) == ("sm_80", sources[0]):
            assert others.wait(10)
        return Built(source, store.architecture, ())

    done = []

    def advance():
        done.append(None)
        if len(done) == 7:
            others.set()

    monkeypatch.setattr(build, "_build", build_one)
    monkeypatch.setattr("gpucnn.processor.available_cores", lambda: 2)
    built = build_all({"sm_80": sources, "sm_90a": sources}, after_each=advance)
    assert len(done) == 8
    assert [(one.architecture, one.source) for one in built] == [
        (architecture, source) for architecture in ("sm_80", "sm_90a") for source in sources
    ]

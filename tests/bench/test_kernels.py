"""Measuring operations: who takes part, what is compiled before, what the numbers mean."""

import json
from dataclasses import replace

import numpy as np
import pytest

from gpucnn.backends import get_backend
from gpucnn.backends.devices.source import KERNELS
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.bench import contestants, kernels
from gpucnn.bench.ceilings import SOURCE, Ceilings, measure_ceilings, multiply_add
from gpucnn.bench.contestants import draw_inputs, torch_runs
from gpucnn.bench.device_clock import device_clock
from gpucnn.bench.kernel_report import legend, table_of
from gpucnn.bench.kernels import KernelBenchmark
from gpucnn.bench.load import Load
from gpucnn.bench.measurement import Measurement
from gpucnn.bench.problems import QUICK, select
from gpucnn.bench.timing import Clock, Timing
from gpucnn.bench.torch_device import TF32, TorchDevice, has_torch
from gpucnn.errors import BackendError
from gpucnn.launch import variants_of
from gpucnn.operations import Timed
from gpucnn.operations.matrix import Matmul

needs_torch = pytest.mark.skipif(not has_torch(), reason="PyTorch is not installed")


def product(M, N, K):
    """A matrix product of these sizes."""
    return Timed("", "", Matmul((M, K), (K, N)))


CEILINGS = Ceilings(bandwidth=1e9, arithmetic=1e10)


def known():
    """Ceilings that need not be measured."""
    return CEILINGS


class Steady(Clock):
    """Every run takes a second."""

    def __init__(self):
        self.runs = 0

    def seconds(self, run, times=1):
        self.runs += times
        for _ in range(times):
            run()
        return 1.0


def measurement(milliseconds, torch=()):
    timed = product(100, 100, 100)  # 2·10⁶ operations, 120,000 bytes
    return Measurement(timed, "", True, Timing("", milliseconds, 0, 9), torch, CEILINGS)


def test_rates_and_shares():
    one = measurement(1.0)
    assert one.flop_rate == pytest.approx(2e9)
    assert one.byte_rate == pytest.approx(1.2e8)
    # 0.2 ms for the arithmetic, 0.12 ms for the memory: the larger is the least time.
    assert one.share == pytest.approx(0.2)
    assert one.ratio is None
    faster, slower = Timing("torch, b", 0.5, 0, 1), Timing("torch, a", 4.0, 0, 9)
    against = measurement(1.0, (slower, faster))
    assert against.best_torch == faster
    assert against.ratio == pytest.approx(2.0)
    assert against.as_json()["torch_best"] == "torch, b"
    assert json.loads(json.dumps(against.as_json()))["share_of_ceiling"] == pytest.approx(0.2)


def test_rates_a_core():
    timed = product(100, 100, 100)
    cpu = Ceilings(bandwidth=1e9, arithmetic=1e10, cores=4)
    one = Measurement(timed, "", True, Timing("", 0.1, 0, 9), (), cpu)
    assert one.flop_rate_a_core == pytest.approx(5e9)
    assert one.as_json()["gflops_a_core"] == pytest.approx(5.0)
    assert "10 GFLOP/s of FP32 on 4 cores" in cpu.text
    assert measurement(1.0).as_json()["gflops_a_core"] is None  # of a device without cores


def test_rows_stand_under_their_titles():
    header, ((problem, row),) = table_of([measurement(2.0)])
    told = dict(zip(header, row, strict=True))
    assert (problem, told["operation"], told["median"]) == ("", "matmul", "2 ms")
    assert told["spread"] == "450%"
    torch = Timing("torch, channels_last", 4.0, 3.0, 5.0)
    header, ((_, row),) = table_of([measurement(2.0, (torch,))])
    told = dict(zip(header, row, strict=True))
    assert (told["torch"], told["layout"], told["ratio"]) == ("4 ms", "NHWC", "0.50")


def test_torch_in_tf32_has_columns_of_its_own():
    """What PyTorch does by itself is never taken for true FP32."""
    fp32 = Timing("torch, contiguous", 4.0, 3, 5)
    tf32 = Timing("torch, channels_last, TF32", 1.0, 1, 2)
    one = measurement(2.0, (fp32, tf32))
    assert (one.best_torch, one.best_tf32) == (fp32, tf32)
    assert (one.ratio, one.tf32_ratio) == (0.5, 2.0)
    assert one.as_json()["ratio_tf32"] == 2.0
    header, rows = table_of([one, measurement(2.0, (fp32,))])
    assert header[-6:] == ["torch", "layout", "ratio", "in TF32", "layout", "ratio"]
    assert rows[0][1][-6:] == ["4 ms", "NCHW", "0.50", "1 ms", "NHWC", "2.00"]
    assert rows[1][1][-3:] == ["", "", ""]
    assert "by itself" in legend([one])
    assert "TF32" not in legend([measurement(2.0, (fp32,))])


@needs_torch
def test_torch_computes_convolutions_in_both_precisions(monkeypatch):
    """On a GPU that has TF32; the flag is set for the run alone."""
    torch = TorchDevice(get_backend("numpy"))
    flags = torch.torch.backends.cudnn
    (timed,) = select(QUICK, ["quick-1x1"], ["conv2d_forward"])
    product = select(QUICK, ["quick-linear"], ["matmul"])[0]
    assert not any(TF32 in name for name in torch_runs(timed, torch, draw_inputs(timed), 1))
    monkeypatch.setattr(torch, "has_tf32", True)
    seen, kind = [], type(timed.problem)
    take = kind.in_torch

    def noted(*given, **named):
        seen.append(flags.allow_tf32)
        return take(*given, **named)

    monkeypatch.setattr(kind, "in_torch", noted)
    runs = torch_runs(timed, torch, draw_inputs(timed), 1)
    assert len(runs) == 4
    for name, run in runs.items():
        run()
        assert seen.pop() == name.endswith(TF32)
        assert not flags.allow_tf32
    assert not any(TF32 in name for name in torch_runs(product, torch, draw_inputs(product), 1))


def test_everyone_is_timed_equally_often():
    clock = Steady()
    benchmark = KernelBenchmark(get_backend("numpy"), clock, known, repetitions=20, budget=4.0)
    (one,) = benchmark.measure_all(select(QUICK, ["quick-map"], ["add"]))
    # A look at how long it takes, a warm-up, and as many as four seconds allow.
    assert clock.runs == 1 + 1 + 4
    assert one.ours.median == 1e3
    assert one.variant == ""


def test_variants(kernel_backend):
    benchmark = KernelBenchmark(kernel_backend, Steady(), known, budget=0.0)
    problems = select(QUICK, ["quick-1x1"], ["conv2d_forward"])
    measured = benchmark.measure_all(problems)
    assert [one.variant for one in measured] == list(variants_of(problems[0].problem))
    assert [one.is_chosen for one in measured] == [True] + [False] * (len(measured) - 1)
    assert kernel_backend.choice.variant is None
    last = variants_of(problems[0].problem)[-1]
    assert [one.variant for one in benchmark.measure_all(problems, [last])] == [last]
    with pytest.raises(BackendError, match=r'no.* variant "dirct"; did you mean "direct"\?'):
        benchmark.measure_all(problems, ["dirct"])
    with pytest.raises(BackendError, match="they have one kernel each"):
        benchmark.measure_all(select(QUICK, ["quick-map"]), ["direct"])


def test_everything_is_compiled_before_the_first_run(kernel_backend, monkeypatch):
    backend, order = KernelBackend(kernel_backend.device), []  # has no kernels of earlier tests
    device = backend.device
    compile_all, compile_one = device.compile_all, device.compile

    def watched_all(sources):
        order.append(set(sources))
        compile_all(sources)

    def watched_one(source):
        order.append(source)
        return compile_one(source)

    monkeypatch.setattr(device, "compile_all", watched_all)
    monkeypatch.setattr(device, "compile", watched_one)
    benchmark = KernelBenchmark(backend, Steady(), known, budget=0.0)
    benchmark.measure_all(select(QUICK, ["quick-pool", "quick-map"]))
    planned = order[0]
    used = {entry for entry in order if not isinstance(entry, set)}
    assert used == planned


def test_a_folder_s_kernels_take_the_place_of_ours(kernel_backend, tmp_path, monkeypatch):
    text = (KERNELS / "activation.cu").read_text(encoding="utf-8")
    (tmp_path / "activation.cu").write_text(text.replace("x < 0.0f ? 0.0f : x", "7.0f"))
    monkeypatch.setattr(kernel_backend, "kernels", tmp_path)
    x = kernel_backend.zeros((5,))
    assert list(kernel_backend.to_numpy(kernel_backend.relu_forward(x))) == [7.0] * 5
    assert list(kernel_backend.to_numpy(kernel_backend.global_norm(x))) == [0.0]  # ours, as before


def own_kernels(backend, folder, monkeypatch, statement):
    """Has a statement in relu_forward, of a file that takes the place of ours."""
    text = (KERNELS / "activation.cu").read_text(encoding="utf-8")
    begin = text.index("{\n", text.index("void relu_forward")) + 2
    (folder / "activation.cu").write_text(text[:begin] + statement + text[begin:], "utf-8")
    monkeypatch.setattr(backend, "kernels", folder)


@pytest.mark.parametrize("statement", ["*static_cast<float*>(nullptr) = 1.0f;", "nothing;"])
def test_what_fails_is_noted_and_the_rest_measured(
    kernel_backend, tmp_path, monkeypatch, statement
):
    """At the launch, or when it is compiled, of which there is one file for the three."""
    if kernel_backend.device.name != "emulator":
        pytest.skip("a GPU does not go on after a bad access")
    own_kernels(kernel_backend, tmp_path, monkeypatch, statement)
    benchmark = KernelBenchmark(kernel_backend, Steady(), known, budget=0.0)
    problems = select(QUICK, ["quick-map", "quick-1x1"], ["relu_forward", "conv2d_forward", "add"])
    told = []
    measured = benchmark.measure_all(problems, after_each=lambda _: told.append(None))
    assert len(told) == 3
    operations = {one.timed.problem.operation for one in measured}
    failed = [one.timed.problem.operation for one in benchmark.failures]
    if statement == "nothing;":
        assert (operations, failed) == ({"conv2d_forward"}, ["relu_forward", "add"])
        assert "activation.cu" in benchmark.failures[0].message
        assert "does not compile" in benchmark.failures[0].message
    else:
        assert (operations, failed) == ({"conv2d_forward", "add"}, ["relu_forward"])
        assert "address (nil) is in no memory" in benchmark.failures[0].message
    content = json.loads(json.dumps(benchmark.as_json(measured)))
    assert [one["operation"] for one in content["failures"]] == failed
    _, rows = table_of(measured, benchmark.failures)
    assert ("quick-map", ["relu_forward", "failed", "", "", "", ""]) in rows
    names = [name for name, _ in rows]
    assert names == sorted(names, key=names.index), "rows of one name lie together"


def test_a_launch_that_never_ends_is_ended_and_its_operation_left(
    kernel_backend, tmp_path, monkeypatch
):
    if kernel_backend.device.name != "emulator":
        pytest.skip("no launch of a GPU can be ended")
    monkeypatch.setattr("gpucnn.bench.kernels._LAUNCH_LIMIT", 0.2)
    monkeypatch.setattr(kernel_backend.device, "time_limit", None)
    loop = "volatile int zero = 0; while (zero == 0) {}"
    own_kernels(kernel_backend, tmp_path, monkeypatch, loop)
    benchmark = KernelBenchmark(kernel_backend, Steady(), known, budget=0.0)
    (relu,) = select(QUICK, ["quick-map"], ["relu_forward"])
    (add,) = select(QUICK, ["quick-map"], ["add"])
    measured = benchmark.measure_all([relu, replace(relu, name="again"), add])
    assert [one.timed for one in measured] == [add]
    (failure,) = benchmark.failures
    assert failure.timed is relu
    assert "longer than its time limit" in failure.message


def test_a_device_that_has_failed_is_left_alone(monkeypatch):
    """As a GPU is once a kernel has gone wrong: every call is an error."""
    backend, tried = get_backend("numpy"), []

    def fail(*arguments, **_):
        tried.append(arguments)
        raise BackendError("the GPU stopped")

    run = backend.run

    def run_or_fail(problem, *arrays, **numbers):
        here = fail if problem.operation == "relu_input_grad" else run
        return here(problem, *arrays, **numbers)

    monkeypatch.setattr(backend, "run", run_or_fail)
    monkeypatch.setattr(backend, "synchronise", lambda: fail() if tried else None)
    benchmark = KernelBenchmark(backend, Steady(), known, budget=0.0)
    measured = benchmark.measure_all(select(QUICK, ["quick-map"]))
    assert [one.timed.problem.operation for one in measured] == ["relu_forward"]
    assert [one.timed.problem.operation for one in benchmark.failures] == ["relu_input_grad"]


def test_problems_that_launch_files_of_a_folder(kernel_backend, tmp_path, monkeypatch):
    (tmp_path / "conv2d_forward.cu").write_text("")
    (tmp_path / "activation.cu").mkdir()
    monkeypatch.setattr(kernel_backend, "kernels", tmp_path)
    benchmark = KernelBenchmark(kernel_backend, Steady(), known)
    problems = select(QUICK, ["quick-map", "quick-1x1"])
    own = benchmark.launching_own(problems)
    assert [timed.problem.operation for timed in own] == ["conv2d_forward"]
    assert list(own.values()) == [{"conv2d_forward.cu"}]
    with pytest.raises(BackendError, match="launches a file of"):
        benchmark.launching_own(problems, ["gemm"])


def test_input_sets_fill_a_cache_three_times(kernel_backend, monkeypatch):
    benchmark = KernelBenchmark(kernel_backend, Steady(), known)
    (timed,) = select(QUICK, ["quick-map"], ["add"])
    machine = replace(kernel_backend.device.machine, cache_bytes=0)
    monkeypatch.setattr(kernel_backend.device, "machine", machine)
    assert benchmark._sets(timed) == 1
    machine = replace(machine, cache_bytes=timed.problem.traffic)
    monkeypatch.setattr(kernel_backend.device, "machine", machine)
    assert benchmark._sets(timed) == 3
    used = []

    def our_run(_timed, _backend, arrays):
        return lambda: used.append(arrays)

    monkeypatch.setattr(contestants, "our_run", our_run)
    drawn = contestants.draw_inputs(timed)
    run = contestants.our_runs(timed, kernel_backend, drawn, [""], benchmark._sets(timed))[""]
    for _ in range(6):
        run()
    assert [id(arrays) for arrays in used[:3]] == [id(arrays) for arrays in used[3:]]
    assert len({id(array) for arrays in used for array in arrays}) == 3 * len(drawn)
    for arrays in used[:3]:
        for array, host in zip(arrays, drawn, strict=True):
            np.testing.assert_array_equal(kernel_backend.to_numpy(array), host)


def test_numbers_are_drawn_and_moved_once(kernel_backend, monkeypatch):
    """Whatever the number of variants and of sets."""
    benchmark = KernelBenchmark(kernel_backend, Steady(), known, budget=0.0)
    monkeypatch.setattr(benchmark, "_sets", lambda _: 4)
    (timed,) = select(QUICK, ["quick-1x1"], ["conv2d_forward"])
    drawn, moved = [], []
    draw, move = kernels.draw_inputs, kernel_backend.asarray
    monkeypatch.setattr(kernels, "draw_inputs", lambda timed: drawn.append(timed) or draw(timed))
    monkeypatch.setattr(kernel_backend, "asarray", lambda array: moved.append(array) or move(array))
    assert len(benchmark.measure_all([timed])) > 1
    assert (len(drawn), len(moved)) == (1, 2)


def test_what_was_measured_is_told_after_each_problem():
    benchmark = KernelBenchmark(get_backend("numpy"), Steady(), known, budget=0.0)
    told = []
    benchmark.measure_all(
        select(QUICK, ["quick-map"]), after_each=lambda so_far: told.append([*so_far])
    )
    assert [[one.timed.problem.operation for one in each] for each in told] == [
        ["relu_forward"],
        ["relu_forward", "relu_input_grad"],
        ["relu_forward", "relu_input_grad", "add"],
    ]


def test_ceilings_are_raised_by_what_is_reached_and_measured_again():
    """A slow first measurement, an operation that is faster, and a faster measurement at last."""
    timed = product(100, 100, 100)  # 2·10⁶ operations, 120,000 bytes
    measured = iter([Ceilings(1e3, 1e3, cores=2), Ceilings(2e3, 3e6, cores=2)])
    benchmark = KernelBenchmark(
        get_backend("numpy"), Steady(), lambda: next(measured), repetitions=3
    )
    told = []
    (one,) = benchmark.measure_all([timed], after_each=lambda so_far: told.extend(so_far))
    assert benchmark.ceilings == one.ceilings == Ceilings(1.2e5, 3e6, cores=2)
    assert one.share == pytest.approx(1.0)
    assert told[0].ceilings == Ceilings(1.2e5, 2e6, cores=2)
    assert told[-1] == one
    assert all(each.share <= 1.0 for each in told)


def test_pytorch_raises_the_ceilings_of_a_cpu_and_not_of_a_gpu():
    torch = (Timing("torch, contiguous", 0.5, 0, 1), Timing("torch, channels_last", 0.1, 0, 1))
    one = measurement(1.0, torch)
    low = Ceilings(1.0, 1.0)
    assert one.within(replace(low, cores=2)).arithmetic == pytest.approx(2e6 / 1e-4)
    assert one.within(low).arithmetic == pytest.approx(2e6 / 1e-3)
    cached = replace(one, is_cached=True).within(low)
    assert (cached.bandwidth, cached.cached_bandwidth) == (1.0, pytest.approx(1.2e5 / 1e-3))


def test_what_the_caches_may_hold_is_compared_with_them_and_marked():
    ceilings = Ceilings(1e9, 1e12, 2, cached_bandwidth=1e10, cache_bytes=1 << 20)
    benchmark = KernelBenchmark(get_backend("numpy"), Steady(), lambda: ceilings)
    small, large = product(100, 100, 100), product(2000, 1, 2000)
    assert large.problem.traffic > 4 << 20
    assert [benchmark._is_cached(timed) for timed in (small, large)] == [True, False]
    plain = replace(ceilings, cached_bandwidth=0.0)
    assert not KernelBenchmark(get_backend("numpy"), Steady(), lambda: plain)._is_cached(small)
    one = replace(measurement(1.0), ceilings=ceilings, is_cached=True)
    assert one.share == pytest.approx(1.2e5 / 1e10 / 1e-3)
    assert one.as_json()["cached"]
    _, ((_, row),) = table_of([one])
    assert row[-1] == "1% c"
    assert "its caches allow" in legend([one])
    assert "c: " not in legend([measurement(1.0)])


def test_load_is_part_of_the_result(monkeypatch):
    benchmark = KernelBenchmark(get_backend("numpy"), Steady(), known, budget=0.0)
    assert benchmark.as_json([])["load"] is None
    monkeypatch.setattr("gpucnn.bench.kernels.LoadMeter.read", lambda _: Load(1.0, 2))
    measured = benchmark.measure_all(select(QUICK, ["quick-map"], ["add"]))
    load = benchmark.as_json(measured)["load"]
    assert load["busy"]
    assert load["why"] == "other processes kept 1.0 of 2 cores busy"
    assert json.loads(json.dumps(load))["cores_busy_with_others"] == 1.0


def test_the_copy_copies(kernel_backend, rng):
    x = kernel_backend.asarray(rng.standard_normal(3 * 4096))
    y = kernel_backend.zeros((x.size + 1,))
    kernel = kernel_backend.device.compile(SOURCE)["copy"]
    kernel_backend.device.launch(kernel, (3, 1, 1), (256, 1, 1), 0, (x, y))
    np.testing.assert_array_equal(kernel_backend.to_numpy(y), [*kernel_backend.to_numpy(x), 0.0])


def test_ceilings(kernel_backend, monkeypatch):
    """The multiply-adds add up, and both are rates that a CPU or a GPU can have."""
    ceilings = measure_ceilings(kernel_backend, device_clock(kernel_backend))
    assert 1e7 < ceilings.bandwidth < 1e14
    assert 1e7 < ceilings.arithmetic < 1e15
    assert ceilings.seconds(int(1e6), 0) == pytest.approx(1e6 / ceilings.arithmetic)

    arrays = []
    launch = kernel_backend.device.launch

    def watched(kernel, grid, block, shared_bytes, arguments):
        arrays.append(arguments)
        launch(kernel, grid, block, shared_bytes, arguments)

    monkeypatch.setattr(kernel_backend.device, "launch", watched)
    multiply_add(kernel_backend.device, 1, 2)(1)
    sums = kernel_backend.to_numpy(arrays[0][0])
    # The chains of thread t begin with t … t + 7.
    expected = [sum(0.999 * (t + chain) + 0.001 for chain in range(8)) for t in range(2)]
    np.testing.assert_allclose(sums, expected, rtol=1e-6)

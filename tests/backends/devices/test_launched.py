"""Whether a file's kernels are those that are launched."""

import pytest

from gpucnn.backends.devices.launched import misfit, parameter_counts
from gpucnn.backends.devices.planner import PlanningDevice
from gpucnn.backends.devices.source import KernelSource
from gpucnn.backends.kernel_backend import KernelBackend
from gpucnn.errors import BackendError
from gpucnn.inspect.build import plan_build


@pytest.mark.parametrize(
    ("declaration", "count"),
    [
        ("__global__ void f()", 0),
        ("__global__ void f( void )", 0),
        ("__global__ void f(int)", 1),
        ("__global__ void f(const float* x, /* in, out */ float* y, int N)", 3),
        ('extern "C" __global__ void __launch_bounds__(max(a, b)) f (Pair<int, 2> p, int n)', 2),
        ("__global__ __launch_bounds__(Sizes{1, 2}.threads) void f(\n    float* x,\n    int n)", 2),
        ("__global__ void f_2(int a, int b, int c);\n__global__ void f(int a)", 1),
    ],
)  # fmt: skip
def test_parameters_are_counted(declaration, count):
    text = f"__device__ void g(int a, int b);\n{declaration} {{\n    g(1, 2);\n}}\n"
    assert parameter_counts(text, "f") == {count}


def test_parameters_that_depend_on_macros_are_not_guessed():
    text = "#define SIZES int H, int W\n__global__ void f(float* x, SIZES) {}\n"
    assert parameter_counts(text, "f") == set()
    text = "#define TWO(T) T a, T b\n__global__ void f(TWO(int)) {}\n"
    assert parameter_counts(text, "f") == set()
    either = "#if OLD\n__global__ void f(int a)\n#else\n__global__ void f(int a, int b)\n#endif\n{}"
    assert parameter_counts(either, "f") == {1, 2}


def test_our_own_kernels_fit_their_launches():
    planned = plan_build(["sm_90a"])
    assert planned.misfits() == []
    assert sum(map(len, planned.launched.values())) > 50


def test_what_does_not_fit_is_a_line_each(tmp_path):
    path = tmp_path / "mine.cu"
    path.write_text("__global__ void f(int a) {}\n__global__ void g() {}\n")
    source = KernelSource("mine.cu", folder=tmp_path)
    assert misfit(source, "f", 1) == misfit(source, "g", 0) == ""
    assert misfit(source, "f", 2) == (
        f"{path}: f is launched with 2 arguments, and the number of its parameters is 1"
    )
    assert misfit(source, "h", 3) == (
        f"{path} has no kernel h, which is launched with 3 arguments; it has f, g"
    )


@pytest.mark.parametrize("parameters", ["", "const float* x, float* y", "int, int, int, int"])
def test_a_launch_with_other_arguments_is_refused_before_it_happens(tmp_path, parameters):
    """On every device: a GPU would not notice."""
    (tmp_path / "activation.cu").write_text(f"__global__ void relu_forward({parameters}) {{}}\n")
    device = PlanningDevice()
    backend = KernelBackend(device)
    x = backend.empty((10,))
    backend.relu_forward(x)
    backend.kernels = tmp_path
    device.launches.clear()
    with pytest.raises(BackendError, match="relu_forward is launched with 3 arguments, and the"):
        backend.relu_forward(x)
    assert device.launches == {}

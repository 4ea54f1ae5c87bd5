"""Convolution's three passes, by whichever variant does the problem best."""

from __future__ import annotations

from gpucnn.backends.interface.arrays import Array
from gpucnn.backends.interface.convolution import ConvolutionOperations
from gpucnn.backends.kernel_backend.convolution_depthwise import KernelConvolutionDepthwise
from gpucnn.backends.kernel_backend.convolution_direct import KernelConvolutionDirect
from gpucnn.backends.kernel_backend.convolution_gemm import KernelConvolutionGemm
from gpucnn.backends.kernel_backend.epilogue import Epilogue
from gpucnn.errors import ShapeError
from gpucnn.launch.variants import Pass, Variant, conv2d_variants
from gpucnn.operations.geometry import Conv2dGeometry


class KernelConvolution(
    KernelConvolutionDirect,
    KernelConvolutionGemm,
    KernelConvolutionDepthwise,
    ConvolutionOperations,
):
    """Convolution by kernels."""

    def _conv2d_forward(
        self,
        problem: Conv2dGeometry,
        x: Array,
        w: Array,
        bias: Array | None,
        residual: Array | None,
        relu: bool,
        y: Array,
    ) -> None:
        launches = {
            Variant.DIRECT: self._forward_direct,
            Variant.GEMM: self._forward_gemm,
            Variant.DEPTHWISE: self._forward_depthwise,
        }
        epilogue = Epilogue(bias, residual, relu)
        launches[self._variant(problem, Pass.FORWARD)](problem, x, w, epilogue, y)

    def _conv2d_input_grad(self, problem: Conv2dGeometry, dy: Array, w: Array, dx: Array) -> None:
        launches = {
            Variant.DIRECT: self._input_grad_direct,
            Variant.GEMM: self._input_grad_gemm,
            Variant.DEPTHWISE: self._input_grad_depthwise,
        }
        launches[self._variant(problem, Pass.INPUT_GRAD)](problem, dy, w, dx)

    def _conv2d_filter_grad(self, problem: Conv2dGeometry, x: Array, dy: Array, dw: Array) -> None:
        launches = {
            Variant.DIRECT: self._filter_grad_direct,
            Variant.GEMM: self._filter_grad_gemm,
            Variant.DEPTHWISE: self._filter_grad_depthwise,
        }
        launches[self._variant(problem, Pass.FILTER_GRAD)](problem, x, dy, dw)

    def _variant(self, problem: Conv2dGeometry, which: Pass) -> Variant:
        """The variant to use.

        Raises:
            ShapeError: the one that was asked for cannot do the problem.
        """
        able, wanted = conv2d_variants(problem, which), self.choice.variant
        if wanted is None:
            return able[0]
        if wanted not in able:
            raise ShapeError(f"the variant {wanted} cannot do {problem}")
        return wanted

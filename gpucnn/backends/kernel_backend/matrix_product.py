"""tmp"""

import numpy as np
from gpucnn.backends.interface.matrix import MatrixOperations
from gpucnn.backends.kernel_backend.arrays import KernelArrays, ceil_divide


class KernelMatrixProduct(KernelArrays, MatrixOperations):
    def _matmul(self, a, b, transpose_a, transpose_b, bias, product):
        M, N = product.shape
        K = a.shape[0] if transpose_a else a.shape[1]
        self._launch(
            "matmul_tmp.cu",
            "matmul_tmp",
            (ceil_divide(M * N, 256),),
            (a, b, bias, product, *map(np.int32, (M, N, K, transpose_a, transpose_b))),
        )

// Matrices of 8×8 elements of 16 bits from shared memory, laid out over a warp as mma.cuh wants
// them: lane l gets row l / 4, columns 2·(l % 4) and the next, of each matrix; transposed, column
// l / 4, rows 2·(l % 4) and the next.
//
// Lanes 8j … 8j + 7 give the rows of matrix j: `row` points to 16 bytes of shared memory, on a
// boundary of 16. Of other lanes it is not read. A whole warp takes part (sm_75 and later).
#pragma once

#include "ptx/instruction.cuh"

__device__ __forceinline__ void load_matrix(unsigned (&d)[1], const void* row) {
    PTX_LDMATRIX_X1("ldmatrix.sync.aligned.m8n8.x1.shared.b16", d, row);
}

__device__ __forceinline__ void load_matrix(unsigned (&d)[2], const void* row) {
    PTX_LDMATRIX_X2("ldmatrix.sync.aligned.m8n8.x2.shared.b16", d, row);
}

__device__ __forceinline__ void load_matrix(unsigned (&d)[4], const void* row) {
    PTX_LDMATRIX_X4("ldmatrix.sync.aligned.m8n8.x4.shared.b16", d, row);
}

__device__ __forceinline__ void load_matrix_transposed(unsigned (&d)[1], const void* row) {
    PTX_LDMATRIX_X1("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16", d, row);
}

__device__ __forceinline__ void load_matrix_transposed(unsigned (&d)[2], const void* row) {
    PTX_LDMATRIX_X2("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16", d, row);
}

__device__ __forceinline__ void load_matrix_transposed(unsigned (&d)[4], const void* row) {
    PTX_LDMATRIX_X4("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16", d, row);
}

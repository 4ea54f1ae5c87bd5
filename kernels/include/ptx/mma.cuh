// Products of small matrices by the tensor cores: D += A·B, with D (16, 8) in FP32. A whole warp
// takes part (sm_80 and later). With g = lane / 4 and t = lane % 4, a lane holds
//
//     D  d[i]   row g + 8·(i ≥ 2), column 2t + i % 2
//
// and of A (16, 16) and B (16, 8), two neighbours along the inner axis a register,
//
//     A  a[i]   row g + 8·(i % 2), columns 2t + 8·(i ≥ 2) and the next
//     B  b[i]   rows 2t + 8·i and the next, column g
//
// or of A (16, 8) and B (8, 8) in TF32, which is a float whose last 13 bits do not count,
//
//     A  a[i]   row g + 8·(i % 2), column t + 4·(i ≥ 2)
//     B  b[i]   row t + 4·i, column g
#pragma once

#include "ptx/instruction.cuh"

__device__ __forceinline__ void mma_m16n8k16_bf16(
    float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    PTX_MMA("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32", d, a, b);
}

__device__ __forceinline__ void mma_m16n8k16_fp16(
    float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    PTX_MMA("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32", d, a, b);
}

__device__ __forceinline__ void mma_m16n8k8_tf32(
    float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    PTX_MMA("mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32", d, a, b);
}

// Rounded to the nearest, ties away from zero; without this the last bits are cut off.
__device__ __forceinline__ unsigned float_to_tf32(float x) {
    unsigned bits;
    PTX_CONVERT("cvt.rna.tf32.f32", bits, x);
    return bits;
}

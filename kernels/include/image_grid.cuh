// A grid over images: the blocks of one image lie along x, the images along y.
//
// The axis y of a grid ends at 65,535 blocks, so a block takes every gridDim.y-th image.
#pragma once

__device__ __forceinline__ int first_image() {
    return blockIdx.y;
}

__device__ __forceinline__ int image_stride() {
    return gridDim.y;
}

// Which element of its image, or which vector of elements, is this thread's. The last block goes
// beyond the image.
__device__ __forceinline__ unsigned element_of_image() {
    return blockIdx.x * blockDim.x + threadIdx.x;
}

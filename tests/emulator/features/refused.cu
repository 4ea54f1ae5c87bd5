// Textures, surfaces, launches, assembly

// feature: textures: `tex2D` and the like, `cudaTextureObject_t`
// refused: the emulator has no textures; pass the array, and compute the index
KERNEL {
    const int i = INDEX;
    cudaTextureObject_t t = 1;
    y[i] = tex2D<float>(t, 0.5f, i);
}

// feature: texture references, `texture<float, 2>`
// refused: texture references were removed in CUDA 12
texture<float, 2> image;
KERNEL {
    const int i = INDEX;
    y[i] = 1;
}

// feature: surfaces: `surf2Dread`, `surf2Dwrite` and the like
// refused: the emulator has no surfaces; pass the array, and compute the index
KERNEL {
    const int i = INDEX;
    cudaSurfaceObject_t s = 1;
    surf2Dwrite(1.0f, s, 4, i);
}

// feature: kernels that launch kernels, `<<<…>>>`
// refused: a kernel is launched from a kernel (<<<>>>), which the emulator cannot do; launch it from the host
__global__ void child(int* y) { y[0] = 1; }
KERNEL { child<<<1, 32>>>(y); }

// feature: … and wait for them, `cudaDeviceSynchronize`
// refused: the emulator has no dynamic parallelism; launch the second kernel from the host
KERNEL { cudaDeviceSynchronize(); }

// feature: inline PTX
// refused: inline assembly, of which the emulator knows the instructions that kernels/include/ptx has a wrapper for
KERNEL {
    const int i = INDEX;
    asm volatile("mov.u32 %0, %%laneid;" : "=r"(y[i]));
}

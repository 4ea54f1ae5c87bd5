"""CUDA on the host: kernels as C++, threads as fibers, and what a GPU would not tell reported."""

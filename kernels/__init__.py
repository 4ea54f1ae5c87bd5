"""The CUDA sources, installed as the data of this package: ``gpucnn.kernels``."""

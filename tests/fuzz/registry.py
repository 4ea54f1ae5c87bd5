"""The fuzzers by name; each is imported when it is used, for some need Pillow or matplotlib."""

from importlib import import_module

FUZZERS = {
    "images": ("fuzz.images", "ImageFuzzer"),
    "idx": ("fuzz.idx", "IdxFuzzer"),
    "cifar": ("fuzz.cifar", "CifarFuzzer"),
    "svhn": ("fuzz.svhn", "SvhnFuzzer"),
    "parquet": ("fuzz.parquet", "ParquetFuzzer"),
    "npz": ("fuzz.npz", "NpzFuzzer"),
    "weights": ("fuzz.weights", "WeightsFuzzer"),
    "csv": ("fuzz.image_list", "ImageListFuzzer"),
    "packed": ("fuzz.packed", "PackedFuzzer"),
    "toml": ("fuzz.configs", "TomlFuzzer"),
    "set": ("fuzz.configs", "SetFuzzer"),
    "kernels": ("fuzz.kernels", "KernelFuzzer"),
    "folders": ("fuzz.folders", "FolderFuzzer"),
    "runs": ("fuzz.run_folders", "RunFolderFuzzer"),
    "plots": ("fuzz.run_folders", "PlotFuzzer"),
    "compiler": ("fuzz.kernels", "CompilerFuzzer"),
}


def fuzzer(name: str):
    """The class of a fuzzer."""
    module, kind = {**FUZZERS, "misbehaving": ("fuzz.misbehaving", "MisbehavingFuzzer")}[name]
    return getattr(import_module(module), kind)

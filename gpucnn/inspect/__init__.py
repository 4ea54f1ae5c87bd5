"""Every kernel and variant compiled for every GPU, on a machine that has none."""

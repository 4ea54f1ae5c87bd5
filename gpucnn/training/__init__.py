"""The training loop and what it leaves behind: metrics, checkpoints, the run folder."""

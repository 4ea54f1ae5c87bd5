"""``python -m gpucnn``: the same as the command ``gpucnn``."""

from gpucnn.cli import main

if __name__ == "__main__":
    main()

"""``python -m gpucnn``: the same as the command ``gpucnn``."""

import sys

# Python searches the current folder first then. Files that lie in there are data, not programs.
if not sys.flags.safe_path:
    del sys.path[0]

from gpucnn.cli import main

if __name__ == "__main__":
    main()

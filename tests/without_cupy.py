"""A plugin for pytest, ``-p without_cupy``: CuPy cannot be imported, although it is installed."""

import sys

sys.modules["cupy"] = None

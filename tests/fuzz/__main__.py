"""``python tests/fuzz NAME NUMBER [COUNT]`` tries one input, or several, and prints what failed."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz.harness import run_here
from fuzz.registry import fuzzer


def main() -> int:
    """Returns 1 if an input was handled badly."""
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("number", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument("--progress", type=Path, help="a file for the number at hand")
    parser.add_argument("--most", type=int, default=10, help="failures after which to stop")
    given = parser.parse_args()
    numbers = range(given.number, given.number + given.count)
    return 1 if run_here(fuzzer(given.name), numbers, given.progress, given.most) else 0


if __name__ == "__main__":
    sys.exit(main())

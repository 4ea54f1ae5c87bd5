"""``python tests/fuzz NAME NUMBER [COUNT]`` tries one input, or several, and prints what failed."""

import argparse
import sys
from contextlib import nullcontext
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent))

from fuzz.harness import MOST_FAILURES, run_here, working_folder
from fuzz.registry import fuzzer


def main() -> int:
    """Returns 1 if an input was handled badly."""
    parser = argparse.ArgumentParser(prog="python tests/fuzz", description=__doc__)
    parser.add_argument("name")
    parser.add_argument("number", type=int)
    parser.add_argument("count", type=int, nargs="?", default=1)
    parser.add_argument(
        "--most", type=int, default=MOST_FAILURES, help="stop after so many failures"
    )
    parser.add_argument("--folder", type=Path, help="an empty folder to work in")
    given = parser.parse_args()
    numbers = range(given.number, given.number + given.count)
    with nullcontext(given.folder) if given.folder else working_folder() as folder:
        return 1 if run_here(fuzzer(given.name), numbers, given.most, folder) else 0


if __name__ == "__main__":
    sys.exit(main())

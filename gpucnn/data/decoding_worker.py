"""A process that reads image files: run by ``decoding_pool`` as a script, never imported.

It reads pickles from stdin, what to do with files and then paths, and answers with pickles on
stdout. Its arguments are names of packages and the files from which its parent has imported them.

The import path is Python's own, without the current folder and without PYTHONPATH, so that no
Python file that happens to lie next to the data is run. The packages are imported from the
parent's files, wherever these are.
"""

import sys
from collections.abc import Callable


def _import_from(name: str, file: str) -> None:
    """Imports a package from ``file``, without adding the folder that it lies in to the path."""
    import importlib.util

    found = importlib.util.find_spec(name)
    if found is not None and found.origin == file:
        return  # where Python itself would find it
    folder = file.rpartition("/")[0]
    spec = importlib.util.spec_from_file_location(name, file, submodule_search_locations=[folder])
    if spec is None or spec.loader is None:
        raise ImportError(f"{file} cannot be imported")
    sys.modules[name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(sys.modules[name])


def _main(arguments: list[str]) -> None:
    import os
    import pickle
    import queue
    import threading

    requests = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)  # whatever a library prints must not get between the pickles
    for name, file in zip(arguments[::2], arguments[1::2], strict=True):
        _import_from(name, file)

    waiting: queue.SimpleQueue[list[str]] = queue.SimpleQueue()

    def receive() -> list[str]:
        files: list[str] = pickle.load(requests)
        return files

    def receive_ahead() -> None:
        """Ends the process as soon as the parent has closed its end, even by being killed."""
        try:
            while True:
                waiting.put(receive())
        except EOFError:
            os._exit(0)

    try:
        work = pickle.load(requests)
        next_files: Callable[[], list[str]] = waiting.get
        try:
            threading.Thread(target=receive_ahead, daemon=True).start()
        except RuntimeError:  # no thread is available: the end is noticed after the files at hand
            next_files = receive
        while True:
            pickle.dump(work(next_files()), answers, protocol=5)
            answers.flush()
    except (EOFError, BrokenPipeError):
        os._exit(0)


if __name__ == "__main__":
    _main(sys.argv[1:])

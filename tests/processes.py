"""Other processes as the tests see them: whether one runs, and which belong to a session."""

from pathlib import Path


def session_of(number):
    """The session of a process, from /proc/N/stat.

    None if the process has ended, even if that happens while the file is read or if nobody has
    waited for the process yet.
    """
    try:
        text = Path(f"/proc/{number}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):  # the second: between opening and reading
        return None
    state, _, _, session = text.rpartition(")")[2].split()[:4]
    return None if state == "Z" else int(session)


def is_running(number):
    return session_of(number) is not None


def members(session):
    """The numbers of the processes of a session that run."""
    numbers = [int(path.name) for path in Path("/proc").iterdir() if path.name.isdecimal()]
    return [number for number in numbers if session_of(number) == session]

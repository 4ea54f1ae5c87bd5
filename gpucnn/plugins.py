"""Plugins: modules of the user's that add to what a config can name, and to the operations.

To import a module is to execute it. A config file that a user names says which (``[plugins]``), and
so may be trusted. A run folder may come from anyone: of what it names, only a file is imported that
this user has run from a config before, in the same place and unchanged, or one in a folder that is
allowed (``allow``). What was run is remembered in the user's cache folder.
"""

from __future__ import annotations

import hashlib
import importlib.util
import sys
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType
from typing import Any

from gpucnn.emulator.cache import user_cache_folder
from gpucnn.errors import PluginError, brief
from gpucnn.text import shown

_SUFFIXES = (".py", ".cu", ".cuh")
"""Of the files of a package that its checksum covers."""


@dataclass(frozen=True)
class Plugin:
    """A module that was imported.

    Attributes:
        name: of the module.
        path: its file; of a package, its ``__init__.py``.
        sha256: of the file, or of all the files of a package.
    """

    name: str
    path: Path
    sha256: str

    def has(self, filename: str) -> bool:
        """Whether a file belongs to the plugin."""
        path = Path(filename)
        return path == self.path or (_is_package(self.path) and self.path.parent in path.parents)


class _SourceLoader(SourceFileLoader):
    """Executes the file that the checksum is of, whatever there is in ``__pycache__``."""

    def get_code(self, fullname: str) -> CodeType:
        """Compiled anew."""
        return self.source_to_code(self.get_data(self.path), self.path)


_loaded: dict[str, Plugin] = {}
_allowed: list[Path] = []


def allow(folder: Path) -> None:
    """Lets runs that are opened from now on import their plugins from this folder."""
    _allowed.insert(0, folder.absolute())


def load(names: Sequence[str], folder: Path | None) -> None:
    """Imports plugins, each once in a process.

    Args:
        names: of the modules.
        folder: where they are; those that are not there are looked for as any import is.

    Raises:
        PluginError: there is no such module, or it cannot be imported; with the file and the line.
    """
    for name in names:
        path = _find(name, folder)
        if path is None:
            place = f"{shown(folder)} has no {shown(name)}.py, and " if folder else ""
            raise PluginError(
                f'there is no plugin "{shown(name)}": {place}no module of that name is installed; '
                f"see plugins.modules and plugins.folder"
            )
        if name not in _loaded:
            _import(name, path)
        elif _loaded[name].path != path:
            raise PluginError(
                f'two plugins are called "{name}", {shown(_loaded[name].path)} and {shown(path)}; '
                f"a process can have one of them: rename the other"
            )
    if folder in _allowed:
        remember()


def remember() -> None:
    """Makes what is loaded known as run by this user, as far as there is a cache folder."""
    folder = _known_folder()
    if folder is None:
        return
    with suppress(OSError):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        for plugin in _loaded.values():
            (folder / _key(plugin.path, plugin.sha256)).touch()


def folder_for_run(names: Sequence[str], folder: Path | None) -> Path | None:
    """Where the plugins of a run are that is being opened, if they may be imported.

    Args:
        names: of the modules, as the run has them.
        folder: where they were when the run began.

    Raises:
        PluginError: one is not there, or must be allowed first.
    """
    if not names:
        return folder
    place = _allowed[0] if _allowed else folder
    for name in names:
        path = _find(name, place)
        if path is None:
            raise PluginError(
                f'the run needs the plugin "{shown(name)}", which is not in {shown(str(place))}; '
                f"give the folder that has it: --plugins FOLDER (gpucnn.plugins.allow in Python)"
            )
        if not _allowed and not _is_known(path):
            raise PluginError(
                f"the run needs the plugin {shown(path)}, which you have not run from a config, or "
                f"not as it is now. A run does not make gpucnn import such a file by itself; if "
                f"you trust it: --plugins {shown(path.parent)} (gpucnn.plugins.allow in Python)"
            )
    return place


def described() -> dict[str, dict[str, str]]:
    """The file and the checksum of each plugin that is loaded, by name."""
    return {
        plugin.name: {"file": str(plugin.path), "sha256": plugin.sha256}
        for plugin in _loaded.values()
    }


def changes(before: Mapping[str, Any]) -> Iterator[str]:
    """A sentence for each plugin that is not what ``described`` said of it.

    Args:
        before: what a run has kept of that.
    """
    for name, plugin in _loaded.items():
        was = before.get(name)
        if isinstance(was, Mapping) and was.get("sha256") != plugin.sha256:
            yield f"the plugin {shown(plugin.path)} has changed since the run began"


def operations(known: Mapping[str, type]) -> list[str]:
    """The names of those of these operations that plugins have added."""
    return [name for name, kind in known.items() if kind.__module__.partition(".")[0] in _loaded]


def place_of(error: BaseException) -> str:
    """The file and the line of a plugin that an exception comes from; empty if it is not from one.

    The innermost is named, and not what the plugin has called.
    """
    return _place(error, list(_loaded.values()))


def _place(error: BaseException, plugins: Sequence[Plugin]) -> str:
    if isinstance(error, SyntaxError) and any(each.has(error.filename or "") for each in plugins):
        return f"{shown(str(error.filename))}:{error.lineno}"
    for frame in reversed(traceback.extract_tb(error.__traceback__)):
        if any(each.has(frame.filename) for each in plugins):
            return f"{shown(frame.filename)}:{frame.lineno}"
    return ""


def explain(error: BaseException, place: str) -> str:
    """An exception from a plugin, in one message."""
    text = error.msg if isinstance(error, SyntaxError) else str(error)
    return f"{place}: {type(error).__name__}{f': {shown(text)}' if text else ''}"


def _find(name: str, folder: Path | None) -> Path | None:
    """The file of a module; None if there is none."""
    if not name.isidentifier():
        raise PluginError(f"plugins.modules: {brief(name)} is not the name of a module")
    if name in sys.stdlib_module_names or name == "gpucnn":
        raise PluginError(f'a plugin cannot be called "{name}", as a module of Python; rename it')
    if folder is not None:
        for path in (folder / f"{name}.py", folder / name / "__init__.py"):
            if path.is_file():
                return path.resolve()
    spec = None
    with suppress(ValueError):  # of a module that is imported and does not say from where
        spec = importlib.util.find_spec(name)
    return None if spec is None or not spec.has_location else Path(str(spec.origin)).resolve()


def _import(name: str, path: Path) -> None:
    plugin = Plugin(name, path, _checksum(path))
    if name in sys.modules:
        if Path(getattr(sys.modules[name], "__file__", None) or "").resolve() != path:
            raise PluginError(
                f'{shown(path)}: another module is called "{name}" already; rename the plugin'
            )
        _loaded[name] = plugin  # another plugin, or a script, has imported it
        return
    folder = path.parents[1] if _is_package(path) else path.parent
    if str(folder) not in sys.path:
        sys.path.append(str(folder))  # for what the plugin imports; ours and Python's come first
    loader = _SourceLoader(name, str(path))
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    assert spec is not None, "its loader is given"
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        loader.exec_module(module)
    except Exception as error:  # whatever the user's code raises
        del sys.modules[name]
        place = _place(error, [plugin]) or shown(path)
        raise PluginError(f"a plugin cannot be imported: {explain(error, place)}") from error
    _loaded[name] = plugin


def _is_package(path: Path) -> bool:
    return path.name == "__init__.py"


def _checksum(path: Path) -> str:
    files = [path]
    if _is_package(path):
        files = sorted(each for each in path.parent.rglob("*") if each.suffix in _SUFFIXES)
    digest = hashlib.sha256()
    try:
        for file in files:
            content = file.read_bytes()
            digest.update(f"{file.relative_to(path.parent)}\n{len(content)}\n".encode())
            digest.update(content)
    except OSError as error:
        raise PluginError(f"{shown(path)}: cannot be read ({error.strerror})") from None
    return digest.hexdigest()


def _known_folder() -> Path | None:
    cache = user_cache_folder()
    return None if cache is None else cache / "plugins"


def _is_known(path: Path) -> bool:
    folder = _known_folder()
    return folder is not None and (folder / _key(path, _checksum(path))).is_file()


def _key(path: Path, sha256: str) -> str:
    """Of a file in its place."""
    return hashlib.sha256(f"{path}\n{sha256}".encode(errors="surrogateescape")).hexdigest()

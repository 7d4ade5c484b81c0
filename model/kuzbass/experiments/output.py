"""Output folders: written beside their place, renamed when whole, never half-written."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import secrets
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path

from kuzbass.errors import InputError
from kuzbass.paths import data_dir

__all__ = ["MANIFEST", "PROGRAM", "OutputFolder", "data_record", "output_folder",
           "software_versions"]

PROGRAM = "kuzbass"
MANIFEST = "manifest.json"
_PACKAGES = ("kuzbass", "pysd", "numpy", "pandas", "xarray", "matplotlib")


@dataclass
class OutputFolder:
    """An output folder that is being written.

    Attributes
    ----------
    path : Path
        Where to write; a temporary folder until the end of the ``with`` block.
    target : Path
        Where the folder stands after the block.
    manifest : dict
        What to record in ``manifest.json``, JSON values only; the files are added at the end.
    """

    path: Path
    target: Path
    manifest: dict[str, object] = field(default_factory=dict)


@contextmanager
def output_folder(
    path: str | Path, *, keep: bool = False, command: str = "", resumable: bool = False
) -> Iterator[OutputFolder]:
    """Write an output folder as a whole or not at all.

    The block writes into a temporary folder beside `path`, which takes the place of `path` when
    the block ends.  If the block fails or is interrupted, nothing of it stays.

    Parameters
    ----------
    path : str or Path
        The folder.  Missing parents are made.
    keep : bool
        Whether to keep an existing folder and write beside it, as ``NAME-2``, ``NAME-3``, ...
    command : str
        The command line, for the manifest.
    resumable : bool
        Whether the temporary folder, ``.NAME.unfinished``, stays after a failure, and is taken up
        by the next call.

    Yields
    ------
    OutputFolder

    Raises
    ------
    InputError
        The place cannot be written, or holds something that kuzbass did not write.
    """
    target = Path(path).resolve()
    if not target.name:
        raise InputError("not a possible output folder", file=target, allowed="a folder of its own")
    if not keep:
        _check_replaceable(target)
    made = _make_parents(target)
    ending = "unfinished" if resumable else f"{secrets.token_hex(4)}.part"
    temporary = target.with_name(f".{target.name}.{ending}")
    folder = OutputFolder(temporary, target)
    try:
        temporary.mkdir(exist_ok=resumable)
        yield folder
        _write_manifest(folder, command)
        folder.target = _put_beside(folder) if keep else _put_in_place(folder)
    except OSError as error:
        # Only what failed at the folder itself; a full disk names no file.
        if error.filename is not None and target.name not in str(error.filename):
            raise
        raise _cannot_write(target, error) from error
    finally:
        # After success there is nothing left to remove.
        if not resumable:
            shutil.rmtree(temporary, ignore_errors=True)
        _remove_if_empty(temporary)
        for parent in made:
            _remove_if_empty(parent)


def _check_replaceable(target: Path) -> None:
    try:
        if not os.path.lexists(target):
            return
    except OSError as error:
        raise _cannot_write(target, error) from error
    if not _is_ours(target):
        found = "a folder" if target.is_dir() else "a file"
        raise InputError("the output folder exists and was not written by kuzbass", file=target,
                         value=f"{found} without {MANIFEST} of kuzbass",
                         allowed="a new place, a folder that kuzbass wrote, or --keep to write "
                         "beside it")


def _is_ours(folder: Path) -> bool:
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("program") == PROGRAM


def _make_parents(target: Path) -> list[Path]:
    """Make the missing parents of `target` and return them, innermost first."""
    missing: list[Path] = []
    try:
        missing = [parent for parent in target.parents if not parent.exists()]
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        for parent in missing:
            _remove_if_empty(parent)
        raise _cannot_write(target, error) from error
    return missing


def _remove_if_empty(folder: Path) -> None:
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def _cannot_write(target: Path, error: OSError) -> InputError:
    reason = error.strerror or str(error)
    return InputError(f"the output folder cannot be written ({reason})", file=target,
                      allowed="a folder below one that you may write to")


def _put_in_place(folder: OutputFolder) -> Path:
    # A folder that appeared while the block ran deserves the same care.
    _check_replaceable(folder.target)
    if not folder.target.exists():
        folder.path.rename(folder.target)
        return folder.target
    old = folder.path.with_suffix(".old")
    folder.target.rename(old)
    try:
        folder.path.rename(folder.target)
    except BaseException:
        old.rename(folder.target)
        raise
    shutil.rmtree(old)
    return folder.target


def _put_beside(folder: OutputFolder) -> Path:
    place, number = folder.target, 1
    while os.path.lexists(place):
        number += 1
        place = folder.target.with_name(f"{folder.target.name}-{number}")
    folder.path.rename(place)
    return place


def _write_manifest(folder: OutputFolder, command: str) -> None:
    files = sorted(file for file in folder.path.rglob("*") if file.is_file())
    manifest = {
        "program": PROGRAM,
        "command": command,
        **folder.manifest,
        "files": {file.relative_to(folder.path).as_posix(): _sha256(file) for file in files},
    }
    text = json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    (folder.path / MANIFEST).write_text(text, encoding="utf-8")


def _sha256(file: Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def data_record(folder: Path | None = None) -> Mapping[str, object]:
    """Return the SHA-256 of every data table and of all of them, for a manifest."""
    files = {file.name: _sha256(file) for file in sorted((folder or data_dir()).glob("*.csv"))}
    whole = "".join(f"{name} {digest}\n" for name, digest in files.items())
    return {"sha256": hashlib.sha256(whole.encode()).hexdigest(), "files": files}


def software_versions() -> dict[str, str]:
    """Return the versions of Python and of the packages that the numbers depend on."""
    return {"python": platform.python_version(),
            **{package: version(package) for package in _PACKAGES}}

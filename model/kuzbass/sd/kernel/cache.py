"""Keeps what is costly to make: models in flat scalar form and object code.

The folder is that of the environment variable ``KUZBASS_CACHE``, else ``kuzbass`` in the user's
cache folder.  A file that is damaged or cannot be written is as good as none.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
import tempfile
from contextlib import suppress
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

__all__ = ["GENERATOR", "folder", "key", "load", "store"]

GENERATOR = "5"  # to be raised with every change of the generated code or its form
_DIGEST = hashlib.sha256().digest_size


def folder() -> Path:
    """Return the cache folder; it need not exist."""
    given = os.environ.get("KUZBASS_CACHE")
    if given:
        return Path(given)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home())) / "kuzbass"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "kuzbass"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "kuzbass"


def key(*parts: object) -> str:
    """Return the name of a cache entry: a hash of `parts`, of PySD's version and of ours."""
    content = json.dumps([*parts, _pysd_version(), GENERATOR], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def load(name: str) -> bytes | None:
    """Return an entry, ``None`` if there is none or it is damaged."""
    try:
        content = (folder() / name).read_bytes()
    except OSError:
        return None
    digest, content = content[:_DIGEST], content[_DIGEST:]
    return content if hashlib.sha256(content).digest() == digest else None


def store(name: str, content: bytes) -> None:
    """Write an entry, whole or not at all."""
    with suppress(OSError):
        folder().mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder(), delete=False) as file:
            file.write(hashlib.sha256(content).digest() + content)
        Path(file.name).replace(folder() / name)


@lru_cache(maxsize=1)
def _pysd_version() -> str:
    # Its file, unread by Python: importing PySD takes a second, asking importlib.metadata a tenth.
    place = find_spec("pysd")
    if place is None or place.origin is None:  # a worker that only runs what others compiled
        return ""
    return (Path(place.origin).parent / "_version.py").read_text(encoding="utf-8")

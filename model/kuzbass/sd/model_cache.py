"""Keeps read models on disk, beside the compiled ones: parsing a large model takes seconds.

An entry belongs to the text of the model, the version of PySD and the code of this package that
reads models.  A damaged entry is as good as none, see `kuzbass.sd.kernel.cache`.
"""

from __future__ import annotations

import hashlib
import pickle
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from kuzbass.sd.kernel import cache

if TYPE_CHECKING:
    from kuzbass.sd.mdl import Model

__all__ = ["keep", "recall"]


def recall(path: Path, sha256: str) -> Model | None:
    """Return the model of a text read before, ``None`` if there is none."""
    content = cache.load(_name(sha256))
    if content is None:
        return None
    model: Model = pickle.loads(content)  # noqa: S301 - own files only, each checked by its digest
    for curve in model.curves().values():
        # A read model is shared; pickling forgets that its points are locked.
        curve.x.flags.writeable = curve.y.flags.writeable = False
    return replace(model, path=path)


def keep(model: Model) -> None:
    """Keep a model that has been read and checked."""
    cache.store(_name(model.sha256), pickle.dumps(model, protocol=5))


def _name(sha256: str) -> str:
    return cache.key("model", sha256, _code())


@lru_cache(maxsize=1)
def _code() -> str:
    """Return a digest of the code that reads models."""
    digest = hashlib.sha256()
    for file in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(file.read_bytes())
    return digest.hexdigest()

"""`ironpost store rebuild`: the index anew from the packs, while nobody has the store open."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from ..config import load
from ..errors import UserError
from .progress import Progress


def rebuild(directory: Path) -> dict[str, Any]:
    """What was made, and what is damaged. Raises UserError while a server runs."""
    from .. import _core
    from ..supervisor import lock, privileges

    config = load(directory)
    descriptor = lock.take(config, wait=0)
    try:
        privileges.drop(config)
        path = config.path(config.store.path)
        if not path.is_dir():
            raise UserError(f"{path}: no store is there")
        with Progress("reading packs", unit="packs") as progress:

            def watch(done: int, of: int) -> None:
                progress.set_total(of)
                progress.advance(done - progress.done)

            try:
                return _core.Store.rebuild(str(path), map_size=config.store.map_size, watch=watch)
            except _core.StoreError as error:
                raise UserError(f"{path}: {error}") from None
    finally:
        os.close(descriptor)

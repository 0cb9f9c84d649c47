"""Parts of a world that are killed and started again."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.helpers.world import World


def restart_valkey(world: World, dump: Path | None) -> None:
    """kill -9 of Valkey, and a new one with another memory (None: empty)."""
    valkey = world.stack.valkey
    assert valkey is not None
    valkey.kill()
    valkey.dump.unlink(missing_ok=True)
    if dump is not None:
        shutil.copy(dump, valkey.dump)
    valkey.open()

"""Kills parts of a world and starts them again."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.helpers.world import World


def restart_valkey(world: World, dump: Path | None) -> None:
    """Kill Valkey and start another one with the data of `dump` (None: empty)."""
    valkey = world.stack.valkey
    assert valkey is not None
    valkey.kill()
    valkey.dump.unlink(missing_ok=True)
    if dump is not None:
        shutil.copy(dump, valkey.dump)
    valkey.start_and_wait()

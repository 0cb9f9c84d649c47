"""Checks of each script that a test calls: all of its keys are in one slot."""

from __future__ import annotations

from collections.abc import Sequence

from rts_server.persistence import recent_changes, user_rooms
from rts_server.persistence.scripts import Script
from rts_server.redis_client.slots import slot_of
from rts_server.relay import cursor_flush, group_leases
from rts_server.rooms import receipt_script

GROUPED = [
    recent_changes._NOTE,
    recent_changes._READ,
    receipt_script._RECEIPTS,
    cursor_flush._DUE,
    cursor_flush._SENT,
]
"""Scripts of several partitions: on a cluster each call has those of one slot."""
OF_ONE_REDIS = [group_leases._LEASE, user_rooms._SHARED]
"""Scripts that are used on one Redis alone."""
_MANY_SLOTS = {script.sha for script in (*GROUPED, *OF_ONE_REDIS)}


def check_slots(script: Script, keys: Sequence[str]) -> None:
    """Raise AssertionError if one call of a script names keys of two slots."""
    if script.sha not in _MANY_SLOTS:
        assert len({slot_of(key) for key in keys}) <= 1, f"keys of two slots: {list(keys)}"

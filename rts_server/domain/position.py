"""The position of an event in its room's log, and of a message in the room's history."""

from __future__ import annotations

Position = tuple[int, int]
"""(epoch, offset). Positions compare by epoch first; none is ever issued twice (D6)."""
SeqPosition = tuple[int, int]
"""(epoch, seq): the place of a message in the history, as messages are stored."""

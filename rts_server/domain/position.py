"""The position of an event in its room's log."""

from __future__ import annotations

Position = tuple[int, int]
"""(epoch, offset). Positions compare by epoch first; none is ever issued twice (D6)."""

"""The listeners of a room, in the order in which they came: few are a tuple, many a dict."""

from __future__ import annotations

from collections.abc import Collection

from rts_server.realtime.listener import Listener

FEW_LISTENERS = 8
"""Listeners that are kept as a tuple: a dict of one takes 230 bytes, and most rooms have one."""


def added(these: Collection[Listener], one: Listener) -> Collection[Listener]:
    """Return the listeners of a room with one more."""
    if len(these) < FEW_LISTENERS and isinstance(these, tuple):
        return (*these, one)
    many = these if isinstance(these, dict) else dict.fromkeys(these)
    many[one] = None
    return many


def removed(these: Collection[Listener], one: Listener) -> Collection[Listener]:
    """Return the listeners of a room without one of them; in O(1), however many there are."""
    if isinstance(these, dict):
        these.pop(one, None)
        return these or ()
    return tuple(other for other in these if other is not one)

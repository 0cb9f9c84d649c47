"""A device's copy of a room equals the log, in whatever order things arrive."""

from __future__ import annotations

from typing import Any

from tests.nemesis.held import Held
from tests.nemesis.recorder import Json


def message(version: int = 1, **more: Any) -> Json:
    """One message, at (1, 1)."""
    plain = {"message_id": "m", "epoch": 1, "seq": 1, "reactions": {}, "text": f"v{version}"}
    return plain | {"version": version} | more


def event(kind: str, offset: int, epoch: int = 1, **data: Any) -> Json:
    """A durable event."""
    return {"type": kind, "epoch": epoch, "offset": offset, "data": data}


def reaction(offset: int, version: int) -> Json:
    """Bob reacts."""
    told = {"emoji": "+", "user_id": "bob", "on": True}
    more: Json = {"version": version, "reaction": told, "counts": {"+": 1}}
    return event("message.updated", offset, message_id="m", **more)


def test_reaction_that_overtakes_the_page_is_not_lost() -> None:
    """A page that was read before the reaction arrives after it."""
    held = Held((1, 1), whole=True)
    held.take(reaction(2, 2))
    held.page([message(1)])
    assert held.messages["m"]["reactions"] == {"+": {"count": 1, "user_ids": ["bob"]}}
    assert held.messages["m"]["version"] == 2


def test_a_reaction_that_the_page_has_already_is_not_applied_twice() -> None:
    """A page that was read after the reaction has the same version."""
    held = Held((1, 1), whole=True)
    held.take(reaction(2, 2))
    held.page([message(2, reactions={"+": {"count": 1, "user_ids": ["bob"]}})])
    assert held.messages["m"]["reactions"] == {"+": {"count": 1, "user_ids": ["bob"]}}


def test_lower_versions_never_win() -> None:
    """An old page changes nothing that an event brought."""
    held = Held((1, 1), whole=True)
    held.take(event("message.updated", 2, message=message(3)))
    held.page([message(2)])
    assert held.messages["m"]["text"] == "v3"


def test_an_epoch_that_does_not_continue_waits_for_the_reset() -> None:
    """A device that is not at `prev` keeps its cursor until `sync.reset`."""
    held = Held((1, 5))
    held.take(event("room.epoch", 1, 2, prev=[1, 4]))
    assert held.cursor == (1, 5)
    held.take(event("room.epoch", 1, 2, prev=[1, 5]))
    assert held.cursor == (2, 1)


def test_a_failed_message_is_removed() -> None:
    """`message.failed` removes it."""
    held = Held((1, 1), whole=True)
    held.page([message()])
    held.take(event("message.failed", 2, message_id="m"))
    assert held.messages == {}

"""Names of intents: one per field, and told apart by message, user and emoji."""

from __future__ import annotations

from rts_server.domain.message import MessageChange
from rts_server.domain.room import RoomChange
from rts_server.roomlog import intents


def test_an_edit_has_an_intent_per_field_and_keeps_the_fields_that_are_left() -> None:
    """Fields whose intents are superseded leave the change; the others keep their values."""
    change: MessageChange = {"text": "new", "metadata": {"a": 1}}
    named = intents.edit_intents("m1", change)
    assert len(set(named)) == 2
    assert intents.edit_left("m1", change, named) == change
    assert intents.edit_left("m1", change, named[1:]) == {"metadata": {"a": 1}}
    assert intents.edit_left("m2", change, named) == {}


def test_a_change_of_a_room_keeps_the_fields_that_are_left() -> None:
    """No field of a room is called as its deletion is."""
    change: RoomChange = {"name": "new", "frozen": True, "metadata": {}}
    named = intents.room_intents(change)
    assert intents.room_left(change, named[:2]) == {"name": "new", "frozen": True}
    assert intents.ROOM_DELETED not in named


def test_intents_of_different_users_and_emoji_are_different() -> None:
    """A user supersedes only what the same user decided about the same emoji or setting."""
    names = [
        *intents.reaction_intents("m1", "bob", "👍"),
        *intents.reaction_intents("m1", "bob", "👎"),
        *intents.reaction_intents("m1", "eve", "👍"),
        *intents.settings_intents("bob", ["muted", "hidden"]),
        *intents.settings_intents("eve", ["muted"]),
    ]
    assert len(set(names)) == len(names)

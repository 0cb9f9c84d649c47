"""What an edit sets of a message."""

from __future__ import annotations

from typing import Any

from rts_server.domain.message import message_change
from rts_server.protocol.commands import MessageEditSchema

NAMED = {"room_id": "r", "message_id": "m", "version": 1}


def test_an_edit_sets_what_it_gives_and_nothing_else() -> None:
    """Ids and the expected version are no part of the change; an empty text is."""
    changes: list[Any] = [{"text": ""}, {"mentions": [], "metadata": {}}, {"text": "t"}]
    for given in changes:
        assert message_change(given | NAMED) == given


def test_every_field_of_an_edit_is_part_of_the_change() -> None:
    """A field that the schema gets later must not be dropped here."""
    payload: Any = dict.fromkeys(MessageEditSchema().fields, "x")
    assert {*message_change(payload), *NAMED} == set(MessageEditSchema().fields)

"""Hash slots: which keys a command names."""

from __future__ import annotations

import pytest

from rts_server import keys
from rts_server.redis_client.connection import Command, packed
from rts_server.redis_client.slots import keys_of, slot_of, slot_of_command

COMMANDS = [
    (("GET", "a"), ["a"]),
    (("HMGET", "a", "field", "other"), ["a"]),
    (("PUBLISH", "a", "text"), ["a"]),
    (("EVALSHA", "0" * 40, 2, "a", "b", "argument"), ["a", "b"]),
    (("FCALL", "append", 1, "a", "argument"), ["a"]),
    (("FCALL", "append", 0), []),
    (("XREAD", "COUNT", 200, "STREAMS", b"a", b"b", "0-0", "1-0"), [b"a", b"b"]),
    (("TIME",), []),
    (("FUNCTION", "LOAD", "REPLACE", "text"), []),
]


@pytest.mark.parametrize(("command", "named"), COMMANDS)
def test_the_keys_of_a_command_are_found(command: Command, named: list[str | bytes]) -> None:
    """Of plain commands, publishes, scripts, functions and reads of streams; packed ones too."""
    assert list(keys_of(command)) == named
    assert not isinstance(command, bytes)
    words = [one if isinstance(one, bytes) else str(one).encode() for one in named]
    assert list(keys_of(packed(*command))) == words


def test_a_command_without_a_key_has_no_slot() -> None:
    """Who sends it has to say to which server."""
    with pytest.raises(ValueError, match="without a key"):
        slot_of_command(("TIME",))


def test_only_the_tag_of_a_key_counts() -> None:
    """All keys of a partition have one slot, whatever is in the id of a room."""
    room = keys.room("ROOM")
    names = [*room.script_keys, room.idem("x"), room.typing, room.receipts, room.settled]
    number = keys.partition("ROOM")
    names += [keys.dirty_cursors(number), keys.recent(number), keys.generation(number)]
    assert {slot_of(name) for name in names} == {slot_of(f"{{p{number}}}")}


def test_no_two_partitions_share_a_slot() -> None:
    """So a slot that moves, or that nobody serves, concerns one partition."""
    slots = {slot_of(keys.outbox(number)) for number in range(keys.PARTITIONS)}
    assert len(slots) == keys.PARTITIONS


@pytest.mark.parametrize(("primaries", "largest"), [(2, 0.5), (3, 0.35), (6, 0.18)])
def test_partitions_are_spread_evenly(primaries: int, largest: float) -> None:
    """Primaries with equal numbers of slots have nearly equal numbers of partitions."""
    owners = [slot_of(keys.outbox(n)) * primaries // 16384 for n in range(keys.PARTITIONS)]
    assert max(map(owners.count, range(primaries))) <= largest * keys.PARTITIONS

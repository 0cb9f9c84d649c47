"""Hash slots: which keys a command names, and so which primary of a cluster executes it."""

from __future__ import annotations

from collections.abc import Sequence

from redis.crc import key_slot

from rts_server.redis_client.connection import Command, unpacked

KEYS_AFTER_COUNT = frozenset({"EVAL", "EVALSHA", "FCALL"})
"""Commands whose third word is the number of the keys that follow."""
KEYLESS = frozenset({"CLIENT", "CLUSTER", "ECHO", "FUNCTION", "INFO", "PING", "SCRIPT", "TIME"})
"""Commands of a server: who sends them to a cluster has to say to which."""


def keys_of(command: Command) -> Sequence[str | int | bytes]:
    """Return the keys of a command, and the channel of a publish."""
    words = unpacked(command) if isinstance(command, bytes) else command
    name = text_of(words[0])
    if name in KEYLESS:
        return ()
    if name in KEYS_AFTER_COUNT:
        return words[3 : 3 + int(words[2])]
    if name == "XREAD":
        streams = next(at for at, word in enumerate(words) if text_of(word) == "STREAMS") + 1
        return words[streams : streams + (len(words) - streams) // 2]
    return words[1:2]


def slot_of(key: str | int | bytes) -> int:
    """Return the hash slot of a key."""
    return key_slot(key if isinstance(key, bytes) else str(key).encode())


def slot_of_command(command: Command) -> int:
    """Return the slot of the command's first key. Raises ValueError if it has none."""
    keys = keys_of(command)
    if not keys:
        raise ValueError("a command without a key has no slot")
    return slot_of(keys[0])


def text_of(word: str | int | bytes) -> str:
    """Return a word of a command as text."""
    return word.decode() if isinstance(word, bytes) else str(word)

"""Keys of the items in both tables, and texts that sort like positions."""

from __future__ import annotations

ROOMS, MESSAGES = "rooms", "messages"
ROOM, MEMBER, DELETED = "ROOM", "MEMBER#", "DELETED#"
FILES, CITED = "files/", "cited/"
BLOCK = 1_000
LARGEST = 10**10 - 1


def room_key(room_id: str) -> dict[str, str]:
    """Key of a room's own item in chat-rooms."""
    return {"room_id": room_id, "sk": ROOM}


def member_key(room_id: str, user_id: str) -> dict[str, str]:
    """Key of one member's item in chat-rooms."""
    return {"room_id": room_id, "sk": MEMBER + user_id}


def deleted_key(room_id: str, seq: int) -> dict[str, str]:
    """Key of the block of 1,000 in which a seq is noted as not counting."""
    return {"room_id": room_id, "sk": f"{DELETED}{seq // BLOCK:06d}"}


def message_key(room_id: str, message_id: str) -> dict[str, str]:
    """Key of a message in chat-messages."""
    return {"room_id": room_id, "message_id": message_id}


def file_key(room_id: str, attachment_id: str) -> str:
    """Key of a verified file in the bucket. No grant for an upload reaches it."""
    return files_prefix(room_id) + attachment_id


def citation_key(room_id: str, attachment_id: str) -> str:
    """Where it is written, once, which message cites a file."""
    return f"{CITED}{room_id}/{attachment_id}"


def files_prefix(room_id: str) -> str:
    """What the keys of a room's verified files begin with."""
    return f"{FILES}{room_id}/"


def prefixes(room_id: str) -> tuple[str, ...]:
    """What the keys of a room's files, and of who cites them, begin with."""
    return files_prefix(room_id), f"{CITED}{room_id}/"


def position(epoch: int, number: int) -> str:
    """(epoch, offset) or (epoch, seq) as text that sorts like the pair."""
    return f"{epoch:010d}#{number:010d}"


def pair(text: str) -> tuple[int, int]:
    """The pair behind a position text; (0, 0) for the empty text."""
    epoch, _, number = text.partition("#")
    return int(epoch or 0), int(number or 0)


def body_key(version: int, epoch: int, offset: int) -> str:
    """Rank of a body: the higher version wins, between equal ones the later record."""
    return f"{version:010d}#{position(epoch, offset)}"


def final_key(epoch: int, offset: int) -> str:
    """Rank of a tombstone, which absorbs all bodies: `~` sorts above every digit."""
    return f"~{position(epoch, offset)}"


def failure_key(epoch: int, offset: int) -> str:
    """Rank of a failure, which absorbs tombstones too."""
    return f"~{final_key(epoch, offset)}"

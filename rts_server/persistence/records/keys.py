"""Keys of the items in both tables and in the bucket, and texts that sort like positions."""

from __future__ import annotations

ROOMS, MESSAGES = "rooms", "messages"
ROOM, HEAD, MEMBER, DELETED, INDEX = "ROOM", "HEAD", "MEMBER#", "DELETED#", "INDEX#"
REACTIONS = "#reactions"
"""End of the key of the item beside a message; no message id has a `#`."""
FILES, CITED = "files/", "cited/"
SEQS_PER_ITEM = 200
"""Seqs in one item of those that do not count: below 1 KB, which is one write unit."""
IDS_PER_BLOCK = 12
"""Message ids in a block of the index: with them and the last message HEAD is below 1 KB, which
is one write unit."""
MAX_NUMBER = 10**10 - 1
"""Largest epoch, offset or seq: position texts have ten digits for each."""


def room_key(room_id: str) -> dict[str, str]:
    """Key of a room's own item in chat-rooms."""
    return {"room_id": room_id, "sk": ROOM}


def head_key(room_id: str) -> dict[str, str]:
    """Key of the item in chat-rooms that messages raise, see `head`."""
    return {"room_id": room_id, "sk": HEAD}


def index_key(room_id: str, block: str) -> dict[str, str]:
    """Key of a filed block of message ids in chat-rooms."""
    return {"room_id": room_id, "sk": INDEX + block}


def block_and_slot(epoch: int, seq: int) -> tuple[str, str]:
    """Return the block of a position, as the position of its first seq, and the attribute in it."""
    slot = seq % IDS_PER_BLOCK
    return position(epoch, seq - slot), f"m{slot}"


def member_key(room_id: str, user_id: str) -> dict[str, str]:
    """Key of one member's item in chat-rooms."""
    return {"room_id": room_id, "sk": MEMBER + user_id}


def deleted_key(room_id: str, seq: int) -> dict[str, str]:
    """Key of the item that lists the seqs, in a block of 200, which do not count as unread."""
    return {"room_id": room_id, "sk": f"{DELETED}{seq // SEQS_PER_ITEM:010d}"}


def message_key(room_id: str, message_id: str) -> dict[str, str]:
    """Key of a message in chat-messages."""
    return {"room_id": room_id, "message_id": message_id}


def reactions_key(room_id: str, message_id: str) -> dict[str, str]:
    """Key of the item beside a message that holds its newest reactions."""
    return {"room_id": room_id, "message_id": message_id + REACTIONS}


def file_key(room_id: str, attachment_id: str) -> str:
    """Key of a verified file in the bucket. No upload grant allows writing to it."""
    return files_prefix(room_id) + attachment_id


def citation_key(room_id: str, attachment_id: str) -> str:
    """Key of the object that names the message which cites a file; it is written once."""
    return f"{CITED}{room_id}/{attachment_id}"


def files_prefix(room_id: str) -> str:
    """Prefix of the keys of a room's verified files."""
    return f"{FILES}{room_id}/"


def prefixes(room_id: str) -> tuple[str, ...]:
    """Prefixes of the keys of a room's files and of their citations."""
    return files_prefix(room_id), f"{CITED}{room_id}/"


def position(epoch: int, number: int) -> str:
    """Return (epoch, offset) or (epoch, seq) as text that sorts like the pair."""
    return f"{epoch:010d}#{number:010d}"


def parse_position(text: str) -> tuple[int, int]:
    """Return the pair of a position text; (0, 0) for the empty text."""
    epoch, _, number = text.partition("#")
    return int(epoch or 0), int(number or 0)


def body_key(version: int, epoch: int, offset: int) -> str:
    """Rank of a message body: the higher version wins, the later record between equal ones."""
    return f"{version:010d}#{position(epoch, offset)}"


def final_key(epoch: int, offset: int) -> str:
    """Rank of a tombstone, which absorbs all bodies: `~` sorts above every digit."""
    return f"~{position(epoch, offset)}"


def failure_key(epoch: int, offset: int) -> str:
    """Rank of a failure, which absorbs tombstones too."""
    return f"~{final_key(epoch, offset)}"

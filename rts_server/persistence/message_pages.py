"""Reads messages by id, and in the order of their room by the index. It blocks: use threads."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rts_server.persistence import records, stored_items
from rts_server.persistence.dynamodb import batch_get
from rts_server.persistence.records import IndexEntry
from rts_server.persistence.stored_items import Item, StoredMessage
from rts_server.types.objects import Message

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import QueryInputTypeDef


@dataclass(frozen=True)
class PageRange:
    """At most `limit` messages with first <= position <= last, texts that sort like positions."""

    room_id: str
    first: str
    last: str
    limit: int
    newest_first: bool


class MessagePages:
    """Reads pages, consistently. `client` is safe to share between threads."""

    def __init__(self, client: DynamoDBClient, rooms: str, messages: str) -> None:
        """`rooms`, `messages`: names of the tables."""
        self._client, self._rooms, self._messages = client, rooms, messages

    def read(self, wanted: PageRange) -> list[Message]:
        """Return the messages of a range, oldest or newest first. Raises Unavailable."""
        found: list[Message] = []
        for entries in self._entries(wanted):
            found += self._messages_at(wanted.room_id, entries)
            if len(found) >= wanted.limit:
                break
        return found[: wanted.limit]

    def _entries(self, wanted: PageRange) -> Iterator[Sequence[IndexEntry]]:
        """Yield the entries of the range, in its order, about as many at once as a page has."""
        # HEAD is read first: a block that is filed after that is not missed.
        head = self._head(wanted.room_id)
        if head is None:
            return
        newest = _within(wanted, records.index_entries(head["block"], head))
        if wanted.newest_first and newest:
            yield newest[::-1]
        for items in self._blocks(wanted, head["block"]):
            blocks = (item["sk"].removeprefix(records.INDEX) for item in items)
            pairs = zip(blocks, items, strict=True)
            entries = [
                entry
                for block, item in pairs
                for entry in records.index_entries(block, item)[:: -1 if wanted.newest_first else 1]
            ]
            yield _within(wanted, entries)
        if newest and not wanted.newest_first:
            yield newest

    def _head(self, room_id: str) -> Item | None:
        key = records.head_key(room_id)
        answer = self._client.get_item(TableName=self._rooms, Key=key, ConsistentRead=True)
        item = answer.get("Item", {})
        return item if "block" in item else None

    def _blocks(self, wanted: PageRange, before: str) -> Iterator[list[Item]]:
        """Yield the filed blocks that touch the range, but for those from `before` on."""
        first = records.block_and_slot(*records.parse_position(wanted.first))[0]
        last = min(wanted.last, before)
        if first > last:
            return
        query: QueryInputTypeDef = {
            "TableName": self._rooms,
            "KeyConditionExpression": "room_id = :room AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {
                ":room": wanted.room_id,
                ":first": records.INDEX + first,
                ":last": records.INDEX + last,
            },
            "ScanIndexForward": not wanted.newest_first,
            "ConsistentRead": True,
            "Limit": wanted.limit // records.IDS_PER_BLOCK + 2,
        }
        while True:
            answer = self._client.query(**query)
            items: list[Item] = answer["Items"]
            yield [item for item in items if item["sk"] != records.INDEX + before]
            after = answer.get("LastEvaluatedKey")
            if not after:
                return
            query["ExclusiveStartKey"] = after

    def _messages_at(self, room_id: str, entries: Sequence[IndexEntry]) -> list[Message]:
        """Return the messages of these entries that are there and were not placed anew since.

        An entry is written before its message. A message that was appended again has two entries,
        and a failed one has no position any more.
        """
        found = self.messages(room_id, (entry.message_id for entry in entries))
        stored = [(found.get(entry.message_id), entry.position) for entry in entries]
        return [one.message for one, position in stored if one and one.position == position]

    def messages(self, room_id: str, message_ids: Iterable[str]) -> dict[str, StoredMessage]:
        """Return messages by id, failed ones too; absent ones are left out. Raises Unavailable."""
        unique = dict.fromkeys(message_ids)
        both = (records.message_key, records.reactions_key)
        keys = [key(room_id, message_id) for message_id in unique for key in both]
        return stored_items.messages(batch_get(self._client, self._messages, keys))


def _within(wanted: PageRange, entries: Sequence[IndexEntry]) -> list[IndexEntry]:
    return [entry for entry in entries if wanted.first <= entry.position <= wanted.last]

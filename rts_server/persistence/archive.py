"""Reads of DynamoDB for the web process, in a bounded pool of threads with short deadlines."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, cast

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rts_server import metrics
from rts_server.config import Settings
from rts_server.domain.position import Position, SeqPosition
from rts_server.domain.room import RoomSettings
from rts_server.errors import Unavailable
from rts_server.persistence import records, stored_items
from rts_server.persistence.dynamodb import batch_get, dynamodb_clients
from rts_server.persistence.message_pages import MessagePages, PageRange
from rts_server.persistence.stored_items import (
    Item,
    StoredMember,
    StoredMembership,
    StoredMessage,
    StoredRoom,
)
from rts_server.persistence.threads import BlockingCalls
from rts_server.types.objects import Message

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient
    from mypy_boto3_dynamodb.type_defs import (
        QueryInputTypeDef,
        UpdateItemInputTypeDef,
    )

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")
Check = tuple[str, str, str, str]
"""(room_id, sort key, attribute, position): the attribute of the item is at least the position."""

DYNAMODB_THREADS = 8
MAX_DYNAMODB_CALLS = 512
"""Calls that run or wait for a thread."""
DYNAMODB_CALL_DEADLINE_SECONDS = 4.0
DYNAMODB_CONFIG = Config(
    connect_timeout=0.5,
    read_timeout=1.5,
    retries={"total_max_attempts": 2, "mode": "standard"},
    max_pool_connections=DYNAMODB_THREADS,
)


class Archive:
    """The archive of rooms and messages. All methods raise Unavailable if AWS fails or is slow."""

    def __init__(self, settings: Settings) -> None:
        self._rooms, self._messages = settings.rooms_table, settings.messages_table
        self._threads = BlockingCalls(
            "archive", DYNAMODB_THREADS, MAX_DYNAMODB_CALLS, DYNAMODB_CALL_DEADLINE_SECONDS
        )
        self._clients = dynamodb_clients(settings, DYNAMODB_CONFIG)
        self._client: DynamoDBClient = self._clients.plain
        self._pages = MessagePages(self._client, self._rooms, self._messages)

    async def close(self) -> None:
        """Drop waiting calls and close the connections."""
        self._threads.close()
        self._clients.close()

    async def room(self, room_id: str) -> StoredRoom | None:
        """Return a room, read consistently; None if nothing is stored of it."""
        return (await self.rooms([room_id])).get(room_id)

    async def member(self, room_id: str, user_id: str) -> StoredMember | None:
        """Return a membership, read consistently; None if there never was one."""
        item = await self._in_thread(self._get, self._rooms, records.member_key(room_id, user_id))
        return stored_items.member(item) if item and "state" in item else None

    async def members(self, room_id: str) -> list[StoredMember]:
        """Return all memberships of the room, current and ended ones, read consistently."""
        items = await self._in_thread(self._under, room_id, records.MEMBER, records.MEMBER)
        return [stored_items.member(item) for item in items if "state" in item]

    async def members_named(self, room_id: str, user_ids: Iterable[str]) -> list[StoredMember]:
        """Return the memberships of some users, current and ended ones, read consistently."""
        keys = [records.member_key(room_id, user_id) for user_id in dict.fromkeys(user_ids)]
        items = await self._in_thread(self._batch, keys)
        return [stored_items.member(item) for item in items if "state" in item]

    async def member_page(self, room_id: str, after: str, limit: int) -> list[StoredMember]:
        """Return up to `limit` current members whose user id is above `after`, in its order.

        Read consistently. Ended memberships between them are read too.
        """
        query: QueryInputTypeDef = {
            **self._below(room_id, records.MEMBER, records.MEMBER),
            "FilterExpression": "#state = :in",
            "ExpressionAttributeNames": {"#state": "state"},
            "Limit": limit,
        }
        query["ExpressionAttributeValues"] = {**query["ExpressionAttributeValues"], ":in": "in"}
        if after:
            query["ExclusiveStartKey"] = records.member_key(room_id, after)
        items = await self._in_thread(self._query, query, limit)
        return [stored_items.member(item) for item in items]

    async def uncounted(self, room_id: str, above: int) -> list[int]:
        """Return the seqs above one that do not count as unread, ascending, read consistently."""
        first = records.deleted_key(room_id, above)["sk"]
        items = await self._in_thread(self._under, room_id, records.DELETED, first)
        seqs = (int(seq) for item in items for seq in item.get("seqs", ()))
        return sorted(seq for seq in seqs if seq > above)

    async def message(self, room_id: str, message_id: str) -> StoredMessage | None:
        """Return a message, read consistently; None if it is not stored."""
        found = await self._in_thread(self._pages.messages, room_id, [message_id])
        return found.get(message_id)

    async def page(
        self,
        room_id: str,
        *,
        low: SeqPosition | None = None,
        high: SeqPosition | None = None,
        limit: int,
        newest_first: bool = False,
    ) -> list[Message]:
        """Return up to `limit` messages with low < (epoch, seq) < high, oldest or newest first.

        Read consistently.
        """
        first, last = between(low, high)
        if first > last or limit < 1:
            return []
        wanted = PageRange(room_id, first, last, limit, newest_first)
        return await self._in_thread(self._pages.read, wanted)

    async def ids(
        self, room_id: str, after: dict[str, Any] | None
    ) -> tuple[list[tuple[str, int]], dict[str, Any] | None]:
        """Return a page of (message_id, seq) of a room, failed messages included, in no order.

        The second value is `after` for the next page, None at the end. Read consistently. A page
        holds as many messages as fit into 1 MB of items (DynamoDB quotas).
        """
        query: QueryInputTypeDef = {
            "TableName": self._messages,
            "KeyConditionExpression": "room_id = :room",
            "ExpressionAttributeValues": {":room": room_id},
            "ProjectionExpression": "message_id, seq",
            "ConsistentRead": True,
        }
        if after is not None:
            query["ExclusiveStartKey"] = after
        answer = await self._in_thread(self._query_page, query)
        found = [(item["message_id"], int(item.get("seq", 0))) for item in answer["Items"]]
        messages = [one for one in found if not one[0].endswith(records.REACTIONS)]
        return messages, answer.get("LastEvaluatedKey")

    async def rooms_of(self, user_id: str) -> list[StoredMembership]:
        """Return the rooms a user is or was in, by an index (a moment late).

        Asked at the first connect of every user: it reads only what the user index holds.
        """
        query: QueryInputTypeDef = {
            **self._by_user({"S": user_id}),
            "ProjectionExpression": "room_id, #state, pos",
            "ExpressionAttributeNames": {"#state": "state"},
        }
        return await self._in_thread(self._rooms_of, query)

    async def members_of(self, user_id: str) -> list[StoredMember]:
        """Return all memberships of a user, current and ended ones, by an index (a moment late)."""
        found = await self.rooms_of(user_id)
        return list((await self.memberships(user_id, (one.room_id for one in found))).values())

    async def rooms(self, room_ids: Iterable[str]) -> dict[str, StoredRoom]:
        """Return several rooms by id, read consistently; absent ones are left out."""
        unique = dict.fromkeys(room_ids)
        keys = [key(one) for one in unique for key in (records.room_key, records.head_key)]
        return stored_items.rooms(await self._in_thread(self._batch, keys))

    async def message_heads(self, room_ids: Iterable[str]) -> dict[str, Position]:
        """Return the position of the last record about a message, stored or being stored, by room.

        All records of earlier batches are stored. Rooms without a message are left out.
        """
        keys = [records.head_key(one) for one in dict.fromkeys(room_ids)]
        items = await self._in_thread(self._batch, keys)
        return {item["room_id"]: records.parse_position(item.get("head", "")) for item in items}

    async def memberships(self, user_id: str, room_ids: Iterable[str]) -> dict[str, StoredMember]:
        """Return a user's memberships by room id, read consistently; absent ones are left out."""
        keys = [records.member_key(room_id, user_id) for room_id in dict.fromkeys(room_ids)]
        items = await self._in_thread(self._batch, keys)
        return {item["room_id"]: stored_items.member(item) for item in items if "state" in item}

    async def all_stored(self, checks: Sequence[Check]) -> bool:
        """Return whether all checks hold."""
        return _all_hold(await self._found(checks), checks)

    async def read_epoch_and_check(self, room_id: str, checks: Sequence[Check]) -> tuple[int, bool]:
        """Return the room's epoch (0: none), and whether all checks hold, in one request.

        This is no snapshot: the epoch may be newer than the checked items.
        """
        key = records.room_key(room_id)
        found = await self._found([(key["room_id"], key["sk"], "epoch", ""), *checks])
        room = found.get((key["room_id"], key["sk"]), {})
        return int(room.get("epoch", 0)), _all_hold(found, checks)

    async def _found(self, checks: Sequence[Check]) -> dict[tuple[str, str], Item]:
        places = dict.fromkeys((room_id, sk) for room_id, sk, _, _ in checks)
        keys = [{"room_id": room_id, "sk": sk} for room_id, sk in places]
        items = await self._in_thread(self._batch, keys)
        return {(item["room_id"], item["sk"]): item for item in items}

    async def memberships_match(
        self, room_id: str, states: Mapping[str, str], roles: Mapping[str, str]
    ) -> bool:
        """Return whether the room is stored with these states (`in`, `out`) and roles by user."""
        keys = [records.member_key(room_id, user_id) for user_id in {**states, **roles}]
        items = await self._in_thread(self._batch, [records.room_key(room_id), *keys])
        found = {item["sk"]: item for item in items}

        def stored(user_id: str, attribute: str) -> Any:
            return found.get(records.MEMBER + user_id, {}).get(attribute)

        return (
            "type" in found.get(records.ROOM, {})
            and all((stored(user, "state") == "in") == (s == "in") for user, s in states.items())
            and all(stored(user, "role") == role for user, role in roles.items())
        )

    async def settings_match(self, room_id: str, user_id: str, settings: RoomSettings) -> bool:
        """Return whether a member has these settings (muted, hidden)."""
        member = await self.member(room_id, user_id)
        return member is not None and all(
            getattr(member, name) == value for name, value in settings.items()
        )

    async def open_epoch(self, room_id: str, expected: int, seq: int) -> int:
        """Open the epoch after `expected`, whose seqs begin after `seq`, and return its number.

        Raises Unavailable if another instance opened it first.
        """
        return await self._in_thread(self._open_epoch, room_id, expected, seq)

    async def run_with_client(self, work: Callable[[DynamoDBClient], Answer]) -> Answer:
        """Return `work(client)`, called in the same threads under the same deadline."""
        return await self._in_thread(work, self._client)

    def _by_user(self, user_id: Any) -> QueryInputTypeDef:
        return {
            "TableName": self._rooms,
            "IndexName": "by-user",
            "KeyConditionExpression": "user_id = :user",
            "ExpressionAttributeValues": {":user": user_id},
        }

    # In the pool's threads

    def _open_epoch(self, room_id: str, expected: int, seq: int) -> int:
        values: Item = {":one": 1, ":none": [], ":start": [f"{expected + 1}:{seq}"]}
        update: UpdateItemInputTypeDef = {
            "TableName": self._rooms,
            "Key": records.room_key(room_id),
            "UpdateExpression": "ADD #epoch :one"
            " SET #starts = list_append(if_not_exists(#starts, :none), :start)",
            "ConditionExpression": "attribute_not_exists(#epoch)",
            "ExpressionAttributeNames": {"#epoch": "epoch", "#starts": "starts"},
            "ExpressionAttributeValues": values,
        }
        if expected:
            update["ConditionExpression"] = "#epoch = :expected"
            values[":expected"] = expected
        self._client.update_item(**update)
        return expected + 1

    def _get(self, table: str, key: dict[str, str]) -> Item | None:
        return self._client.get_item(TableName=table, Key=key, ConsistentRead=True).get("Item")

    def _below(self, room_id: str, prefix: str, first: str) -> QueryInputTypeDef:
        """Return the query of items whose sort keys begin with a prefix, from one of them on."""
        last = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        return {
            "TableName": self._rooms,
            "KeyConditionExpression": "room_id = :room AND sk BETWEEN :first AND :last",
            "ExpressionAttributeValues": {":room": room_id, ":first": first, ":last": last},
            "ConsistentRead": True,
        }

    def _under(self, room_id: str, prefix: str, first: str) -> list[Item]:
        return self._query(self._below(room_id, prefix, first))

    def _query(self, query: QueryInputTypeDef, limit: int | None = None) -> list[Item]:
        """Return the items of all pages, or the first `limit`."""
        items: list[Item] = []
        while True:
            answer = self._client.query(**query)
            items += answer["Items"]
            after = answer.get("LastEvaluatedKey")
            if not after or (limit is not None and len(items) >= limit):
                return items[:limit]
            query = {**query, "ExclusiveStartKey": after}

    def _rooms_of(self, query: QueryInputTypeDef) -> list[StoredMembership]:
        found: list[StoredMembership] = []
        while True:
            answer = self._clients.raw.query(**query)
            found += [stored_items.membership(item) for item in answer["Items"] if "state" in item]
            after = answer.get("LastEvaluatedKey")
            if not after:
                return found
            query = {**query, "ExclusiveStartKey": after}

    def _query_page(self, query: QueryInputTypeDef) -> Item:
        return cast(Item, self._client.query(**query))

    def _batch(self, keys: list[dict[str, str]]) -> list[Item]:
        return list(batch_get(self._client, self._rooms, keys))

    # On the loop

    async def _in_thread(self, read: Callable[..., Answer], *args: Any) -> Answer:
        metrics.ARCHIVE_CALLS.inc()
        try:
            return await self._threads.run_in_thread(read, *args)
        except ClientError as error:
            raise _unavailable(error) from error
        except (BotoCoreError, OSError) as error:  # TimeoutError is an OSError
            log.warning("archive failed", extra={"error": type(error).__name__})
            raise Unavailable("The archive cannot be reached.") from error


def _all_hold(found: Mapping[tuple[str, str], Item], checks: Sequence[Check]) -> bool:
    return all(
        found.get((room_id, sk), {}).get(attribute, "") >= position
        for room_id, sk, attribute, position in checks
    )


def _unavailable(error: ClientError) -> Unavailable:
    code = error.response["Error"]["Code"]
    if code == "ConditionalCheckFailedException":
        return Unavailable("Another instance opened the epoch first.")
    log.warning("archive refused", extra={"error": code})
    return Unavailable("The archive refused the request.")


def between(low: SeqPosition | None, high: SeqPosition | None) -> tuple[str, str]:
    """Return the first and last position text between exclusive bounds; first > last if none."""
    first = records.position(low[0], low[1] + 1) if low else ""
    last = "~"
    if high:
        epoch, seq = high if high[1] else (high[0] - 1, records.MAX_NUMBER + 1)
        last = records.position(epoch, seq - 1) if epoch >= 0 else ""
    return first or "0", last

"""Revoked tokens: stored in DynamoDB, mirrored in Redis, kept in memory by every instance."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from functools import partial
from itertools import islice
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Any

from redis.asyncio import Redis
from redis.exceptions import RedisError

from rts_server import errors, keys
from rts_server.auth import Identity, InvalidToken
from rts_server.config import Settings, ms
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import IDENTITY, Script
from rts_server.protocol.event import rfc3339
from rts_server.redis_client.pipeline import CommandPipe
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.throttled_log import ThrottledLog

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_HERE = Path(__file__).parent
_NOTE = Script(IDENTITY, _HERE / "revoked_note.lua")
_READ = Script(IDENTITY, _HERE / "revoked_read.lua")

LIST_PARTITION = "#REVOKED"
"""Partition of chat-rooms that lists all revocations, for a consistent query. An index would be a
moment late, and a revocation must not be missing just after Redis lost its data."""
MIRROR_TRUST_SECONDS = 600.0
"""Time for which the mirror counts as complete; then one instance compares it with the table."""
COMPARISON_SECONDS = 60.0
"""Time that instance has, until it is the turn of another one."""
REVOCATIONS_PER_CALL = 1000
"""Revocations read from or written to the mirror in one script."""

log = logging.getLogger(__name__)

Revoked = dict[str, int]
"""User → revoked_before (s since 1970): tokens issued until then are void."""


class Revocations:
    """Guarantee: a revoked token is refused on every instance, whatever Redis lost (A3).

    `known` is set after the first read; no token must be checked before. `on_revoked` is called
    with new revocations.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis | CommandPipe,
        archive: Archive,
        on_revoked: Callable[[Revoked], None] = lambda revoked: None,
    ) -> None:
        self._table = settings.rooms_table
        self._interval = settings.revocation_poll
        self._longest = settings.longest_token
        self._redis = redis
        self._archive = archive
        self._throttled_log = ThrottledLog(log)
        self._revoked: OrderedDict[str, int] = OrderedDict()
        self._position = ""
        self.known = asyncio.Event()
        self._on_revoked = on_revoked

    def not_ready(self) -> list[str]:
        """Return the reasons why this instance is not ready."""
        return [] if self.known.is_set() else ["starting"]

    def check(self, identity: Identity) -> None:
        """Check a token. Raises Unauthorized if it was revoked. Never waits."""
        before = self._revoked.get(identity.user_id, -1)
        if identity.issued_at <= before:
            reason = f"Revoked: tokens of this user must be issued after {rfc3339(before)}."
            raise InvalidToken("iat", reason, identity.user_id)

    async def revoke(self, user_id: str) -> int:
        """Revoke all tokens of a user that were issued until now; return `revoked_before`.

        The table comes first: it survives a loss of Redis (A3). Raises Unavailable if Redis does
        not answer then; the caller repeats, which is harmless.
        """
        before = math.floor(time.time())
        await self._archive.run_with_client(lambda table: self._store(table, user_id, before))
        self._learn({user_id: before})
        try:
            await self._note({user_id: before})
        except (RedisError, OSError):
            raise errors.Unavailable() from None
        return before

    async def run_forever(self) -> None:
        """Read new revocations until cancelled."""
        await repeat_forever("revocations", self.refresh, partial(asyncio.sleep, self._interval))

    async def refresh(self) -> None:
        """Read what is new in Redis, or the table if Redis is away or lost it.

        Raises Unavailable if neither answers.
        """
        while await self._read_page() == b"more":
            pass
        self.known.set()

    async def _read_page(self) -> bytes:
        nonce = secrets.token_hex(8)
        args: list[str | int] = [
            self._position,
            REVOCATIONS_PER_CALL,
            nonce,
            ms(COMPARISON_SECONDS),
        ]
        try:
            state, position, *found = await _READ.evaluate(self._redis, [keys.REVOKED], args)
        except (RedisError, OSError):
            state, position, found = b"away", self._position.encode(), []
        users = [user.decode() for user in found[::2]]
        self._learn(dict(zip(users, map(int, found[1::2]), strict=True)))
        if state in (b"lost", b"due", b"away"):
            stored = await self._stored()
            self._learn(stored)
            if state != b"away":
                await self._rebuild(stored, nonce)
        self._position = position.decode()
        return bytes(state)

    async def _rebuild(self, stored: Revoked, nonce: str) -> None:
        """Complete the mirror, in pages: each blocks Redis for a moment only."""
        try:
            waiting = iter(stored.items())
            while page := dict(islice(waiting, REVOCATIONS_PER_CALL)):
                await self._note(page)
            await self._note({}, ms(time.time() + MIRROR_TRUST_SECONDS), nonce)
        except (RedisError, OSError) as error:
            self._throttled_log.warning("revocations cannot be mirrored", error)

    async def _note(self, revoked: Revoked, until: int = 0, nonce: str = "") -> None:
        named = [item for one in revoked.items() for item in one]
        await _NOTE.evaluate(self._redis, [keys.REVOKED], [until, self._oldest(), nonce, *named])

    def _learn(self, revoked: Revoked) -> None:
        """Add revocations, the later one wins; forget those older than any valid token."""
        oldest = self._oldest()
        new = {u: before for u, before in revoked.items() if before > self._revoked.get(u, -1)}
        for user_id, before in new.items():
            if before >= oldest:
                self._revoked[user_id] = before
                self._revoked.move_to_end(user_id)
        # The earliest come first, whichever way they are learned.
        while self._revoked and next(iter(self._revoked.values())) < oldest:
            self._revoked.popitem(last=False)
        if new:
            self._on_revoked(new)

    def _oldest(self) -> int:
        return math.floor(time.time() - self._longest)

    async def _stored(self) -> Revoked:
        """Read the table, the earliest revocation first. Raises Unavailable."""
        found: Revoked = {}
        after: Any = None
        while True:
            page, after = await self._archive.run_with_client(partial(self._read_list, after))
            found |= page
            if after is None:
                return dict(sorted(found.items(), key=itemgetter(1)))

    # In the archive's threads

    def _store(self, table: DynamoDBClient, user_id: str, before: int) -> None:
        """Write a revocation under the user's own key and to the list, in one transaction."""
        value = {"revoked_before": before, "expires_at": before + math.ceil(self._longest) + 1}
        update = {
            "TableName": self._table,
            "UpdateExpression": "SET #before = :revoked_before, #expires = :expires_at",
            "ConditionExpression": "attribute_not_exists(#before) OR #before <= :revoked_before",
            "ExpressionAttributeNames": {"#before": "revoked_before", "#expires": "expires_at"},
            "ExpressionAttributeValues": {f":{name}": it for name, it in value.items()},
        }
        user = f"USER#{user_id}"
        places = ({"room_id": user, "sk": "REVOKED"}, {"room_id": LIST_PARTITION, "sk": user})
        given: Any = [{"Update": {**update, "Key": place}} for place in places]
        table.transact_write_items(TransactItems=given)

    def _read_list(self, after: Any, table: DynamoDBClient) -> tuple[Revoked, Any]:
        """Return a page of the table and what the next one begins after, None at the end."""
        query: Any = {
            "TableName": self._table,
            "KeyConditionExpression": "room_id = :listed",
            "ExpressionAttributeValues": {":listed": LIST_PARTITION},
            "ConsistentRead": True,
        }
        answer = table.query(**query, **({"ExclusiveStartKey": after} if after else {}))
        found = {
            str(item["sk"]).removeprefix("USER#"): int(str(item["revoked_before"]))
            for item in answer["Items"]
        }
        return found, answer.get("LastEvaluatedKey")

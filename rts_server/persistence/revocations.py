"""Revoked tokens: stored in DynamoDB, mirrored in Redis, kept in memory by every instance."""

from __future__ import annotations

import asyncio
import logging
import math
import secrets
import time
from collections.abc import Callable
from functools import partial
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
from rts_server.redis_client.pipeline import RedisPipeline
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
"""Time for which the mirror counts as complete; then it is rebuilt from the table."""

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
        redis: Redis | RedisPipeline,
        archive: Archive,
        on_revoked: Callable[[Revoked], None] = lambda revoked: None,
    ) -> None:
        self._table = settings.rooms_table
        self._interval = settings.revocation_poll
        self._longest = settings.longest_token
        self._redis = redis
        self._archive = archive
        self._throttled_log = ThrottledLog(log)
        self._revoked: Revoked = {}
        self._version = ""
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
        """Read revocations from Redis, or from the table if Redis is away or lost them.

        Raises Unavailable if neither answers.
        """
        nonce = secrets.token_hex(8)
        try:
            state, version, *found = await _READ.evaluate(
                self._redis, [keys.REVOKED], [self._version, nonce]
            )
        except (RedisError, OSError):
            state, version, found = b"away", b"", []
        if state in (b"lost", b"away"):
            stored = await self._archive.run_with_client(self._read_list)
            self._learn(stored)
            if state == b"lost":
                await self._rebuild(stored, nonce)
        elif state == b"all":
            users = [user.decode() for user in found[::2]]
            self._learn(dict(zip(users, map(int, found[1::2]), strict=True)))
        self._version = version.decode()
        self.known.set()

    async def _rebuild(self, stored: Revoked, nonce: str) -> None:
        try:
            await self._note(stored, ms(time.time() + MIRROR_TRUST_SECONDS), nonce)
        except (RedisError, OSError) as error:
            self._throttled_log.warning("revocations cannot be mirrored", error)

    async def _note(self, revoked: Revoked, until: int = 0, nonce: str = "") -> None:
        named = [item for one in revoked.items() for item in one]
        await _NOTE.evaluate(self._redis, [keys.REVOKED], [until, self._oldest(), nonce, *named])

    def _learn(self, revoked: Revoked) -> None:
        """Add revocations, the later one wins; forget those older than any valid token."""
        new = {u: before for u, before in revoked.items() if before > self._revoked.get(u, -1)}
        oldest = self._oldest()
        kept = {u: before for u, before in self._revoked.items() if before >= oldest}
        self._revoked = kept | {u: before for u, before in new.items() if before >= oldest}
        if new:
            self._on_revoked(new)

    def _oldest(self) -> int:
        return math.floor(time.time() - self._longest)

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

    def _read_list(self, table: DynamoDBClient) -> Revoked:
        query: Any = {
            "TableName": self._table,
            "KeyConditionExpression": "room_id = :listed",
            "ExpressionAttributeValues": {":listed": LIST_PARTITION},
            "ConsistentRead": True,
        }
        found: Revoked = {}
        for page in table.get_paginator("query").paginate(**query):
            for item in page["Items"]:
                user_id = str(item["sk"]).removeprefix("USER#")
                found[user_id] = int(str(item["revoked_before"]))
        return found

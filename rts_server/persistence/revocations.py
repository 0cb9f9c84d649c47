"""Tokens that were revoked: stored in DynamoDB, mirrored in Redis, known to every instance."""

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
from rts_server.auth import Identity
from rts_server.config import Settings, ms
from rts_server.persistence.archive import Archive
from rts_server.persistence.scripts import IDENTITY, Script
from rts_server.runtime.loops import repeat_forever
from rts_server.runtime.throttled_log import ThrottledLog

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient

_HERE = Path(__file__).parent
_NOTE = Script(IDENTITY, _HERE / "revoked_note.lua")
_READ = Script(IDENTITY, _HERE / "revoked_read.lua")

LISTED = "#REVOKED"
"""Partition of chat-rooms that lists all revocations, so that a consistent query finds them: an
index is a moment late, and that moment must not be the one after which Redis lost them."""
COMPLETE = 600.0
"""Seconds for which the mirror is taken for all; then it is compared with the table once more."""

log = logging.getLogger(__name__)

Revoked = dict[str, int]
"""User → revoked_before (s since 1970): his tokens up to then are void."""


class Revocations:
    """Guarantee: who was revoked is refused, on every instance, whatever Redis lost.

    Until the first look (`known`) nobody is judged. `on_revoked` is called with new revocations.
    """

    def __init__(
        self,
        settings: Settings,
        redis: Redis,
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
        """Why another instance would do better."""
        return [] if self.known.is_set() else ["starting"]

    def check(self, identity: Identity) -> None:
        """Raises Unauthorized for a token that was revoked. Never waits."""
        if identity.issued_at <= self._revoked.get(identity.user_id, -1):
            raise errors.Unauthorized()

    async def revoke(self, user_id: str) -> int:
        """Void all tokens of a user up to now; revoked_before.

        Raises Unavailable when that is not certain yet: repeat.
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
        """Look for what is new until cancelled. Redis away: the table is asked itself."""
        await repeat_forever("revocations", self.look, partial(asyncio.sleep, self._interval))

    async def look(self) -> None:
        """Once. Raises Unavailable when neither Redis nor the table can tell."""
        word = secrets.token_hex(8)
        try:
            state, version, *found = await _READ.evaluate(
                self._redis, [keys.REVOKED], [self._version, word]
            )
        except (RedisError, OSError):
            state, version, found = b"away", b"", []
        if state in (b"lost", b"away"):
            stored = await self._archive.run_with_client(self._listed)
            self._learn(stored)
            if state == b"lost":
                await self._rebuild(stored, word)
        elif state == b"all":
            users = [user.decode() for user in found[::2]]
            self._learn(dict(zip(users, map(int, found[1::2]), strict=True)))
        self._version = version.decode()
        self.known.set()

    async def _rebuild(self, stored: Revoked, word: str) -> None:
        try:
            await self._note(stored, ms(time.time() + COMPLETE), word)
        except (RedisError, OSError) as error:
            self._throttled_log.warning("revocations are not mirrored yet", error)

    async def _note(self, revoked: Revoked, until: int = 0, word: str = "") -> None:
        named = [item for one in revoked.items() for item in one]
        await _NOTE.evaluate(self._redis, [keys.REVOKED], [until, self._oldest(), word, *named])

    def _learn(self, revoked: Revoked) -> None:
        """A later one wins; what no token can be as old as is forgotten."""
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
        """Twice, in one step: under the user's own key, and in the list that is read."""
        value = {"revoked_before": before, "expires_at": before + math.ceil(self._longest) + 1}
        update = {
            "TableName": self._table,
            "UpdateExpression": "SET #before = :revoked_before, #expires = :expires_at",
            "ConditionExpression": "attribute_not_exists(#before) OR #before <= :revoked_before",
            "ExpressionAttributeNames": {"#before": "revoked_before", "#expires": "expires_at"},
            "ExpressionAttributeValues": {f":{name}": it for name, it in value.items()},
        }
        user = f"USER#{user_id}"
        places = ({"room_id": user, "sk": "REVOKED"}, {"room_id": LISTED, "sk": user})
        given: Any = [{"Update": {**update, "Key": place}} for place in places]
        table.transact_write_items(TransactItems=given)

    def _listed(self, table: DynamoDBClient) -> Revoked:
        query: Any = {
            "TableName": self._table,
            "KeyConditionExpression": "room_id = :listed",
            "ExpressionAttributeValues": {":listed": LISTED},
            "ConsistentRead": True,
        }
        found: Revoked = {}
        for page in table.get_paginator("query").paginate(**query):
            for item in page["Items"]:
                user_id = str(item["sk"]).removeprefix("USER#")
                found[user_id] = int(str(item["revoked_before"]))
        return found

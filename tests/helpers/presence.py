"""Clients of /presence and the states they received."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient
from tests.helpers.world import World


@asynccontextmanager
async def here(world: World, user: str, instance: int, **more: Any) -> AsyncIterator[JsClient]:
    """Connect a client to /chat and /presence."""
    async with world.js(user, instance=instance, **more) as client:
        await client.join("/presence")
        yield client


def states(client: JsClient, user: str) -> list[str]:
    """Return the states of a user that a client received, in order."""
    told = [event["data"] for event in client.of_type("presence.changed")]
    return [one["state"] for one in told if one["user_id"] == user]


async def watched(client: JsClient, *users: str) -> dict[str, str]:
    """Send presence.watch; return the state of each user, or its error."""
    answer = await ok(client, "presence.watch", {"user_ids": list(users)})
    assert [one["user_id"] for one in answer["presences"]] == list(users)
    return {one["user_id"]: one.get("state", one.get("error")) for one in answer["presences"]}


async def all_online(client: JsClient, *users: str) -> None:
    """Watch until all users are shown as online, then forget all events received so far."""
    found = await watched(client, *users)
    for user in users:
        await client.until(lambda user=user: [found[user], *states(client, user)][-1] == "online")  # type: ignore[misc]
    client.events.clear()

"""Two users write into one direct room as fast as acks come (D1, D3)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rts_server.tools.dev import deploy
from tests.helpers.two_thousand import check, stored, written
from tests.helpers.world import World


async def test_two_users_thousand_messages_each(world: World, tmp_path: Path) -> None:
    """2 × 1,000 messages: one order live, in history right after the last ack, and in DynamoDB."""
    seen = await written(world, tmp_path, 1_000)
    print("2 x 1,000 messages in", seen["elapsed"], "s")
    await stored(world, seen, check(seen, 2_000))


async def test_history_is_complete_with_the_lambda_mapping_off(
    world: World, tmp_path: Path
) -> None:
    """Clients do not notice that persistence is paused; afterwards everything is stored."""
    settings = world.stack.settings
    await asyncio.to_thread(deploy.set_queue_enabled, settings, "chat-message-to-db", enabled=False)
    try:
        seen = await written(world, tmp_path, 350)
        history = check(seen, 700)
        assert not world.messages(seen["room_id"])
    finally:
        await asyncio.to_thread(
            deploy.set_queue_enabled, settings, "chat-message-to-db", enabled=True
        )
    await stored(world, seen, history)

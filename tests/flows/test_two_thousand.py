"""Two users write into one direct room as fast as acks come (D1, D3)."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rts_server.tools.dev import deploy
from tests.helpers.two_thousand import check, stored, written
from tests.helpers.world import World


async def test_two_users_write_at_once(world: World, tmp_path: Path, full: bool) -> None:
    """2 × 300 messages (`--full`: 2 × 1,000): one order live, in history right after the last ack,
    and in DynamoDB."""
    each = 1_000 if full else 300
    seen = await written(world, tmp_path, each)
    await stored(world, seen, check(seen, 2 * each))


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

"""What is said between people stays out of the logs."""

from __future__ import annotations

from pathlib import Path

from tests.faults.sender import Sender
from tests.flows.test_commands import direct
from tests.world import World, name, placed, until

CANARY = "a secret between two people"


async def test_no_text_and_no_token_in_any_log(world: World) -> None:
    """Texts, tokens and the secret are in no log of web, relay, Lambdas, Redis or AWS."""
    alice, bob = name("alice"), name("bob")
    token = world.token(alice)
    async with world.js(alice) as a, world.raw(alice) as raw:
        sender = Sender(a, await direct(a, bob))
        await sender.send(CANARY)
        await raw.send(f'42/chat,1["message.send",{{"text":"{CANARY}"')
        await raw.ask(2, f'["message.send",{{"text":"{CANARY}","token":"{token}"}}]')
        until(lambda: placed(world, sender.room_id) == 1, 10)
    logs = written(world.data)
    assert len(logs) >= 4
    for log, text in logs.items():
        assert CANARY not in text, log
        assert token not in text, log
        assert world.stack.settings.jwt_secret not in text, log


def written(folder: Path) -> dict[str, str]:
    """Every log of a world, by name."""
    files = [*folder.glob("*.log"), *folder.glob("logs/*.log")]
    return {file.name: file.read_text(errors="replace") for file in files}

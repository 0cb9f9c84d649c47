"""An operator's commands, run as he runs them, against a deployment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import click
import yaml
from click.testing import CliRunner, Result

from tests.helpers.world import World


async def call(command: click.Command, *arguments: object, **environment: str) -> Result:
    """One run in a thread of its own, where the command has a loop of its own."""
    return await asyncio.to_thread(
        CliRunner().invoke,
        command,
        [str(one) for one in arguments],
        env={"RTS_URL": None, "RTS_TOKEN": None, **environment},
        catch_exceptions=False,
    )


class Operator:
    """Somebody with an operator's token at the first instance."""

    def __init__(self, world: World) -> None:
        token = world.token("ops", scope="operator")
        self._environment = {"RTS_URL": world.urls[0], "RTS_TOKEN": token}

    async def run(self, command: click.Command, *arguments: object) -> Result:
        """However it ends."""
        return await call(command, *arguments, **self._environment)

    async def rows(
        self, command: click.Command, *arguments: object, code: int | None = 0
    ) -> list[dict[str, Any]]:
        """What it says to programs; it ended with this code, None for any."""
        result = await self.run(command, *arguments, "--json")
        assert code in (result.exit_code, None), result.output
        return [json.loads(line) for line in result.stdout.splitlines()]


def manifest(path: Path, rooms: Iterable[dict[str, Any]], **header: Any) -> Path:
    """A manifest in a file."""
    path.write_text(yaml.safe_dump({**header, "rooms": list(rooms)}, sort_keys=False))
    return path

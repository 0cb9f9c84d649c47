"""Operators' commands, run as an operator runs them, against a deployment."""

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


async def run_command(command: click.Command, *arguments: object, **environment: str) -> Result:
    """Run a command in a thread, where it has an event loop of its own."""
    return await asyncio.to_thread(
        CliRunner().invoke,
        command,
        [str(one) for one in arguments],
        env={"RTS_URL": None, "RTS_TOKEN": None, **environment},
        catch_exceptions=False,
    )


class Operator:
    """An operator with a token, at the first instance."""

    def __init__(self, world: World) -> None:
        token = world.token("ops", scope="operator")
        self._environment = {"RTS_URL": world.urls[0], "RTS_TOKEN": token}

    async def run(self, command: click.Command, *arguments: object) -> Result:
        """Run a command; return its result, whatever the exit code."""
        return await run_command(command, *arguments, **self._environment)

    async def rows(
        self, command: click.Command, *arguments: object, code: int | None = 0
    ) -> list[dict[str, Any]]:
        """Run with --json; return the rows. Asserts the exit code; None accepts any."""
        result = await self.run(command, *arguments, "--json")
        assert code in (result.exit_code, None), result.output
        return [json.loads(line) for line in result.stdout.splitlines()]


def manifest(path: Path, rooms: Iterable[dict[str, Any]], **header: Any) -> Path:
    """Write a manifest to a file; return its path."""
    path.write_text(yaml.safe_dump({**header, "rooms": list(rooms)}, sort_keys=False))
    return path

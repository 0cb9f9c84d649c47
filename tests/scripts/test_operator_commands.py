"""All operators' scripts: help texts, and the scope of their token."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rts_server.tools.cli.rooms import rooms
from scripts.instances import instances
from scripts.members import members
from scripts.notice import notice
from scripts.presence import presence
from scripts.quarantine import quarantine
from scripts.queues import queues
from scripts.unread import unread
from scripts.user import user
from scripts.verify import verify
from tests.helpers.operator import manifest, run_command
from tests.helpers.world import World, name

FOLDER = Path(__file__).parents[2] / "scripts"
SCRIPTS = {
    "instances": instances,
    "members": members,
    "notice": notice,
    "presence": presence,
    "quarantine": quarantine,
    "queues": queues,
    "rooms": rooms,
    "unread": unread,
    "user": user,
    "verify": verify,
}
ARGUMENTS = {
    "instance": ["web.1"],
    "manifest": ["{manifest}"],
    "csv": ["{csv}"],
    "text": ["hello"],
    "user": ["alice"],
    "which": ["messages"],
}
OPTIONS = {"notice": ["--external-id", "x"], "verify": ["--external-id", "x"], "erase": ["--yes"]}


def leaves() -> Iterator[tuple[list[str], click.Command]]:
    """Yield every command with its path."""
    for script, command in SCRIPTS.items():
        if isinstance(command, click.Group):
            yield from (([script, verb], leaf) for verb, leaf in command.commands.items())
        else:
            yield [script], command


LEAVES = [pytest.param(leaf, id=" ".join(path)) for path, leaf in leaves()]


async def test_each_script_runs_by_its_path() -> None:
    """`--help` of each script says what it is for, from any working directory."""

    async def said(script: str) -> tuple[int | None, bytes]:
        path = FOLDER / f"{script}.py"
        process = await asyncio.create_subprocess_exec(
            sys.executable, path, "--help", cwd="/", stdout=PIPE
        )
        out, _ = await process.communicate()
        return process.returncode, out

    for code, out in await asyncio.gather(*map(said, SCRIPTS)):
        assert code == 0
        assert out.startswith(b"Usage: ")


@pytest.mark.parametrize("command", LEAVES)
async def test_each_command_has_an_example(command: click.Command) -> None:
    """--help ends with an example."""
    result = await run_command(command, "--help")
    assert result.exit_code == 0
    _, _, examples = result.stdout.partition("Example:\n")
    assert "python scripts/" in examples


@pytest.mark.parametrize("command", LEAVES)
async def test_a_users_token_is_refused(
    world: World, tmp_path: Path, command: click.Command
) -> None:
    """Each command reports `forbidden` and ends with the exit code of an error."""
    path = manifest(tmp_path / "rooms.yaml", [{"external_id": name("room")}])
    csv = tmp_path / "members.csv"
    csv.write_text(f"external_id,user_id\n{name('room')},eve\n")
    arguments = [
        one.format(manifest=path, csv=csv)
        for parameter in command.params
        if isinstance(parameter, click.Argument)
        for one in ARGUMENTS[str(parameter.name)]
    ]
    arguments += OPTIONS.get(str(command.name), [])
    token = world.token(name("eve"))
    result = await run_command(command, *arguments, RTS_URL=world.urls[0], RTS_TOKEN=token)
    assert result.exit_code == (2 if command.name == "diff" else 1)
    assert "forbidden: This needs a token with scope operator." in result.output

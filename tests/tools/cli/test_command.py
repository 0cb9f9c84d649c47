"""All operators' commands: help texts, and the scope of their token."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from rts_server.__main__ import OPERATORS_COMMANDS
from tests.helpers.operator import manifest, run_command
from tests.helpers.world import World, name

ROOT = Path(__file__).parents[3]
ARGUMENTS = {
    "name": ["Alice"],
    "instance": ["web.1"],
    "manifest": ["{manifest}"],
    "csv": ["{csv}"],
    "text": ["hello"],
    "user": ["alice"],
    "which": ["messages"],
}
EXISTING = {".yaml": str(ROOT / "docs" / "rooms.yaml"), ".csv": str(ROOT / "pyproject.toml")}
"""Files in place of those that the examples name; they only have to exist."""
OPTIONS = {"notice": ["--external-id", "x"], "verify": ["--external-id", "x"], "erase": ["--yes"]}


def leaves(*commands: click.Command) -> Iterator[tuple[list[str], click.Command]]:
    """Yield every command that has none below it, with its path."""
    for command in commands:
        if isinstance(command, click.Group):
            below = leaves(*command.commands.values())
            yield from (([str(command.name), *path], leaf) for path, leaf in below)
        else:
            yield [str(command.name)], command


ALL = [pytest.param(path, leaf, id=" ".join(path)) for path, leaf in leaves(*OPERATORS_COMMANDS)]
WITH_TOKEN = [one for one in ALL if one.id != "raise-epochs"]
"""The commands that speak REST; raise-epochs works on a table, without a server."""


@pytest.mark.parametrize(("path", "command"), ALL)
async def test_each_command_has_an_example_that_works(
    monkeypatch: pytest.MonkeyPatch, path: list[str], command: click.Command
) -> None:
    """--help ends with examples, each a line of `rts-server` whose options and arguments parse."""
    monkeypatch.setenv("RTS_TOKEN", "a token")
    result = await run_command(command, "--help")
    assert result.exit_code == 0
    _, _, examples = result.stdout.partition("Example:\n")
    lines = [line.strip() for line in examples.splitlines() if "rts-server " in line]
    assert lines
    for line in lines:
        words = shlex.split(re.split(r" (?:>|\|\|) ", line)[0])
        assert words[: 1 + len(path)] == ["rts-server", *path]
        given = [EXISTING.get(Path(word).suffix, word) for word in words[1 + len(path) :]]
        command.make_context(line, given)


@pytest.mark.parametrize(("path", "command"), WITH_TOKEN)
async def test_a_users_token_is_refused(
    world: World, tmp_path: Path, path: list[str], command: click.Command
) -> None:
    """Each command reports `forbidden` and ends with the exit code of an error."""
    rooms = manifest(tmp_path / "rooms.yaml", [{"external_id": name("room")}])
    csv = tmp_path / "members.csv"
    csv.write_text(f"external_id,user_id\n{name('room')},eve\n")
    arguments = [
        one.format(manifest=rooms, csv=csv)
        for parameter in command.params
        if isinstance(parameter, click.Argument)
        for one in ARGUMENTS[str(parameter.name)]
    ]
    arguments += OPTIONS.get(str(command.name), [])
    token = world.token(name("eve"))
    result = await run_command(command, *arguments, RTS_URL=world.urls[0], RTS_TOKEN=token)
    assert result.exit_code == (2 if command.name == "diff" else 1)
    assert "forbidden: scope: Must include operator." in result.output

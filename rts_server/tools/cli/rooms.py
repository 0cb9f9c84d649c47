"""Rooms as code: a manifest says how rooms are to be, apply makes them so."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import click

from rts_server.keys import external_room_id
from rts_server.tools.cli import lists
from rts_server.tools.cli import render as shown
from rts_server.tools.cli.command import FILE, SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.difference import Declared
from rts_server.tools.cli.manifest import dumped, indented
from rts_server.tools.cli.plan_apply import apply_one, plan_one, read
from rts_server.tools.cli.run import Result, Run, at_once, walk
from rts_server.tools.cli.server import Refused, Server, place

SAME, DIFFERENT, TROUBLE = 0, 1, 2
AS_DECLARED = {"none": "as declared"}
PLANNED = {"create": "to create", "change": "to change"} | AS_DECLARED
APPLIED = {"create": "created", "change": "changed"} | AS_DECLARED

manifest_file = click.argument("manifest", type=FILE)


@click.group(context_settings=SETTINGS)
def rooms() -> None:
    """Rooms as code: plan, apply, diff, export."""


@rooms.command(epilog=example("python scripts/rooms.py plan rooms.yaml"))
@manifest_file
@at_once
@operators
async def plan(server: Server, screen: Console, manifest: Path, at_once: int) -> int:
    """Show what apply would do to the rooms of MANIFEST; nothing is changed.

    Exit code 0, whether there is something to do or not; 1 when a room could not be read; 2 when
    the manifest is wrong.
    """

    async def act(declared: Declared) -> Result:
        return shown.result(await plan_one(server, declared))

    return await Run(screen, lists.manifest(manifest), PLANNED, external_id).of(act, at_once)


@rooms.command(epilog=example("python scripts/rooms.py apply rooms.yaml --json > applied.ndjson"))
@manifest_file
@at_once
@operators
async def apply(server: Server, screen: Console, manifest: Path, at_once: int) -> int:
    """Make the rooms of MANIFEST as it says: create, change, add and remove members.

    What is as declared is left alone, so a run that was cut short is simply run again.

    Exit code 0 when all rooms are as declared; 1 when some are left, each with its reason; 2 when
    the manifest is wrong.
    """

    async def act(declared: Declared) -> Result:
        return shown.result(await apply_one(server, declared))

    return await Run(screen, lists.manifest(manifest), APPLIED, external_id).of(act, at_once)


@rooms.command(epilog=example("python scripts/rooms.py diff rooms.yaml || echo drifted"))
@manifest_file
@at_once
@operators
async def diff(server: Server, screen: Console, manifest: Path, at_once: int) -> int:
    """Show where rooms are not as MANIFEST says, as a unified diff from present to declared.

    Exit code as diff(1): 0 all as declared, 1 something differs, 2 trouble.
    """

    async def act(declared: Declared) -> Result:
        return shown.compared(await plan_one(server, declared))

    code = SAME
    async with aclosing(walk(screen, lists.manifest(manifest), act, at_once)) as results:
        async for result in results:
            if result.error:
                screen.say(f"{result.name}: {result.error}")
                code = TROUBLE
            elif result.action != "none":
                screen.show(result.row, *result.lines)
                code = max(code, DIFFERENT)
            if result.hopeless:
                break
    return code


@rooms.command(epilog=example("python scripts/rooms.py export rooms.yaml > present.yaml"))
@click.argument("manifest", required=False, type=FILE)
@click.option("--external-id", "ids", multiple=True, help="A room; may be given many times.")
@click.option("--user", help="All groups with an external id that this user is in.")
@at_once
@operators
async def export(
    server: Server,
    screen: Console,
    manifest: Path | None,
    ids: tuple[str, ...],
    user: str | None,
    at_once: int,
) -> int:
    """Print a manifest of rooms as they are: those named in MANIFEST, by option, or of a user.

    Exit code 1 when one of them is not there or could not be read.
    """
    if not (manifest or ids or user):
        raise click.UsageError("Which rooms? A manifest, --external-id or --user.")
    named = [*(lists.manifest(manifest).ids() if manifest else ()), *ids]
    named += [one async for one in _of(server, user)] if user else []

    async def act(name: str) -> Result:
        present = await read(server, external_room_id(name))
        if present is None:
            return Result(name, error=Refused("not_found", "There is no such room."))
        row = {"type": "room", "external_id": name, **present.fields, "members": present.roles}
        return Result(name, row=row, lines=tuple(indented(dumped(name, present))))

    code = 0
    screen.show({"type": "manifest", "membership": "whole"}, "membership: whole", "rooms:")
    async with aclosing(walk(screen, list(dict.fromkeys(named)), act, at_once)) as results:
        async for result in results:
            if result.error:
                screen.say(f"{result.name}: {result.error}")
                code = 1
            else:
                screen.show(result.row, *result.lines)
    return code


def external_id(declared: Declared) -> str:
    """What a room is called."""
    return declared.external_id


async def _of(server: Server, user: str) -> AsyncIterator[str]:
    async for room in server.pages(f"/v1/users/{place(user)}/rooms", "rooms"):
        if room.get("external_id"):
            yield room["external_id"]

"""Rooms as code: a manifest says how rooms are to be, apply makes them so."""

from __future__ import annotations

import difflib
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import click

from rts_server.cli import shown
from rts_server.cli.command import example, operators
from rts_server.cli.difference import Declared
from rts_server.cli.each import each
from rts_server.cli.manifest import Manifest, Wrong, dumped, indented
from rts_server.cli.present import Outcome, apply_one, plan_one, read
from rts_server.cli.screen import Screen, added, removed
from rts_server.cli.server import Server, place
from rts_server.cli.tally import Tally
from rts_server.keys import external_room_id

AT_ONCE = 64
SAME, DIFFERENT, TROUBLE = 0, 1, 2
Act = Callable[[Server, Declared], Awaitable[Outcome]]
VERBS: dict[Act, tuple[str, str]] = {
    plan_one: ("to create", "to change"),
    apply_one: ("created", "changed"),
}

manifest_file = click.argument(
    "manifest", type=click.Path(exists=True, dir_okay=False, path_type=Path)
)
at_once = click.option(
    "--at-once", type=click.IntRange(1, 1000), default=AT_ONCE, show_default=True, help="Rooms."
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def rooms() -> None:
    """Rooms as code: plan, apply, diff, export."""


@rooms.command(epilog=example("python scripts/rooms.py plan rooms.yaml"))
@manifest_file
@at_once
@operators
async def plan(server: Server, screen: Screen, manifest: Path, at_once: int) -> int:
    """Show what apply would do to the rooms of MANIFEST; nothing is changed.

    Exit code 0, whether there is something to do or not; 1 when a room could not be read; 2 when
    the manifest is wrong.
    """
    return await _run(server, screen, _checked(manifest), plan_one, at_once)


@rooms.command(epilog=example("python scripts/rooms.py apply rooms.yaml --json > applied.ndjson"))
@manifest_file
@at_once
@operators
async def apply(server: Server, screen: Screen, manifest: Path, at_once: int) -> int:
    """Make the rooms of MANIFEST as it says: create, change, add and remove members.

    What is as declared is left alone, so a run that was cut short is simply run again.

    Exit code 0 when all rooms are as declared; 1 when some are left, each with its reason; 2 when
    the manifest is wrong.
    """
    return await _run(server, screen, _checked(manifest), apply_one, at_once)


@rooms.command(epilog=example("python scripts/rooms.py diff rooms.yaml || echo drifted"))
@manifest_file
@at_once
@operators
async def diff(server: Server, screen: Screen, manifest: Path, at_once: int) -> int:
    """Show where rooms are not as MANIFEST says, as a unified diff from present to declared.

    Exit code as diff(1): 0 all as declared, 1 something differs, 2 trouble.
    """
    checked, code = _checked(manifest), SAME
    async for outcome in _walk(server, screen, checked, plan_one, at_once):
        if outcome.error:
            screen.say(f"{outcome.declared.external_id}: {outcome.error}")
            code = TROUBLE
        elif outcome.change:
            screen.show(shown.row(outcome), *_unified(outcome))
            code = max(code, DIFFERENT)
    return code


@rooms.command(epilog=example("python scripts/rooms.py export rooms.yaml > present.yaml"))
@click.argument("manifest", required=False, type=click.Path(exists=True, path_type=Path))
@click.option("--external-id", "ids", multiple=True, help="A room; may be given many times.")
@click.option("--user", help="All groups with an external id that this user is in.")
@operators
async def export(
    server: Server, screen: Screen, manifest: Path | None, ids: tuple[str, ...], user: str | None
) -> int:
    """Print a manifest of rooms as they are: those named in MANIFEST, by option, or of a user.

    Exit code 1 when one of them is not there.
    """
    if not (manifest or ids or user):
        raise click.UsageError("Which rooms? A manifest, --external-id or --user.")
    missing = 0
    screen.show({"type": "manifest", "membership": "whole"}, "membership: whole", "rooms:")
    async for external_id in _named(server, _checked(manifest) if manifest else (), ids, user):
        present = await read(server, external_room_id(external_id))
        if present is None:
            screen.say(f"{external_id}: not there")
            missing += 1
        else:
            row = {"type": "room", "external_id": external_id, **present.fields}
            screen.show(row | {"members": present.roles}, *indented(dumped(external_id, present)))
    return 1 if missing else 0


async def _run(server: Server, screen: Screen, manifest: Manifest, act: Act, at_once: int) -> int:
    tally = Tally(manifest)
    try:
        async with aclosing(_walk(server, screen, manifest, act, at_once)) as outcomes:
            async for outcome in outcomes:
                if not outcome.error and (outcome.change or screen.as_json):
                    screen.show(shown.row(outcome), *shown.lines(outcome))
                if not tally.note(outcome):
                    break
    finally:  # also when it is interrupted: what is left is said
        code = tally.tell(screen, VERBS[act])
    return code


async def _walk(
    server: Server, screen: Screen, manifest: Manifest, act: Act, at_once: int
) -> AsyncGenerator[Outcome, None]:
    async def one(declared: Declared) -> Outcome:
        return await act(server, declared)

    with screen.progress(len(manifest), "rooms") as advance:
        async with aclosing(each(one, manifest, at_once)) as outcomes:
            async for outcome in outcomes:
                yield outcome
                advance()


def _checked(path: Path) -> Manifest:
    try:
        return Manifest(path)
    except Wrong as wrong:
        raise click.BadParameter("\n" + str(wrong), param_hint="MANIFEST") from None


async def _named(
    server: Server, manifest: Manifest | tuple[()], ids: tuple[str, ...], user: str | None
) -> AsyncIterator[str]:
    for declared in manifest:
        yield declared.external_id
    for external_id in ids:
        yield external_id
    if user:
        async for room in server.pages(f"/v1/users/{place(user)}/rooms", "rooms"):
            if room.get("external_id"):
                yield room["external_id"]


def _unified(outcome: Outcome) -> list[str]:
    name = outcome.declared.external_id
    before = dumped(name, outcome.present).splitlines() if outcome.present else []
    after = dumped(name, outcome.after).splitlines()
    colours = {"+": added, "-": removed}
    plain = difflib.unified_diff(before, after, f"present/{name}", f"declared/{name}", lineterm="")
    return [colours.get(text[0], str)(text) for text in plain]

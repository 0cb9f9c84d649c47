"""Rooms as code: `plan`, `apply`, `diff` and `export` of a manifest of rooms."""

from __future__ import annotations

from contextlib import aclosing
from pathlib import Path

import click

from rts_server.keys import external_room_id
from rts_server.tools.cli.api_client import ApiClient, ApiError, path_segment
from rts_server.tools.cli.batch_run import (
    BatchRun,
    ItemResult,
    at_once_option,
    iterate_results,
)
from rts_server.tools.cli.command import EXISTING_FILE, HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.difference import RoomDeclaration
from rts_server.tools.cli.manifest import dump_room, indented_lines
from rts_server.tools.cli.output import CommandOutput, counted
from rts_server.tools.cli.plan_apply import apply_room, fetch_room, plan_room
from rts_server.tools.cli.render import render_changes, render_diff
from rts_server.tools.cli.room_selection import load_manifest

# Exit codes of `diff`, as of diff(1).
EXIT_SAME, EXIT_DIFFERENT, EXIT_TROUBLE = 0, 1, 2
PLAN_VERBS = {"create": "to create", "change": "to change", "none": "as declared"}
APPLY_VERBS = {"create": "created", "change": "changed", "none": "as declared"}

manifest_argument = click.argument("manifest", type=EXISTING_FILE)


@click.group(context_settings=HELP_SETTINGS)
def rooms() -> None:
    """Rooms as code: plan, apply, diff, export."""


@rooms.command(epilog=example("rts-server rooms plan rooms.yaml"))
@manifest_argument
@at_once_option
@operator_command
async def plan(client: ApiClient, output: CommandOutput, manifest: Path, at_once: int) -> int:
    """Show what apply would change in the rooms of MANIFEST. Changes nothing.

    Exit code 0, with or without changes to make; 1 if a room could not be read; 2 if the manifest
    is invalid.
    """

    async def plan_one(declared: RoomDeclaration) -> ItemResult:
        return render_changes(await plan_room(client, declared))

    run = BatchRun(output, load_manifest(manifest), PLAN_VERBS, external_id_of)
    return await run.process(plan_one, at_once)


@rooms.command(epilog=example("rts-server rooms apply rooms.yaml --json > applied.ndjson"))
@manifest_argument
@at_once_option
@operator_command
async def apply(client: ApiClient, output: CommandOutput, manifest: Path, at_once: int) -> int:
    """Make the rooms of MANIFEST as declared: create, change, add and remove members.

    Rooms that are as declared are not changed. After an interruption, run the command again.

    Exit code 0 if all rooms are as declared; 1 if some are left, each with its reason; 2 if the
    manifest is invalid.
    """

    async def apply_one(declared: RoomDeclaration) -> ItemResult:
        return render_changes(await apply_room(client, declared))

    run = BatchRun(output, load_manifest(manifest), APPLY_VERBS, external_id_of)
    return await run.process(apply_one, at_once)


@rooms.command(epilog=example("rts-server rooms diff rooms.yaml || echo drifted"))
@manifest_argument
@at_once_option
@operator_command
async def diff(client: ApiClient, output: CommandOutput, manifest: Path, at_once: int) -> int:
    """Show where rooms differ from MANIFEST, as a unified diff from present to declared.

    Exit code as of diff(1): 0 if all rooms are as declared, 1 if some differ, 2 after an error.
    """

    async def diff_one(declared: RoomDeclaration) -> ItemResult:
        return render_diff(await plan_room(client, declared))

    code = EXIT_SAME
    results = iterate_results(output, load_manifest(manifest), diff_one, at_once)
    async with aclosing(results):
        async for result in results:
            if result.error:
                output.print_message(f"{result.name}: {result.error}")
                code = EXIT_TROUBLE
            elif result.action != "none":
                output.print_result(result.row, *result.lines)
                code = max(code, EXIT_DIFFERENT)
            if result.fatal:
                break
    return code


@rooms.command(epilog=example("rts-server rooms export rooms.yaml > present.yaml"))
@click.argument("manifest", required=False, type=EXISTING_FILE)
@click.option("--external-id", "ids", multiple=True, help="An external id; may be repeated.")
@click.option(
    "--user", help="All rooms of this user that have an external id; the others are counted."
)
@at_once_option
@operator_command
async def export(
    client: ApiClient,
    output: CommandOutput,
    manifest: Path | None,
    ids: tuple[str, ...],
    user: str | None,
    at_once: int,
) -> int:
    """Print a manifest of rooms as they are: those of MANIFEST, of --external-id or of --user.

    Exit code 1 if a room does not exist or could not be read.
    """
    if not (manifest or ids or user):
        raise click.UsageError("No rooms given: use MANIFEST, --external-id or --user.")
    external_ids = [*(load_manifest(manifest).external_ids() if manifest else ()), *ids]
    if user:
        path = f"/v1/users/{path_segment(user)}/rooms"
        of_user = [room.get("external_id") async for room in client.list_items(path, "rooms")]
        external_ids += [key for key in of_user if key]
        if without := of_user.count(None):
            output.print_message(f"Left out: {counted(without, 'room')} without external id.")

    async def export_one(external_id: str) -> ItemResult:
        room = await fetch_room(client, external_room_id(external_id))
        if room is None:
            return ItemResult(external_id, error=ApiError("not_found", "There is no such room."))
        row = {"type": "room", "external_id": external_id, **room.fields, "members": room.roles}
        lines = tuple(indented_lines(dump_room(external_id, room)))
        return ItemResult(external_id, row=row, lines=lines)

    code = 0
    header = {"type": "manifest", "membership": "whole"}
    output.print_result(header, "membership: whole", "rooms:")
    results = iterate_results(output, list(dict.fromkeys(external_ids)), export_one, at_once)
    async with aclosing(results):
        async for result in results:
            if result.error:
                output.print_message(f"{result.name}: {result.error}")
                code = 1
            else:
                output.print_result(result.row, *result.lines)
    return code


def external_id_of(declared: RoomDeclaration) -> str:
    """Return the external id, by which the summary names a room."""
    return declared.external_id

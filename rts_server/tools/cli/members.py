"""Members from a CSV file with the columns external_id, user_id and, optionally, role, name."""

from __future__ import annotations

from pathlib import Path

import click

from rts_server.tools.cli import csv_members
from rts_server.tools.cli.api_client import ApiClient
from rts_server.tools.cli.batch_run import BatchRun, ItemResult, at_once_option
from rts_server.tools.cli.command import EXISTING_FILE, HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.difference import RoomDeclaration
from rts_server.tools.cli.manifest import ManifestError
from rts_server.tools.cli.output import CommandOutput
from rts_server.tools.cli.plan_apply import apply_room, plan_room
from rts_server.tools.cli.render import render_changes
from rts_server.tools.cli.rooms import APPLY_VERBS, PLAN_VERBS, external_id_of


@click.command(
    context_settings=HELP_SETTINGS,
    epilog=example(
        """
printf 'external_id,user_id,role\\norder-17,alice,owner\\n' > members.csv
rts-server members members.csv --dry-run
rts-server members members.csv
"""
    ),
)
@click.argument("csv", type=EXISTING_FILE)
@click.option("--whole", is_flag=True, help="Remove members that CSV does not list, in its rooms.")
@click.option("--create", is_flag=True, help="Create rooms that do not exist.")
@click.option("--dry-run", is_flag=True, help="Only show what would change.")
@at_once_option
@operator_command
async def members(
    client: ApiClient,
    output: CommandOutput,
    csv: Path,
    whole: bool,
    create: bool,
    dry_run: bool,
    at_once: int,
) -> int:
    """Add the members listed in CSV and set their roles. Safe to run again.

    Exit code 1 if rooms are left, each with its reason; 2 if CSV is invalid.
    """
    try:
        rooms = csv_members.read_declarations(csv, whole=whole, create=create)
    except ManifestError as error:
        raise click.BadParameter(f"\n{error}", param_hint="CSV") from None

    async def process_one(declared: RoomDeclaration) -> ItemResult:
        return render_changes(await (plan_room if dry_run else apply_room)(client, declared))

    run = BatchRun(output, rooms, PLAN_VERBS if dry_run else APPLY_VERBS, external_id_of)
    return await run.process(process_one, at_once)

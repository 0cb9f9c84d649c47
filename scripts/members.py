"""Members out of a CSV file with the columns external_id, user_id and, if you like, role, name."""

from __future__ import annotations

from pathlib import Path

import click

from rts_server.tools.cli import render as shown
from rts_server.tools.cli import table
from rts_server.tools.cli.command import FILE, SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.difference import Declared
from rts_server.tools.cli.manifest import Wrong
from rts_server.tools.cli.plan_apply import apply_one, plan_one
from rts_server.tools.cli.rooms import APPLIED, PLANNED, external_id
from rts_server.tools.cli.run import Result, Run, at_once
from rts_server.tools.cli.server import Server


@click.command(
    context_settings=SETTINGS,
    epilog=example(
        """
printf 'external_id,user_id,role\\norder-17,alice,owner\\n' > members.csv
python scripts/members.py members.csv --dry-run
python scripts/members.py members.csv
"""
    ),
)
@click.argument("csv", type=FILE)
@click.option("--whole", is_flag=True, help="Who is not in CSV leaves the rooms that are in it.")
@click.option("--create", is_flag=True, help="Make rooms that are not there.")
@click.option("--dry-run", is_flag=True, help="Only show what would be done.")
@at_once
@operators
async def members(
    server: Server,
    screen: Console,
    csv: Path,
    whole: bool,
    create: bool,
    dry_run: bool,
    at_once: int,
) -> int:
    """Let those in CSV be members, with their roles. Safe to run again.

    Exit code 1 when a room is left, each with its reason; 2 when CSV is wrong.
    """
    try:
        rooms = table.read(csv, whole=whole, create=create)
    except Wrong as wrong:
        raise click.BadParameter(f"\n{wrong}", param_hint="CSV") from None

    async def act(declared: Declared) -> Result:
        return shown.result(await (plan_one if dry_run else apply_one)(server, declared))

    return await Run(screen, rooms, PLANNED if dry_run else APPLIED, external_id).of(act, at_once)


if __name__ == "__main__":
    members()

"""Explain why a user is shown as online, away or offline."""

from __future__ import annotations

import click

from rts_server.tools.cli.api_client import ApiClient, path_segment
from rts_server.tools.cli.command import HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.output import CommandOutput


@click.command(context_settings=HELP_SETTINGS, epilog=example("rts-server presence alice"))
@click.argument("user")
@operator_command
async def presence(client: ApiClient, output: CommandOutput, user: str) -> None:
    """Show the presence of USER, and the instances that count their connections.

    USER is online while one of these instances is alive; the next sweep removes the count of one
    that is not.
    """
    answer = await client.request("GET", f"/v1/users/{path_segment(user)}/presence", explain="1")
    state = answer["presence"]
    since = f", last active {state['last_active_at']}" if state.get("last_active_at") else ""
    output.print_result({"type": "presence", **state}, f"{user}: {state['state']}{since}")
    rows = [{"type": "connections", **counted} for counted in answer["connections"]]
    if rows or output.as_json:
        output.print_table(rows, "instance_id", "connections", "alive")

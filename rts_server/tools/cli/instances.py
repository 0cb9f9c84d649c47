"""Web instances: list them, and drain one."""

from __future__ import annotations

import click

from rts_server.tools.cli.api_client import ApiClient, path_segment
from rts_server.tools.cli.command import HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.output import CommandOutput


@click.group(context_settings=HELP_SETTINGS)
def instances() -> None:
    """Instances: list, drain."""


@instances.command("list", epilog=example("rts-server instances list"))
@operator_command
async def list_(client: ApiClient, output: CommandOutput) -> None:
    """List the instances that hold a lease."""
    listed = (await client.request("GET", "/v1/instances"))["instances"]
    output.print_table(listed, "instance_id", "connections", "started_at", "expires_at")


@instances.command(epilog=example("rts-server instances drain web-1a2b.3"))
@click.argument("instance")
@operator_command
async def drain(client: ApiClient, output: CommandOutput, instance: str) -> int:
    """Make INSTANCE refuse new connections, close its own, and end.

    Whoever supervises it (Elastic Beanstalk, `rts-server dev`) starts a new one with a new id.

    Exit code 1 if INSTANCE did not receive the request because it has already ended.
    """
    answer = await client.request("POST", f"/v1/instances/{path_segment(instance)}:drain")
    receivers = answer["instances"]
    text = f"{instance} drains." if receivers else f"{instance} did not receive the request."
    row = {"type": "drain", "instance_id": instance, "receivers": receivers}
    output.print_result(row, text)
    return 0 if receivers else 1

"""A user's name, data and connections: rename, export, erase, disconnect, revoke."""

from __future__ import annotations

from collections import Counter

import click

from rts_server.tools.cli.api_client import ApiClient, path_segment
from rts_server.tools.cli.command import HELP_SETTINGS, example, operator_command
from rts_server.tools.cli.output import CommandOutput, counted

ERASED_FIELDS = ("kind", "room_id", "message_id", "attachment_id")


@click.group(context_settings=HELP_SETTINGS)
def user() -> None:
    """Users: rename, export, erase, disconnect, revoke."""


@user.command(epilog=example("rts-server user rename alice 'Alice B.'"))
@click.argument("user")
@click.argument("name")
@operator_command
async def rename(client: ApiClient, output: CommandOutput, user: str, name: str) -> None:
    """Give USER the display name NAME in every room they are in.

    Safe to run again. Rooms they create later have the name of their token.
    """
    answer = await client.request("PATCH", f"/v1/users/{path_segment(user)}", {"name": name})
    text = f"Renamed in {counted(answer['rooms'], 'room')}."
    output.print_result({"type": "rename", **answer}, text)


@user.command(epilog=example("rts-server user export alice > alice.ndjson"))
@click.argument("user")
@operator_command
async def export(client: ApiClient, output: CommandOutput, user: str) -> None:
    """Print every membership, message and file of USER as NDJSON, also of rooms they left."""
    output.as_json = True
    async for exported in client.stream_objects("POST", f"/v1/users/{path_segment(user)}:export"):
        output.print_result(exported)


@user.command(epilog=example("rts-server user erase alice --yes > erased.txt"))
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask for confirmation.")
@operator_command
async def erase(client: ApiClient, output: CommandOutput, user: str, yes: bool) -> None:
    """Remove USER from all rooms, and delete their messages, files and presence.

    Messages become tombstones, also in rooms they left; uploads that no message cites are deleted
    too. Prints one line per removed item. Safe to run again, also after an interruption. Their
    tokens stay valid until you revoke them.
    """
    if not yes:
        click.confirm(f"Erase {user} for good?", abort=True, err=True)
    counts: Counter[str] = Counter()
    async for erased in client.stream_objects("POST", f"/v1/users/{path_segment(user)}:erase"):
        counts[erased["kind"]] += 1
        output.print_result(erased, " ".join(filter(None, map(erased.get, ERASED_FIELDS))))
    summary = {f"{kind}s": counts[kind] for kind in ("membership", "message")}
    text = " and ".join(counted(counts[kind], kind) for kind in ("membership", "message"))
    output.print_result({"type": "summary", **summary}, f"{text} removed.")


@user.command(epilog=example("rts-server user disconnect alice --reconnect"))
@click.argument("user")
@click.option("--reconnect", is_flag=True, help="Let the clients reconnect by themselves.")
@operator_command
async def disconnect(client: ApiClient, output: CommandOutput, user: str, reconnect: bool) -> None:
    """Close all connections of USER. Their tokens stay valid."""
    body = {"reconnect": reconnect}
    answer = await client.request("POST", f"/v1/users/{path_segment(user)}:disconnect", body)
    text = f"{counted(answer['instances'], 'instance')} received the request."
    output.print_result({"type": "disconnect", **answer}, text)


@user.command(epilog=example("rts-server user revoke alice"))
@click.argument("user")
@operator_command
async def revoke(client: ApiClient, output: CommandOutput, user: str) -> None:
    """Revoke all tokens of USER issued up to now, and close their connections."""
    answer = await client.request("POST", f"/v1/users/{path_segment(user)}:revoke")
    text = f"Tokens issued up to {answer['revoked_before']} are revoked."
    output.print_result({"type": "revoke", **answer}, text)

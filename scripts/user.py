"""A user's data and connections."""

from __future__ import annotations

from collections import Counter

import click

from rts_server.tools.cli.command import SETTINGS, example, operators
from rts_server.tools.cli.console import Console
from rts_server.tools.cli.server import Server, place

NAMES = ("kind", "room_id", "message_id", "attachment_id")


@click.group(context_settings=SETTINGS)
def user() -> None:
    """Users: export, erase, disconnect, revoke."""


@user.command(epilog=example("python scripts/user.py export alice > alice.ndjson"))
@click.argument("user")
@operators
async def export(server: Server, screen: Console, user: str) -> None:
    """Every membership, message and file of USER as NDJSON, rooms he left included."""
    screen.as_json = True
    async for one in server.lines("POST", f"/v1/users/{place(user)}:export"):
        screen.show(one)


@user.command(epilog=example("python scripts/user.py erase alice --yes > erased.txt"))
@click.argument("user")
@click.option("--yes", is_flag=True, help="Do not ask whether you mean it.")
@operators
async def erase(server: Server, screen: Console, user: str, yes: bool) -> None:
    """Take USER out of all rooms and make each of his messages a tombstone, files included.

    What no message cites and how he was go too. A line for each that was removed, rooms he left
    included. Safe to run again, also where it broke off; his tokens stay good until
    you revoke them.
    """
    if not yes:
        click.confirm(f"Erase {user} for good?", abort=True, err=True)
    removed: Counter[str] = Counter()
    async for one in server.lines("POST", f"/v1/users/{place(user)}:erase"):
        removed[one["kind"]] += 1
        screen.show(one, " ".join(filter(None, map(one.get, NAMES))))
    counts = {f"{kind}s": removed[kind] for kind in ("membership", "message")}
    text = f"{counts['memberships']} memberships and {counts['messages']} messages removed."
    screen.show({"type": "summary", **counts}, text)


@user.command(epilog=example("python scripts/user.py disconnect alice --reconnect"))
@click.argument("user")
@click.option("--reconnect", is_flag=True, help="The clients come back by themselves.")
@operators
async def disconnect(server: Server, screen: Console, user: str, reconnect: bool) -> None:
    """Close all connections of USER; his tokens stay good."""
    body = {"reconnect": reconnect}
    told = await server.ask("POST", f"/v1/users/{place(user)}:disconnect", body)
    screen.show({"type": "disconnect", **told}, f"{told['instances']} instances were told.")


@user.command(epilog=example("python scripts/user.py revoke alice"))
@click.argument("user")
@operators
async def revoke(server: Server, screen: Console, user: str) -> None:
    """Void all tokens of USER issued up to now, and close his connections."""
    told = await server.ask("POST", f"/v1/users/{place(user)}:revoke")
    text = f"Tokens issued up to {told['revoked_before']} are void."
    screen.show({"type": "revoke", **told}, text)


if __name__ == "__main__":
    user()

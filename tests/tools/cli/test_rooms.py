"""The commands plan, apply, diff and export, against a running deployment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import click
import yaml

from rts_server.tools.cli.rooms import rooms
from tests.helpers.operator import Operator, manifest, run_command
from tests.helpers.rest import Rest
from tests.helpers.world import World, free_port, name

SCRIPT = Path(__file__).parents[3] / "scripts" / "rooms.py"


def room(external_id: str, *members: Any, **more: Any) -> dict[str, Any]:
    """A room of a manifest."""
    return {"external_id": external_id, "members": list(members), **more}


def owner(user_id: str) -> dict[str, str]:
    """A member of a manifest."""
    return {"user_id": user_id, "role": "owner"}


async def test_plan_changes_nothing_and_apply_is_idempotent(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """apply makes rooms as planned, members receive the events, and a second apply does nothing."""
    alice, bob, order, case = (name(who) for who in ("alice", "bob", "order/", "case"))
    path = manifest(
        tmp_path / "rooms.yaml",
        [room(order, owner(alice), bob, name="Order", metadata={"n": 1}), room(case, frozen=True)],
    )
    for _ in range(2):
        planned = await ops.rows(rooms, "plan", path)
        assert [row.get("action") for row in planned] == ["create", "create", None]
    async with world.js(bob) as b:
        applied = await ops.rows(rooms, "apply", path)
        assert [row.get("action") for row in applied] == ["create", "create", None]
        added = await b.wait_for(lambda e: bool(e["type"] == "room.added"))
        assert added["data"]["room"]["external_id"] == order
        again = await ops.rows(rooms, "apply", path)
        assert [row.get("action") for row in again] == ["none", "none", None]
        assert again[-1] == {**dict.fromkeys(("create", "change", "left", "accepted"), 0)} | {
            "type": "summary",
            "none": 2,
        }
        assert (await ops.run(rooms, "diff", path)).exit_code == 0

        carol = name("carol")
        manifest(path, [room(order, owner(carol), {"user_id": alice}, name="Order 2"), room(case)])
        drifted = await ops.run(rooms, "diff", path)
        assert drifted.exit_code == 1
        for line in ("-  name: Order", "+  name: Order 2", f"-  - {bob}", f"+  - {alice}"):
            assert line in drifted.stdout.splitlines()
        shown = await ops.run(rooms, "plan", path)
        assert shown.exit_code == 0
        assert shown.stdout.splitlines() == [
            f"~ {order}",
            '    name: "Order" → "Order 2"',
            f"    + {carol} (owner)",
            f"    - {bob}",
            f"    ~ {alice}: owner → member",
            "0 to create, 1 to change, 1 as declared.",
        ]
        assert (await ops.run(rooms, "apply", path)).exit_code == 0
        await b.wait_for(lambda e: bool(e["type"] == "room.removed"))
    assert (await ops.run(rooms, "diff", path)).exit_code == 0


async def test_additive_membership_keeps_other_members(ops: Operator, tmp_path: Path) -> None:
    """Members that are not declared stay; declared ones are added or get their role."""
    key, (a, b, c) = name("room"), (name(who) for who in "abc")
    path = manifest(tmp_path / "rooms.yaml", [room(key, a, b, frozen=True)])
    await ops.rows(rooms, "apply", path)
    manifest(path, [room(key, owner(b), c)], membership="additive")
    row, _ = await ops.rows(rooms, "apply", path)
    assert [one["user_id"] for one in row["add"]] == [c]
    assert (row["remove"], list(row["roles"])) == ([], [b])
    row, *_ = (await ops.rows(rooms, "export", path))[1:]
    assert row["members"] == {a: "member", b: "owner", c: "member"}
    assert row["frozen"]


async def test_an_exported_manifest_has_no_difference(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """Rooms do not differ from their manifest; one without external id or missing is reported."""
    key, alice, gone = name("room/%"), name("alice"), name("gone")
    path = manifest(
        tmp_path / "rooms.yaml", [room(key, owner(alice), name="no", metadata={"a": 1})]
    )
    await ops.rows(rooms, "apply", path)
    for how in ([path], ["--external-id", key], ["--user", alice]):
        exported = await ops.run(rooms, "export", *how)
        assert exported.exit_code == 0
        copy = tmp_path / "copy.yaml"
        copy.write_text(exported.stdout)
        assert yaml.safe_load(exported.stdout)["rooms"][0]["external_id"] == key
        assert (await ops.run(rooms, "diff", copy)).exit_code == 0
    async with Rest(world.urls[0], world.token("ops", scope="operator")) as rest:
        await rest.ok("PUT", f"/v1/direct-rooms/{alice}/{name('bob')}")
    exported = await ops.run(rooms, "export", "--user", alice)
    assert (exported.exit_code, exported.stderr) == (0, "Left out: 1 room without external id.\n")
    assert len(yaml.safe_load(exported.stdout)["rooms"]) == 1
    missing = await ops.run(rooms, "export", "--external-id", gone)
    assert (missing.exit_code, missing.stderr) == (
        1,
        f"{gone}: not_found: There is no such room.\n",
    )
    assert (await ops.run(rooms, "export")).exit_code == 2


async def test_an_interrupted_run_lists_the_rooms_left(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """After SIGINT each room that is left is listed; the next run does only those."""
    run = name("r")
    keys = [f"{run}-{n}" for n in range(300)]
    path = manifest(tmp_path / "rooms.yaml", (room(key, owner(run)) for key in keys))
    token = world.token("ops", scope="operator")
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, SCRIPT, "apply", path, "--json"),
        env={**os.environ, "RTS_URL": world.urls[0], "RTS_TOKEN": token},
        stdout=PIPE,
        # Background jobs of a shell ignore SIGINT; the process would inherit that.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )
    assert process.stdout is not None
    rows = [json.loads(await process.stdout.readline()) for _ in range(10)]
    process.send_signal(signal.SIGINT)
    rows += [json.loads(line) async for line in process.stdout]
    assert await process.wait() == 1
    done = [row["external_id"] for row in rows if row["type"] == "room"]
    left = [row["name"] for row in rows if row["type"] == "left"]
    assert done + left == keys
    assert rows[-1]["create"] + rows[-1]["none"] == len(done)
    assert rows[-1]["left"] == len(left)
    rest = await ops.rows(rooms, "apply", path)
    assert {row["external_id"] for row in rest[:-1] if row["action"] != "none"} <= {*left}
    assert rest[-1]["left"] == 0
    assert (await ops.rows(rooms, "plan", path))[-1]["none"] == 300


async def test_an_unreachable_server_ends_the_run_at_the_first_room(
    world: World, tmp_path: Path
) -> None:
    """If nothing answers, the run ends at the first room and lists all as left."""
    keys = [name("room") for _ in range(100)]
    path = manifest(tmp_path / "rooms.yaml", map(room, keys))
    url, token = f"http://127.0.0.1:{free_port()}", world.token("ops", scope="operator")
    options = ["--url", url, "--token", token, "--patience", "0.2"]
    result = await run_command(rooms, "apply", path, *options)
    assert result.exit_code == 1
    *left, summary = result.stdout.splitlines()
    assert [line.split()[1].rstrip(":") for line in left] == keys
    assert left[-1] == f"! {keys[-1]}: not tried"
    assert summary == "0 created, 0 changed, 0 as declared, 100 left."
    assert (await run_command(rooms, "diff", path, *options)).exit_code == 2


async def test_a_failed_room_does_not_stop_the_others(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """A deleted room is left with its reason, and the rooms around it are created."""
    one, gone, other = (name("room") for _ in range(3))
    path = manifest(tmp_path / "rooms.yaml", [room(gone)])
    (made, _) = await ops.rows(rooms, "apply", path)
    async with Rest(world.urls[0], world.token("ops", scope="operator")) as rest:
        await rest.ok("DELETE", f"/v1/rooms/{made['room_id']}")
    manifest(path, map(room, (one, gone, other)))
    *done, left, total = await ops.rows(rooms, "apply", path, code=1)
    assert [row["external_id"] for row in done] == [one, other]
    assert (left["name"], left["reason"].partition(":")[0]) == (gone, "gone")
    assert (total["create"], total["left"]) == (2, 1)


async def test_a_run_waits_for_the_servers_rate_limit(world: World, tmp_path: Path) -> None:
    """A run that meets the rate limit waits, and completes with nothing left."""
    path = manifest(tmp_path / "rooms.yaml", (room(name("room")) for _ in range(40)))
    rates = {"RTS_LIMITS": "standard", "RTS_RATES": "operator=50/5"}
    async with world.instance(tmp_path, **rates) as (_, url):
        token = world.token("ops", scope="operator")
        options = ["--url", url, "--token", token, "--rate", "1000"]
        result = await run_command(rooms, "plan", path, *options)
        assert result.exit_code == 0
        assert result.stdout.splitlines()[-1] == "40 to create, 0 to change, 0 as declared."
        async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
            assert 'code="rate_limited"' in await response.text()


async def test_colours_and_a_progress_bar_are_shown_on_a_terminal(
    world: World, tmp_path: Path
) -> None:
    """Additions are green and progress is shown on a terminal; a pipe gets neither."""
    path = manifest(tmp_path / "rooms.yaml", [room(key := name("room"))])
    token = world.token("ops", scope="operator")
    environment = {**os.environ, "RTS_URL": world.urls[0], "RTS_TOKEN": token, "TERM": "xterm"}
    environment.pop("NO_COLOR", None)
    ours, theirs = os.openpty()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, SCRIPT, "plan", path), env=environment, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    assert await process.wait() == 0
    shown = os.read(ours, 65_536).decode()
    os.close(ours)
    assert click.style(f"+ {key}", "green") in shown
    assert "1/1" in shown
    piped = await run_command(rooms, "plan", path, RTS_URL=world.urls[0], RTS_TOKEN=token)
    assert "\x1b" not in piped.output


async def test_a_users_token_ends_the_run(world: World, tmp_path: Path) -> None:
    """A refused token ends the run at the first room, and no room is created."""
    key, user = name("room"), world.token(name("eve"))
    path = manifest(tmp_path / "rooms.yaml", [room(key), room(name("room"))])
    for what, code in (("plan", 1), ("apply", 1), ("diff", 2)):
        result = await run_command(rooms, what, path, RTS_URL=world.urls[0], RTS_TOKEN=user)
        assert result.exit_code == code
        assert "forbidden" in result.output
    async with Rest(world.urls[0], world.token("ops", scope="operator")) as rest:
        made = await rest.ok("PUT", f"/v1/external-rooms/{key}", {})
        assert made["created"]


async def test_an_invalid_manifest_is_reported_before_any_request(tmp_path: Path) -> None:
    """An invalid manifest or a missing token ends the command with exit code 2."""
    path = tmp_path / "rooms.yaml"
    path.write_text("rooms:\n- external_id: a b\n")
    result = await run_command(rooms, "apply", path, RTS_TOKEN="t", RTS_URL="http://127.0.0.1:9")
    assert result.exit_code == 2
    assert f"{path}:2: room a b: external_id: " in result.stderr
    missing = await run_command(rooms, "apply", path)
    assert missing.exit_code == 2
    assert "RTS_TOKEN" in missing.stderr

"""Scripts about rooms and their members."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from redis.asyncio import Redis

from rts_server import keys
from rts_server.tools.cli.members import members
from rts_server.tools.cli.notice import notice
from rts_server.tools.cli.rooms import rooms
from rts_server.tools.cli.verify import verify
from rts_server.tools.dev import aws
from tests.helpers.operator import Operator, manifest
from tests.helpers.world import World, name


async def test_members_are_added_from_a_csv_file(ops: Operator, tmp_path: Path) -> None:
    """Each line is a member; rooms that do not exist are left, unless --create is given."""
    one, other, (a, b) = name("room,1"), name("room"), (name(who) for who in "ab")
    csv = tmp_path / "members.csv"
    csv.write_text(
        f'\ufeffuser_id,external_id,role,name\n{a},"{one}",owner,Ann\n{b},"{one}",,\n{b},{other},,\n'
    )
    left = await ops.rows(members, csv, code=1)
    assert [row["name"] for row in left if row["type"] == "left"] == [one, other]
    planned = await ops.rows(members, csv, "--create", "--dry-run")
    assert planned[-1]["create"] == 2
    made = await ops.rows(members, csv, "--create")
    assert made[0]["add"] == [
        {"user_id": a, "role": "owner", "name": "Ann"},
        {"user_id": b, "role": "member"},
    ]
    csv.write_text(f'external_id,user_id,role\n"{one}",{b},admin\n')
    (row, _) = await ops.rows(members, csv)
    assert (row["add"], row["remove"], row["roles"]) == (
        [],
        [],
        {b: {"from": "member", "to": "admin"}},
    )
    (row, _) = await ops.rows(members, csv, "--whole")
    assert row["remove"] == [a]
    assert (await ops.rows(members, csv, "--whole"))[-1]["none"] == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("external_id,user_id\nr,a b\n", ":2: user_id: "),
        ("external_id,user_id,role\nr,a,member\nr,b,king\n", ":3: role: Must be one of"),
        ("external_id,user_id\nr,a\ns,a\nr,a\n", ":4: a is in room r twice"),
        ("room,user_id\nr,a\n", ":2: external_id: Missing data"),
        ("external_id,user_id\nr,a,member\n", ":2: too many columns: Unknown field"),
    ],
)
async def test_an_invalid_csv_file_is_reported_by_line(
    ops: Operator, tmp_path: Path, text: str, said: str
) -> None:
    """The command ends with exit code 2 and the line of the mistake."""
    csv = tmp_path / "members.csv"
    csv.write_text(text)
    result = await ops.run(members, csv)
    assert result.exit_code == 2
    assert f"{csv}{said}" in result.stderr
    csv.write_bytes(text.encode("utf-16"))
    assert f"{csv}: not UTF-8" in (await ops.run(members, csv)).stderr


async def test_a_notice_is_sent_once_per_key(world: World, ops: Operator, tmp_path: Path) -> None:
    """A room receives a notice once per key, however often the command is run."""
    alice, one, other = name("alice"), name("room"), name("room")
    path = manifest(
        tmp_path / "rooms.yaml", ({"external_id": r, "members": [alice]} for r in (one, other))
    )
    await ops.rows(rooms, "apply", path)
    async with world.js(alice) as a:
        sent = await ops.rows(notice, "Tea is ready.", "--external-id", one)
        assert [row["action"] for row in sent[:-1]] == ["sent"]
        sent = await ops.rows(notice, "Tea is ready.", "--rooms", path)
        assert [row["action"] for row in sent[:-1]] == ["repeated", "sent"]
        await ops.rows(notice, "Tea is ready.", "--external-id", one, "--key", "again")
        await a.until(lambda: len(a.of_type("message.new")) == 3)
    ids = tmp_path / "ids"
    ids.write_text(f"{one}\n\n{name('gone')}\n")
    left = await ops.rows(notice, "Milk?", "--ids", ids, "--on-behalf-of", alice, code=1)
    assert [row["type"] for row in left] == ["room", "left", "summary"]
    assert left[1]["reason"].startswith("not_found")
    assert (await ops.run(notice, "Milk?")).exit_code == 2


async def test_verify_finds_and_repairs_differences(
    world: World, ops: Operator, tmp_path: Path
) -> None:
    """A changed and a missing message are repaired; an orphan and a gap are reported."""
    key, alice = name("room"), name("alice")
    path = manifest(tmp_path / "rooms.yaml", [{"external_id": key, "members": [alice]}])
    await ops.rows(rooms, "apply", path)
    for n in range(3):
        await ops.rows(notice, f"m{n}", "--external-id", key)
    assert (await ops.rows(verify, "--external-id", key))[0]["messages"] == 3
    room_id = keys.external_room_id(key)
    table = world.stack.settings.messages_table
    dynamodb = aws.client(world.stack.settings, "dynamodb")

    def place(message_id: str) -> Any:
        return {"room_id": {"S": room_id}, "message_id": {"S": message_id}}

    lost, tampered, third = [item["message_id"] for item in world.messages(room_id)]
    item = dynamodb.get_item(TableName=table, Key=place(tampered))["Item"]
    body = json.loads(item["body"]["S"]) | {"text": "never said"}
    dynamodb.put_item(TableName=table, Item=item | {"body": {"S": json.dumps(body)}})
    orphan: Any = {**item, **place("orphan"), "seq": {"N": "9"}, "position": {"S": "9#9"}}
    dynamodb.put_item(TableName=table, Item=orphan)
    dynamodb.delete_item(TableName=table, Key=place(lost))

    found = await ops.run(verify, "--external-id", key)
    assert found.exit_code == 1
    wrong = found.stdout.splitlines()[0].removeprefix(f"! {key}: unsound: ")
    both = " ".join(sorted([lost, "orphan"]))
    assert wrong == f"orphans {both}; changed {tampered}"

    mended = await ops.run(verify, "--rooms", path, "--repair")
    assert mended.exit_code == 1
    assert mended.stdout.splitlines()[0] == f"! {key}: unsound: orphans orphan"
    dynamodb.delete_item(TableName=table, Key=place("orphan"))
    assert (await ops.rows(verify, "--external-id", key))[-1]["sound"] == 1
    texts = [json.loads(i["body"])["text"] for i in world.messages(room_id)]
    assert texts == ["m0", "m1", "m2"]

    dynamodb.delete_item(TableName=table, Key=place(third))
    async with Redis.from_url(world.stack.settings.redis_url) as redis:
        await redis.delete(keys.room(room_id).log)
    hole = await ops.run(verify, "--room-id", room_id)
    assert hole.exit_code == 1
    assert hole.stdout.splitlines()[0] == f"! {room_id}: unsound: gaps 3"

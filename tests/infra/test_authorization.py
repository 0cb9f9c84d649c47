"""Every permission of every role against AWS's Service Authorization Reference."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.helpers.template import Json, of_type, permissions, resolved

ROWS: Json = yaml.safe_load((Path(__file__).parent / "authorization.yaml").read_text())
ACTIONS: Json = ROWS["actions"]
FORMATS: Json = ROWS["resources"]
GLOBAL = {"aws:SourceArn", "aws:SourceAccount", "aws:SecureTransport"}
"""Condition keys that every action knows (IAM user guide, reference_policies_condition-keys)."""
WITH_SLASHES = {"ObjectName", "LogGroupName", "LogStreamName", "RoleNameWithPath"}
ANY, NAME = "\0", "\1"
"""Parts of a format: any text, and a name without a slash."""


def overlap(form: str, pattern: str) -> bool:
    """Whether some ARN has this format of the reference and matches this pattern of a policy."""
    parts = re.sub(r"\$\{(\w+)\}", lambda name: ANY if name[1] in WITH_SLASHES else NAME, form)

    @cache
    def meet(at: int, star: int) -> bool:
        if at == len(parts) or star == len(pattern):
            return not parts[at:].strip(ANY + NAME) and not pattern[star:].strip("*")
        if pattern[star] == "*":
            return meet(at, star + 1) or meet(at + 1, star)
        if parts[at] in (ANY, NAME):
            fits = parts[at] == ANY or pattern[star] != "/"
            return meet(at + 1, star) or (fits and meet(at, star + 1))
        return parts[at] == pattern[star] and meet(at + 1, star + 1)

    return meet(0, 0)


def listed(value: Any) -> list[Any]:
    """A value of a policy as a list."""
    return value if isinstance(value, list) else [value]


def faults(statement: Json, allowed: set[str]) -> list[str]:
    """Contradictions between one statement and the reference; `allowed`: all the role may do."""
    patterns = [resolved(one) for one in listed(statement["Resource"])]
    keys = {key for test in statement.get("Condition", {}).values() for key in test}
    found, useful = [], set()
    for action in listed(statement["Action"]):
        if (row := ACTIONS.get(action)) is None:
            found.append(f"{action} has no row")
            continue
        service = action.partition(":")[0]
        met: dict[str, set[str]] = {}
        for kind in row["resources"]:
            form = FORMATS[f"{service}:{kind.rstrip('*')}"]
            met[kind] = {one for one in patterns if overlap(form, one)}
            useful |= met[kind]
        if not met:
            useful.add("*")
            if "*" not in patterns:
                found.append(f"{action} has no resource types: only * allows it")
        elif not any(met.values()):
            found.append(f"{action} does not act on {patterns}")
        found += [f"{action} needs a {kind}" for kind in met if kind[-1] == "*" and not met[kind]]
        found += [f"{action} does not know {key}" for key in sorted(keys - GLOBAL - {*row["keys"]})]
        found += [f"{action} needs {one}" for one in sorted({*row["dependent"]} - allowed)]
    return found + [f"no action is for {one}" for one in patterns if one not in useful]


@pytest.mark.parametrize("role", of_type("IAM::Role"))
def test_every_permission_is_as_the_reference_has_it(role: str) -> None:
    """Resource types, condition keys and dependent actions of each action of each role."""
    statements = list(permissions(role))
    assert statements
    allowed = {action for one in statements for action in listed(one["Action"])}
    assert [fault for one in statements for fault in faults(one, allowed)] == []


def test_every_row_says_where_and_when_it_was_read() -> None:
    """A page of the reference and a month; and no row is about an action that nobody has."""
    used = {
        action
        for role in of_type("IAM::Role")
        for statement in permissions(role)
        for action in listed(statement["Action"])
    }
    assert set(ACTIONS) == used
    for action, row in ACTIONS.items():
        assert re.fullmatch(r"list_(amazon|aws)\w+\.html", row["source"]), action
        assert re.fullmatch(r"20\d\d-\d\d", row["read"]), action


ACCOUNT = "arn:aws:elasticbeanstalk:eu-west-1:123456789012"
QUEUE = "arn:aws:sqs:eu-west-1:123456789012:queue"


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (
            {
                "Action": "elasticbeanstalk:PutInstanceStatistics",
                "Resource": f"{ACCOUNT}:environment/*",
            },
            "elasticbeanstalk:PutInstanceStatistics needs a application*",
        ),
        (
            {
                "Action": "logs:DescribeLogGroups",
                "Resource": "arn:aws:logs:eu-west-1:1:log-group:x",
            },
            "logs:DescribeLogGroups has no resource types: only * allows it",
        ),
        (
            {"Action": "s3:ListBucket", "Resource": "arn:aws:s3:::bucket/*"},
            "s3:ListBucket does not act on ['arn:aws:s3:::bucket/*']",
        ),
        (
            {"Action": "sqs:SendMessage", "Resource": [QUEUE, "arn:aws:s3:::bucket"]},
            "no action is for arn:aws:s3:::bucket",
        ),
        (
            {
                "Action": "sqs:SendMessage",
                "Resource": QUEUE,
                "Condition": {"StringEquals": {"kms:ViaService": "sqs"}},
            },
            "sqs:SendMessage does not know kms:ViaService",
        ),
        ({"Action": "sqs:Sendmessage", "Resource": QUEUE}, "sqs:Sendmessage has no row"),
    ],
)
def test_a_permission_that_would_be_denied_is_found(statement: Json, fault: str) -> None:
    """Each kind of contradiction is named."""
    assert fault in faults(statement, set())


def test_a_dependent_action_that_is_missing_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is allowed by another statement of the same role, or it is a fault."""
    row = ACTIONS["sqs:SendMessage"] | {"dependent": ["kms:Decrypt"]}
    monkeypatch.setitem(ACTIONS, "sqs:SendMessage", row)
    statement = {"Action": "sqs:SendMessage", "Resource": QUEUE}
    assert faults(statement, {"sqs:SendMessage"}) == ["sqs:SendMessage needs kms:Decrypt"]
    assert faults(statement, {"sqs:SendMessage", "kms:Decrypt"}) == []


@pytest.mark.parametrize(
    ("form", "pattern", "meets"),
    [
        ("arn:${Partition}:sqs:${Region}:${Account}:${QueueName}", QUEUE, True),
        ("arn:${Partition}:s3:::${BucketName}", "arn:aws:s3:::bucket/*", False),
        ("arn:${Partition}:s3:::${BucketName}/${ObjectName}", "arn:aws:s3:::bucket/a/*", True),
        ("arn:${Partition}:logs:r:a:log-group:${LogGroupName}:log-stream:${LogStreamName}",
         "arn:aws:logs:r:a:log-group:/aws/lambda/f:*", True),
        ("arn:${Partition}:logs:r:a:log-group:${LogGroupName}:log-stream:${LogStreamName}",
         "arn:aws:logs:r:a:log-group:/aws/lambda/f", False),
        ("${A}/${B}", "*", True),
    ],
)  # fmt: skip
def test_name_formats_and_policy_patterns_overlap(form: str, pattern: str, meets: bool) -> None:
    """A name has no slash; a star of the policy stands for anything."""
    assert overlap(form, pattern) is meets

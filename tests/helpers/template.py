"""The CloudFormation template as data; short forms of functions are expanded."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from cfnlint.decode import decode

PATH = Path(__file__).parents[2] / "infra" / "template.yaml"

Json = dict[str, Any]


@cache
def part(name: str) -> dict[str, Any]:
    """Return one of the template's sections by its name, as Outputs."""
    found: dict[str, Any] = decode(str(PATH))[0][name]
    return found


@cache
def resources() -> dict[str, Json]:
    """Return the resources by logical id."""
    found: dict[str, Json] = decode(str(PATH))[0]["Resources"]
    return found


def of_type(*kinds: str) -> dict[str, Json]:
    """Return the properties of the resources of these types, by logical id."""
    wanted = {f"AWS::{kind}" for kind in kinds}
    return {name: one["Properties"] for name, one in resources().items() if one["Type"] in wanted}


def statements(resource: Json) -> Iterator[Json]:
    """Yield every IAM statement of a resource, conditional ones too."""

    def walk(node: Any) -> Iterator[Json]:
        if isinstance(node, dict):
            if "Effect" in node:
                yield node
            for value in node.values():
                yield from walk(value)
        elif isinstance(node, list):
            for value in node:
                yield from walk(value)

    yield from walk(resource.get("Properties", {}))


def permissions(role: str) -> Iterator[Json]:
    """Statements of a role's own policies and of those that are attached to it."""
    yield from statements({"Properties": {"Own": of_type("IAM::Role")[role].get("Policies", [])}})
    for policy in of_type("IAM::Policy").values():
        if {"Ref": role} in policy["Roles"]:
            yield from statements({"Properties": policy})


def actions(role: str) -> set[str]:
    """All actions that a role may do."""
    found: set[str] = set()
    for statement in permissions(role):
        given = statement["Action"]
        found |= {given} if isinstance(given, str) else set(given)
    return found - {"sts:AssumeRole"}


PSEUDO = {
    "AWS::Partition": "aws",
    "AWS::Region": "eu-west-1",
    "AWS::AccountId": "123456789012",
    "AWS::StackName": "chat",
}
ARNS = {
    "SQS::Queue": "arn:aws:sqs:eu-west-1:123456789012:{}",
    "DynamoDB::Table": "arn:aws:dynamodb:eu-west-1:123456789012:table/{}",
    "S3::Bucket": "arn:aws:s3:::{}",
    "KMS::Key": "arn:aws:kms:eu-west-1:123456789012:key/{}",
    "IAM::Role": "arn:aws:iam::123456789012:role/{}",
    "Logs::LogGroup": "arn:aws:logs:eu-west-1:123456789012:log-group:{}:*",
    "SecretsManager::Secret": "arn:aws:secretsmanager:eu-west-1:123456789012:secret:{}",
}
"""What Fn::GetAtt Arn answers, or Ref of a secret, by the type of the resource (its guide)."""


def resolved(value: Any) -> str:
    """An ARN of a policy as text; resources and parameters have their logical ids as names."""
    if isinstance(value, str):
        return value
    ((function, given),) = value.items()
    if function == "Fn::If":
        return resolved(given[1])
    if given == "TokenSecret":
        return ARNS["SecretsManager::Secret"].format(given)
    if function == "Fn::Sub":
        return re.sub(r"\$\{([\w:.]+)\}", lambda part: _named(part[1]), given)
    return _named(given if function == "Ref" else ".".join(given))


def _named(text: str) -> str:
    name = text.removesuffix(".Arn")
    kind = resources().get(name, {}).get("Type", "").removeprefix("AWS::")
    if text.endswith(".Arn") or kind == "SecretsManager::Secret":
        return ARNS[kind].format(name)
    return PSEUDO.get(text, name)


def dashboard() -> Json:
    """Return the body of the dashboard; values that only a deployment has are `?`."""
    (properties,) = of_type("CloudWatch::Dashboard").values()
    text: str = properties["DashboardBody"]["Fn::Sub"][0]
    body: Json = json.loads(
        re.sub(r"\$\{[\w:.]+\}", "?", text.replace("${AWS::StackName}", "chat"))
    )
    return body

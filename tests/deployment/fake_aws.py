"""AWS as `scripts/deploy create` and `destroy` see it: boto3's clients on state in this process.

botocore checks every request against the service's model, as its Stubber does, and the answers too.
Stacks and environments take a few looks until they are done. Parameters of stacks are held against
the templates. A call can be refused, or its answer be lost after it took effect.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import boto3
from botocore import xform_name
from botocore.awsrequest import AWSResponse
from botocore.compat import HTTPHeaders
from botocore.model import OperationModel
from botocore.validate import validate_parameters
from cfnlint.decode import decode

from scripts.eb.creation import CHAT, FOUNDATION
from tests.deployment.fake_beanstalk import (
    ACCOUNT,
    BUCKET,
    REGION,
    FakeBeanstalk,
    Json,
    Refused,
)

SERVICES = ("acm", "cloudformation", "dynamodb", "elasticbeanstalk", "route53", "s3", "sts")


@cache
def sections(stem: str) -> Json:
    """Return a template by the stem of its file."""
    paths = {path.stem: path for path in (FOUNDATION, CHAT)}
    found: Json = decode(str(paths[stem]))[0]
    return found


@dataclass
class Stack:
    """A stack; it is in progress for `looks` descriptions more."""

    template: str
    status: str
    parameters: dict[str, str]
    tags: list[Json]
    looks: int = 2
    fails: bool = False


@dataclass
class FakeAws(FakeBeanstalk):
    """One account. `refuse` and `lose` are numbers of calls, counted from 0."""

    refuse: int = -1
    lose: int = -1
    calls: list[tuple[str, Json]] = field(default_factory=list)
    stacks: dict[str, Stack] = field(default_factory=dict)
    failing: set[str] = field(default_factory=set)
    """Names of stacks whose next creation fails and is rolled back."""
    tables: set[str] = field(default_factory=set)
    buckets: set[str] = field(default_factory=set)
    records: dict[str, str] = field(default_factory=dict)

    def names(self, service: str = "") -> list[str]:
        """Return the operations called so far, those of one service."""
        return [name for name, _ in self.calls if name.startswith(service)]

    def asked(self, name: str) -> Json:
        """Return the parameters of the last call of this name: `service.operation`."""
        return next(parameters for called, parameters in reversed(self.calls) if called == name)

    def answer(self, service: str, operation: str, parameters: Json) -> Json:
        """Make one call."""
        number = len(self.calls)
        self.calls.append((f"{service}.{operation}", parameters))
        if number == self.refuse:
            raise Refused("Throttling", "Rate exceeded")
        answer: Json | None = getattr(self, f"{service}_{operation}")(**parameters)
        if number == self.lose:
            raise Refused("InternalFailure", "The answer is lost")
        return answer or {}

    # sts, acm, dynamodb

    def sts_get_caller_identity(self) -> Json:
        return {"Account": ACCOUNT}

    def acm_describe_certificate(self, CertificateArn: str) -> Json:
        name = {"DomainName": "*.example.com", "Status": CertificateArn.rpartition("/")[2]}
        return {"Certificate": name}

    def dynamodb_describe_table(self, TableName: str) -> Json:
        if TableName not in self.tables:
            raise Refused("ResourceNotFoundException", "Requested resource not found")
        return {"Table": {"TableName": TableName}}

    # route53

    def route53_get_hosted_zone(self, Id: str) -> Json:
        zone = {"Id": Id, "Name": "example.com.", "CallerReference": "x"}
        return {"HostedZone": zone}

    def route53_list_resource_record_sets(self, StartRecordName: str, **_: Any) -> Json:
        later = sorted(name for name in self.records if name >= StartRecordName)[:1]
        found = [_record(name, self.records[name]) for name in later]
        more = {"IsTruncated": False, "MaxItems": "1"}
        return {"ResourceRecordSets": found, **more}

    def route53_change_resource_record_sets(self, ChangeBatch: Json, **_: Any) -> Json:
        (change,) = ChangeBatch["Changes"]
        given = change["ResourceRecordSet"]
        value = given["ResourceRecords"][0]["Value"]
        if change["Action"] == "CREATE" and given["Name"] not in self.records:
            self.records[given["Name"]] = value
        elif change["Action"] == "DELETE" and self.records.get(given["Name"]) == value:
            del self.records[given["Name"]]
        else:
            raise Refused("InvalidChangeBatch", "It is not so")
        return {"ChangeInfo": _change("PENDING")}

    def route53_get_change(self, Id: str) -> Json:
        return {"ChangeInfo": _change("INSYNC")}

    # cloudformation

    def cloudformation_describe_stacks(self, StackName: str) -> Json:
        stack = self.stacks.get(StackName)
        if stack is None:
            raise Refused("ValidationError", f"Stack with id {StackName} does not exist")
        stack.looks -= 1
        if stack.looks <= 0 and stack.status.endswith("_IN_PROGRESS"):
            self._settle(StackName, stack)
        return {"Stacks": [self._described(StackName, stack)]}

    def _settle(self, name: str, stack: Stack) -> None:
        if stack.status == "DELETE_IN_PROGRESS":
            stack.status = "DELETE_COMPLETE"
            del self.stacks[name]
        elif stack.fails:
            stack.status, stack.fails = "ROLLBACK_COMPLETE", False
        else:
            stack.status = stack.status.replace("_IN_PROGRESS", "_COMPLETE")

    def _described(self, name: str, stack: Stack) -> Json:
        every = sections(stack.template)["Outputs"]
        outputs = [key for key in every if key != "RedisIsCluster"]  # it has one shard
        return {
            "StackName": name,
            "CreationTime": 0,
            "StackStatus": stack.status,
            "Tags": stack.tags,
            "Parameters": [
                {"ParameterKey": key, "ParameterValue": value}
                for key, value in stack.parameters.items()
            ],
            "Outputs": [{"OutputKey": key, "OutputValue": output_value(key)} for key in outputs],
        }

    def cloudformation_create_stack(self, StackName: str, TemplateURL: str, **given: Any) -> None:
        if StackName in self.stacks:
            raise Refused("AlreadyExistsException", f"Stack [{StackName}] already exists")
        template = self._template(TemplateURL)
        chosen = {one["ParameterKey"]: one["ParameterValue"] for one in given["Parameters"]}
        parameters = _accepted(template, chosen)
        stack = Stack(template, "CREATE_IN_PROGRESS", parameters, given["Tags"])
        stack.fails = StackName in self.failing
        self.failing.discard(StackName)
        self.stacks[StackName] = stack

    def cloudformation_update_stack(self, StackName: str, TemplateURL: str, **given: Any) -> None:
        stack = self.stacks[StackName]
        if not stack.status.endswith("_COMPLETE") or stack.status == "ROLLBACK_COMPLETE":
            raise Refused("ValidationError", f"Stack is in {stack.status} state")
        chosen = {
            one["ParameterKey"]: stack.parameters[one["ParameterKey"]]
            if one.get("UsePreviousValue")
            else one["ParameterValue"]
            for one in given["Parameters"]
        }
        parameters = _accepted(self._template(TemplateURL), chosen)
        if parameters == stack.parameters:
            raise Refused("ValidationError", "No updates are to be performed.")
        stack.parameters, stack.status, stack.looks = parameters, "UPDATE_IN_PROGRESS", 2

    def cloudformation_delete_stack(self, StackName: str) -> None:
        stack = self.stacks[StackName]
        for one in self.environments:
            ended = one["Status"] == "Terminated"
            assert ended or one["ApplicationName"] != "chat", "the environment still uses it"
        assert StackName != "chat-foundation" or "chat" not in self.stacks, "Redis still uses it"
        if stack.status != "DELETE_IN_PROGRESS":
            stack.status, stack.looks = "DELETE_IN_PROGRESS", 2
            if stack.template == "template":
                self.tables.add(f"{StackName}-messages")

    def cloudformation_describe_stack_events(self, StackName: str) -> Json:
        def event(resource: str, status: str, reason: str = "") -> Json:
            ids = {"StackId": "x", "EventId": "x", "StackName": StackName, "Timestamp": 0}
            own = {"LogicalResourceId": resource, "ResourceStatus": status}
            return ids | own | {"ResourceStatusReason": reason}

        events = [
            event(StackName, "ROLLBACK_COMPLETE"),
            event("Files", "CREATE_FAILED", "Resource creation cancelled"),
            event("Redis", "CREATE_FAILED", "No capacity."),
            event(StackName, "CREATE_IN_PROGRESS"),
            event("Redis", "CREATE_FAILED", "Of an earlier attempt."),
        ]
        return {"StackEvents": events}

    def cloudformation_describe_stack_resources(self, StackName: str) -> Json:
        resources = sections(self.stacks[StackName].template)["Resources"]
        found = [
            {
                "LogicalResourceId": name,
                "PhysicalResourceId": f"{StackName}/{name}",
                "ResourceType": one["Type"],
                "Timestamp": 0,
                "ResourceStatus": "CREATE_COMPLETE",
            }
            for name, one in resources.items()
        ]
        return {"StackResources": found}

    def cloudformation_get_template_summary(self, TemplateURL: str) -> Json:
        names = sections(self._template(TemplateURL))["Parameters"]
        return {"Parameters": [{"ParameterKey": name} for name in names]}

    def _template(self, url: str) -> str:
        """Return the stem of the template that was uploaded to this URL."""
        host = f"https://s3.{REGION}.amazonaws.com/{BUCKET}/"
        assert url.startswith(host)
        stem = url.rpartition("/")[2].removesuffix(".yaml")
        path = {"foundation": FOUNDATION, "template": CHAT}[stem]
        assert self.objects[url.removeprefix(host)] == path.read_bytes()
        return stem

    # s3

    def s3_put_object(self, Bucket: str, Key: str, Body: bytes) -> None:
        assert Bucket == BUCKET
        self.objects[Key] = Body

    def s3_head_bucket(self, Bucket: str) -> None:
        if Bucket not in self.buckets:
            raise Refused("404", "Not Found")

    def s3_list_objects_v2(
        self, Bucket: str, Prefix: str, MaxKeys: int, StartAfter: str = ""
    ) -> Json:
        """Return two objects at most, as a bucket with many returns 1,000."""
        found = sorted(key for key in self.objects if key.startswith(Prefix) and key > StartAfter)
        return {"Contents": [{"Key": key} for key in found[:2]]}

    def s3_delete_objects(self, Bucket: str, Delete: Json) -> None:
        for one in Delete["Objects"]:
            self.objects.pop(one["Key"], None)


def output_value(name: str) -> str:
    """Return the value of a stack's output, which fits the parameters that take it."""
    if name == "VpcId":
        return "vpc-0a"
    if name.endswith("GroupId"):
        return f"sg-{'0a' if name.startswith('I') else '0b'}"
    if name.endswith("Subnets"):
        return "subnet-0a,subnet-0b"
    service = "secretsmanager" if name.endswith(("SecretArn", "TokenArn")) else "made"
    return f"arn:aws:{service}:{REGION}:{ACCOUNT}:{name}" if name.endswith("Arn") else name


def _accepted(template: str, chosen: Mapping[str, str]) -> dict[str, str]:
    """Return the parameters with defaults; refuse those that the template would not take."""
    known = sections(template)["Parameters"]
    parameters = {key: str(one["Default"]) for key, one in known.items() if "Default" in one}
    parameters |= chosen
    for key, value in parameters.items():
        if key not in known:
            raise Refused("ValidationError", f"Parameters: [{key}] do not exist in the template")
        if not re.fullmatch(known[key].get("AllowedPattern", ".*"), value):
            raise Refused("ValidationError", f"Parameter {key} must match its pattern: {value}")
        if value not in [str(one) for one in known[key].get("AllowedValues", [value])]:
            raise Refused("ValidationError", f"Parameter {key} must be one of its values")
    if missing := known.keys() - parameters.keys():
        raise Refused("ValidationError", f"Parameters: {sorted(missing)} must have values")
    return parameters


def _record(name: str, value: str) -> Json:
    return {"Name": f"{name}.", "Type": "CNAME", "TTL": 60, "ResourceRecords": [{"Value": value}]}


def _change(status: str) -> Json:
    return {"Id": "/change/C1", "Status": status, "SubmittedAt": 0}


class Clients(dict[str, Any]):
    """boto3's clients of all services. Their calls go to `aws`, which a test sets."""

    def __init__(self) -> None:
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": REGION}
        super().__init__({name: boto3.client(name, **keys) for name in SERVICES})  # type: ignore[call-overload]
        self.aws = FakeAws()
        for name, client in self.items():
            events = client.meta.events
            events.register(
                "before-parameter-build.*.*",
                lambda params, context, **_: context.update(given=dict(params)),
            )
            events.register(
                "before-call.*.*",
                lambda model, context, name=name, **_: self._answer(name, model, context["given"]),
            )

    def _answer(self, service: str, model: OperationModel, given: Json) -> tuple[Any, Json]:
        try:
            answer = self.aws.answer(service, xform_name(model.name), given)
        except Refused as refused:
            code, message = refused.args
            return AWSResponse("", 400, HTTPHeaders(), None), {
                "Error": {"Code": code, "Message": message}
            }
        if model.output_shape is not None:
            validate_parameters(answer, model.output_shape)
        return AWSResponse("", 200, HTTPHeaders(), None), answer

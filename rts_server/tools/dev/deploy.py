"""The CloudFormation stack: created, updated or left alone, then both functions warmed."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rts_server.config import Settings
from rts_server.tools.dev import zips
from rts_server.tools.dev.aws import client
from rts_server.tools.dev.stack_error import StackError

STACK = "chat"
CODE_BUCKET = "chat-code"
FINGERPRINT = "fingerprint"
TEMPLATE = zips.ROOT / "infra" / "template.yaml"
DEADLINE = 120.0
AT_ONCE = 2
"""Batches of a queue at a time in a local AWS; the template's figure is for the real one."""
ON_THIS_MACHINE = "http://127.0.0.1:*,http://localhost:*"
"""Origins of the demo page."""

_GOOD = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
_STANDS = _GOOD | {"UPDATE_ROLLBACK_COMPLETE"}
_CODE_KEYS = {"chat-message-to-db": "MessageCodeKey", "chat-room-to-db": "RoomCodeKey"}


def deploy(
    settings: Settings,
    packed: Mapping[str, bytes],
    *,
    template: Path = TEMPLATE,
    parameters: Mapping[str, str] | None = None,
) -> str:
    """Bring the stack to this template, these zips and parameters.

    Returns "created", "updated" or "unchanged". Raises Trouble.
    """
    try:
        return _Deployment(settings, packed, template, parameters or {}).run()
    except (BotoCoreError, ClientError) as error:
        where = settings.aws_endpoint_url or "AWS"
        raise StackError(f"The stack cannot be deployed to {where}: {_says(error)}") from None


def warm(settings: Settings, packed: Mapping[str, bytes]) -> None:
    """Start both functions and see that they run what was built. Raises Trouble."""
    functions = client(settings, "lambda")
    with ThreadPoolExecutor(len(packed)) as pool:
        list(pool.map(lambda name: _probe(functions, name, packed[name]), packed))


def switch(settings: Settings, function: str, on: bool) -> None:
    """Let the function's queue flow or hold it back. A batch already taken is still finished."""
    _change_mappings(settings, function, Enabled=on)


def bound(settings: Settings) -> None:
    """Few functions at a time: here each is a process, whose start costs more than its batch."""
    for function in zips.FUNCTIONS:
        _change_mappings(settings, function, ScalingConfig={"MaximumConcurrency": AT_ONCE})


def _change_mappings(settings: Settings, function: str, **changes: Any) -> None:
    functions = client(settings, "lambda")
    mappings = functions.list_event_source_mappings(FunctionName=function)["EventSourceMappings"]
    for mapping in mappings:
        functions.update_event_source_mapping(UUID=mapping["UUID"], **changes)


def _probe(functions: Any, name: str, packed: bytes) -> None:
    try:
        answer = functions.invoke(FunctionName=name, Payload=b'{"probe": true}')
        says = json.loads(answer["Payload"].read() or b"{}")
    except (BotoCoreError, ClientError, ValueError) as error:
        raise StackError(f"{name} cannot be called: {_says(error)}") from None
    if "FunctionError" in answer:
        raise StackError(f"{name} does not start: {says.get('errorMessage', says)}")
    if says.get("sha256") != zips.fingerprint(packed):
        raise StackError(f"{name} does not run the code that was built.")


class _Deployment:
    """One run against one AWS."""

    def __init__(
        self,
        settings: Settings,
        packed: Mapping[str, bytes],
        template: Path,
        parameters: Mapping[str, str],
    ) -> None:
        self.formation = client(settings, "cloudformation")
        self.files = client(settings, "s3")
        self.region = settings.aws_region
        self.packed = packed
        self.keys = {
            name: f"{name}-{sha256(data).hexdigest()[:32]}.zip" for name, data in packed.items()
        }
        self.parameters = (
            _names(settings)
            | {"CodeBucket": CODE_BUCKET}
            | {_CODE_KEYS[name]: key for name, key in self.keys.items()}
            | dict(parameters)
        )
        try:
            self.body = template.read_text()
        except OSError:
            raise StackError(f"The template {template} is missing.") from None
        whole = json.dumps([self.body, self.parameters], sort_keys=True)
        self.fingerprint = sha256(whole.encode()).hexdigest()

    def run(self) -> str:
        stack = self.stack()
        if stack and stack["StackStatus"] not in _STANDS:
            self.remove()
            stack = None
        if stack and self.same(stack):
            return "unchanged"
        self.upload()
        if stack:
            return self.update()
        self.formation.create_stack(**self.request(), OnFailure="DO_NOTHING")
        self.settle("CREATE_COMPLETE")
        return "created"

    def same(self, stack: dict[str, Any]) -> bool:
        """Whether it came up with all that is given now; one that was rolled back did not."""
        tag = {"Key": FINGERPRINT, "Value": self.fingerprint}
        return stack["StackStatus"] in _GOOD and tag in stack.get("Tags", [])

    def stack(self) -> dict[str, Any] | None:
        """The stack as it is, or None."""
        try:
            found: list[dict[str, Any]] = self.formation.describe_stacks(StackName=STACK)["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return found[0] if found else None

    def update(self) -> str:
        try:
            self.formation.update_stack(**self.request())
        except ClientError as error:
            if "No updates" in str(error):
                return "unchanged"
            raise
        self.settle("UPDATE_COMPLETE")
        return "updated"

    def remove(self) -> None:
        """A stack that never came up cannot be updated, only made again."""
        self.formation.delete_stack(StackName=STACK)
        deadline = time.monotonic() + DEADLINE
        while (stack := self.stack()) and stack["StackStatus"] != "DELETE_COMPLETE":
            self.pace(deadline)

    def upload(self) -> None:
        where = {"LocationConstraint": self.region}
        more = {} if self.region == "us-east-1" else {"CreateBucketConfiguration": where}
        try:
            self.files.create_bucket(Bucket=CODE_BUCKET, **more)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                raise
        for name, data in self.packed.items():
            self.files.put_object(Bucket=CODE_BUCKET, Key=self.keys[name], Body=data)

    def request(self) -> dict[str, Any]:
        given = [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in self.parameters.items()
        ]
        return {
            "StackName": STACK,
            "TemplateBody": self.body,
            "Parameters": given,
            "Capabilities": ["CAPABILITY_IAM"],
            "Tags": [{"Key": FINGERPRINT, "Value": self.fingerprint}],
        }

    def settle(self, hoped: str) -> None:
        """Wait until nothing is in progress. Raises Trouble with the first reason of a failure."""
        deadline = time.monotonic() + DEADLINE
        while (status := (self.stack() or {}).get("StackStatus", "gone")).endswith("IN_PROGRESS"):
            self.pace(deadline)
        if status != hoped:
            raise StackError(f"The template is broken: {self.first_failure() or status}")

    def first_failure(self) -> str:
        events = self.formation.describe_stack_events(StackName=STACK)["StackEvents"]
        failed = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
            for event in events
            if event["ResourceStatus"].endswith("FAILED")
        ]
        return failed[-1] if failed else ""

    def pace(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise StackError(f"CloudFormation is not done after {DEADLINE:.0f} s.")
        time.sleep(0.1)


def _names(settings: Settings) -> dict[str, str]:
    """The settings' names, as the template's parameters."""
    return {
        "MessageQueueName": settings.message_queue,
        "RoomQueueName": settings.room_queue,
        "QuarantineQueueName": settings.quarantine_queue,
        "RoomsTableName": settings.rooms_table,
        "MessagesTableName": settings.messages_table,
        "BucketName": settings.bucket,
        "CorsOrigins": settings.cors_origins or ON_THIS_MACHINE,
        "TraceEndpoint": settings.trace_endpoint or "",
    }


def _says(error: Exception) -> str:
    """A botocore error without its preamble, on one line."""
    response = error.response if isinstance(error, ClientError) else {}
    text = str(response.get("Error", {}).get("Message") or error)
    return " ".join(text.split())

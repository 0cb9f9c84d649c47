"""Deployment of the CloudFormation stack to a local or given AWS, and of its functions' code."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

from botocore.exceptions import BotoCoreError, ClientError

from rts_server import config_listing, stack_names
from rts_server.config import Settings
from rts_server.tools.dev import zips
from rts_server.tools.dev.aws import client
from rts_server.tools.dev.stack_error import StackError

FINGERPRINT_TAG = "fingerprint"
TEMPLATE = Path(__file__).with_name("template.yaml")
"""In a checkout a link to `infra/template.yaml`, in an installed package a copy."""
STACK_TIMEOUT_SECONDS = 120.0
STACK_CHECK_EVERY_SECONDS = 0.1
LOCAL_MAX_CONCURRENCY = 2
"""Concurrent batches per queue in a local AWS; the template's figure is for the real one."""
LOCAL_ORIGINS = "http://127.0.0.1:*,http://localhost:*"
"""Origins of the demo page during development."""

_COMPLETE = {"CREATE_COMPLETE", "UPDATE_COMPLETE"}
_UPDATABLE = _COMPLETE | {"UPDATE_ROLLBACK_COMPLETE"}


def deploy(
    settings: Settings,
    packed: Mapping[str, bytes],
    *,
    template: Path = TEMPLATE,
    parameters: Mapping[str, str] | None = None,
) -> str:
    """Create or update the stack so that it has this template, these zips and parameters.

    Returns "created", "updated" or "unchanged". Raises StackError.
    """
    try:
        return _Deployment(settings, packed, template, parameters or {}).bring_up_to_date()
    except (BotoCoreError, ClientError) as error:
        where = settings.aws_endpoint_url or "AWS"
        raise StackError(f"The stack cannot be deployed to {where}: {_message_of(error)}") from None


def warm_functions(settings: Settings, packed: Mapping[str, bytes]) -> None:
    """Start both functions and check that they run these zips. Raises StackError."""
    functions = client(settings, "lambda")
    with ThreadPoolExecutor(len(packed)) as pool:
        names = {name: stack_names.function(settings.stack, name) for name in packed}
        list(pool.map(lambda name: _probe_function(functions, names[name], packed[name]), packed))


def set_queue_enabled(settings: Settings, function: str, enabled: bool) -> None:
    """Enable or disable the queue of a function. A batch in progress is still finished."""
    _change_mappings(settings, function, Enabled=enabled)


def limit_concurrency(settings: Settings) -> None:
    """Limit concurrency in a local AWS, where each call of a function starts a process."""
    for function in zips.FUNCTION_MODULES:
        _change_mappings(
            settings, function, ScalingConfig={"MaximumConcurrency": LOCAL_MAX_CONCURRENCY}
        )


def _change_mappings(settings: Settings, function: str, **changes: Any) -> None:
    functions = client(settings, "lambda")
    mappings = functions.list_event_source_mappings(
        FunctionName=stack_names.function(settings.stack, function)
    )["EventSourceMappings"]
    for mapping in mappings:
        functions.update_event_source_mapping(UUID=mapping["UUID"], **changes)


def _probe_function(functions: Any, name: str, packed: bytes) -> None:
    try:
        answer = functions.invoke(FunctionName=name, Payload=b'{"probe": true}')
        body = json.loads(answer["Payload"].read() or b"{}")
    except (BotoCoreError, ClientError, ValueError) as error:
        raise StackError(f"{name} cannot be called: {_message_of(error)}") from None
    if "FunctionError" in answer:
        raise StackError(f"{name} does not start: {body.get('errorMessage', body)}")
    if body.get("sha256") != zips.fingerprint(packed):
        raise StackError(f"{name} does not run the code that was built.")


class _Deployment:
    """One deployment to one AWS."""

    def __init__(
        self,
        settings: Settings,
        packed: Mapping[str, bytes],
        template: Path,
        parameters: Mapping[str, str],
    ) -> None:
        self._cloudformation = client(settings, "cloudformation")
        self._s3 = client(settings, "s3")
        self._region = settings.aws_region
        self._stack = settings.stack
        self._code_bucket = f"{settings.stack}-code"
        self._zips = packed
        self._keys = {name: zips.code_key(name, data) for name, data in packed.items()}
        self._parameters = (
            _parameters_of(settings)
            | {"CodeBucket": self._code_bucket}
            | {zips.KEY_PARAMETERS[name]: key for name, key in self._keys.items()}
            | dict(parameters)
        )
        try:
            self._template = template.read_text()
        except OSError:
            raise StackError(f"The template {template} is missing.") from None
        whole = json.dumps([self._template, self._parameters], sort_keys=True)
        self._fingerprint = sha256(whole.encode()).hexdigest()
        self._template_key = f"template-{sha256(self._template.encode()).hexdigest()[:32]}.yaml"

    def bring_up_to_date(self) -> str:
        """Return "created", "updated" or "unchanged". Raises StackError."""
        stack = self._describe()
        if stack and stack["StackStatus"] not in _UPDATABLE:
            self._delete()
            stack = None
        if stack and self._is_up_to_date(stack):
            return "unchanged"
        self._upload()
        if stack:
            return self._update()
        self._cloudformation.create_stack(**self._request(), OnFailure="DO_NOTHING")
        self._wait_until_done("CREATE_COMPLETE")
        return "created"

    def _is_up_to_date(self, stack: dict[str, Any]) -> bool:
        """Return whether its last deployment had the same inputs and was not rolled back."""
        tag = {"Key": FINGERPRINT_TAG, "Value": self._fingerprint}
        return stack["StackStatus"] in _COMPLETE and tag in stack.get("Tags", [])

    def _describe(self) -> dict[str, Any] | None:
        """Return the stack's description, or None if there is no stack."""
        try:
            found: list[dict[str, Any]] = self._cloudformation.describe_stacks(
                StackName=self._stack
            )["Stacks"]
        except ClientError as error:
            if "does not exist" in str(error):
                return None
            raise
        return found[0] if found else None

    def _update(self) -> str:
        try:
            self._cloudformation.update_stack(**self._request())
        except ClientError as error:
            if "No updates" in str(error):
                return "unchanged"
            raise
        self._wait_until_done("UPDATE_COMPLETE")
        return "updated"

    def _delete(self) -> None:
        """Delete a stack that was never created completely; it cannot be updated."""
        self._cloudformation.delete_stack(StackName=self._stack)
        deadline = time.monotonic() + STACK_TIMEOUT_SECONDS
        while (stack := self._describe()) and stack["StackStatus"] != "DELETE_COMPLETE":
            self._pause(deadline)

    def _upload(self) -> None:
        """Put the zips and the template into the bucket; the template is too large for a call."""
        # S3 refuses us-east-1 as a constraint: it is the default.
        location = {"LocationConstraint": self._region}
        more = {} if self._region == "us-east-1" else {"CreateBucketConfiguration": location}
        try:
            self._s3.create_bucket(Bucket=self._code_bucket, **more)
        except ClientError as error:
            if error.response["Error"]["Code"] != "BucketAlreadyOwnedByYou":
                raise
        for name, data in self._zips.items():
            self._s3.put_object(Bucket=self._code_bucket, Key=self._keys[name], Body=data)
        self._s3.put_object(
            Bucket=self._code_bucket, Key=self._template_key, Body=self._template.encode()
        )

    def _request(self) -> dict[str, Any]:
        parameters = [
            {"ParameterKey": name, "ParameterValue": value}
            for name, value in self._parameters.items()
        ]
        return {
            "StackName": self._stack,
            "TemplateURL": f"{self._s3.meta.endpoint_url}/{self._code_bucket}/{self._template_key}",
            "Parameters": parameters,
            "Capabilities": ["CAPABILITY_IAM"],
            "Tags": [{"Key": FINGERPRINT_TAG, "Value": self._fingerprint}],
        }

    def _wait_until_done(self, expected: str) -> None:
        """Wait for the end of the operation. Raises StackError with the first failure's reason."""
        deadline = time.monotonic() + STACK_TIMEOUT_SECONDS
        while (status := (self._describe() or {}).get("StackStatus", "gone")).endswith(
            "IN_PROGRESS"
        ):
            self._pause(deadline)
        if status != expected:
            raise StackError(f"The template is broken: {self._first_failure() or status}")

    def _first_failure(self) -> str:
        events = self._cloudformation.describe_stack_events(StackName=self._stack)["StackEvents"]
        failed = [
            f"{event['LogicalResourceId']}: {event.get('ResourceStatusReason', 'no reason given')}"
            for event in events
            if event["ResourceStatus"].endswith("FAILED")
        ]
        return failed[-1] if failed else ""

    def _pause(self, deadline: float) -> None:
        if time.monotonic() > deadline:
            raise StackError(f"CloudFormation is not done after {STACK_TIMEOUT_SECONDS:.0f} s.")
        time.sleep(STACK_CHECK_EVERY_SECONDS)


def _parameters_of(settings: Settings) -> dict[str, str]:
    """Return the template's parameters that follow from the settings.

    Raises StackError for a name that the template does not make.
    """
    stack, made = settings.stack, config_listing.environment(settings)
    restored = settings.rooms_table.removeprefix(f"{stack}-rooms")
    for variable, name in stack_names.settings(stack).items():
        expected = name + restored if variable.endswith("_TABLE") else name
        if variable != "RTS_BUCKET" and made[variable] != expected:
            raise StackError(
                f"{variable} is not {expected}, as the stack {stack} makes it; "
                "RTS_STACK names the stack and all that is in it."
            )
    return {
        "BucketName": settings.bucket,
        "RestoredTables": restored,
        "CorsOrigins": settings.cors_origins or LOCAL_ORIGINS,
        "TraceEndpoint": settings.trace_endpoint or "",
    }


def _message_of(error: Exception) -> str:
    """Return the message of a botocore error without its preamble, on one line."""
    response = error.response if isinstance(error, ClientError) else {}
    text = str(response.get("Error", {}).get("Message") or error)
    return " ".join(text.split())

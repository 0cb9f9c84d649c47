"""CloudFormation stacks: brought to a template and parameters, or deleted, and awaited."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from scripts.eb.calls import AwsCallRefused, AwsCalls, DeploymentFailed

CLOUDFORMATION = "cloudformation"
OWNER_TAG = "rts:deployment"
"""Tag of everything that `scripts/deploy create` makes; its value is the deployment's name."""
STACK_CHECK_SECONDS = 10.0
MAX_STACK_CHECKS = 540
"""90 minutes: Redis takes 15, and a failed creation is taken back before it is reported."""
USABLE = frozenset(["CREATE_COMPLETE", "UPDATE_COMPLETE", "UPDATE_ROLLBACK_COMPLETE"])
SECRET_OUTPUTS = frozenset(["TokenSecretArn", "RedisTokenArn"])
NEVER_CREATED = frozenset(
    ["CREATE_FAILED", "ROLLBACK_COMPLETE", "ROLLBACK_FAILED", "REVIEW_IN_PROGRESS"]
)
"""States of a stack whose creation failed: it cannot be updated, only deleted."""


class Outputs(dict[str, str]):
    """The outputs of a stack by name; those of a dry run are placeholders."""

    def __init__(self, stack: str, found: Mapping[str, str], *, dry: bool = False) -> None:
        super().__init__(found)
        self._stack = stack
        self._dry = dry

    def __contains__(self, name: object) -> bool:
        return self._dry or super().__contains__(name)

    def __missing__(self, name: str) -> str:
        if self._dry:
            # Options are sorted by whether they are ARNs of secrets.
            kind = "arn:aws:secretsmanager:" if name in SECRET_OUTPUTS else ""
            return f"{kind}<{name} of {self._stack}>"
        raise DeploymentFailed(f"Stack {self._stack} has no output {name}.")

    def with_region(self, region: str) -> Outputs:
        """Return these outputs and `Region`, as `options` takes them."""
        return Outputs(self._stack, {**self, "Region": region}, dry=self._dry)


class Stacks:
    """The stacks of one deployment, which is named by OWNER_TAG. `sleep` waits for seconds."""

    def __init__(
        self,
        calls: AwsCalls,
        deployment: str,
        sleep: Callable[[float], None],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._calls = calls
        self._deployment = deployment
        self._sleep = sleep
        self._tags = {OWNER_TAG: deployment} | dict(tags or {})

    def apply(
        self,
        name: str,
        template_url: str,
        parameters: Mapping[str, str],
        initial: Mapping[str, str] | None = None,
    ) -> Outputs:
        """Create or update a stack, and wait until it is done; return its outputs.

        Parameters that are not given keep their values; `initial` are given to a new stack. A stack
        whose creation had failed is deleted first. Raises DeploymentFailed with the reason of the
        first resource that failed.
        """
        stack = self._settled(name)
        if stack and stack["StackStatus"] in NEVER_CREATED:
            self.delete(name)
            stack = None
        if stack is None:
            parameters = {**(initial or {}), **parameters}
        request = {
            "StackName": name,
            "TemplateURL": template_url,
            "Parameters": self._parameters(template_url, parameters, stack),
            "Capabilities": ["CAPABILITY_IAM"],
            "Tags": [{"Key": key, "Value": value} for key, value in self._tags.items()],
        }
        expected = USABLE
        if stack is None:
            self._calls(CLOUDFORMATION, "create_stack", **request)
        elif self._update(request):
            expected = USABLE - {"UPDATE_ROLLBACK_COMPLETE"}
        stack = self._settled(name)
        if self._calls.dry:
            return Outputs(name, {}, dry=True)
        status = stack["StackStatus"] if stack else "gone"
        if stack is None or status not in expected:
            raise DeploymentFailed(f"Stack {name} is {status}: {self._first_failure(name)}.")
        found = {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
        return Outputs(name, found)

    def delete(self, name: str) -> None:
        """Delete a stack, if there is one, and wait for its end. Raises DeploymentFailed."""
        if self._settled(name) is None and not self._calls.dry:
            return
        self._calls(CLOUDFORMATION, "delete_stack", StackName=name)
        if stack := self._settled(name):
            status = stack["StackStatus"]
            raise DeploymentFailed(f"Stack {name} is {status}: {self._first_failure(name)}.")

    def exists(self, name: str) -> bool:
        """Return whether there is a stack of this name. Raises DeploymentFailed if not ours."""
        return self._find(name) is not None

    def _update(self, request: Mapping[str, Any]) -> bool:
        """Begin an update; return whether there is anything to update."""
        try:
            self._calls(CLOUDFORMATION, "update_stack", **request)
        except AwsCallRefused as refused:
            if "No updates are to be performed" in str(refused):
                return False
            raise
        return True

    def _parameters(
        self, template_url: str, given: Mapping[str, str], stack: Mapping[str, Any] | None
    ) -> list[dict[str, Any]]:
        """Return the given parameters, and keep others that stack and template both have."""
        parameters: list[dict[str, Any]] = [
            {"ParameterKey": key, "ParameterValue": value} for key, value in given.items()
        ]
        if stack is None:
            return parameters
        summary = self._calls(CLOUDFORMATION, "get_template_summary", TemplateURL=template_url)
        has = {one["ParameterKey"] for one in stack.get("Parameters", [])}
        takes = {one["ParameterKey"] for one in summary.get("Parameters", [])}
        kept = sorted((has & takes) - given.keys())
        return parameters + [{"ParameterKey": key, "UsePreviousValue": True} for key in kept]

    def _settled(self, name: str) -> dict[str, Any] | None:
        """Wait until nothing is in progress; return the stack, None if there is none."""
        for _ in range(MAX_STACK_CHECKS):
            stack = self._find(name)
            status = stack["StackStatus"] if stack else ""
            if not status.endswith("_IN_PROGRESS") or status in NEVER_CREATED:
                return stack
            self._sleep(STACK_CHECK_SECONDS)
        raise DeploymentFailed(f"Stack {name} is still {status} after 90 minutes.")

    def _find(self, name: str) -> dict[str, Any] | None:
        try:
            found = self._calls(CLOUDFORMATION, "describe_stacks", StackName=name).get("Stacks", [])
        except AwsCallRefused as refused:
            if "does not exist" in str(refused):
                return None
            raise
        stack: dict[str, Any] | None = found[0] if found else None
        if stack is None or stack["StackStatus"] == "DELETE_COMPLETE":
            return None
        tags = {tag["Key"]: tag["Value"] for tag in stack.get("Tags", [])}
        if tags.get(OWNER_TAG) != self._deployment:
            raise DeploymentFailed(
                f"Stack {name} exists and has no tag {OWNER_TAG}={self._deployment}: "
                "it was not made by scripts/deploy create."
            )
        return stack

    def _first_failure(self, name: str) -> str:
        """Return resource and reason of the first failure of the last operation."""
        answer = self._calls(CLOUDFORMATION, "describe_stack_events", StackName=name)
        reason = "its events name no reason"
        # The newest event comes first, and the operation begins with an event of the stack itself.
        for event in answer.get("StackEvents", []):
            status, resource = event.get("ResourceStatus", ""), event["LogicalResourceId"]
            if status.endswith("_FAILED"):
                reason = f"{resource}: {event.get('ResourceStatusReason', status)}".rstrip(".")
            begins = status in ("CREATE_IN_PROGRESS", "UPDATE_IN_PROGRESS", "DELETE_IN_PROGRESS")
            if begins and resource == name:
                break
        return reason

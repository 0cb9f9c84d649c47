"""Environments and versions of Elastic Beanstalk, as far as a deployment needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from scripts.eb.calls import AwsCallRefused, AwsCalls, DeploymentFailed

SERVICE = "elasticbeanstalk"
ENVIRONMENT_CHECK_SECONDS = 15.0
MAX_ENVIRONMENT_CHECKS = 40
"""Checks of a version in processing, and attempts to terminate a busy environment: 10 minutes."""
NOT_READY = "InvalidParameterValue"
"""Error code of Elastic Beanstalk for an operation on an environment that is not Ready."""
SCALING_GROUP = "aws:autoscaling:asg"
AWS_TAGS = ("aws:", "elasticbeanstalk:")
"""Beginnings of the keys that AWS gives, beside `Name`: no request may have them."""


class UnclearState(DeploymentFailed):
    """The deployment was not undone, or that is unknown: the operator must look."""


@dataclass(frozen=True)
class Environment:
    """One environment as AWS describes it."""

    id: str
    cname: str
    status: str
    health: str
    name: str = ""
    arn: str = ""


def environment_of(described: Mapping[str, str]) -> Environment:
    """Return an environment as it is described."""
    return Environment(
        described["EnvironmentId"],
        described.get("CNAME", ""),
        described["Status"],
        described.get("Health", "Grey"),
        described.get("EnvironmentName", ""),
        described.get("EnvironmentArn", ""),
    )


def tags_of(calls: AwsCalls, arn: str) -> dict[str, str]:
    """Return the tags of an application or an environment; those of AWS itself included."""
    answer = calls(SERVICE, "list_tags_for_resource", ResourceArn=arn)
    return {one["Key"]: one["Value"] for one in answer.get("ResourceTags", [])}


@dataclass(frozen=True)
class Capacity:
    """Instances of an environment: those that run, and its minimum (MinSize)."""

    running: int
    min_size: int

    @property
    def is_min_size(self) -> bool:
        """Whether no more than the minimum runs."""
        return self.running <= self.min_size


class Environments:
    """The environments and versions of one application. `sleep` waits for seconds."""

    def __init__(self, calls: AwsCalls, application: str, sleep: Callable[[float], None]) -> None:
        self._calls = calls
        self._application = application
        self._sleep = sleep

    def find(self, name: str) -> Environment:
        """Return the environment of this name. Raises DeploymentFailed if there is none."""
        return self._describe(name, EnvironmentNames=[name], IncludeDeleted=False)

    def publish(self, label: str, bundle: bytes) -> None:
        """Make the bundle a version, unless it is one. Raises DeploymentFailed if it cannot be."""
        status = self._version_status(label)
        if status is None:
            self._upload(label, bundle)
            status = self._version_status(label)
        for _ in range(MAX_ENVIRONMENT_CHECKS):
            if status in ("PROCESSED", "UNPROCESSED") or self._calls.dry:
                return
            if status == "FAILED":
                raise DeploymentFailed(
                    f"Elastic Beanstalk could not process version {label}. Delete it "
                    "(aws elasticbeanstalk delete-application-version) before the next attempt."
                )
            self._sleep(ENVIRONMENT_CHECK_SECONDS)
            status = self._version_status(label)
        raise DeploymentFailed(f"Version {label} is {status or 'missing'} after 10 minutes.")

    def _upload(self, label: str, bundle: bytes) -> None:
        bucket = self._calls(SERVICE, "create_storage_location").get(
            "S3Bucket", "<storage location>"
        )
        source = {"S3Bucket": bucket, "S3Key": f"{self._application}/{label}.zip"}
        self._calls("s3", "put_object", Bucket=bucket, Key=source["S3Key"], Body=bundle)
        self._request(
            "create_application_version", VersionLabel=label, SourceBundle=source, Process=True
        )

    def options(self, name: str) -> list[dict[str, str]]:
        """Return the option settings of an environment."""
        known = self._request("describe_configuration_settings", EnvironmentName=name)
        return [
            option
            for settings in known.get("ConfigurationSettings", [])
            for option in settings["OptionSettings"]
        ]

    def capacity(self, environment_id: str, options: Sequence[Mapping[str, str]]) -> Capacity:
        """Return the number of running instances and the minimum of an environment."""
        found = self._calls(
            SERVICE, "describe_environment_resources", EnvironmentId=environment_id
        ).get("EnvironmentResources", {})
        min_size = next(
            (
                option["Value"]
                for option in options
                if (option["Namespace"], option["OptionName"]) == (SCALING_GROUP, "MinSize")
            ),
            "1",
        )
        return Capacity(len(found.get("Instances", [])), int(min_size))

    def clone(
        self,
        live: Environment,
        name: str,
        label: str,
        capacity: Capacity,
        changes: Sequence[Mapping[str, str]] = (),
    ) -> str:
        """Create an environment with the configuration and the size of `live`; return its id.

        All clients reach it within the TTL of DNS, before any scaling policy could act. `changes`
        are option settings that differ from those of `live`. A saved configuration has no tags, so
        they are copied: by them `scripts/deploy destroy` knows what is ours.
        """
        tags = [
            {"Key": key, "Value": value}
            for key, value in tags_of(self._calls, live.arn).items()
            if key != "Name" and not key.startswith(AWS_TAGS)
        ]
        self._request("create_configuration_template", TemplateName=name, EnvironmentId=live.id)
        size = [] if capacity.is_min_size else _min_size(capacity.running)
        more: dict[str, Any] = {"OptionSettings": [*size, *changes]} if size or changes else {}
        more |= {"Tags": tags} if tags else {}
        try:
            created = self._request(
                "create_environment",
                EnvironmentName=name,
                TemplateName=name,
                VersionLabel=label,
                **more,
            )
        except BaseException:
            self.delete_saved_configuration(name)
            raise
        return str(created.get("EnvironmentId", f"<id of {name}>"))

    def restore_min_size(self, environment_id: str, capacity: Capacity) -> None:
        """Let a clone shrink to the minimum of its original. Raises DeploymentFailed."""
        if not capacity.is_min_size:
            self._call_when_ready(
                "update_environment",
                EnvironmentId=environment_id,
                OptionSettings=_min_size(capacity.min_size),
            )

    def wait_healthy(self, environment_id: str, within: float) -> Environment:
        """Wait until it is Ready and Green. Raises DeploymentFailed after `within` seconds."""
        return self._wait_until(environment_id, within, lambda one: one.health == "Green")

    def swap(self, one: str, other: str, within: float) -> None:
        """Swap the CNAMEs of two environments, and wait until it is done. Raises UnclearState."""
        try:
            self._call_when_ready(
                "swap_environment_cnames",
                SourceEnvironmentId=one,
                DestinationEnvironmentId=other,
            )
            for environment_id in (one, other):
                self._wait_until(environment_id, within, lambda _: True)
        except DeploymentFailed as failed:
            message = f"{failed} Check which environment has which CNAME; both run."
            raise UnclearState(message) from None

    def terminate(self, environment_id: str) -> None:
        """Terminate an environment; its instances drain. Raises DeploymentFailed."""
        self._call_when_ready("terminate_environment", EnvironmentId=environment_id)

    def abandon_clone(self, environment_id: str, why: BaseException) -> None:
        """Terminate a clone that will not serve. Raises UnclearState if it runs on."""
        try:
            self.terminate(environment_id)
        except (DeploymentFailed, KeyboardInterrupt) as failed:
            left = f"Environment {environment_id} still runs and serves nobody."
            raise UnclearState(f"{why} {failed} {left}".strip()) from None

    def delete_saved_configuration(self, template: str) -> None:
        """Delete the configuration saved for a clone; a failure is only reported."""
        try:
            self._request("delete_configuration_template", TemplateName=template)
        except DeploymentFailed as failed:
            self._calls.report(f"Configuration {template} is left ({failed}): delete it.")

    def _call_when_ready(self, operation: str, **parameters: Any) -> None:
        """Repeat a call that Elastic Beanstalk refuses while an environment is not Ready.

        It is busy then, by its own scaling or an update. Raises DeploymentFailed.
        """
        for attempt in range(1, MAX_ENVIRONMENT_CHECKS + 1):
            try:
                self._calls(SERVICE, operation, **parameters)
                return
            except AwsCallRefused as refused:
                if refused.code != NOT_READY or attempt == MAX_ENVIRONMENT_CHECKS:
                    raise
            self._sleep(ENVIRONMENT_CHECK_SECONDS)

    def _wait_until(
        self, environment_id: str, within: float, condition: Callable[[Environment], bool]
    ) -> Environment:
        """Wait until it is Ready and fulfils the condition. Raises DeploymentFailed."""
        waited = 0.0
        while True:
            found = self._describe(environment_id, EnvironmentIds=[environment_id])
            if found.status == "Ready" and condition(found):
                return found
            if found.status.startswith("Terminat") or waited >= within:
                state = f"{found.status} and {found.health}"
                message = f"Environment {environment_id} is {state} after {waited:.0f} s."
                raise DeploymentFailed(message)
            self._sleep(ENVIRONMENT_CHECK_SECONDS)
            waited += ENVIRONMENT_CHECK_SECONDS

    def _describe(self, shown_as: str, **selection: Any) -> Environment:
        found = self._request("describe_environments", **selection).get("Environments", [])
        if self._calls.dry:
            return Environment(f"<id of {shown_as}>", f"<CNAME of {shown_as}>", "Ready", "Green")
        if not found:
            raise DeploymentFailed(f"There is no environment {shown_as}.")
        return environment_of(found[0])

    def _version_status(self, label: str) -> str | None:
        found = self._request("describe_application_versions", VersionLabels=[label])
        versions = found.get("ApplicationVersions", [])
        return str(versions[0]["Status"]) if versions else None

    def _request(self, operation: str, **parameters: Any) -> dict[str, Any]:
        return self._calls(SERVICE, operation, ApplicationName=self._application, **parameters)


def _min_size(instances: int) -> list[dict[str, str]]:
    return [{"Namespace": SCALING_GROUP, "OptionName": "MinSize", "Value": str(instances)}]

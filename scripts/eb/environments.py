"""Environments and versions of Elastic Beanstalk, as far as a deployment needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.eb.calls import Calls, Failed, Refused

EB = "elasticbeanstalk"
LOOK_EVERY = 15.0
"""Seconds between two looks at an environment that is being made."""
MOST_LOOKS = 40
"""Looks at a version that is processed, and attempts to end an environment that is busy: 10 min."""
NOT_READY = "InvalidParameterValue"
"""Error code of Elastic Beanstalk for an operation on an environment that is not Ready."""
GROUP = "aws:autoscaling:asg"


class Unclear(Failed):
    """Things are not as before: what became of a call is for the operator to look at."""


@dataclass(frozen=True)
class Environment:
    """One environment as it stands."""

    id: str
    cname: str
    status: str
    health: str


@dataclass(frozen=True)
class Capacity:
    """Instances of an environment: as many as run, and as many as it runs at least (MinSize)."""

    running: int
    least: int

    @property
    def is_least(self) -> bool:
        """Whether no more run than at least."""
        return self.running <= self.least


class Environments:
    """Those of one application. `pause` waits for seconds."""

    def __init__(self, calls: Calls, application: str, pause: Callable[[float], None]) -> None:
        self._calls = calls
        self._application = application
        self._pause = pause

    def named(self, name: str) -> Environment:
        """The environment of this name. Raises Failed unless there is one."""
        return self._look(name, EnvironmentNames=[name], IncludeDeleted=False)

    def publish(self, label: str, bundle: bytes) -> None:
        """Make the bundle a version, unless it is one. Raises Failed if it cannot be one."""
        status = self._version(label)
        if status is None:
            self._upload(label, bundle)
            status = self._version(label)
        for _ in range(MOST_LOOKS):
            if status in ("PROCESSED", "UNPROCESSED") or self._calls.dry:
                return
            if status == "FAILED":
                raise Failed(
                    f"Elastic Beanstalk could not process version {label}. Delete it "
                    "(aws elasticbeanstalk delete-application-version) before the next attempt."
                )
            self._pause(LOOK_EVERY)
            status = self._version(label)
        raise Failed(f"Version {label} is {status or 'missing'} after 10 minutes.")

    def _upload(self, label: str, bundle: bytes) -> None:
        bucket = self._calls(EB, "create_storage_location").get("S3Bucket", "<storage location>")
        place = {"S3Bucket": bucket, "S3Key": f"{self._application}/{label}.zip"}
        self._calls("s3", "put_object", Bucket=bucket, Key=place["S3Key"], Body=bundle)
        self._call(
            "create_application_version", VersionLabel=label, SourceBundle=place, Process=True
        )

    def capacity(self, name: str, environment_id: str) -> Capacity:
        """Return how many instances the environment runs, and how many it runs at least."""
        found = self._calls(EB, "describe_environment_resources", EnvironmentId=environment_id).get(
            "EnvironmentResources", {}
        )
        known = self._call("describe_configuration_settings", EnvironmentName=name)
        options = [
            o for one in known.get("ConfigurationSettings", []) for o in one["OptionSettings"]
        ]
        least = next(
            (
                o["Value"]
                for o in options
                if (o["Namespace"], o["OptionName"]) == (GROUP, "MinSize")
            ),
            "1",
        )
        return Capacity(len(found.get("Instances", [])), int(least))

    def clone(self, live: Environment, name: str, label: str, capacity: Capacity) -> str:
        """Make an environment with the configuration and the size of `live`; return its id.

        It meets all clients within the time of a DNS cache, before any scaling policy could act.
        """
        self._call("create_configuration_template", TemplateName=name, EnvironmentId=live.id)
        more = {} if capacity.is_least else {"OptionSettings": _least(capacity.running)}
        try:
            made = self._call(
                "create_environment",
                EnvironmentName=name,
                TemplateName=name,
                VersionLabel=label,
                **more,
            )
        except BaseException:
            self.forget(name)
            raise
        return str(made.get("EnvironmentId", f"<id of {name}>"))

    def scale_freely(self, environment_id: str, capacity: Capacity) -> None:
        """Let a clone shrink to what its original runs at least. Raises Failed."""
        if not capacity.is_least:
            self._calls(
                EB,
                "update_environment",
                EnvironmentId=environment_id,
                OptionSettings=_least(capacity.least),
            )

    def healthy(self, environment_id: str, within: float) -> Environment:
        """Wait until it is Ready and Green. Raises Failed if that takes too long or never comes."""
        return self._until(environment_id, within, lambda one: one.health == "Green")

    def swap(self, one: str, other: str, within: float) -> None:
        """Exchange the CNAMEs of two environments, and wait for it. Raises Unclear."""
        try:
            self._calls(
                EB,
                "swap_environment_cnames",
                SourceEnvironmentId=one,
                DestinationEnvironmentId=other,
            )
            for each in (one, other):
                self._until(each, within, lambda _: True)
        except Failed as failed:
            raise Unclear(f"{failed} Look which CNAME is whose; both run.") from None

    def terminate(self, environment_id: str) -> None:
        """End an environment; its instances drain. Raises Failed.

        Elastic Beanstalk refuses it while the environment is not Ready, so it is asked again.
        """
        for attempt in range(1, MOST_LOOKS + 1):
            try:
                self._calls(EB, "terminate_environment", EnvironmentId=environment_id)
                return
            except Refused as refused:
                if refused.code != NOT_READY or attempt == MOST_LOOKS:
                    raise
            self._pause(LOOK_EVERY)

    def abandon(self, environment_id: str, why: BaseException) -> None:
        """End a clone that will not serve. Raises Unclear when it runs on."""
        try:
            self.terminate(environment_id)
        except (Failed, KeyboardInterrupt) as failed:
            left = f"Environment {environment_id} still runs and serves nobody."
            raise Unclear(f"{why} {failed} {left}".strip()) from None

    def forget(self, template: str) -> None:
        """Delete the configuration that was saved for a clone; it harms nobody if it stays."""
        try:
            self._call("delete_configuration_template", TemplateName=template)
        except Failed as failed:
            self._calls.tell(f"Configuration {template} is left ({failed}): delete it.")

    def _until(
        self, environment_id: str, within: float, holds: Callable[[Environment], bool]
    ) -> Environment:
        waited = 0.0
        while True:
            found = self._look(environment_id, EnvironmentIds=[environment_id])
            if found.status == "Ready" and holds(found):
                return found
            if found.status.startswith("Terminat") or waited >= within:
                state = f"{found.status} and {found.health}"
                raise Failed(f"Environment {environment_id} is {state} after {waited:.0f} s.")
            self._pause(LOOK_EVERY)
            waited += LOOK_EVERY

    def _look(self, what: str, **asked: Any) -> Environment:
        found = self._call("describe_environments", **asked).get("Environments", [])
        if self._calls.dry:
            return Environment(f"<id of {what}>", f"<CNAME of {what}>", "Ready", "Green")
        if not found:
            raise Failed(f"There is no environment {what}.")
        one = found[0]
        return Environment(
            one["EnvironmentId"], one.get("CNAME", ""), one["Status"], one.get("Health", "Grey")
        )

    def _version(self, label: str) -> str | None:
        found = self._call("describe_application_versions", VersionLabels=[label])
        versions = found.get("ApplicationVersions", [])
        return str(versions[0]["Status"]) if versions else None

    def _call(self, operation: str, **asked: Any) -> dict[str, Any]:
        return self._calls(EB, operation, ApplicationName=self._application, **asked)


def _least(instances: int) -> list[dict[str, str]]:
    return [{"Namespace": GROUP, "OptionName": "MinSize", "Value": str(instances)}]

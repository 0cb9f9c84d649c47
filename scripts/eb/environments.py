"""Environments and versions of Elastic Beanstalk, as far as a deployment needs them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from scripts.eb.calls import Calls, Failed

EB = "elasticbeanstalk"
LOOK_EVERY = 15.0
"""Seconds between two looks at an environment that is being made."""


class Unclear(Failed):
    """Things are not as before: what became of a call is for the operator to look at."""


@dataclass(frozen=True)
class Environment:
    """One environment as it stands."""

    id: str
    cname: str
    status: str
    health: str


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
        if self._version(label):
            return
        bucket = self._calls(EB, "create_storage_location").get("S3Bucket", "<storage location>")
        place = {"S3Bucket": bucket, "S3Key": f"{self._application}/{label}.zip"}
        self._calls("s3", "put_object", Bucket=bucket, Key=place["S3Key"], Body=bundle)
        self._call(
            "create_application_version", VersionLabel=label, SourceBundle=place, Process=True
        )
        while (status := self._version(label)) not in ("PROCESSED", "UNPROCESSED"):
            if self._calls.dry:
                return
            if status == "FAILED":
                raise Failed(f"Elastic Beanstalk cannot process version {label}.")
            self._pause(LOOK_EVERY)

    def clone(self, live: Environment, name: str, label: str) -> str:
        """A new environment with the configuration of `live`; its id."""
        self._call("create_configuration_template", TemplateName=name, EnvironmentId=live.id)
        try:
            made = self._call(
                "create_environment", EnvironmentName=name, TemplateName=name, VersionLabel=label
            )
        except BaseException:
            self.forget(name)
            raise
        return str(made.get("EnvironmentId", f"<id of {name}>"))

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
        """End an environment; its instances drain at their SIGTERM."""
        self._calls(EB, "terminate_environment", EnvironmentId=environment_id)

    def abandon(self, environment_id: str, why: BaseException) -> None:
        """End a clone that will not serve. Raises Unclear when it runs on."""
        try:
            self.terminate(environment_id)
        except Failed as failed:
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

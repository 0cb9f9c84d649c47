"""The application of a deployment in Elastic Beanstalk: its environments, made and ended."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence

from scripts.eb.calls import AwsCallRefused, AwsCalls, DeploymentFailed
from scripts.eb.environments import (
    ENVIRONMENT_CHECK_SECONDS,
    NOT_READY,
    SERVICE,
    Environment,
    environment_of,
    tags_of,
)
from scripts.eb.stacks import OWNER_TAG

TESTED_PYTHON = ("3.13", "3.12", "3.11")
"""Versions on which the tests run; the newest one that Elastic Beanstalk offers is chosen."""
PLATFORM = re.compile(r"64bit Amazon Linux 2023 v([\d.]+) running Python (3\.\d+)$")
MAX_END_CHECKS = 240
"""Checks whether all environments have ended: an hour."""


class Application:
    """The application of this name. `sleep` waits for seconds."""

    def __init__(
        self,
        calls: AwsCalls,
        name: str,
        sleep: Callable[[float], None],
        tags: Mapping[str, str] | None = None,
    ) -> None:
        self._calls = calls
        self._name = name
        self._sleep = sleep
        self._tags = [
            {"Key": key, "Value": value}
            for key, value in ({OWNER_TAG: name} | dict(tags or {})).items()
        ]

    def newest_platform(self) -> str:
        """Return the newest platform with a Python that is tested. Raises DeploymentFailed."""
        offered = self._calls(SERVICE, "list_available_solution_stacks").get("SolutionStacks", [])
        if self._calls.dry:
            return "<newest Python platform>"
        found = [(match[2], match[1], text) for text in offered if (match := PLATFORM.match(text))]
        for python in TESTED_PYTHON:
            if versions := [(_numbers(v), text) for p, v, text in found if p == python]:
                return str(max(versions)[1])
        raise DeploymentFailed("No platform runs Python 3.11 to 3.13 on Amazon Linux 2023.")

    def make(self) -> None:
        """Create the application, or give it what tags it lacks. Raises DeploymentFailed.

        A later run may name a zone, by which `destroy` finds the record.
        """
        if (there := self.tags()) is None or self._calls.dry:
            self._calls(SERVICE, "create_application", ApplicationName=self._name, Tags=self._tags)
        elif lacking := [one for one in self._tags if there.get(one["Key"]) != one["Value"]]:
            self._calls(
                SERVICE, "update_tags_for_resource", ResourceArn=self._arn(), TagsToAdd=lacking
            )

    def tags(self) -> dict[str, str] | None:
        """Return the application's tags, None if there is none.

        Raises DeploymentFailed if it is not ours.
        """
        arn = self._arn()
        if self._calls.dry:
            return {one["Key"]: one["Value"] for one in self._tags}
        if not arn:
            return None
        tags = tags_of(self._calls, arn)
        if tags.get(OWNER_TAG) != self._name:
            raise DeploymentFailed(
                f"Application {self._name} exists and has no tag {OWNER_TAG}={self._name}: "
                "it was not made by scripts/deploy create."
            )
        return tags

    def _arn(self) -> str:
        answer = self._calls(SERVICE, "describe_applications", ApplicationNames=[self._name])
        found = answer.get("Applications", [])
        return str(found[0]["ApplicationArn"]) if found else ""

    def check_environments(self) -> None:
        """Raise DeploymentFailed if an environment has no tag of ours: somebody made it by hand."""
        foreign = [
            one.name
            for one in self.environments()
            if tags_of(self._calls, one.arn).get(OWNER_TAG) != self._name
        ]
        if foreign:
            raise DeploymentFailed(
                f"{', '.join(foreign)} in application {self._name} without tag "
                f"{OWNER_TAG}={self._name}: not made by scripts/deploy. Terminate what is not "
                "needed, or give it the tag (aws elasticbeanstalk update-tags-for-resource)."
            )

    def environments(self) -> list[Environment]:
        """Return the environments that have not ended, also those that are about to."""
        answer = self._calls(
            SERVICE, "describe_environments", ApplicationName=self._name, IncludeDeleted=False
        )
        return [
            environment_of(one)
            for one in answer.get("Environments", [])
            if one["Status"] != "Terminated"
        ]

    def make_environment(
        self, name: str, label: str, platform: str, settings: Sequence[Mapping[str, str]]
    ) -> str:
        """Begin to create an environment; return its id.

        If the application has one already, that one is returned: its name changes with each
        deployment of a version. One that is about to end is awaited first.
        """
        while there := self.environments():
            staying = [one for one in there if one.status != "Terminating"]
            if staying:
                return staying[0].id
            self._sleep(ENVIRONMENT_CHECK_SECONDS)
        created = self._calls(
            SERVICE,
            "create_environment",
            ApplicationName=self._name,
            EnvironmentName=name,
            VersionLabel=label,
            SolutionStackName=platform,
            OptionSettings=settings,
            Tags=self._tags,
        )
        return str(created.get("EnvironmentId", f"<id of {name}>"))

    def warnings(self, environment_id: str) -> list[str]:
        """Return the newest events of an environment that are warnings or errors."""
        answer = self._calls(
            SERVICE,
            "describe_events",
            EnvironmentId=environment_id,
            Severity="WARN",
            MaxRecords=10,
        )
        return [event["Message"] for event in answer.get("Events", [])]

    def end_environments(self) -> None:
        """Terminate all environments and wait for their end. Raises DeploymentFailed."""
        if self._calls.dry:
            self._terminate(Environment(f"<environments of {self._name}>", "", "", ""))
        for _ in range(MAX_END_CHECKS):
            left = self.environments()
            for one in left:
                if one.status != "Terminating":
                    self._terminate(one)
            if not left:
                return
            self._sleep(ENVIRONMENT_CHECK_SECONDS)
        raise DeploymentFailed("Environments are still there after an hour.")

    def delete(self) -> None:
        """Delete the application with its versions; it must have no environment any more."""
        self._calls(SERVICE, "delete_application", ApplicationName=self._name)

    def _terminate(self, environment: Environment) -> None:
        """Terminate it, unless Elastic Beanstalk is busy with it: it is tried again later."""
        try:
            self._calls(SERVICE, "terminate_environment", EnvironmentId=environment.id)
        except AwsCallRefused as refused:
            if refused.code != NOT_READY:
                raise


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))

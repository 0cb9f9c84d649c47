"""Elastic Beanstalk as `scripts/deploy create` and `destroy` see it: state in this process."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

Json = dict[str, Any]
ACCOUNT, REGION = "123456789012", "eu-west-1"
BUCKET = f"elasticbeanstalk-{REGION}-{ACCOUNT}"
PLATFORMS = [
    "64bit Amazon Linux 2023 v4.9.0 running Python 3.14",
    "64bit Amazon Linux 2023 v4.10.1 running Python 3.13",
    "64bit Amazon Linux 2023 v4.9.3 running Python 3.13",
    "64bit Amazon Linux 2023 v4.10.1 running Python 3.11",
    "64bit Amazon Linux 2 v3.8.0 running Python 3.8",
]


class Refused(Exception):
    """An error that AWS answers: code and message."""


@dataclass
class FakeBeanstalk:
    """Applications, versions and environments. `objects` are those of its bucket.

    A new environment is Launching for two looks, and then Ready with `health`.
    """

    objects: dict[str, bytes] = field(default_factory=dict)
    applications: dict[str, list[Json]] = field(default_factory=dict)
    versions: dict[tuple[str, str], Json] = field(default_factory=dict)
    environments: list[Json] = field(default_factory=list)
    health: str = "Green"

    def elasticbeanstalk_list_available_solution_stacks(self) -> Json:
        return {"SolutionStacks": PLATFORMS}

    def elasticbeanstalk_create_storage_location(self) -> Json:
        return {"S3Bucket": BUCKET}

    def elasticbeanstalk_describe_applications(self, ApplicationNames: list[str]) -> Json:
        found = [
            {"ApplicationName": name, "ApplicationArn": _arn(name)}
            for name in ApplicationNames
            if name in self.applications
        ]
        return {"Applications": found}

    def elasticbeanstalk_list_tags_for_resource(self, ResourceArn: str) -> Json:
        kind, _, name = ResourceArn.rpartition(":")[2].partition("/")
        tags = self.applications.get(name) if kind == "application" else self._tags_of(ResourceArn)
        return {"ResourceArn": ResourceArn, "ResourceTags": tags}

    def _tags_of(self, environment_arn: str) -> list[Json]:
        made = (one for one in self.environments if one.get("EnvironmentArn") == environment_arn)
        given: list[Json] = next(made)["given"].get("Tags", [])
        return [*given, {"Key": "elasticbeanstalk:environment-id", "Value": "e-1"}]

    def elasticbeanstalk_update_tags_for_resource(
        self, ResourceArn: str, TagsToAdd: list[Json]
    ) -> None:
        name = ResourceArn.rpartition("/")[2]
        keys = {one["Key"] for one in TagsToAdd}
        kept = [one for one in self.applications[name] if one["Key"] not in keys]
        self.applications[name] = [*kept, *TagsToAdd]

    def elasticbeanstalk_create_application(self, ApplicationName: str, Tags: list[Json]) -> None:
        if ApplicationName in self.applications:
            raise Refused("InvalidParameterValue", "Application already exists.")
        self.applications[ApplicationName] = Tags

    def elasticbeanstalk_delete_application(self, ApplicationName: str) -> None:
        for one in self.environments:
            own = one["ApplicationName"] == ApplicationName
            assert not own or one["Status"] == "Terminated", "it has environments"
        self.applications.pop(ApplicationName)
        self.versions = {k: v for k, v in self.versions.items() if k[0] != ApplicationName}

    def elasticbeanstalk_describe_application_versions(
        self, ApplicationName: str, VersionLabels: list[str]
    ) -> Json:
        found = [self.versions.get((ApplicationName, label)) for label in VersionLabels]
        return {"ApplicationVersions": [one for one in found if one]}

    def elasticbeanstalk_create_application_version(
        self, ApplicationName: str, VersionLabel: str, SourceBundle: Json, Process: bool
    ) -> None:
        assert SourceBundle["S3Key"] in self.objects
        self.versions[ApplicationName, VersionLabel] = {
            "VersionLabel": VersionLabel,
            "Status": "PROCESSED" if Process else "UNPROCESSED",
        }

    def elasticbeanstalk_create_environment(
        self, ApplicationName: str, EnvironmentName: str, **given: Any
    ) -> Json:
        assert (ApplicationName, given["VersionLabel"]) in self.versions
        made = {
            "ApplicationName": ApplicationName,
            "EnvironmentId": f"e-{len(self.environments):08}",
            "EnvironmentName": EnvironmentName,
            "EnvironmentArn": _arn(ApplicationName, EnvironmentName),
            "CNAME": f"{EnvironmentName}.eba-x.{REGION}.elasticbeanstalk.com",
            "Status": "Launching",
            "Health": "Grey",
            "looks": 2,
            "given": given,
        }
        self.environments.append(made)
        return self._environment(made)

    def elasticbeanstalk_describe_environments(
        self,
        ApplicationName: str,
        EnvironmentIds: list[str] | None = None,
        IncludeDeleted: bool = True,
    ) -> Json:
        found = [
            self._environment(one)
            for one in self.environments
            if one["ApplicationName"] == ApplicationName
            and (EnvironmentIds is None or one["EnvironmentId"] in EnvironmentIds)
        ]
        kept = [one for one in found if IncludeDeleted or one["Status"] != "Terminated"]
        return {"Environments": kept}

    def _environment(self, one: Json) -> Json:
        one["looks"] -= 1
        if one["looks"] <= 0 and one["Status"] == "Launching":
            one |= {"Status": "Ready", "Health": self.health}
        if one["looks"] <= 0 and one["Status"] == "Terminating":
            one |= {"Status": "Terminated", "Health": "Grey"}
        return {key: value for key, value in one.items() if key not in ("looks", "given")}

    def elasticbeanstalk_terminate_environment(self, EnvironmentId: str) -> Json:
        (one,) = [one for one in self.environments if one["EnvironmentId"] == EnvironmentId]
        if one["Status"] != "Ready":
            raise Refused("InvalidParameterValue", f"It is {one['Status']}.")
        one |= {"Status": "Terminating", "looks": 2}
        return self._environment(one)

    def elasticbeanstalk_describe_events(self, EnvironmentId: str, **_: Any) -> Json:
        return {"Events": [{"Message": f"{EnvironmentId}: no instance sends data."}]}


def _arn(application: str, environment: str = "") -> str:
    path = (
        f"environment/{application}/{environment}" if environment else f"application/{application}"
    )
    return f"arn:aws:elasticbeanstalk:{REGION}:{ACCOUNT}:{path}"

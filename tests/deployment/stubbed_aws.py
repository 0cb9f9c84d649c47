"""Stubbed clients of AWS: scripts/deploy must make the expected calls in their order."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import boto3
from botocore.stub import Stubber

from scripts.eb.calls import AwsCalls, DeploymentFailed
from scripts.eb.deploy import DeploymentActions, DeploymentPlan, deploy
from scripts.eb.environments import Environments

APP = {"ApplicationName": "chat"}
PLAN = DeploymentPlan(
    "chat-live", "chat-0123abcd", "0123abcd4567", "https://chat.example.com", timeout=30
)
VERSION = {"VersionLabels": ["0123abcd4567"]}
SWAP = "swap_environment_cnames"
GREEN, OLD = "e-green00000", "e-old0000000"
ARN = "arn:aws:elasticbeanstalk:eu-west-1:123456789012:environment/chat/chat-live"
TAG = {"Key": "rts:deployment", "Value": "chat"}


def min_size(instances: int) -> list[dict[str, str]]:
    """The option settings for a minimum number of instances."""
    return [{"Namespace": "aws:autoscaling:asg", "OptionName": "MinSize", "Value": str(instances)}]


class Aws:
    """Stubbed clients, which accept only the expected calls in their order."""

    def __init__(self) -> None:
        given = {"region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        names = ("elasticbeanstalk", "s3")
        self.clients: dict[str, Any] = {one: boto3.client(one, **given) for one in names}  # type: ignore[call-overload]
        self._stubs = {one: Stubber(client) for one, client in self.clients.items()}
        self.reported: list[str] = []
        self.slept: list[float] = []
        for stub in self._stubs.values():
            stub.activate()

    def expect(self, operation: str, answer: Any = None, /, **asked: Any) -> None:
        """Expect the next call with exactly these parameters."""
        service = "s3" if operation == "put_object" else "elasticbeanstalk"
        self._stubs[service].add_response(operation, answer or {}, asked)

    def refuse(self, operation: str, code: str = "AccessDenied") -> None:
        """Expect the next call and answer it with an error."""
        self._stubs["elasticbeanstalk"].add_client_error(operation, code, "no")

    def expect_capacity(self, running: int) -> None:
        """Expect that instances and minimum (two) of the live environment are read."""
        options = [
            {"Namespace": "aws:autoscaling:asg", "OptionName": name, "Value": value}
            for name, value in (("MaxSize", "8"), ("MinSize", "2"))
        ]
        self.expect(
            "describe_configuration_settings",
            {"ConfigurationSettings": [{"OptionSettings": options}]},
            **APP,
            EnvironmentName="chat-live",
        )
        there = [{"Id": f"i-{n}"} for n in range(running)]
        self.expect(
            "describe_environment_resources",
            {"EnvironmentResources": {"Instances": there}},
            EnvironmentId=OLD,
        )

    def expect_described(self, which: dict[str, Any], status: str, health: str = "Green") -> None:
        """Expect that an environment is described."""
        one = which.get("EnvironmentIds", [OLD])[0]
        found = {
            "EnvironmentId": one,
            "EnvironmentArn": ARN,
            "CNAME": f"{one}.test",
            "Status": status,
            "Health": health,
        }
        self.expect("describe_environments", {"Environments": [found]}, **APP, **which)

    def expect_clone(
        self,
        *,
        published: bool = False,
        refused: bool = False,
        running: int = 2,
        changes: Sequence[dict[str, str]] = (),
    ) -> None:
        """Expect all calls until the clone is described.

        `refused`: it cannot be created. `running`: as many instances. `changes`: its own options.
        """
        self.expect_described({"EnvironmentNames": ["chat-live"], "IncludeDeleted": False}, "Ready")
        self.expect_capacity(running)
        versions = [{"VersionLabel": "0123abcd4567", "Status": "PROCESSED"}]
        known = {"ApplicationVersions": versions}
        self.expect("describe_application_versions", known if published else {}, **APP, **VERSION)
        if not published:
            place = {"S3Bucket": "eb-bucket", "S3Key": "chat/0123abcd4567.zip"}
            self.expect("create_storage_location", {"S3Bucket": "eb-bucket"})
            self.expect("put_object", Bucket="eb-bucket", Key=place["S3Key"], Body=b"zip")
            self.expect(
                "create_application_version",
                **APP,
                VersionLabel="0123abcd4567",
                SourceBundle=place,
                Process=True,
            )
            self.expect("describe_application_versions", known, **APP, **VERSION)
        of_aws = [{"Key": "elasticbeanstalk:environment-id", "Value": OLD}]
        tags = {"ResourceArn": ARN, "ResourceTags": [TAG, *of_aws, {"Key": "Name", "Value": "x"}]}
        self.expect("list_tags_for_resource", tags, ResourceArn=ARN)
        self.expect(
            "create_configuration_template", **APP, TemplateName=PLAN.new, EnvironmentId=OLD
        )
        if refused:
            self.refuse("create_environment")
            return
        options = [*(min_size(running) if running > 2 else []), *changes]
        self.expect(
            "create_environment",
            {"EnvironmentId": GREEN},
            **APP,
            EnvironmentName=PLAN.new,
            TemplateName=PLAN.new,
            VersionLabel="0123abcd4567",
            **({"OptionSettings": options} if options else {}),
            Tags=[TAG],
        )

    def expect_configuration_deleted(self) -> None:
        """Expect that the saved configuration is deleted."""
        self.expect("delete_configuration_template", **APP, TemplateName=PLAN.new)

    def expect_swap(self, one: str, other: str) -> None:
        """Expect a swap of the CNAMEs and a wait for both environments."""
        self.expect(SWAP, SourceEnvironmentId=one, DestinationEnvironmentId=other)
        self.expect_described({"EnvironmentIds": [one]}, "Ready", "Yellow")
        self.expect_described({"EnvironmentIds": [other]}, "Ready", "Yellow")

    def deploy(
        self, plan: DeploymentPlan = PLAN, broken: str | None = "nothing", **more: Any
    ) -> str | None:
        """Deploy; the smoke test of the address `broken` (None: the live one) fails."""

        def smoke_test(cname: str | None) -> None:
            self.reported.append(f"test {cname}")
            if cname == broken:
                raise DeploymentFailed("broken.")

        def drain(old: list[str]) -> None:
            self.reported.append(f"drain {old}")

        given = {"smoke_test": smoke_test, "list_instances": lambda: ["i-old"], "drain": drain}
        actions = DeploymentActions(**given | more, sleep=self.slept.append)
        calls = AwsCalls(self.clients, lambda line: self.reported.append(line.split()[0]))
        return deploy(plan, b"zip", Environments(calls, "chat", self.slept.append), actions)

    def assert_all_called(self) -> None:
        """Check that every expected call was made."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()

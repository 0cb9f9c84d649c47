"""Stubbed clients of AWS: scripts/deploy must make the expected calls in their order."""

from __future__ import annotations

from typing import Any

import boto3
from botocore.stub import Stubber

from scripts.eb.calls import Calls, Failed
from scripts.eb.deploy import Outside, Plan, deploy
from scripts.eb.environments import Environments

APP = {"ApplicationName": "chat"}
PLAN = Plan("chat-live", "chat-0123abcd", "0123abcd4567", "https://chat.example.com", timeout=30)
VERSION = {"VersionLabels": ["0123abcd4567"]}
SWAP = "swap_environment_cnames"
GREEN, OLD = "e-green00000", "e-old0000000"


def least(instances: int) -> list[dict[str, str]]:
    """Option settings of an environment that runs at least so many instances."""
    return [{"Namespace": "aws:autoscaling:asg", "OptionName": "MinSize", "Value": str(instances)}]


class Aws:
    """Stubbed clients; calls must come in this order and no other."""

    def __init__(self) -> None:
        given = {"region_name": "eu-west-1", "aws_access_key_id": "x", "aws_secret_access_key": "x"}
        names = ("elasticbeanstalk", "s3")
        self.clients: dict[str, Any] = {one: boto3.client(one, **given) for one in names}  # type: ignore[call-overload]
        self._stubs = {one: Stubber(client) for one, client in self.clients.items()}
        self.told: list[str] = []
        self.paused: list[float] = []
        for stub in self._stubs.values():
            stub.activate()

    def expect(self, operation: str, answer: Any = None, /, **asked: Any) -> None:
        """The next call, with exactly these parameters."""
        service = "s3" if operation == "put_object" else "elasticbeanstalk"
        self._stubs[service].add_response(operation, answer or {}, asked)

    def refuse(self, operation: str, code: str = "AccessDenied") -> None:
        """The next call is answered by an error."""
        self._stubs["elasticbeanstalk"].add_client_error(operation, code, "no")

    def counts(self, running: int) -> None:
        """The instances of the live environment are counted; it runs two at least."""
        there = [{"Id": f"i-{n}"} for n in range(running)]
        self.expect(
            "describe_environment_resources",
            {"EnvironmentResources": {"Instances": there}},
            EnvironmentId=OLD,
        )
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

    def look(self, which: dict[str, Any], status: str, health: str = "Green") -> None:
        """A look at an environment."""
        one = which.get("EnvironmentIds", [OLD])[0]
        found = {"EnvironmentId": one, "CNAME": f"{one}.test", "Status": status, "Health": health}
        self.expect("describe_environments", {"Environments": [found]}, **APP, **which)

    def until_cloned(
        self, *, published: bool = False, refused: bool = False, running: int = 2
    ) -> None:
        """All that comes before the clone is looked at; `refused`: it cannot be made."""
        self.look({"EnvironmentNames": ["chat-live"], "IncludeDeleted": False}, "Ready")
        self.counts(running)
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
        self.expect(
            "create_configuration_template", **APP, TemplateName=PLAN.new, EnvironmentId=OLD
        )
        if refused:
            self.refuse("create_environment")
            return
        self.expect(
            "create_environment",
            {"EnvironmentId": GREEN},
            **APP,
            EnvironmentName=PLAN.new,
            TemplateName=PLAN.new,
            VersionLabel="0123abcd4567",
            **({"OptionSettings": least(running)} if running > 2 else {}),
        )

    def forgets(self) -> None:
        """The saved configuration goes."""
        self.expect("delete_configuration_template", **APP, TemplateName=PLAN.new)

    def swaps(self, one: str, other: str) -> None:
        """The CNAMEs are exchanged; both environments are waited for."""
        self.expect(SWAP, SourceEnvironmentId=one, DestinationEnvironmentId=other)
        self.look({"EnvironmentIds": [one]}, "Ready", "Yellow")
        self.look({"EnvironmentIds": [other]}, "Ready", "Yellow")

    def run(self, plan: Plan = PLAN, broken: str | None = "nothing", **more: Any) -> str | None:
        """The deployment; the test of the address `broken` (None: the live one) fails."""

        def test(cname: str | None) -> None:
            self.told.append(f"test {cname}")
            if cname == broken:
                raise Failed("broken.")

        def drain(old: list[str]) -> None:
            self.told.append(f"drain {old}")

        given = {"test": test, "instances": lambda: ["i-old"], "drain": drain} | more
        outside = Outside(**given, pause=self.paused.append)
        calls = Calls(self.clients, lambda line: self.told.append(line.split()[0]))
        return deploy(plan, b"zip", Environments(calls, "chat", self.paused.append), outside)

    def done(self) -> None:
        """Every call that was expected was made."""
        for stub in self._stubs.values():
            stub.assert_no_pending_responses()

"""Takes away what `scripts/deploy create` made, but for the data."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import click

from rts_server.tools.dev import zips
from scripts.eb.application import Application
from scripts.eb.calls import AwsCalls, DeploymentFailed, aws_clients
from scripts.eb.create import NAME
from scripts.eb.creation import ADDRESS_TAG, CHAT, FOUNDATION, ZONE_TAG, foundation_stack
from scripts.eb.dns_record import DnsRecord
from scripts.eb.environments import SERVICE
from scripts.eb.stacks import CLOUDFORMATION, Stacks

DESTRUCTION_SERVICES = ("cloudformation", "elasticbeanstalk", "route53", "s3")
KEPT = {
    "RoomsTable": "table",
    "MessagesTable": "table",
    "Files": "bucket",
    "Key": "key, without which neither can be read",
    "RedisToken": "secret",
    "Redis": "Redis, of which a last snapshot is made",
    "RedisCluster": "Redis, of which a last snapshot is made",
}
"""Resources of infra/template.yaml that outlive it, by logical id."""
UPLOAD = re.compile(
    r"[0-9a-f]{12}\.zip"
    rf"|(?:{'|'.join(zips.KEY_PARAMETERS)})-[0-9a-f]{{32}}\.zip"
    rf"|(?:{FOUNDATION.stem}|{CHAT.stem})\.yaml"
)
"""What `create` and `scripts/deploy` upload under the name: versions, functions and templates."""


class Destruction:
    """One run of `scripts/deploy destroy`. `sleep` waits for seconds."""

    def __init__(self, name: str, calls: AwsCalls, sleep: Callable[[float], None]) -> None:
        self._name = name
        self._calls = calls
        self._sleep = sleep
        self._stacks = Stacks(calls, name, sleep)
        self._application = Application(calls, name, sleep)

    def kept(self) -> list[str]:
        """Return what will be left, a line each. Raises DeploymentFailed if it is not ours."""
        self._found()
        lines = [f"log groups /aws/elasticbeanstalk/{self._name}-…, for as long as they keep lines"]
        if self._stacks.exists(self._name):
            answer = self._calls(CLOUDFORMATION, "describe_stack_resources", StackName=self._name)
            for one in answer.get("StackResources", []):
                if what := KEPT.get(one["LogicalResourceId"]):
                    lines.append(f"{what}: {one.get('PhysicalResourceId', 'not made')}")
        else:
            lines.append(
                f"tables and bucket of {self._name}, its key and the secret of Redis, if any"
            )
        return [
            *lines,
            "the bucket of Elastic Beanstalk, which all environments of the region share",
        ]

    def destroy(self) -> None:
        """Take away record, environments, application, stack, uploads and network, in this order.

        What is gone already is passed over. The stack of the network ends last: while it has our
        tag, a run after a failure knows that the uploads are ours. Raises DeploymentFailed with the
        step that failed.
        """
        self._calls.report("# record and environments; waits about 10 minutes")
        found, tags = self._found(), self._application.tags()
        if tags is not None:
            self._delete_record(tags)
            self._application.end_environments()
            self._application.delete()
        self._calls.report("# queues, functions, roles and Redis; waits about 15 minutes")
        self._stacks.delete(self._name)
        self._calls.report("# uploaded bundles, functions and templates")
        if found:
            self._delete_uploads()
        self._calls.report("# network, security groups, secret, certificate; waits 5 minutes")
        self._stacks.delete(foundation_stack(self._name))

    def _found(self) -> bool:
        """Whether anything has our tag. Raises DeploymentFailed if something of it is not ours."""
        application = self._application.tags()
        if application is not None:
            self._application.check_environments()
        stacks = [self._stacks.exists(one) for one in (self._name, foundation_stack(self._name))]
        return application is not None or any(stacks)

    def _delete_record(self, tags: dict[str, str]) -> None:
        """Delete the record of the address, if it still leads to an environment of ours."""
        if self._calls.dry:
            tags = {ZONE_TAG: "<zone, if any>", ADDRESS_TAG: "<address>"}
        if not (tags.get(ZONE_TAG) and tags.get(ADDRESS_TAG)):
            return
        record = DnsRecord(self._calls, tags[ZONE_TAG], tags[ADDRESS_TAG], self._sleep)
        target = record.target()
        if self._calls.dry:
            record.delete("<CNAME of an environment>")
        ours = {one.cname.lower() for one in self._application.environments()}
        if target is not None and target.lower() in ours:
            record.delete(target)

    def _delete_uploads(self) -> None:
        answer = self._calls(SERVICE, "create_storage_location")
        bucket = answer.get("S3Bucket", "<storage location>")
        last: dict[str, str] = {}
        while True:
            listed = self._calls(
                "s3",
                "list_objects_v2",
                Bucket=bucket,
                Prefix=f"{self._name}/",
                MaxKeys=1000,
                **last,
            )
            found = [one["Key"] for one in listed.get("Contents", [])]
            if self._calls.dry:
                self._delete_objects(bucket, [{"Key": f"{self._name}/<each upload>"}])
            if not found:
                return
            last = {"StartAfter": found[-1]}
            if keys := [{"Key": key} for key in found if self._is_upload(key)]:
                self._delete_objects(bucket, keys)

    def _delete_objects(self, bucket: str, keys: list[dict[str, str]]) -> None:
        answer = self._calls("s3", "delete_objects", Bucket=bucket, Delete={"Objects": keys})
        if errors := answer.get("Errors"):
            raise DeploymentFailed(f"{errors[0]['Key']} is not deleted: {errors[0]['Code']}.")

    def _is_upload(self, key: str) -> bool:
        """Whether `create` or `scripts/deploy` uploaded this."""
        return UPLOAD.fullmatch(key.removeprefix(f"{self._name}/")) is not None


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name")
@click.option("--region", help="AWS region. [AWS_REGION]")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Print each call without making it.")
def main(name: str, region: str | None, yes: bool, dry_run: bool) -> None:
    """Take away the deployment NAME that `scripts/deploy create` made, and nothing else.

    Tables, bucket, key and a last snapshot of Redis stay; their names are printed, and the question
    comes after it. Users lose the chat at once. After a failure run the same command again.

    Exit code 0; 1 if a step failed or the answer is no; 2 for wrong usage.

    Example: scripts/deploy destroy chat-staging
    """
    if not NAME.fullmatch(name):
        raise click.UsageError("NAME has 2 to 25 lower-case letters, digits and dashes.")
    calls = AwsCalls(
        {} if dry_run else aws_clients(DESTRUCTION_SERVICES, region), click.echo, dry=dry_run
    )
    destruction = Destruction(name, calls, time.sleep)
    try:
        kept = destruction.kept()
        click.echo("\n".join([f"What stays of {name}:", *(f"  {line}" for line in kept)]))
        if not yes and not dry_run:
            click.confirm(f"Take everything else of {name} away?", abort=True)
        destruction.destroy()
    except DeploymentFailed as failed:
        raise click.ClickException(f"{failed} Run the same command again.") from None
    if dry_run:
        click.echo("Nothing was done.")
        return
    click.echo("\n".join([f"{name} is gone. What stays:", *(f"  {line}" for line in kept)]))


if __name__ == "__main__":
    main(prog_name="scripts/deploy destroy")

"""The command line of `scripts/deploy create`."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from rts_server.tools.dev import zips
from scripts.eb.calls import AwsCalls, DeploymentFailed, aws_clients
from scripts.eb.creation import Creation, CreationPlan, GivenNetwork, first_environment
from scripts.eb.fleet_size import Load, fleet_size
from scripts.eb.options import parse_properties
from scripts.eb.smoke import run_smoke_test

CREATION_SERVICES = (
    "acm",
    "cloudformation",
    "dynamodb",
    "elasticbeanstalk",
    "route53",
    "s3",
    "sts",
)
NAME = re.compile(r"[a-z][a-z0-9-]{0,23}[a-z0-9]")
"""Names of buckets begin with it: lower case, and with account and region 63 characters."""

OWN_TAGS = "rts:"


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("name")
@click.argument("bundle", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--address", required=True, help="Name of the clients' address: chat.example.com")
@click.option("--certificate", help="ARN of an issued certificate. [one is made in --zone]")
@click.option("--zone", help="Route 53 zone, in which the address is written.")
@click.option("--vpc", help="An existing network, with both options of subnets. [one is made]")
@click.option("--private-subnets", help="Subnets of instances and Redis, with NAT: a,b")
@click.option("--public-subnets", help="Subnets of the balancer: a,b")
@click.option("--network-prefix", help="First 16 bits of the network that is made. [10.64]")
@click.option("--one-nat", is_flag=True, help="One NAT gateway for both zones: costs half.")
@click.option("--connections", default=0, help="Connections at the peak, for the size.")
@click.option("--messages", default=0.0, help="Messages per second at the peak.")
@click.option("--deliveries", default=0.0, help="Deliveries per second at the peak.")
@click.option("--instance-type", help="Type of the instances (arm64). [from the load]")
@click.option("--redis-type", help="Node type of Redis. [that of infra/template.yaml]")
@click.option("--key-pair", help="EC2 key pair, for a shell on instances.")
@click.option("--alarm-email", help="Who hears of alarms.")
@click.option("--platform", help="Solution stack. [the newest with a Python that is tested]")
@click.option("--property", "properties", multiple=True, help="Setting: NAME=VALUE; repeatable.")
@click.option("--tag", "tags", multiple=True, help="Tag of all that is made: KEY=VALUE.")
@click.option("--region", help="AWS region. [AWS_REGION]")
@click.option("--timeout", default=1800.0, show_default=True, help="Seconds until it is healthy.")
@click.option("--dry-run", is_flag=True, help="Print each call without making it.")
def main(
    name: str, bundle: Path, dry_run: bool, region: str | None, tags: tuple[str, ...], **more: Any
) -> None:
    """Create the deployment NAME from nothing: network, stack, application and an environment.

    Each step says what it waits for. After a failure run the same command again: what is there is
    kept, and changed where the options differ. Parameters of the stack that no option names keep
    their values.

    RTS_SMOKE_TOKEN, if set, is a user's token for a test of the environment at the end. AWS
    credentials are found as by every AWS program. Exit code 0; 1 if a step failed; 2 for wrong
    usage.

    Example: scripts/deploy create chat build/rts-server.zip --address chat.example.com --zone Z1
    """
    if not NAME.fullmatch(name):
        raise click.UsageError("NAME has 2 to 25 lower-case letters, digits and dashes.")
    clients = {} if dry_run else aws_clients(CREATION_SERVICES, region)
    plan = make_plan(name, bundle.read_bytes(), *_place(clients, region), _pairs(tags), more)
    calls = AwsCalls(clients, click.echo, dry=dry_run)
    try:
        cname = Creation(plan, calls, time.sleep).create()
        _smoke_test(cname, plan.address, dry_run)
    except DeploymentFailed as failed:
        raise click.ClickException(f"{failed} Run the same command again.") from None
    if not dry_run:
        click.echo(_next_steps(plan, cname))


def make_plan(
    name: str,
    bundle: bytes,
    region: str,
    s3_url: str,
    tags: Mapping[str, str],
    given: Mapping[str, Any],
) -> CreationPlan:
    """Return the plan of the options. Raises UsageError for options that do not fit together."""
    if not given["certificate"] and not given["zone"]:
        raise click.UsageError("Give --certificate, or --zone to have one made.")
    packed = zips.build()
    code = {zips.code_key(function, data): data for function, data in packed.items()}
    keys = {zips.KEY_PARAMETERS[f]: f"{name}/{zips.code_key(f, d)}" for f, d in packed.items()}
    load = Load(given["connections"], given["messages"], given["deliveries"])
    foundation = {"NetworkPrefix": given["network_prefix"]} if given["network_prefix"] else {}
    return CreationPlan(
        name=name,
        address=given["address"].lower().rstrip("."),
        region=region,
        s3_url=s3_url,
        bundle=bundle,
        code=code,
        size=fleet_size(load, given["instance_type"]),
        certificate=given["certificate"],
        zone=given["zone"],
        network=_given_network(given),
        foundation=foundation | ({"NatPerZone": "false"} if given["one_nat"] else {}),
        stack=keys
        | ({"RedisNodeType": given["redis_type"]} if given["redis_type"] else {})
        | ({"AlarmEmail": given["alarm_email"]} if given["alarm_email"] else {}),
        properties=parse_properties(given["properties"]),
        key_pair=given["key_pair"],
        platform=given["platform"],
        tags=tags,
        timeout=given["timeout"],
    )


def _place(clients: Mapping[str, Any], region: str | None) -> tuple[str, str]:
    """Return the region and the URL of its S3; a dry run has no clients to ask."""
    if clients:
        meta = clients["s3"].meta
        return meta.region_name, meta.endpoint_url
    name = region or os.environ.get("AWS_REGION", "<region>")
    return name, f"https://s3.{name}.amazonaws.com"


def _given_network(given: Mapping[str, Any]) -> GivenNetwork | None:
    parts = [given[name] for name in ("vpc", "private_subnets", "public_subnets")]
    if not any(parts):
        return None
    if not all(parts):
        raise click.UsageError("--vpc, --private-subnets and --public-subnets belong together.")
    return GivenNetwork(*parts)


def _pairs(texts: tuple[str, ...]) -> dict[str, str]:
    if wrong := [text for text in texts if "=" not in text]:
        raise click.UsageError(f"{wrong[0]} is not of the form KEY=VALUE.")
    if own := [text for text in texts if text.startswith(OWN_TAGS)]:
        raise click.UsageError(f"{own[0]}: tags that begin with {OWN_TAGS} say what is ours.")
    return dict(text.split("=", 1) for text in texts)


def _smoke_test(cname: str, address: str, dry: bool) -> None:
    """Test the environment by its own name, which works before that of the address does."""
    if dry:
        click.echo(f"smoke test of {cname}, if RTS_SMOKE_TOKEN is set")
    elif token := os.environ.get("RTS_SMOKE_TOKEN"):
        click.echo(f"smoke test of {cname}")
        run_smoke_test(f"https://{cname}", token, address)


def _next_steps(plan: CreationPlan, cname: str) -> str:
    point = "" if plan.zone else f"Point {plan.address} to {cname} (CNAME, TTL 60 s). "
    live = first_environment(plan.name)
    return (
        f"{plan.name} serves https://{plan.address}. {point}"
        f"The next version: scripts/deploy {plan.name} {live} BUNDLE --url https://{plan.address}"
    )


if __name__ == "__main__":
    main(prog_name="scripts/deploy create")

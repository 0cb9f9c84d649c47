"""The options of an environment that only an account knows: network, certificate, roles, secrets.

All others are in `.ebextensions`. Names: docs.aws.amazon.com/elasticbeanstalk/latest/dg,
command-options-general and AWSHowTo.secrets.env-vars.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import IO, Any
from urllib.parse import urlsplit

import click

from rts_server import config_loading

PROPERTIES = "aws:elasticbeanstalk:application:environment"
LAUNCH = "aws:autoscaling:launchconfiguration"
SECRETS = "aws:elasticbeanstalk:application:environmentsecrets"
MAX_PROPERTY_BYTES = 4_096 - 200
"""Of all properties together, as KEY=VALUE joined by commas (environments-cfg-softwaresettings),
without those of `.ebextensions` and of the platform."""
SECRET_ARN = re.compile(r"arn:aws[a-z-]*:secretsmanager:")
SECRET_PROPERTIES = ("RTS_JWT_SECRET", "RTS_REDIS_TOKEN")

Options = dict[str, dict[str, str]]
"""Value by namespace and name."""


@dataclass(frozen=True)
class Network:
    """Where the instances and the balancer stand; subnets are lists joined by commas."""

    vpc: str
    subnets: str
    balancer_subnets: str
    security_group: str
    certificate: str
    balancer_group: str | None = None
    """Group of the balancer; without it Elastic Beanstalk makes one for each environment."""


def options(
    stack: str, outputs: Mapping[str, str], network: Network, properties: Mapping[str, str]
) -> Options:
    """Return the options of an environment of this stack. Raises UsageError for wrong properties.

    `outputs` are those of the stack. Properties whose value is the ARN of a secret are fetched by
    Elastic Beanstalk under the instance's role.
    """
    given = {
        "AWS_REGION": outputs["Region"],
        "RTS_STACK": stack,
        "RTS_BUCKET": outputs["BucketName"],
        "RTS_WEB_ROLE_ARN": outputs["WebRoleArn"],
        "RTS_RELAY_ROLE_ARN": outputs["RelayRoleArn"],
    }
    if "RedisEndpoint" in outputs:
        given["RTS_REDIS_URL"] = f"rediss://{outputs['RedisEndpoint']}:6379/0"
        given["RTS_REDIS_TOKEN"] = outputs["RedisTokenArn"]
        if outputs.get("RedisIsCluster"):
            given["RTS_REDIS_CLUSTER"] = outputs["RedisIsCluster"]
    chosen = properties_of(given | dict(properties))
    check_properties(chosen[PROPERTIES])
    return _groups(network, outputs["InstanceProfileName"]) | {
        "aws:elasticbeanstalk:environment": {"ServiceRole": outputs["ServiceRoleName"]},
        "aws:ec2:vpc": {
            "VPCId": network.vpc,
            "Subnets": network.subnets,
            "ELBSubnets": network.balancer_subnets,
            "ELBScheme": "public",
            "AssociatePublicIpAddress": "false",
        },
        "aws:elbv2:listener:443": {"SSLCertificateArns": network.certificate},
        **chosen,
    }


def _groups(network: Network, profile: str) -> Options:
    """Return the options of instances and balancer.

    With a group for each, Elastic Beanstalk makes none, and the rules are those of
    infra/foundation.yaml alone.
    """
    launch = {"IamInstanceProfile": profile, "SecurityGroups": network.security_group}
    if (group := network.balancer_group) is None:
        return {LAUNCH: launch}
    return {
        LAUNCH: launch | {"DisableDefaultEC2SecurityGroup": "true"},
        "aws:elbv2:loadbalancer": {"SecurityGroups": group, "ManagedSecurityGroup": group},
    }


def parse_properties(texts: Iterable[str]) -> dict[str, str]:
    """Return value by name of texts NAME=VALUE. Raises UsageError unless all are settings."""
    pairs = [text.partition("=") for text in texts]
    if wrong := [name for name, equals, _ in pairs if not equals]:
        raise click.UsageError(f"{wrong[0]} is not of the form NAME=VALUE.")
    known = {f.metadata["env"] for f in config_loading.VARIABLES.values()}
    if unknown := sorted({name for name, _, _ in pairs} - known):
        raise click.UsageError(f"No setting is named {', '.join(unknown)}.")
    for name, _, value in pairs:
        if not value.isprintable():
            raise click.UsageError(f"The value of {name} has a line break or a control character.")
        if not SECRET_ARN.match(value) and (name in SECRET_PROPERTIES or _has_password(value)):
            raise click.UsageError(
                f"{name} must be the ARN of a secret: others can read properties."
            )
    return {name: value for name, _, value in pairs}


def _has_password(value: str) -> bool:
    """Whether a value is a URL with a password, as RTS_REDIS_URL may be."""
    try:
        return bool(urlsplit(value).password)
    except ValueError:  # a setting that is no URL
        return False


def properties_of(given: Mapping[str, str]) -> Options:
    """Return the options of these properties; those that are ARNs of secrets are apart."""
    secrets = {name: value for name, value in given.items() if SECRET_ARN.match(value)}
    plain = {name: value for name, value in given.items() if name not in secrets}
    return {PROPERTIES: plain, SECRETS: secrets}


def check_properties(properties: Mapping[str, str]) -> None:
    """Raise UsageError unless web and relay can start with these properties."""
    size = len(",".join(f"{name}={value}" for name, value in properties.items()).encode())
    if size > MAX_PROPERTY_BYTES:
        raise click.UsageError(f"All properties have {size} bytes, {MAX_PROPERTY_BYTES} at most.")
    try:
        config_loading.load(properties)
    except config_loading.ConfigError as error:
        raise click.UsageError(str(error)) from None


def settings_of(chosen: Options) -> list[dict[str, str]]:
    """Return the options as the API of Elastic Beanstalk takes them."""
    return [
        {"Namespace": namespace, "OptionName": name, "Value": value}
        for namespace, values in chosen.items()
        for name, value in values.items()
    ]


def outputs_of(description: Mapping[str, object]) -> tuple[str, dict[str, str]]:
    """Return name and outputs of the stack in an answer of describe-stacks. Raises UsageError."""
    stacks = description.get("Stacks")
    if not isinstance(stacks, list) or len(stacks) != 1:
        raise click.UsageError("The file is no answer of `describe-stacks --stack-name NAME`.")
    found = {one["OutputKey"]: one["OutputValue"] for one in stacks[0].get("Outputs", [])}
    region = stacks[0]["StackId"].split(":")[3]
    missing = {"BucketName", "InstanceProfileName", "ServiceRoleName"} - found.keys()
    if missing:
        raise click.UsageError(f"The stack has no output {', '.join(sorted(missing))}.")
    return stacks[0]["StackName"], found | {"Region": region}


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("stack", type=click.File())
@click.option("--vpc", required=True, help="Network of instances and balancer.")
@click.option("--subnets", required=True, help="Private subnets of the instances: a,b")
@click.option("--balancer-subnets", required=True, help="Public subnets of the balancer: a,b")
@click.option("--security-group", required=True, help="The template's InstanceSecurityGroup.")
@click.option("--balancer-group", help="Security group of the balancer. [one is made]")
@click.option("--certificate", required=True, help="ARN of the address's certificate (ACM).")
@click.option(
    "--property", "properties", multiple=True, help="Setting of the processes: NAME=VALUE"
)
def main(stack: IO[str], properties: tuple[str, ...], **network: Any) -> None:
    """Print the option settings with which an environment is created, as JSON.

    STACK is a file with the answer of `aws cloudformation describe-stacks --stack-name NAME`. A
    property may be the ARN of a secret. Makes no call. Needs no credentials.

    Example: scripts/deploy options build/stack.json --vpc vpc-1 … > build/options.json
    """
    name, outputs = outputs_of(json.load(stack))
    chosen = options(name, outputs, Network(**network), parse_properties(properties))
    click.echo(json.dumps(settings_of(chosen), indent=1))


if __name__ == "__main__":
    main(prog_name="scripts/deploy options")

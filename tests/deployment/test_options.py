"""Option settings with which an environment is created."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from scripts.eb.options import MAX_PROPERTY_BYTES, PROPERTIES, SECRETS, main
from tests.helpers import template

REGION = "eu-west-1"
SECRET = f"arn:aws:secretsmanager:{REGION}:123456789012:secret:"
OUTPUTS = {
    name: f"<{name}>"
    for name in template.part("Outputs")
    if name not in ("RedisEndpoint", "RedisTokenArn", "RedisIsCluster")
}
REDIS = {"RedisEndpoint": "redis.test", "RedisTokenArn": f"{SECRET}redis"}
NETWORK = {
    "--vpc": "vpc-1",
    "--subnets": "subnet-1,subnet-2",
    "--balancer-subnets": "subnet-3,subnet-4",
    "--security-group": "sg-1",
    "--certificate": "arn:aws:acm:x",
}
ISSUER = {
    "RTS_JWT_SECRET": f"{SECRET}jwt",
    "RTS_CORS_ORIGINS": "https://a.example,https://b.example",
}


def run(folder: Path, outputs: dict[str, str], properties: dict[str, str]) -> Result:
    """Run the command on a stack with these outputs."""
    told = [{"OutputKey": name, "OutputValue": value} for name, value in outputs.items()]
    stack = {
        "StackName": "chat-staging",
        "StackId": f"arn:aws:cloudformation:{REGION}:123456789012:stack/chat-staging/1",
        "Outputs": told,
    }
    (folder / "stack.json").write_text(json.dumps({"Stacks": [stack]}))
    words = [str(folder / "stack.json"), *(word for pair in NETWORK.items() for word in pair)]
    for name, value in properties.items():
        words += ["--property", f"{name}={value}"]
    return CliRunner().invoke(main, words)


def options(done: Result) -> dict[str, dict[str, Any]]:
    """Return the printed options by namespace."""
    assert done.exit_code == 0, done.output
    found: dict[str, dict[str, Any]] = {}
    for one in json.loads(done.stdout):
        found.setdefault(one["Namespace"], {})[one["OptionName"]] = one["Value"]
    return found


def test_an_environment_is_told_of_a_cluster(tmp_path: Path) -> None:
    """A stack with one shard has no such output, and the setting is left as it is."""
    for more, told in (({}, None), ({"RedisIsCluster": "1"}, "1")):
        found = options(run(tmp_path, OUTPUTS | REDIS | more, ISSUER))
        assert found[PROPERTIES].get("RTS_REDIS_CLUSTER") == told


def test_an_environment_gets_network_roles_and_names_of_its_stack(tmp_path: Path) -> None:
    """Everything that AWS refuses to guess in a new account, and the stack's outputs."""
    found = options(run(tmp_path, OUTPUTS | REDIS, ISSUER))
    assert found["aws:autoscaling:launchconfiguration"] == {
        "IamInstanceProfile": "<InstanceProfileName>",
        "SecurityGroups": "sg-1",
    }
    assert found["aws:elasticbeanstalk:environment"] == {"ServiceRole": "<ServiceRoleName>"}
    assert found["aws:ec2:vpc"]["Subnets"] == "subnet-1,subnet-2"
    assert found["aws:ec2:vpc"]["ELBSubnets"] == "subnet-3,subnet-4"
    assert found["aws:elbv2:listener:443"] == {"SSLCertificateArns": "arn:aws:acm:x"}
    assert found[PROPERTIES] == {
        "AWS_REGION": REGION,
        "RTS_STACK": "chat-staging",
        "RTS_BUCKET": "<BucketName>",
        "RTS_WEB_ROLE_ARN": "<WebRoleArn>",
        "RTS_RELAY_ROLE_ARN": "<RelayRoleArn>",
        "RTS_REDIS_URL": "rediss://redis.test:6379/0",
        "RTS_CORS_ORIGINS": ISSUER["RTS_CORS_ORIGINS"],
    }


def test_secrets_are_named_and_not_copied(tmp_path: Path) -> None:
    """What is the ARN of a secret is fetched by Elastic Beanstalk; the console shows the ARN."""
    found = options(run(tmp_path, OUTPUTS | REDIS, ISSUER))
    assert found[SECRETS] == {
        "RTS_REDIS_TOKEN": f"{SECRET}redis",
        "RTS_JWT_SECRET": f"{SECRET}jwt",
    }


@pytest.mark.parametrize(
    ("properties", "error"),
    [
        ({"RTS_CORS_ORIGIN": "x"}, "No setting is named RTS_CORS_ORIGIN"),
        ({"RTS_RATES": "a\nb"}, "RTS_RATES has a line break"),
        ({"RTS_PORT": "http"}, "RTS_PORT"),
        ({"RTS_JWT_SECRET": "s" * 40}, "RTS_JWT_SECRET must be the ARN of a secret"),
        ({"RTS_JWT_SECRET": "x:secretsmanager:y"}, "RTS_JWT_SECRET must be the ARN of a secret"),
        ({"RTS_REDIS_URL": "rediss://:pw@own.test:6379/0"}, "RTS_REDIS_URL must be the ARN"),
        ({"RTS_CORS_ORIGINS": "x" * MAX_PROPERTY_BYTES}, "3896 at most"),
    ],
)
def test_properties_with_which_nothing_starts_are_refused(
    tmp_path: Path, properties: dict[str, str], error: str
) -> None:
    """Exit code 2 and a sentence, before an environment is created in vain."""
    done = run(tmp_path, OUTPUTS | REDIS, properties)
    assert (done.exit_code, error in done.output) == (2, True)


def test_a_stack_without_redis_leaves_its_url_to_a_property(tmp_path: Path) -> None:
    """A Redis of one's own is given like any setting."""
    url = "rediss://own.test:6379/0"
    found = options(run(tmp_path, OUTPUTS, {"RTS_REDIS_URL": url}))
    assert found[PROPERTIES]["RTS_REDIS_URL"] == url
    assert SECRETS not in found


def test_a_file_that_is_no_stack_is_refused(tmp_path: Path) -> None:
    """An older stack lacks outputs; these are named."""
    done = run(tmp_path, {"BucketName": "b"}, {})
    assert (done.exit_code, "InstanceProfileName" in done.output) == (2, True)

"""`scripts/deploy create` and `destroy` played against local AWS, as far as it knows the services.

Two of them, as neither knows everything. Elastic Beanstalk itself is an imitation in both.

ministack makes everything but the network: it knows no NAT gateways and no addresses. Unlike AWS it
does not wait for the validation of certificates, Redis is only a name, and the reference of a
secret is its name instead of its ARN. moto makes the network, but no associations of subnets with
route tables and one NAT gateway instead of two (tests/infra/test_foundation.py looks at those).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from ipaddress import ip_network
from typing import Any

import boto3
import pytest
from moto import mock_aws

from rts_server.tools.dev import aws, zips
from scripts.eb.calls import AwsCalls
from scripts.eb.creation import FOUNDATION, Creation, GivenNetwork
from scripts.eb.destroy import Destruction
from scripts.eb.stacks import Stacks
from tests.deployment.fake_aws import Clients
from tests.deployment.fake_beanstalk import BUCKET
from tests.deployment.plans import PLAN
from tests.helpers.world import World

NAME = "walk"
REAL = ("acm", "cloudformation", "dynamodb", "route53", "s3", "sts")


class AnyObject(dict[str, bytes]):
    """The bundles, which are in a real bucket."""

    def __contains__(self, key: object) -> bool:
        return True


@pytest.fixture
def clients(world: World) -> dict[str, Any]:
    """Clients of the local AWS, and an imitation of Elastic Beanstalk."""
    fake = Clients()
    fake.aws.objects = AnyObject()
    local = {name: aws.client(world.stack.settings, name) for name in REAL}
    local["s3"].create_bucket(Bucket=BUCKET)
    return {**local, "elasticbeanstalk": fake["elasticbeanstalk"]}


def test_a_deployment_is_made_and_taken_away(world: World, clients: dict[str, Any]) -> None:
    """Both stacks, functions that run the code, and the record; then all but the data is gone."""
    settings = world.stack.settings
    ec2: Any = aws.client(settings, "ec2")
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.9.{n}.0/24")["Subnet"]["SubnetId"]
        for n in range(4)
    ]
    zone = clients["route53"].create_hosted_zone(Name="example.com", CallerReference=NAME)
    packed = zips.build()
    plan = replace(
        PLAN,
        name=NAME,
        region=settings.aws_region,
        s3_url=settings.aws_endpoint_url or "",
        zone=zone["HostedZone"]["Id"].rpartition("/")[2],
        network=GivenNetwork(vpc, ",".join(subnets[:2]), ",".join(subnets[2:])),
        code={zips.code_key(function, data): data for function, data in packed.items()},
        stack={
            zips.KEY_PARAMETERS[function]: f"{NAME}/{zips.code_key(function, data)}"
            for function, data in packed.items()
        },
    )
    calls = AwsCalls(clients, lambda _: None)
    for _ in range(2):
        cname = Creation(plan, calls, lambda _: None).create()
    zone_id = plan.zone or ""
    assert _records(clients, zone_id) == {"chat.example.com.": cname}
    functions = aws.client(settings, "lambda")
    for function, data in packed.items():
        name = f"{NAME}-{function.removeprefix('chat-')}"
        answer = functions.invoke(FunctionName=name, Payload=b'{"probe": true}')
        assert json.loads(answer["Payload"].read())["sha256"] == zips.fingerprint(data)

    destruction = Destruction(NAME, calls, lambda _: None)
    kept = " ".join(destruction.kept())
    assert f"table: {NAME}-messages" in kept
    destruction.destroy()
    left = {one["StackName"] for one in clients["cloudformation"].describe_stacks()["Stacks"]}
    assert not {NAME, f"{NAME}-foundation"} & left
    assert _records(clients, zone_id) == {}
    assert "Contents" not in clients["s3"].list_objects_v2(Bucket=BUCKET, Prefix=f"{NAME}/")
    tables = clients["dynamodb"].list_tables()["TableNames"]
    assert {f"{NAME}-messages", f"{NAME}-rooms", f"{settings.stack}-rooms"} <= {*tables}


def _records(clients: dict[str, Any], zone: str) -> dict[str, str]:
    found = clients["route53"].list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return {
        one["Name"]: one["ResourceRecords"][0]["Value"] for one in found if one["Type"] == "CNAME"
    }


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """EC2 of moto with the network of infra/foundation.yaml, and the outputs of the stack."""
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        keys = {"aws_access_key_id": "x", "aws_secret_access_key": "x", "region_name": "eu-west-1"}
        made = {name: boto3.client(name, **keys) for name in ("cloudformation", "ec2", "s3")}  # type: ignore[call-overload]
        place = {"LocationConstraint": "eu-west-1"}
        made["s3"].create_bucket(Bucket=BUCKET, CreateBucketConfiguration=place)
        made["s3"].put_object(Bucket=BUCKET, Key="f.yaml", Body=FOUNDATION.read_bytes())
        stacks = Stacks(AwsCalls(made, lambda _: None), "net", lambda _: None)
        url = f"https://s3.eu-west-1.amazonaws.com/{BUCKET}/f.yaml"
        outputs = stacks.apply("net", url, {"MakeTokenSecret": "false"})
        yield made["ec2"], outputs


def test_subnets_do_not_overlap(network: Any) -> None:
    """Each holds 4,096 addresses of the network."""
    ec2, outputs = network
    ids = f"{outputs['PublicSubnets']},{outputs['PrivateSubnets']}".split(",")
    nets = [ip_network(s["CidrBlock"]) for s in ec2.describe_subnets(SubnetIds=ids)["Subnets"]]
    assert [net.num_addresses for net in nets] == [4096] * 4
    assert not any(one.overlaps(other) for one in nets for other in nets if one is not other)


def test_only_the_balancer_reaches_the_instances(network: Any) -> None:
    """Clients reach ports 80 and 443 of the balancer, and it reaches port 80 of the instances."""
    ec2, outputs = network
    groups = [outputs[name] for name in ("BalancerGroupId", "InstanceGroupId")]
    described = ec2.describe_security_groups(GroupIds=groups)["SecurityGroups"]
    rules = {one["GroupId"]: one["IpPermissions"] for one in described}
    assert {rule["FromPort"] for rule in rules[groups[0]]} == {80, 443}
    assert all(rule["IpRanges"][0]["CidrIp"] == "0.0.0.0/0" for rule in rules[groups[0]])
    (rule,) = rules[groups[1]]
    assert (rule["FromPort"], rule["ToPort"], rule["IpRanges"]) == (80, 80, [])
    assert [pair["GroupId"] for pair in rule["UserIdGroupPairs"]] == groups[:1]

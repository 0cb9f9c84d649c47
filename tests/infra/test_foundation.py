"""infra/foundation.yaml: where subnets lead, who reaches whom, and what goes with the stack."""

from __future__ import annotations

from typing import Any

from cfnlint.decode import decode

from scripts.eb.creation import FOUNDATION

RESOURCES: dict[str, Any] = decode(str(FOUNDATION))[0]["Resources"]


def of_kind(kind: str) -> dict[str, Any]:
    """Return the properties of the resources of a type, by logical id."""
    return {
        name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == f"AWS::{kind}"
    }


def way_out(subnet: str) -> Any:
    """Return the target of the default route of a subnet."""
    (table,) = [
        one["RouteTableId"]
        for one in of_kind("EC2::SubnetRouteTableAssociation").values()
        if one["SubnetId"] == {"Ref": subnet}
    ]
    (route,) = [one for one in of_kind("EC2::Route").values() if one["RouteTableId"] == table]
    assert route["DestinationCidrBlock"] == "0.0.0.0/0"
    return route.get("GatewayId") or route["NatGatewayId"]


def test_public_subnets_lead_to_the_internet() -> None:
    """The balancer and the NAT gateways stand in them."""
    assert way_out("PublicOne") == way_out("PublicTwo") == {"Ref": "Internet"}
    gateways = of_kind("EC2::NatGateway")
    assert gateways["NatOne"]["SubnetId"] == {"Ref": "PublicOne"}
    assert gateways["NatTwo"]["SubnetId"] == {"Ref": "PublicTwo"}


def test_private_subnets_have_the_gateway_of_their_zone() -> None:
    """The loss of a zone leaves the other its way; with one gateway both use it."""
    assert way_out("PrivateOne") == {"Ref": "NatOne"}
    assert way_out("PrivateTwo") == {
        "Fn::If": ["TwoGateways", {"Ref": "NatTwo"}, {"Ref": "NatOne"}]
    }
    zones = {name: one["AvailabilityZone"] for name, one in of_kind("EC2::Subnet").items()}
    assert zones["PrivateOne"] == zones["PublicOne"] != zones["PublicTwo"]
    assert zones["PrivateTwo"] == zones["PublicTwo"]


def test_tables_and_files_cost_no_traffic_of_the_gateways() -> None:
    """Both gateway endpoints are in both private route tables."""
    endpoints = of_kind("EC2::VPCEndpoint").values()
    assert {one["ServiceName"]["Fn::Sub"].rpartition(".")[2] for one in endpoints} == {
        "dynamodb",
        "s3",
    }
    tables = [{"Ref": "PrivateOneTable"}, {"Ref": "PrivateTwoTable"}]
    assert all(one["RouteTableIds"] == tables for one in endpoints)


def test_a_given_network_gets_groups_only() -> None:
    """Nothing of a network is made if one is given; groups, secret and certificate are."""
    own = {"OwnNetwork", "TwoGateways"}
    always = {name for name, one in RESOURCES.items() if one.get("Condition") not in own}
    assert always == {"BalancerGroup", "InstanceGroup", "TokenSecret", "Certificate"}


def test_nothing_outlives_the_stack() -> None:
    """It holds no data, so everything goes with it, also the secret."""
    assert not [name for name, one in RESOURCES.items() if "DeletionPolicy" in one]


def test_the_secret_is_long_enough_and_of_the_accounts_key() -> None:
    """HS256 asks for 32 bytes; the instances' role has no right to another key."""
    secret = of_kind("SecretsManager::Secret")["TokenSecret"]
    assert secret["GenerateSecretString"]["PasswordLength"] >= 32
    assert not secret.keys() & {"KmsKeyId", "Name"}

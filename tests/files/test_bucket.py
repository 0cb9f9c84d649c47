"""The bucket as the template makes it: what the local store ignores is held here."""

from __future__ import annotations

from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from rts_server.files.store import UNCITED
from rts_server.files.upload import PENDING
from rts_server.persistence.records import file_key
from rts_server.tools.dev.deploy import TEMPLATE

DAY = 86_400


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    """The template's resources."""
    found: dict[str, Any] = cfn_yaml.load(str(TEMPLATE))["Resources"]
    return found


def test_private_and_encrypted(resources: dict[str, Any]) -> None:
    """No public access by any way, no ACLs, encrypted with or without a key of one's own."""
    bucket = resources["Files"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    _, with_key, without = rule["ServerSideEncryptionByDefault"]["Fn::If"]
    assert (with_key["SSEAlgorithm"], without["SSEAlgorithm"]) == ("aws:kms", "AES256")


def test_tls_only_and_no_old_links(resources: dict[str, Any]) -> None:
    """Whatever IAM allows: not without TLS, and no link or form older than five minutes."""
    policy = resources["FilesPolicy"]["Properties"]["PolicyDocument"]
    tls, age = policy["Statement"]
    assert {tls["Effect"], age["Effect"]} == {"Deny"}
    assert tls["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}
    assert tls["Action"] == "s3:*"
    assert len(tls["Resource"]) == 2
    assert age["Condition"] == {
        "NumericGreaterThan": {"s3:signatureAge": "300000"},
        "StringEquals": {"s3:authType": ["REST-QUERY-STRING", "POST"]},
    }


def test_only_the_configured_origins(resources: dict[str, Any]) -> None:
    """Browsers may upload and download from these pages; from none where none is configured."""
    condition, given, nothing = resources["Files"]["Properties"]["CorsConfiguration"]["Fn::If"]
    (rule,) = given["CorsRules"]
    assert condition == "WithCors"
    assert nothing == {"Ref": "AWS::NoValue"}
    assert rule["AllowedOrigins"] == {"Ref": "CorsOrigins"}
    assert set(rule["AllowedMethods"]) == {"POST", "GET", "HEAD"}


def test_what_nobody_cites_goes(resources: dict[str, Any]) -> None:
    """Uploads never completed after a day; files never cited once no record can tell otherwise."""
    rules = resources["Files"]["Properties"]["LifecycleConfiguration"]["Rules"]
    pending, uncited = rules
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert (pending["Prefix"], pending["ExpirationInDays"]) == (PENDING, 1)
    assert "TagFilters" not in pending
    (tag,) = uncited["TagFilters"]
    assert f"{tag['Key']}={tag['Value']}" == UNCITED
    assert file_key("", "").startswith(uncited["Prefix"])
    queues = ("RoomQueue", "RoomDeadLetters", "MessageQueue", "MessageDeadLetters")
    longest = sum(resources[name]["Properties"]["MessageRetentionPeriod"] for name in queues)
    assert uncited["ExpirationInDays"] * DAY > longest

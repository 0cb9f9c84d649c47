"""The bucket of the template: rules that the local store does not enforce."""

from __future__ import annotations

from typing import Any

import pytest
from cfnlint.decode import cfn_yaml

from rts_server.files.store import UNCITED_TAG
from rts_server.files.upload import PENDING_PREFIX
from rts_server.persistence.records import file_key
from rts_server.tools.dev.deploy import TEMPLATE

DAY = 86_400


@pytest.fixture(scope="module")
def resources() -> dict[str, Any]:
    """Return the resources of the template."""
    found: dict[str, Any] = cfn_yaml.load(str(TEMPLATE))["Resources"]
    return found


def test_the_bucket_is_private_and_encrypted(resources: dict[str, Any]) -> None:
    """It has no public access, no ACLs, and encryption with or without a customer key."""
    bucket = resources["Files"]["Properties"]
    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert bucket["OwnershipControls"]["Rules"] == [{"ObjectOwnership": "BucketOwnerEnforced"}]
    (rule,) = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    _, with_key, without = rule["ServerSideEncryptionByDefault"]["Fn::If"]
    assert (with_key["SSEAlgorithm"], without["SSEAlgorithm"]) == ("aws:kms", "AES256")


def test_the_bucket_policy_requires_tls_and_fresh_signatures(resources: dict[str, Any]) -> None:
    """Whatever IAM allows: TLS is required, and no signature is older than five minutes (A6)."""
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


def test_cors_allows_only_the_configured_origins(resources: dict[str, Any]) -> None:
    """Browsers upload and download from these origins; from none if none is configured."""
    condition, given, nothing = resources["Files"]["Properties"]["CorsConfiguration"]["Fn::If"]
    (rule,) = given["CorsRules"]
    assert condition == "WithCors"
    assert nothing == {"Ref": "AWS::NoValue"}
    assert rule["AllowedOrigins"] == {"Ref": "CorsOrigins"}
    assert set(rule["AllowedMethods"]) == {"POST", "GET", "HEAD"}


def test_unused_files_expire(resources: dict[str, Any]) -> None:
    """Incomplete uploads expire after a day, uncited files after the retention of all records."""
    rules = resources["Files"]["Properties"]["LifecycleConfiguration"]["Rules"]
    pending, uncited = rules
    assert {rule["Status"] for rule in rules} == {"Enabled"}
    assert (pending["Prefix"], pending["ExpirationInDays"]) == (PENDING_PREFIX, 1)
    assert "TagFilters" not in pending
    (tag,) = uncited["TagFilters"]
    assert f"{tag['Key']}={tag['Value']}" == UNCITED_TAG
    assert file_key("", "").startswith(uncited["Prefix"])
    queues = ("RoomQueue", "RoomDeadLetters", "MessageQueue", "MessageDeadLetters")
    longest = sum(resources[name]["Properties"]["MessageRetentionPeriod"] for name in queues)
    assert uncited["ExpirationInDays"] * DAY > longest

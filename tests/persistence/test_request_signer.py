"""Signatures of requests to AWS."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import ReadOnlyCredentials

from rts_server.persistence.request_signer import RequestSigner

AT = datetime(2026, 11, 29, 23, 59, 58, tzinfo=UTC)
HEADERS = {"content-type": "application/x-amz-json-1.0", "x-amz-target": "AmazonSQS.GetQueueUrl"}


@pytest.mark.parametrize("token", [None, "a/session+token=="])
@pytest.mark.parametrize("body", [b"{}", '{"text":"Größe"}'.encode()])
@pytest.mark.parametrize("path", ["/", "/below"])
def test_a_signature_is_that_of_botocore(token: str | None, body: bytes, path: str) -> None:
    """With and without a session's token."""
    credentials = ReadOnlyCredentials("access", "secret", token)
    signer = RequestSigner("sqs", "eu-central-1", "sqs.eu-central-1.amazonaws.com", path)
    signed = signer.signed_headers(HEADERS, body, credentials, AT)
    authorization = signed.pop("authorization")
    request: Any = AWSRequest(
        "POST", f"https://sqs.eu-central-1.amazonaws.com{path}", signed, data=body
    )
    request.context["timestamp"] = signed["x-amz-date"]
    botocore = SigV4Auth(credentials, "sqs", "eu-central-1")
    text = botocore.string_to_sign(request, botocore.canonical_request(request))
    assert authorization == (
        f"AWS4-HMAC-SHA256 Credential={botocore.scope(request)}, "
        f"SignedHeaders={botocore.signed_headers(botocore.headers_to_sign(request))}, "
        f"Signature={botocore.signature(text, request)}"
    )

"""The policy document of an upload form, which the local store does not enforce."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest

from rts_server.config import Settings
from rts_server.files.store import ObjectStore
from rts_server.files.upload import METADATA_HEADER, Upload
from tests.helpers.file_samples import LONGEST


@pytest.fixture
async def store(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[ObjectStore]:
    """A store that signs locally, without a request."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    made = ObjectStore(Settings(aws_region="eu-central-1", bucket="chat-files"))
    yield made
    await made.close()


async def policy(store: ObjectStore) -> tuple[str, dict[str, str], dict[str, Any]]:
    url, fields = await store.presign_post(LONGEST, 300)
    document: dict[str, Any] = json.loads(b64decode(fields["policy"]))
    return url, fields, document


async def test_every_field_is_signed(store: ObjectStore) -> None:
    """The policy allows exactly one key, size, content type and checksum (A6)."""
    url, fields, document = await policy(store)
    assert url == "https://chat-files.s3.eu-central-1.amazonaws.com/"
    ranges = [one for one in document["conditions"] if isinstance(one, list)]
    assert ranges == [["content-length-range", LONGEST.size, LONGEST.size]]
    exact: dict[str, str] = {}
    for one in document["conditions"]:
        exact |= one if isinstance(one, dict) else {}
    assert exact.pop("bucket") == "chat-files"
    assert exact == {n: v for n, v in fields.items() if n not in ("policy", "x-amz-signature")}
    assert fields["key"] == f"pending/{LONGEST.room_id}/{LONGEST.attachment_id}"
    assert fields["Content-Type"] == LONGEST.content_type
    assert fields["x-amz-checksum-sha256"] == LONGEST.checksum_sha256


async def test_an_upload_form_expires(store: ObjectStore) -> None:
    """The policy expires after the given seconds."""
    _, _, document = await policy(store)
    left = datetime.fromisoformat(document["expiration"]) - datetime.now(UTC)
    assert 290 < left.total_seconds() <= 300


async def test_the_longest_names_fit(store: ObjectStore) -> None:
    """The metadata is ASCII below 2 KB without `$`, and contains everything that was signed."""
    _, fields, _ = await policy(store)
    kept = {
        n.removeprefix(METADATA_HEADER): v
        for n, v in fields.items()
        if n.startswith(METADATA_HEADER)
    }
    assert sum(len(name) + len(value) for name, value in kept.items()) <= 2048
    assert all(value.isascii() and "$" not in value for value in kept.values())
    assert Upload.of_object(LONGEST.attachment_id, kept) == LONGEST


def test_an_object_without_our_metadata_is_no_upload() -> None:
    """Whoever wrote it, it has no owner and cannot be completed."""
    assert Upload.of_object("a", {}) is None
    assert Upload.of_object("a", LONGEST.metadata() | {"size": "x"}) is None

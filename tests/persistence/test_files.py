"""File changes of messages, queued by one function and done by the other."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError, EndpointConnectionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lambdas import files, tables
from lambdas.chat_message_to_db.handler import lambda_handler as message_handler
from lambdas.chat_room_to_db.handler import lambda_handler as room_handler
from rts_server.persistence import records
from tests.helpers import aws
from tests.helpers.lambda_batches import OK, failing, fault, forwarded, quarantined, taken
from tests.helpers.record_samples import added, changed, new, reacted

pytestmark = pytest.mark.usefixtures("bucket")

ATTACHMENTS = [{"attachment_id": one, "name": f"{one}.png"} for one in ("a1", "a2")]
KEEP = {"room_id": "room-1", "keep": ["a1", "a2"], "erase": []}
ERASE = {"room_id": "room-1", "keep": [], "erase": ["a1", "a2"]}


@pytest.fixture(scope="module")
def bucket(tables: None) -> None:
    """An empty bucket beside the tables."""
    boto3.client("s3").create_bucket(Bucket="chat-files")


def deleted(*erased: str) -> str:
    """Return the record of a deleted message with the files to erase."""
    body = json.loads(changed("message.deleted", 1, 9, 1, "m1", 2))
    return json.dumps(body | {"erases": list(erased)})


def files_record(files: dict[str, Any]) -> str:
    """Return a record `files`."""
    return json.dumps({"v": 1, "files": files})


def upload(*attachment_ids: str) -> None:
    """Store files that no message cites."""
    for one in attachment_ids:
        key = records.file_key("room-1", one)
        boto3.client("s3").put_object(
            Bucket="chat-files", Key=key, Body=b"x", Tagging="state=uncited"
        )


def states() -> dict[str, str]:
    """Return attachment → state of its tag."""
    s3 = boto3.client("s3")
    found = s3.list_objects_v2(Bucket="chat-files").get("Contents", [])
    tags = {
        one["Key"]: s3.get_object_tagging(Bucket="chat-files", Key=one["Key"])["TagSet"]
        for one in found
    }
    return {key.rpartition("/")[2]: tag[0]["Value"] for key, tag in tags.items()}


def test_a_message_queues_the_changes_of_its_files() -> None:
    """A stored message keeps its files, a deleted one erases them; others queue nothing."""
    batch = aws.event(new(1, 1, 1, attachments=ATTACHMENTS), new(1, 2, 2))
    assert message_handler(batch, None) == OK
    assert forwarded() == [KEEP]
    edited = changed("message.updated", 1, 3, 1, "m1", 2, attachments=ATTACHMENTS)
    reaction = reacted(1, 4, "m1", 3, "bob")
    assert message_handler(aws.event(edited, reaction), None) == OK
    assert forwarded() == []
    assert message_handler(aws.event(deleted("a1", "a2"), deleted()), None) == OK
    assert forwarded() == [ERASE]


def test_a_message_whose_file_record_cannot_be_sent_is_repeated() -> None:
    """While the room queue is away the record stays, and is sent later."""
    away = EndpointConnectionError(endpoint_url="x")
    batch = aws.event(new(1, 5, 5, attachments=ATTACHMENTS))
    with fault(tables._sqs(), "before-call.sqs.SendMessage", away, lambda _: True):
        assert message_handler(batch, None) == failing(0)
    assert message_handler(batch, None) == OK
    assert forwarded() == [KEEP]


@given(st.lists(st.sampled_from(["keep", "erase"]), min_size=1, max_size=5))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_repetition_gives_the_same_files(order: list[str]) -> None:
    """An erased file stays erased, whatever keeps it before or after (D8)."""
    upload("a1", "a2", "other")
    for kind in order:
        body = files_record({"room_id": "room-1", kind: ["a1", "a2"]})
        assert room_handler(aws.event(body), None) == OK
    left = {} if "erase" in order else {"a1": "cited", "a2": "cited"}
    assert states() == left | {"other": "uncited"}


def test_an_outage_of_s3_delays_only_file_records() -> None:
    """While S3 is away members are stored, and the record of files comes again."""
    upload("a1")
    batch = aws.event(files_record(ERASE), added(1, 1, "alice"))
    away = EndpointConnectionError(endpoint_url="x")
    with fault(files._s3(), "before-call.s3.DeleteObject", away, lambda _: True):
        assert room_handler(batch, None) == failing(0)
    assert aws.item("chat-rooms", "room-1", "MEMBER#alice")
    assert "a1" in states()
    denied = ClientError({"Error": {"Code": "AccessDenied"}}, "PutObjectTagging")
    with fault(files._s3(), "before-call.s3.PutObjectTagging", denied, lambda _: True):
        assert room_handler(aws.event(files_record(KEEP)), None) == failing(0)
    assert room_handler(batch, None) == OK
    assert "a1" not in states()


def test_a_deleted_room_erases_its_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages of files and citations are erased, none of other rooms; failures are repeated."""
    monkeypatch.setattr(files, "KEYS_PER_PAGE", 2)
    s3, other = boto3.client("s3"), records.file_key("room-10", "a1")
    upload("a1", "a2", "a3")
    for key in (records.citation_key("room-1", "a1"), other):
        s3.put_object(Bucket="chat-files", Key=key, Body=b"x")
    assert message_handler(aws.event(records.expiry("room-1", 2_000_000_000)), None) == OK
    waiting = [body for body in taken() if "files" in body]
    away = ClientError({"Error": {"Code": "SlowDown"}}, "DeleteObjects")
    with fault(files._s3(), "before-call.s3.DeleteObjects", away, lambda _: True):
        assert room_handler(aws.event(*waiting), None) == failing(0)
    refused = {"Errors": [{"Key": "x", "Code": "InternalError"}]}
    with monkeypatch.context() as patch:
        patch.setattr(files._s3(), "delete_objects", lambda **_: refused)
        assert room_handler(aws.event(*waiting), None) == failing(0)
    pages = 0
    while waiting:
        assert room_handler(aws.event(*waiting, files_record(KEEP)), None) == OK
        pages, waiting = pages + 1, taken()
    left = s3.list_objects_v2(Bucket="chat-files").get("Contents", [])
    assert ([one["Key"] for one in left], pages) == ([other], 2)
    s3.delete_object(Bucket="chat-files", Key=other)


@pytest.mark.parametrize(
    "body",
    [
        files_record({"room_id": "room-1", "erase": ["../x"]}),
        files_record({"room_id": "room-1", "whole_room": "no"}),
        files_record({"room_id": "a/b", "erase": ["a1"]}),
        files_record({"erase": ["a1"]}),
    ],
)
def test_an_invalid_file_record_is_poison(body: str) -> None:
    """Ids that could reach another key are quarantined."""
    assert room_handler(aws.event(body), None) == OK
    assert quarantined()[0]["record"] == body


def test_an_attachment_without_an_id_is_poison() -> None:
    """A message whose files could never be erased is not stored."""
    body = new(1, 6, 6, attachments=[{"attachment_id": "../x"}])
    assert message_handler(aws.event(body), None) == OK
    assert "attachments" in quarantined()[0]["reason"]

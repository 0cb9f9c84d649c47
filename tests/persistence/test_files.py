"""What the functions do for files: told through the room queue, done in the bucket."""

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
    """A tombstone's record; what goes with it is told beside the event."""
    body = json.loads(changed("message.deleted", 1, 9, 1, "m1", 2))
    return json.dumps(body | {"erases": list(erased)})


def told(files: dict[str, Any]) -> str:
    """A record `files`."""
    return json.dumps({"v": 1, "files": files})


def upload(*attachment_ids: str) -> None:
    """Files nobody cites yet."""
    for one in attachment_ids:
        key = records.file_key("room-1", one)
        boto3.client("s3").put_object(
            Bucket="chat-files", Key=key, Body=b"x", Tagging="state=uncited"
        )


def states() -> dict[str, str]:
    """Attachment → what its tag says."""
    s3 = boto3.client("s3")
    found = s3.list_objects_v2(Bucket="chat-files").get("Contents", [])
    tags = {
        one["Key"]: s3.get_object_tagging(Bucket="chat-files", Key=one["Key"])["TagSet"]
        for one in found
    }
    return {key.rpartition("/")[2]: tag[0]["Value"] for key, tag in tags.items()}


def test_a_message_tells_of_its_files() -> None:
    """Stored, its files are to be kept; deleted, they are to go; others send nothing."""
    batch = aws.event(new(1, 1, 1, attachments=ATTACHMENTS), new(1, 2, 2))
    assert message_handler(batch, None) == OK
    assert forwarded() == [KEEP]
    edited = changed("message.updated", 1, 3, 1, "m1", 2, attachments=ATTACHMENTS)
    reaction = reacted(1, 4, 1, "m1", 3, attachments=ATTACHMENTS)
    assert message_handler(aws.event(edited, reaction), None) == OK
    assert forwarded() == []
    assert message_handler(aws.event(deleted("a1", "a2"), deleted()), None) == OK
    assert forwarded() == [ERASE]


def test_a_message_whose_files_cannot_be_told_of_stays_in_the_queue() -> None:
    """The room queue away: the record comes again, and then tells."""
    away = EndpointConnectionError(endpoint_url="x")
    batch = aws.event(new(1, 5, 5, attachments=ATTACHMENTS))
    with fault(tables._sqs(), "before-call.sqs.SendMessage", away, lambda _: True):
        assert message_handler(batch, None) == failing(0)
    assert message_handler(batch, None) == OK
    assert forwarded() == [KEEP]


@given(st.lists(st.sampled_from(["keep", "erase"]), min_size=1, max_size=5))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_and_repetition_ends_alike(order: list[str]) -> None:
    """Once erased a file is gone, whatever is kept before or after; else it is kept."""
    upload("a1", "a2", "other")
    for kind in order:
        body = told({"room_id": "room-1", kind: ["a1", "a2"]})
        assert room_handler(aws.event(body), None) == OK
    left = {} if "erase" in order else {"a1": "cited", "a2": "cited"}
    assert states() == left | {"other": "uncited"}


def test_without_the_store_only_this_record_waits() -> None:
    """S3 away: members are stored all the same, the record comes again."""
    upload("a1")
    batch = aws.event(told(ERASE), added(1, 1, "alice"))
    away = EndpointConnectionError(endpoint_url="x")
    with fault(files._s3(), "before-call.s3.DeleteObject", away, lambda _: True):
        assert room_handler(batch, None) == failing(0)
    assert aws.item("chat-rooms", "room-1", "MEMBER#alice")
    assert "a1" in states()
    denied = ClientError({"Error": {"Code": "AccessDenied"}}, "PutObjectTagging")
    with fault(files._s3(), "before-call.s3.PutObjectTagging", denied, lambda _: True):
        assert room_handler(aws.event(told(KEEP)), None) == failing(0)
    assert room_handler(batch, None) == OK
    assert "a1" not in states()


def test_a_deleted_room_takes_its_files_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Cited, uncited, and who cites them, over as many pages as it takes; nobody else's; a file
    that one could not erase is tried again."""
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
        assert room_handler(aws.event(*waiting, told(KEEP)), None) == OK
        pages, waiting = pages + 1, taken()
    left = s3.list_objects_v2(Bucket="chat-files").get("Contents", [])
    assert ([one["Key"] for one in left], pages) == ([other], 2)
    s3.delete_object(Bucket="chat-files", Key=other)


@pytest.mark.parametrize(
    "body",
    [
        told({"room_id": "room-1", "erase": ["../x"]}),
        told({"room_id": "room-1", "whole_room": "no"}),
        told({"room_id": "a/b", "erase": ["a1"]}),
        told({"erase": ["a1"]}),
    ],
)
def test_what_names_no_file_is_poison(body: str) -> None:
    """Ids that could reach another key are put aside."""
    assert room_handler(aws.event(body), None) == OK
    assert quarantined()[0]["record"] == body


def test_an_attachment_without_an_id_is_poison() -> None:
    """A message whose files could never be erased is not stored."""
    body = new(1, 6, 6, attachments=[{"attachment_id": "../x"}])
    assert message_handler(aws.event(body), None) == OK
    assert "attachments" in quarantined()[0]["reason"]

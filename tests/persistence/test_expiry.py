"""The messages of a deleted room expire, page by page, after the last of them."""

from __future__ import annotations

import json
from typing import Any

import boto3
import pytest

from lambdas import expiry
from lambdas.chat_message_to_db.handler import lambda_handler as message_handler
from lambdas.chat_room_to_db.handler import lambda_handler as room_handler
from rts_server.persistence import records
from tests.helpers import aws
from tests.helpers.lambda_batches import OK, taken
from tests.helpers.record_samples import new

pytestmark = pytest.mark.usefixtures("tables")


def test_every_message_of_a_deleted_room_expires(monkeypatch: pytest.MonkeyPatch) -> None:
    """All pages before the record are marked, other rooms are not; repeating is harmless."""
    monkeypatch.setattr(expiry, "EXPIRY_PAGE_MESSAGES", 2)
    told = records.expiry("gone", 2_000_000_000)
    bodies = [new(1, n, n, room_id="gone") for n in range(1, 6)]
    assert message_handler(aws.event(*bodies, told), None) == OK
    assert message_handler(aws.event(new(1, 1, 1, room_id="stays")), None) == OK
    pages, waiting = 0, [body for body in taken() if "expiry" in body] * 2
    while waiting:
        assert room_handler(aws.event(*waiting), None) == OK
        pages, waiting = pages + 1, taken()
    assert pages == 3
    table = boto3.resource("dynamodb").Table("chat-messages")
    kept: list[Any] = table.scan()["Items"]
    ends = [(item["room_id"], item.get("expires_at")) for item in kept]
    assert sorted(ends, key=str) == [("gone", 2_000_000_000)] * 5 + [("stays", None)]


def test_an_invalid_expiry_is_quarantined() -> None:
    """An expiry without a time is poison."""
    assert message_handler(aws.event(json.dumps({"v": 1, "expiry": {"room_id": "x"}})), None) == OK
    assert taken() == []

"""The two functions: partial failures, quarantine, conflicts, proof of the running code."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError, EndpointConnectionError

from lambdas import fingerprint, tables
from lambdas.batch_report import METRICS
from lambdas.chat_message_to_db.handler import lambda_handler as message_handler
from lambdas.chat_room_to_db.handler import lambda_handler as room_handler
from rts_server.persistence import records
from tests.helpers import aws
from tests.helpers.lambda_batches import OK, failing, fault, quarantined
from tests.helpers.record_samples import added, barrier, new, room

pytestmark = pytest.mark.usefixtures("tables")


def refusal(code: str, **more: Any) -> ClientError:
    response: Any = {"Error": {"Code": code, "Message": "says DynamoDB"}, **more}
    return ClientError(response, "UpdateItem")


def dynamodb(error: Exception, when: Callable[[str], bool], call: str = "UpdateItem") -> Any:
    return fault(tables.client(), f"before-call.dynamodb.{call}", error, when)


def stored(room_id: str) -> set[str]:
    return {item["message_id"] for item in aws.items("chat-messages", room_id)}


def test_a_transient_fault_fails_the_rest_of_its_own_group_only() -> None:
    """A throttled record and the later ones of its group return; others are stored."""
    a, b = "group-a", "group-b"
    batch = aws.event(
        new(1, 1, 1, room_id=a),
        new(1, 1, 1, room_id=b),
        new(1, 2, 2, room_id=a),
        new(1, 2, 2, room_id=b),
        barrier("passed", room_id=b),
    )
    throttle = refusal("ThrottlingException")
    with dynamodb(throttle, lambda body: b in body and '"chat-messages"' in body):
        assert message_handler(batch, None) == failing(1, 3, 4)
    assert stored(a) == {"m1", "m2"}
    assert stored(b) == set()
    assert "barrier" not in (aws.item("chat-rooms", b, "ROOM") or {})
    assert message_handler(batch, None) == OK
    assert stored(b) == {"m1", "m2"}


def test_when_all_fail_all_return() -> None:
    """If nothing can be applied, the function reports that and does not crash."""
    batch = aws.event(*(new(1, i, i, room_id="all") for i in (1, 2)))
    with dynamodb(EndpointConnectionError(endpoint_url="x"), lambda _: True):
        assert message_handler(batch, None) == failing(0, 1)
    with dynamodb(EndpointConnectionError(endpoint_url="x"), lambda _: True):
        assert room_handler(aws.event(room(1, 1, room_id="all")), None) == failing(0)


def test_a_failed_watermark_holds_the_barrier_back() -> None:
    """Else it would pass while the room's seq is behind its messages; all return (D1)."""
    batch = aws.event(new(1, 1, 1, room_id="lift"), barrier("n", room_id="lift"))
    broken = refusal("ValidationException")
    with dynamodb(broken, lambda body: "last_position" in body):
        assert message_handler(batch, None) == failing(0, 1)
    assert "barrier" not in (aws.item("chat-rooms", "lift", "ROOM") or {})
    assert quarantined() == []
    assert message_handler(batch, None) == OK
    assert (aws.item("chat-rooms", "lift", "HEAD") or {})["seq"] == 1
    assert (aws.item("chat-rooms", "lift", "ROOM") or {})["barrier"] == "n"


def test_poison_is_quarantined_and_its_room_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """The quarantine gets reason and position; the text is not logged (Q1)."""
    sick = new(1, 2, 2, room_id="sick").replace('"v": 1', '"v": 99')
    batch = aws.event(
        new(1, 1, 1, room_id="sick"),
        sick,
        "no json",
        new(1, 3, 3, room_id="sick"),
        groups=["g"] * 4,
    )
    assert message_handler(batch, None) == OK
    assert stored("sick") == {"m1", "m3"}
    first, second = sorted(quarantined(), key=lambda entry: entry["record"] != sick)
    assert first["record"] == sick
    assert "v" in first["reason"]
    assert (first["room_id"], first["epoch"], first["offset"]) == ("sick", 1, 2)
    assert (first["message_id"], first["client_msg_id"], first["seq"]) == ("m2", "c-m2", 2)
    assert second == {"reason": "not JSON: JSONDecodeError", "record": "no json"}
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["message"] for line in lines] == ["quarantined", "quarantined", "batch"]
    assert "text of" not in json.dumps(lines)


def test_a_batch_is_one_log_line(
    capsys: pytest.CaptureFixture[str],
) -> None:
    """It counts, names the first and the last record, and holds the lags as metrics; no text."""
    sent = [new(1, seq, seq, room_id="told") for seq in (1, 2)]
    batch = aws.event(*sent, barrier("n", room_id="told"), "no json")
    for record in batch["Records"]:
        record["attributes"]["SentTimestamp"] = str(int(time.time() * 1000) - 5_000)
    assert message_handler(batch, None) == OK
    line = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert line["kinds"] == {"message.new": 2, "barrier": 1}
    first = {"kind": "message.new", "room_id": "told", "epoch": 1, "offset": 1}
    assert line["first"] == first | {"message_id": "m1", "seq": 1}
    assert line["last"] == {"kind": "barrier", "room_id": "told"}
    assert "m2" not in json.dumps(line)
    (directive,) = line["_aws"]["CloudWatchMetrics"]
    assert {one["Name"]: one["Unit"] for one in directive["Metrics"]} == METRICS
    assert directive["Dimensions"] == [["Process"]]
    assert line["Process"] == "chat-message-to-db"
    assert (line["Stored"], line["Quarantined"], line["Returned"]) == (3, 1, 0)
    assert [5_000 <= lag < 60_000 for lag in line["QueuedToStored"]] == [True] * 3
    assert len(line["AcceptedToStored"]) == 2
    assert "text of" not in json.dumps(line)
    assert len(quarantined()) == 1


def test_poison_stays_while_the_quarantine_is_away() -> None:
    """A record that can neither be applied nor quarantined goes back to its queue."""
    away = EndpointConnectionError(endpoint_url="x")
    with fault(tables._sqs(), "before-call.sqs.SendMessage", away, lambda _: True):
        assert room_handler(aws.event("no json"), None) == failing(0)
    assert room_handler(aws.event("no json"), None) == OK
    assert len(quarantined()) == 1


def test_a_record_that_dynamodb_never_accepts_is_poison() -> None:
    """A ValidationException on the record's own write quarantines it."""
    batch = aws.event(new(1, 1, 1, room_id="big"), new(1, 2, 2, room_id="big"))
    with dynamodb(
        refusal("ValidationException"),
        lambda body: '"message_id":{"S":"m1"}' in body.replace(" ", ""),
    ):
        assert message_handler(batch, None) == OK
    assert stored("big") == {"m2"}
    assert quarantined()[0]["reason"] == "ValidationException: says DynamoDB"


def test_a_message_of_400_kilobytes_is_poison() -> None:
    """A record that DynamoDB refuses for its size is quarantined with its position."""
    batch = aws.event(new(1, 1, 1, room_id="huge", text="x" * 500_000))
    assert message_handler(batch, None) == OK
    (entry,) = quarantined()
    assert (entry["room_id"], entry["message_id"], entry["truncated"]) == ("huge", "m1", True)


def test_a_conflict_between_the_functions_is_retried() -> None:
    """Both write the room's item; a TransactionConflict is retried within the invocation."""
    left = [3]

    def first_three(_: str) -> bool:
        left[0] -= 1
        return left[0] >= 0

    with dynamodb(refusal("TransactionConflictException"), first_three):
        assert message_handler(aws.event(new(1, 1, 1, room_id="busy")), None) == OK
    left[0] = 3
    reasons = [{"Code": "TransactionConflict"}, {"Code": "None"}]
    cancelled = refusal("TransactionCanceledException", CancellationReasons=reasons)
    with dynamodb(cancelled, first_three, "TransactWriteItems"):
        assert room_handler(aws.event(added(1, 1, "alice", room_id="busy")), None) == OK
    assert aws.item("chat-rooms", "busy", "MEMBER#alice")


def test_a_lasting_conflict_returns_the_record(monkeypatch: pytest.MonkeyPatch) -> None:
    """After a few tries the record goes back, with the rest of its group."""
    monkeypatch.setattr(tables, "pause", lambda attempt: None)
    conflict = refusal("TransactionConflictException")
    with dynamodb(conflict, lambda _: True):
        batch = aws.event(new(1, 1, 1, room_id="jam"), new(1, 2, 2, room_id="jam"))
        assert message_handler(batch, None) == failing(0, 1)


def test_one_newer_member_does_not_block_the_others() -> None:
    """A transaction that one condition cancels is applied member by member."""
    crowd = [f"user-{i:03d}" for i in range(70)]
    assert room_handler(aws.event(added(1, 9, "user-007", room_id="crowd", seq=4)), None) == OK
    assert room_handler(aws.event(added(1, 5, *crowd, room_id="crowd", seq=1)), None) == OK
    items = aws.items("chat-rooms", "crowd")
    found = {item["user_id"]: item for item in items if "user_id" in item}
    assert set(found) == set(crowd)
    assert (found["user-007"]["join_seq"], found["user-008"]["join_seq"]) == (4, 1)
    assert found["user-007"]["pos"] == records.position(1, 9)


@pytest.mark.parametrize(
    ("codes", "meaning"),
    [
        (["ConditionalCheckFailed", "TransactionConflict"], "refused"),
        (["None", "ConditionalCheckFailed", "None"], "older"),
        (["None", "ConditionalCheckFailed", "TransactionConflict"], "again"),
        (["None", "ValidationError"], "invalid"),
        (["None", "ThrottlingError", "ValidationError"], "again"),
    ],
)
def test_a_cancelled_transaction_is_classified(codes: list[str], meaning: str) -> None:
    """With a conflict among the reasons it is tried again: only certainty is final."""
    assert records.classify_cancellation(codes) == meaning


def test_the_probe_returns_the_hash_of_the_code(tmp_path: Path) -> None:
    """Both functions return the hash of their sources; one byte more changes it."""
    for package in fingerprint.PACKAGES:
        source = fingerprint.ROOT / package
        shutil.copytree(source, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    expected = {"sha256": fingerprint.fingerprint(tmp_path)}
    assert message_handler({"probe": True}, None) == expected
    assert room_handler({"probe": True}, None) == expected
    with (tmp_path / "lambdas" / "tables.py").open("a") as file:
        file.write("\n")
    assert fingerprint.fingerprint(tmp_path) != expected["sha256"]

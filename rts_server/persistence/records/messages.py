"""The writes to the tables by message records and barriers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rts_server.persistence.records import shapes
from rts_server.persistence.records.expiry import forward_expiry
from rts_server.persistence.records.files import file_changes_record
from rts_server.persistence.records.keys import (
    MESSAGES,
    ROOMS,
    body_key,
    deleted_key,
    failure_key,
    final_key,
    message_key,
    position,
    room_key,
)
from rts_server.persistence.records.reactions import close_reactions, write_reaction
from rts_server.persistence.records.record import REACTION, Record, Rule
from rts_server.persistence.records.record_data import BarrierData, FailureData, MessageData
from rts_server.persistence.records.write import Step, UpdateArguments, Write, stored_text, update


def uncounted(room_id: str, seq: int) -> Write:
    """Add a seq to those that never count as unread."""
    given: UpdateArguments = {
        "Key": deleted_key(room_id, seq),
        "UpdateExpression": "ADD #seqs :seqs",
        "ExpressionAttributeNames": {"#seqs": "seqs"},
        "ExpressionAttributeValues": {":seqs": {seq}},
    }
    return Write(ROOMS, given)


def _new_message(record: Record[MessageData]) -> list[Step]:
    """One write if the message is new; if it is there already, each part by its own rank."""
    message = record.data["message"]
    key = message_key(record.room_id, message["message_id"])
    place = {
        "position": position(message["epoch"], message["seq"]),
        "epoch": message["epoch"],
        "seq": message["seq"],
        "offset": record.offset,
    }
    body = {
        "body": stored_text(message),
        "body_key": rank(record),
    }
    body_hash = {} if record.hash is None else {"hash": record.hash}
    parts = [
        Write(MESSAGES, update(key, place, above=["position"], absent=["failed"])),
        Write(MESSAGES, update(key, body, above=["body_key"])),
    ]
    if body_hash:
        parts.append(Write(MESSAGES, update(key, body_hash, absent=["hash"])))
    first = update(key, {**place, **body, **body_hash}, absent=["message_id"])
    steps: list[Step] = [Write(MESSAGES, first, tuple(parts))]
    if silent(message):
        steps.append(uncounted(record.room_id, message["seq"]))
    cited = [one["attachment_id"] for one in message.get("attachments", ())]
    return [*steps, file_changes_record(record.room_id, keep=cited)] if cited else steps


def _message_updated(record: Record[MessageData]) -> list[Step]:
    return [_body(record)]


def _message_deleted(record: Record[MessageData]) -> list[Step]:
    """Write a tombstone that keeps its place; its seq counts as unread no more."""
    room_id, message = record.room_id, record.data["message"]
    steps: list[Step] = [_body(record), uncounted(room_id, message["seq"])]
    steps.append(close_reactions(room_id, message["message_id"]))
    erased = record.erases
    return [*steps, file_changes_record(room_id, erase=erased)] if erased else steps


def _body(record: Record[MessageData]) -> Write:
    message = record.data["message"]
    values = {"body": stored_text(message), "body_key": rank(record)}
    key = message_key(record.room_id, message["message_id"])
    return Write(MESSAGES, update(key, values, above=["body_key"]))


def rank(record: Record[MessageData]) -> str:
    """Return the rank of a message's state as text: the newer state has the higher rank."""
    if record.kind == "message.deleted":
        return final_key(record.epoch, record.offset)
    return body_key(record.data["message"]["version"], record.epoch, record.offset)


def silent(message: Mapping[str, Any]) -> bool:
    """Return whether a message neither counts as unread nor moves its room in the list."""
    return bool(message["type"] == "system")


def _failed_message(record: Record[FailureData]) -> list[Step]:
    """Write a tombstone without a place in the history; its seq stays used and does not count."""
    data = record.data
    values = {
        "failed": True,
        "body": stored_text({**data, "room_id": record.room_id, "epoch": record.epoch}),
        "body_key": failure_key(record.epoch, record.offset),
        "epoch": record.epoch,
        "seq": data["seq"],
    }
    key = message_key(record.room_id, data["message_id"])
    tombstone = update(key, values, above=["body_key"], remove=["position", "offset"])
    return [Write(MESSAGES, tombstone), uncounted(record.room_id, data["seq"])]


def _barrier_passed(record: Record[BarrierData]) -> list[Step]:
    return [Write(ROOMS, update(room_key(record.room_id), {"barrier": record.data["nonce"]}))]


MESSAGE_KINDS: dict[str, Rule] = {
    "message.new": Rule(shapes.ONE_MESSAGE, _new_message),
    "message.updated": Rule(shapes.ONE_MESSAGE, _message_updated),
    "message.deleted": Rule(shapes.ONE_MESSAGE, _message_deleted),
    REACTION: Rule(shapes.ONE_REACTION, write_reaction),
    "message.failed": Rule(shapes.ONE_FAILURE, _failed_message),
    "barrier": Rule(shapes.BARRIER, _barrier_passed),
    "expiry": Rule(shapes.EXPIRY, forward_expiry),
}

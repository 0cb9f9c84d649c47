"""The I/O of both functions: conditional writes, other queues, log lines without text."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterable
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from lambdas import files
from lambdas.expiry import expire
from rts_server.persistence.records import (
    MESSAGES,
    ROOMS,
    DeletePrefixes,
    ExpireMessages,
    FileChanges,
    ForwardedRecord,
    Poison,
    Step,
    Transaction,
    Write,
    classify_cancellation,
    quarantine_entry,
    recognized_fields,
)

if TYPE_CHECKING:
    from mypy_boto3_dynamodb import DynamoDBClient, DynamoDBServiceResource
    from mypy_boto3_sqs import SQSClient

CONFIG = Config(
    connect_timeout=1, read_timeout=3, retries={"total_max_attempts": 4, "mode": "standard"}
)
CONFLICTS = 6
VARIABLES = {ROOMS: "RTS_ROOMS_TABLE", MESSAGES: "RTS_MESSAGES_TABLE"}


@cache
def _dynamodb() -> DynamoDBServiceResource:
    return boto3.resource("dynamodb", config=CONFIG)


def _client() -> DynamoDBClient:
    return _dynamodb().meta.client


@cache
def _sqs() -> SQSClient:
    return boto3.client("sqs", config=CONFIG)


@cache
def _queue_url(given: str) -> str:
    """RTS_QUARANTINE_URL and RTS_ROOM_QUEUE_URL hold a queue's URL or its name."""
    return given if "://" in given else _sqs().get_queue_url(QueueName=given)["QueueUrl"]


def apply(steps: Iterable[Step]) -> None:
    """Do the writes in order. Raises Poison for what DynamoDB can never take, else ClientError."""
    try:
        lift(steps)
    except ClientError as error:
        if _code(error) != "ValidationException":
            raise
        says = error.response["Error"].get("Message", "")[:200]
        raise Poison(f"ValidationException: {says}") from None


def lift(steps: Iterable[Step]) -> None:
    """Do the writes in order; whatever AWS says is raised, so that the record stays."""
    for step in steps:
        match step:
            case Transaction():
                _transact(step)
            case Write():
                _write(step)
            case ForwardedRecord():
                _forward(step)
            case FileChanges():
                files.settle(step)
            case ExpireMessages() | DeletePrefixes():
                if rest := _page(step):
                    _forward(rest)


def _page(step: ExpireMessages | DeletePrefixes) -> ForwardedRecord | None:
    """A part of what takes long; the record of the rest."""
    return expire(_client(), step) if isinstance(step, ExpireMessages) else files.empty(step)


def _write(write: Write) -> None:
    name = os.environ[VARIABLES[write.table]]
    for again in range(CONFLICTS, -1, -1):
        try:
            _client().update_item(TableName=name, **write.given)
            return
        except ClientError as error:
            if _code(error) == "ConditionalCheckFailedException":
                break
            if _code(error) != "TransactionConflictException" or not again:
                raise
            _pause(CONFLICTS - again)
    for other in write.otherwise:
        _write(other)


def _forward(record: ForwardedRecord) -> None:
    queue = _queue_url(os.environ["RTS_ROOM_QUEUE_URL"])
    _sqs().send_message(QueueUrl=queue, MessageBody=record.body)


def _transact(transaction: Transaction) -> None:
    items: Any = transaction.items(os.environ[VARIABLES[transaction.table]])
    for again in range(CONFLICTS, -1, -1):
        try:
            _client().transact_write_items(TransactItems=items)
            return
        except ClientError as error:
            meaning = _meaning(error)
            if meaning == "older":
                break
            if meaning == "refused":
                return
            if meaning == "invalid":
                raise Poison("ValidationError in a transaction") from None
            if meaning != "again" or not again:
                raise
            _pause(CONFLICTS - again)
    if len(transaction.updates) > 1:
        for one in transaction.split():
            _transact(one)


def _meaning(error: ClientError) -> str:
    """The verdict of a cancelled transaction; empty for any other error."""
    if _code(error) != "TransactionCanceledException":
        return ""
    response: Any = error.response
    return classify_cancellation(
        [reason.get("Code", "None") for reason in response["CancellationReasons"]]
    )


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def _pause(attempt: int) -> None:
    """Both functions touch a room's item: a conflict passes in milliseconds, a retry costs 60 s."""
    time.sleep(random.uniform(0.5, 1.0) * 0.01 * 2**attempt)


def quarantine(body: str, reason: str) -> None:
    """Put a record aside. Raises when the queue cannot be reached: the record then stays."""
    _sqs().send_message(
        QueueUrl=_queue_url(os.environ["RTS_QUARANTINE_URL"]),
        MessageBody=quarantine_entry(body, reason),
    )
    log("error", "quarantined", reason=reason, **recognized_fields(body))


def failed(body: str, error: Exception) -> None:
    """Log a record that goes back to its queue."""
    kind = _code(error) if isinstance(error, ClientError) else type(error).__name__
    log("warning", "returned to the queue", error=kind, **recognized_fields(body))


def log(level: str, message: str, **more: Any) -> None:
    """One line of JSON; positions and reasons only, never a text."""
    print(json.dumps({"level": level, "message": message, **more}), flush=True)

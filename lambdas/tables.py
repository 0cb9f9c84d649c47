"""I/O of both functions: conditional writes, messages to other queues, log lines without text."""

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
from lambdas.expiry import expire_page
from lambdas.files import CREATING
from lambdas.replacements import replace
from rts_server.persistence.records import (
    MESSAGES,
    ROOMS,
    DeletePrefixes,
    ExpireMessages,
    FileChanges,
    ForwardedRecord,
    Poison,
    Replacement,
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

MAX_CALLS_AT_ONCE = 12
"""As many as ten messages of one sender in one room need: a batch of SQS."""
TABLES_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 4, "mode": "standard"},
    max_pool_connections=MAX_CALLS_AT_ONCE,
    # A quarter of the CPU of a call: DynamoDB validates as well, and botocore makes the name that
    # it gives itself anew for each call.
    parameter_validation=False,
    user_agent="rts-server",
)
MAX_CONFLICT_RETRIES = 6
"""Retries of a write that met a transaction of the other function on the same item."""
TABLE_VARIABLES = {ROOMS: "RTS_ROOMS_TABLE", MESSAGES: "RTS_MESSAGES_TABLE"}


@cache
def _dynamodb() -> DynamoDBServiceResource:
    with CREATING:
        return boto3.resource("dynamodb", config=TABLES_CONFIG)


def client() -> DynamoDBClient:
    """Return the client of both tables, which speaks Python's own types."""
    return _dynamodb().meta.client


@cache
def _sqs() -> SQSClient:
    with CREATING:
        return boto3.client("sqs", config=TABLES_CONFIG)


@cache
def _queue_url(url_or_name: str) -> str:
    """Return the URL of a queue; the environment may give a URL or a name."""
    if "://" in url_or_name:
        return url_or_name
    return _sqs().get_queue_url(QueueName=url_or_name)["QueueUrl"]


def apply_record(steps: Iterable[Step]) -> None:
    """Execute the steps of one record in order.

    Raises Poison for a write that DynamoDB can never accept, else ClientError.
    """
    try:
        execute(steps)
    except ClientError as error:
        if _error_code(error) != "ValidationException":
            raise
        reason = error.response["Error"].get("Message", "")[:200]
        raise Poison(f"ValidationException: {reason}") from None


def execute(steps: Iterable[Step]) -> None:
    """Execute steps in order. Raises ClientError for any error, so that the record returns."""
    for step in steps:
        match step:
            case Transaction():
                _transact(step)
            case Write():
                _write(step)
            case Replacement():
                replace(client(), os.environ[TABLE_VARIABLES[step.table]], step)
            case ForwardedRecord():
                _forward(step)
            case FileChanges():
                files.apply_changes(step)
            case ExpireMessages() | DeletePrefixes():
                if rest := _execute_page(step):
                    _forward(rest)


def _execute_page(step: ExpireMessages | DeletePrefixes) -> ForwardedRecord | None:
    """Execute one page of a long step; return the record of the rest, or None."""
    if isinstance(step, ExpireMessages):
        return expire_page(client(), step)
    return files.delete_page(step)


def _write(write: Write) -> None:
    name = os.environ[TABLE_VARIABLES[write.table]]
    for retries_left in range(MAX_CONFLICT_RETRIES, -1, -1):
        try:
            client().update_item(TableName=name, **write.given)
            return
        except ClientError as error:
            if _error_code(error) == "ConditionalCheckFailedException":
                break
            if _error_code(error) != "TransactionConflictException" or not retries_left:
                raise
            pause(MAX_CONFLICT_RETRIES - retries_left)
    for alternative in write.otherwise:
        _write(alternative)


def _forward(record: ForwardedRecord) -> None:
    queue = _queue_url(os.environ["RTS_ROOM_QUEUE_URL"])
    _sqs().send_message(QueueUrl=queue, MessageBody=record.body)


def _transact(transaction: Transaction) -> None:
    items = transaction.items(os.environ[TABLE_VARIABLES[transaction.table]])
    for retries_left in range(MAX_CONFLICT_RETRIES, -1, -1):
        try:
            client().transact_write_items(TransactItems=items)
            return
        except ClientError as error:
            verdict = _verdict(error)
            if verdict == "older":
                break
            if verdict == "refused":
                return
            if verdict == "invalid":
                raise Poison("ValidationError in a transaction") from None
            if verdict != "again" or not retries_left:
                raise
            pause(MAX_CONFLICT_RETRIES - retries_left)
    if len(transaction.updates) > 1:
        for part in transaction.split():
            _transact(part)


def _verdict(error: ClientError) -> str:
    """Return the verdict of a cancelled transaction; "" for any other error."""
    if _error_code(error) != "TransactionCanceledException":
        return ""
    response: Any = error.response
    return classify_cancellation(
        [reason.get("Code", "None") for reason in response["CancellationReasons"]]
    )


def _error_code(error: ClientError) -> str:
    return error.response["Error"]["Code"]


def is_conflict(error: ClientError) -> bool:
    """Return whether another write came in between, so that the next try may succeed."""
    return _error_code(error) in ("ConditionalCheckFailedException", "TransactionConflictException")


def pause(attempt: int) -> None:
    """Wait for the other function: a conflict lasts milliseconds, a returned record 60 s."""
    time.sleep(random.uniform(0.5, 1.0) * 0.01 * 2**attempt)


def quarantine(body: str, reason: str) -> None:
    """Send a record to the quarantine queue. Raises if that fails: the record then returns."""
    _sqs().send_message(
        QueueUrl=_queue_url(os.environ["RTS_QUARANTINE_URL"]),
        MessageBody=quarantine_entry(body, reason),
    )
    log_line("error", "quarantined", reason=reason, **recognized_fields(body))


def log_returned(body: str, error: Exception) -> None:
    """Log a record that returns to its queue."""
    kind = _error_code(error) if isinstance(error, ClientError) else type(error).__name__
    log_line("warning", "returned to the queue", error=kind, **recognized_fields(body))


def log_line(level: str, message: str, **more: Any) -> None:
    """Print one line of JSON, with positions and reasons, never a text."""
    print(json.dumps({"level": level, "message": message, **more}), flush=True)

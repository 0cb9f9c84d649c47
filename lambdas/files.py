"""Changes of records in the bucket. Every call is idempotent and commutes with the others."""

from __future__ import annotations

import os
from functools import cache
from threading import Lock
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from rts_server.persistence.records import DeletePrefixes, FileChanges, ForwardedRecord

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

S3_CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
    # The local AWS has one address for all buckets.
    s3={"addressing_style": "path" if "AWS_ENDPOINT_URL" in os.environ else "auto"},
)

KEYS_PER_PAGE = 1_000
CREATING = Lock()
"""Held while a client is made: threads share clients, but not the session that makes them."""


@cache
def _s3() -> S3Client:
    with CREATING:
        return boto3.client("s3", config=S3_CONFIG)


def apply_changes(changes: FileChanges) -> None:
    """Keep and delete files. Raises ClientError or BotoCoreError: the record then returns."""
    bucket = os.environ["RTS_BUCKET"]
    for key in changes.keep:
        _keep(bucket, key)
    for key in changes.erase:
        _s3().delete_object(Bucket=bucket, Key=key)


def delete_page(step: DeletePrefixes) -> ForwardedRecord | None:
    """Delete a page below each prefix; return the record of the rest, or None.

    Raises ClientError or BotoCoreError.
    """
    bucket, more = os.environ["RTS_BUCKET"], False
    for prefix in step.prefixes:
        page = _s3().list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=KEYS_PER_PAGE)
        if found := page.get("Contents"):
            _delete(bucket, [one["Key"] for one in found])
        more = more or page["IsTruncated"]
    return step.rest if more else None


def _delete(bucket: str, keys: list[str]) -> None:
    """Raises ClientError, also if only some deletions failed: S3 answers 200 then."""
    objects: list[Any] = [{"Key": key} for key in keys]
    answer = _s3().delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    if errors := answer.get("Errors"):
        raise ClientError({"Error": {"Code": errors[0].get("Code", "")}}, "DeleteObjects")


def _keep(bucket: str, key: str) -> None:
    """Tag a file as cited, which exempts it from the lifecycle rule of uncited files."""
    try:
        _s3().put_object_tagging(
            Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "state", "Value": "cited"}]}
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":  # erased already
            raise

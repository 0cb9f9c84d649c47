"""What records do in the bucket: every call is safe to repeat, in any order."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from rts_server.persistence.records import DeletePrefixes, FileChanges, ForwardedRecord

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
    # The local AWS has one address for all buckets.
    s3={"addressing_style": "path" if "AWS_ENDPOINT_URL" in os.environ else "auto"},
)

PAGE = 1_000


@cache
def _s3() -> S3Client:
    return boto3.client("s3", config=CONFIG)


def settle(objects: FileChanges) -> None:
    """Keep and erase. Raises ClientError or BotoCoreError: the record then stays."""
    bucket = os.environ["RTS_BUCKET"]
    for key in objects.keep:
        _keep(bucket, key)
    for key in objects.erase:
        _s3().delete_object(Bucket=bucket, Key=key)


def empty(step: DeletePrefixes) -> ForwardedRecord | None:
    """Erase a page below each prefix; the record of the rest. Raises as `settle` does."""
    bucket, more = os.environ["RTS_BUCKET"], False
    for prefix in step.prefixes:
        page = _s3().list_objects_v2(Bucket=bucket, Prefix=prefix, MaxKeys=PAGE)
        if found := page.get("Contents"):
            _erase(bucket, [one["Key"] for one in found])
        more = more or page["IsTruncated"]
    return step.rest if more else None


def _erase(bucket: str, keys: list[str]) -> None:
    """In one call, whose answer may be a success that was none for some."""
    objects: list[Any] = [{"Key": key} for key in keys]
    answer = _s3().delete_objects(Bucket=bucket, Delete={"Objects": objects, "Quiet": True})
    if errors := answer.get("Errors"):
        raise ClientError({"Error": {"Code": errors[0].get("Code", "")}}, "DeleteObjects")


def _keep(bucket: str, key: str) -> None:
    """From now on the lifecycle rule for files that no message cites passes this one over."""
    try:
        _s3().put_object_tagging(
            Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "state", "Value": "cited"}]}
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":  # erased already
            raise

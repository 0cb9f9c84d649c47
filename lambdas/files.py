"""What records do in the bucket: every call is safe to repeat, in any order."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import ClientError

from rts_server.persistence.records import Objects

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

CONFIG = Config(
    connect_timeout=1,
    read_timeout=3,
    retries={"total_max_attempts": 2, "mode": "standard"},
    # The local AWS has one address for all buckets.
    s3={"addressing_style": "path" if "AWS_ENDPOINT_URL" in os.environ else "auto"},
)


@cache
def _s3() -> S3Client:
    return boto3.client("s3", config=CONFIG)


def settle(objects: Objects) -> None:
    """Keep and erase. Raises ClientError or BotoCoreError: the record then stays."""
    bucket = os.environ["RTS_BUCKET"]
    for key in objects.keep:
        _keep(bucket, key)
    for key in objects.erase:
        _s3().delete_object(Bucket=bucket, Key=key)


def _keep(bucket: str, key: str) -> None:
    """From now on the lifecycle rule for files that no message cites passes this one over."""
    try:
        _s3().put_object_tagging(
            Bucket=bucket, Key=key, Tagging={"TagSet": [{"Key": "state", "Value": "cited"}]}
        )
    except ClientError as error:
        if error.response["Error"]["Code"] != "NoSuchKey":  # erased already
            raise

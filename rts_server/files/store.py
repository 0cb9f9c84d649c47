"""The object store (S3) for the web process: a bounded pool of threads, short deadlines."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from typing import TYPE_CHECKING, TypeVar

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from rts_server.config import Settings
from rts_server.errors import Unavailable
from rts_server.files.upload import Upload
from rts_server.persistence import aws
from rts_server.persistence.threads import BlockingCalls

if TYPE_CHECKING:
    from mypy_boto3_s3 import S3Client

log = logging.getLogger(__name__)
Answer = TypeVar("Answer")

THREADS = 8
WAITING = 128
DEADLINE = 4.0
CHUNK = 256 * 1024
ABSENT = {"404", "NoSuchKey", "NotFound"}
REFUSED = {"412", "PreconditionFailed", "ConditionalRequestConflict"}
MOVED = REFUSED | {"NoSuchKey"}
MADE_OF = "made-of"
"""What a verified file keeps beside what was signed: the mark of the object it is a copy of."""
UNCITED = "state=uncited"
"""What the lifecycle rule collects, until the room Lambda has heard of the message."""


@dataclass(frozen=True)
class Object:
    """What HEAD tells. `checksum` is that of the whole object, None where the store keeps none.

    `mark` tells it from what is posted to the same key in another second, also from the same
    bytes; `made_of` is the mark of what it was copied from.
    """

    etag: str
    size: int
    content_type: str
    checksum: str | None
    upload: Upload | None
    mark: str
    made_of: str | None


class ObjectChanged(Unavailable):
    """The object is not the one that was looked at, or not there any more; look again."""


class ObjectStore:
    """The bucket. Methods raise Unavailable if S3 fails, ObjectChanged if the object did."""

    def __init__(self, settings: Settings) -> None:
        self._bucket = settings.bucket
        self._threads = BlockingCalls("store", THREADS, WAITING, DEADLINE)
        endpoint = settings.s3_endpoint_url or settings.aws_endpoint_url
        config = Config(
            connect_timeout=0.5,
            read_timeout=2.0,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=THREADS,
            signature_version="s3v4",
            # One address for all buckets where it was given; else the bucket's own in its region.
            s3={"addressing_style": "path" if endpoint else "virtual"},
        )
        session = aws.session(settings)
        self._client: S3Client = session.client("s3", endpoint_url=endpoint, config=config)

    async def close(self) -> None:
        """Drop waiting work and close the connections."""
        self._threads.close()
        self._client.close()

    async def check_reachable(self) -> None:
        """Check that the bucket answers."""
        await self._run(self._there)

    async def presign_post(self, upload: Upload, seconds: int) -> tuple[str, dict[str, str]]:
        """(address, fields of the form) of a signed POST."""
        return await self._run(self._grant, upload, seconds)

    async def presign_get(self, key: str, content_type: str, disposition: str, seconds: int) -> str:
        """A signed GET that serves the object as this type and under this disposition."""
        return await self._run(self._link, key, content_type, disposition, seconds)

    async def head(self, key: str) -> Object | None:
        """What an object is; None where there is none."""
        return await self._run(self._head, key)

    async def first_bytes(self, key: str, etag: str, length: int) -> bytes:
        """The first bytes of exactly this object."""
        return await self._run(self._beginning, key, etag, length)

    async def digest(self, key: str, etag: str) -> str:
        """SHA-256 in base64 of exactly this object, read as a whole."""
        return await self._run(self._digest, key, etag)

    async def move(self, upload: Upload, arrived: Object, target: str) -> None:
        """Copy exactly this object, as not cited, to where nothing is; then delete the source.

        The copy says what it was made of, so that whoever comes between the two steps can finish.
        """
        await self._run(self._move, upload, arrived, target)

    async def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        await self._run(self._delete, key)

    async def list_keys(self, prefix: str) -> list[str]:
        """Those that begin so."""
        found: list[str] = []
        after, more = "", True
        while more:
            page, more = await self._run(self._keys, prefix, after)
            found += page
            after = found[-1] if found else after
        return found

    async def read_text(self, key: str) -> str | None:
        """A small object as text; None where there is none."""
        return await self._run(self._text, key)

    async def write_once(self, key: str, text: str) -> bool:
        """Make a small object, unless there is one: of all who try at once, one succeeds."""
        return await self._run(self._write_once, key, text)

    # In the pool's threads

    def _there(self) -> None:
        self._client.head_bucket(Bucket=self._bucket)

    def _grant(self, upload: Upload, seconds: int) -> tuple[str, dict[str, str]]:
        post = self._client.generate_presigned_post(
            self._bucket,
            upload.pending_key,
            Fields=upload.fields(),
            Conditions=upload.conditions(),
            ExpiresIn=seconds,
        )
        return post["url"], post["fields"]

    def _link(self, key: str, content_type: str, disposition: str, seconds: int) -> str:
        asked = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
        }
        return self._client.generate_presigned_url("get_object", Params=asked, ExpiresIn=seconds)

    def _head(self, key: str) -> Object | None:
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if _code(error) in ABSENT:
                return None
            raise
        kept, etag = found["Metadata"], found["ETag"]
        return Object(
            etag,
            found["ContentLength"],
            found["ContentType"],
            found.get("ChecksumSHA256"),
            Upload.of_object(key.rpartition("/")[2], kept),
            mark(etag, found["LastModified"]),
            kept.get(MADE_OF),
        )

    def _beginning(self, key: str, etag: str, length: int) -> bytes:
        answer = self._client.get_object(
            Bucket=self._bucket, Key=key, IfMatch=etag, Range=f"bytes=0-{length - 1}"
        )
        return answer["Body"].read()

    def _digest(self, key: str, etag: str) -> str:
        answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=etag)
        digest = sha256()
        for chunk in answer["Body"].iter_chunks(CHUNK):
            digest.update(chunk)
        return b64encode(digest.digest()).decode()

    def _move(self, upload: Upload, arrived: Object, target: str) -> None:
        self._client.copy_object(
            Bucket=self._bucket,
            Key=target,
            IfNoneMatch="*",
            CopySource={"Bucket": self._bucket, "Key": upload.pending_key},
            CopySourceIfMatch=arrived.etag,
            MetadataDirective="REPLACE",
            Metadata=upload.metadata() | {MADE_OF: arrived.mark},
            ContentType=upload.content_type,
            TaggingDirective="REPLACE",
            Tagging=UNCITED,
        )
        self._delete(upload.pending_key)

    def _delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def _keys(self, prefix: str, after: str) -> tuple[list[str], bool]:
        page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=after)
        return [one["Key"] for one in page.get("Contents", ())], page["IsTruncated"]

    def _text(self, key: str) -> str | None:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            if _code(error) in ABSENT:
                return None
            raise

    def _write_once(self, key: str, text: str) -> bool:
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=text.encode(), IfNoneMatch="*"
            )
        except ClientError as error:
            if _code(error) in REFUSED:
                return False
            raise
        return True

    # On the loop

    async def _run(self, work: Callable[..., Answer], *given: object) -> Answer:
        try:
            return await self._threads.run_in_thread(work, *given)
        except ClientError as error:
            if _code(error) in MOVED:
                raise ObjectChanged() from error
            log.warning("store refused", extra={"error": _code(error)})
            raise Unavailable("The store refused.") from error
        except (BotoCoreError, OSError) as error:  # a deadline is one too
            log.warning("store failed", extra={"error": type(error).__name__})
            raise Unavailable("The store is away.") from error


def mark(etag: str, modified: datetime) -> str:
    """ETag and second: all by which S3 tells two objects of one key apart."""
    return etag.strip('"') + f" {modified:%Y-%m-%dT%H:%M:%SZ}"


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]

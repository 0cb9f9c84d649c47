"""The bucket (S3) for the web process, in a bounded pool of threads with short deadlines."""

from __future__ import annotations

import logging
from base64 import b64encode
from collections.abc import AsyncIterator, Callable
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

S3_THREADS = 8
MAX_S3_CALLS = 128
"""Calls that run or wait for a thread."""
S3_CALL_DEADLINE_SECONDS = 4.0
READ_CHUNK_BYTES = 256 * 1024
ABSENT_CODES = {"404", "NoSuchKey", "NotFound"}
PRECONDITION_CODES = {"412", "PreconditionFailed", "ConditionalRequestConflict"}
"""Error codes of S3 for a condition (If-Match, If-None-Match) that does not hold."""
CHANGED_CODES = PRECONDITION_CODES | {"NoSuchKey"}
SOURCE_FINGERPRINT = "made-of"
"""Metadata of a verified file: the fingerprint of the object of which it is a copy."""
UNCITED_TAG = "state=uncited"
"""Tag of files that the lifecycle rule deletes. The room Lambda replaces it once a message cites
the file."""


@dataclass(frozen=True)
class StoredObject:
    """The result of a HEAD request.

    `checksum` is the SHA-256 of the whole object in base64, None if the store keeps none.
    `fingerprint` differs from that of any object posted to the same key in another second, even of
    the same bytes. `source_fingerprint` is that of the object of which this one is a copy.
    """

    etag: str
    size: int
    content_type: str
    checksum: str | None
    upload: Upload | None
    fingerprint: str
    source_fingerprint: str | None


class ObjectChanged(Unavailable):
    """The object was replaced or deleted since it was read; read it again."""


class ObjectStore:
    """The bucket. Methods raise Unavailable if S3 fails, ObjectChanged if the object changed."""

    def __init__(self, settings: Settings) -> None:
        self._bucket = settings.bucket
        self._threads = BlockingCalls("store", S3_THREADS, MAX_S3_CALLS, S3_CALL_DEADLINE_SECONDS)
        endpoint = settings.s3_endpoint_url or settings.aws_endpoint_url
        config = Config(
            connect_timeout=0.5,
            read_timeout=2.0,
            retries={"total_max_attempts": 2, "mode": "standard"},
            max_pool_connections=S3_THREADS,
            signature_version="s3v4",
            # An endpoint that was given serves all buckets; else each bucket has its own host.
            s3={"addressing_style": "path" if endpoint else "virtual"},
        )
        session = aws.session(settings)
        self._client: S3Client = session.client("s3", endpoint_url=endpoint, config=config)

    async def close(self) -> None:
        """Drop waiting work and close the connections."""
        self._threads.close()
        self._client.close()

    async def check_reachable(self) -> None:
        """Check that the bucket answers. Raises Unavailable."""
        await self._in_thread(self._head_bucket)

    async def presign_post(self, upload: Upload, seconds: int) -> tuple[str, dict[str, str]]:
        """Return the URL and the form fields of a presigned POST."""
        return await self._in_thread(self._presign_post, upload, seconds)

    async def presign_get(self, key: str, content_type: str, disposition: str, seconds: int) -> str:
        """Return a presigned GET URL; the object is served with this type and disposition."""
        return await self._in_thread(self._presign_get, key, content_type, disposition, seconds)

    async def head(self, key: str) -> StoredObject | None:
        """Return the properties of an object; None if there is none."""
        return await self._in_thread(self._head, key)

    async def first_bytes(self, key: str, etag: str, length: int) -> bytes:
        """Return the first bytes of the object with this ETag."""
        return await self._in_thread(self._first_bytes, key, etag, length)

    async def digest(self, key: str, etag: str) -> str:
        """Return the SHA-256, in base64, of the object with this ETag. It is read as a whole."""
        return await self._in_thread(self._digest, key, etag)

    async def move(self, upload: Upload, arrived: StoredObject, target: str) -> None:
        """Copy the object to `target`, where none must be, then delete it.

        In this order: a crash in between leaves both. The copy holds the fingerprint of its source,
        so that the next request recognizes the source and deletes it.
        """
        await self._in_thread(self._move, upload, arrived, target)

    async def delete(self, key: str) -> None:
        """Delete an object, if there is one."""
        await self._in_thread(self._delete, key)

    async def list_keys(self, prefix: str) -> AsyncIterator[str]:
        """Yield all keys with this prefix; a page of them is in memory at once."""
        after, more = "", True
        while more:
            page, more = await self._in_thread(self._list_page, prefix, after)
            for key in page:
                yield key
            after = page[-1] if page else after

    async def read_text(self, key: str) -> str | None:
        """Return a small object as text; None if there is none."""
        return await self._in_thread(self._read_text, key)

    async def write_once(self, key: str, text: str) -> bool:
        """Create a small object; return False if it exists. One of concurrent calls succeeds."""
        return await self._in_thread(self._write_once, key, text)

    # In the pool's threads

    def _head_bucket(self) -> None:
        self._client.head_bucket(Bucket=self._bucket)

    def _presign_post(self, upload: Upload, seconds: int) -> tuple[str, dict[str, str]]:
        post = self._client.generate_presigned_post(
            self._bucket,
            upload.pending_key,
            Fields=upload.fields(),
            Conditions=upload.conditions(),
            ExpiresIn=seconds,
        )
        return post["url"], post["fields"]

    def _presign_get(self, key: str, content_type: str, disposition: str, seconds: int) -> str:
        params = {
            "Bucket": self._bucket,
            "Key": key,
            "ResponseContentType": content_type,
            "ResponseContentDisposition": disposition,
        }
        return self._client.generate_presigned_url("get_object", Params=params, ExpiresIn=seconds)

    def _head(self, key: str) -> StoredObject | None:
        try:
            found = self._client.head_object(Bucket=self._bucket, Key=key, ChecksumMode="ENABLED")
        except ClientError as error:
            if _code(error) in ABSENT_CODES:
                return None
            raise
        metadata, etag = found["Metadata"], found["ETag"]
        return StoredObject(
            etag,
            found["ContentLength"],
            found["ContentType"],
            found.get("ChecksumSHA256"),
            Upload.of_object(key.rpartition("/")[2], metadata),
            fingerprint(etag, found["LastModified"]),
            metadata.get(SOURCE_FINGERPRINT),
        )

    def _first_bytes(self, key: str, etag: str, length: int) -> bytes:
        answer = self._client.get_object(
            Bucket=self._bucket, Key=key, IfMatch=etag, Range=f"bytes=0-{length - 1}"
        )
        return answer["Body"].read()

    def _digest(self, key: str, etag: str) -> str:
        answer = self._client.get_object(Bucket=self._bucket, Key=key, IfMatch=etag)
        digest = sha256()
        for chunk in answer["Body"].iter_chunks(READ_CHUNK_BYTES):
            digest.update(chunk)
        return b64encode(digest.digest()).decode()

    def _move(self, upload: Upload, arrived: StoredObject, target: str) -> None:
        self._client.copy_object(
            Bucket=self._bucket,
            Key=target,
            IfNoneMatch="*",
            CopySource={"Bucket": self._bucket, "Key": upload.pending_key},
            CopySourceIfMatch=arrived.etag,
            MetadataDirective="REPLACE",
            Metadata=upload.metadata() | {SOURCE_FINGERPRINT: arrived.fingerprint},
            ContentType=upload.content_type,
            TaggingDirective="REPLACE",
            Tagging=UNCITED_TAG,
        )
        self._delete(upload.pending_key)

    def _delete(self, key: str) -> None:
        self._client.delete_object(Bucket=self._bucket, Key=key)

    def _list_page(self, prefix: str, after: str) -> tuple[list[str], bool]:
        page = self._client.list_objects_v2(Bucket=self._bucket, Prefix=prefix, StartAfter=after)
        return [one["Key"] for one in page.get("Contents", ())], page["IsTruncated"]

    def _read_text(self, key: str) -> str | None:
        try:
            return self._client.get_object(Bucket=self._bucket, Key=key)["Body"].read().decode()
        except ClientError as error:
            if _code(error) in ABSENT_CODES:
                return None
            raise

    def _write_once(self, key: str, text: str) -> bool:
        try:
            self._client.put_object(
                Bucket=self._bucket, Key=key, Body=text.encode(), IfNoneMatch="*"
            )
        except ClientError as error:
            if _code(error) in PRECONDITION_CODES:
                return False
            raise
        return True

    # On the loop

    async def _in_thread(self, work: Callable[..., Answer], *args: object) -> Answer:
        try:
            return await self._threads.run_in_thread(work, *args)
        except ClientError as error:
            if _code(error) in CHANGED_CODES:
                raise ObjectChanged() from error
            log.warning("store refused", extra={"error": _code(error)})
            raise Unavailable("The file store refused the request.") from error
        except (BotoCoreError, OSError) as error:  # TimeoutError is an OSError
            log.warning("store failed", extra={"error": type(error).__name__})
            raise Unavailable("The file store cannot be reached.") from error


def fingerprint(etag: str, modified: datetime) -> str:
    """Return ETag and second of the upload: S3 gives no finer distinction without versions."""
    return etag.strip('"') + f" {modified:%Y-%m-%dT%H:%M:%SZ}"


def _code(error: ClientError) -> str:
    return error.response["Error"]["Code"]

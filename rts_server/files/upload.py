"""An upload as it was requested and signed. It is kept in the metadata of its object only."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rts_server.types.objects import Attachment

PENDING_PREFIX = "pending/"
METADATA_HEADER = "x-amz-meta-"


@dataclass(frozen=True)
class Upload:
    """Size in bytes, checksum in base64, width and height in pixels (0: unknown)."""

    room_id: str
    attachment_id: str
    user_id: str
    name: str
    size: int
    content_type: str
    checksum_sha256: str
    width: int = 0
    height: int = 0

    @property
    def pending_key(self) -> str:
        """The only key that the upload form can write."""
        return pending_key(self.room_id, self.attachment_id)

    def shown(self) -> Attachment:
        """Return the upload as an attachment of the protocol."""
        attachment: Attachment = {
            "attachment_id": self.attachment_id,
            "name": self.name,
            "size": self.size,
            "content_type": self.content_type,
            "checksum_sha256": self.checksum_sha256,
        }
        if self.width:
            attachment["width"] = self.width
        if self.height:
            attachment["height"] = self.height
        return attachment

    def metadata(self) -> dict[str, str]:
        """Return the object's metadata: ASCII, below S3's limit of 2 KB even for long names."""
        return {
            "room": self.room_id,
            "user": _encoded(self.user_id),
            "name": _encoded(self.name),
            "size": str(self.size),
            "type": self.content_type,
            "sha256": self.checksum_sha256,
            "width": str(self.width),
            "height": str(self.height),
        }

    @classmethod
    def of_object(cls, attachment_id: str, metadata: Mapping[str, str]) -> Self | None:
        """Parse the metadata of an object; None if it was not uploaded by a presigned form."""
        try:
            return cls(
                metadata["room"],
                attachment_id,
                _decoded(metadata["user"]),
                _decoded(metadata["name"]),
                int(metadata["size"]),
                metadata["type"],
                metadata["sha256"],
                int(metadata["width"]),
                int(metadata["height"]),
            )
        except (KeyError, ValueError):
            return None

    def fields(self) -> dict[str, str]:
        """Return the fields of the form. Their values are signed."""
        return {
            "Content-Type": self.content_type,
            "x-amz-checksum-sha256": self.checksum_sha256,
            **{METADATA_HEADER + name: value for name, value in self.metadata().items()},
        }

    def conditions(self) -> list[Any]:
        """Return the conditions of the POST policy. boto3 adds those for key and bucket."""
        exact: list[Any] = [{name: value} for name, value in self.fields().items()]
        return [*exact, ["content-length-range", self.size, self.size]]


def pending_prefix(room_id: str) -> str:
    """Return the key prefix of a room's new uploads. The lifecycle rule empties it after a day."""
    return f"{PENDING_PREFIX}{room_id}/"


def pending_key(room_id: str, attachment_id: str) -> str:
    """Return the key of a new upload."""
    return pending_prefix(room_id) + attachment_id


def _encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return urlsafe_b64decode(text.encode()).decode()

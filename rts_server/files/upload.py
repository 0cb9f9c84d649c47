"""An upload as it was asked for and signed. The object itself carries it: there is no table."""

from __future__ import annotations

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from rts_server.types.objects import Attachment

PENDING = "pending/"
META = "x-amz-meta-"


@dataclass(frozen=True)
class Upload:
    """Size in bytes, checksum in base64, width and height in pixels (0: not told)."""

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
        """The one key that the grant is for."""
        return pending_key(self.room_id, self.attachment_id)

    def shown(self) -> Attachment:
        """The protocol's attachment."""
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
        """As an object keeps it: ASCII, and under S3's 2 KB with the longest names too."""
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
        """What an object says of itself; None where it was not put there by a grant."""
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
        """The form's fields; every one of them is signed as it is."""
        return {
            "Content-Type": self.content_type,
            "x-amz-checksum-sha256": self.checksum_sha256,
            **{META + name: value for name, value in self.metadata().items()},
        }

    def conditions(self) -> list[Any]:
        """The policy: these fields, this size. Key and bucket are added by whoever signs."""
        exact: list[Any] = [{name: value} for name, value in self.fields().items()]
        return [*exact, ["content-length-range", self.size, self.size]]


def pending_prefix(room_id: str) -> str:
    """Where the uploads of a room arrive; what stays here is collected after a day."""
    return f"{PENDING}{room_id}/"


def pending_key(room_id: str, attachment_id: str) -> str:
    """Where one arrives."""
    return pending_prefix(room_id) + attachment_id


def _encoded(text: str) -> str:
    return urlsafe_b64encode(text.encode()).decode()


def _decoded(text: str) -> str:
    return urlsafe_b64decode(text.encode()).decode()

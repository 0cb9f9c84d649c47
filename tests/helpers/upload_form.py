"""Uploads and downloads as a browser does them."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from typing import Any

from aiohttp import ClientSession, FormData

from tests.helpers.commands import ok
from tests.helpers.js_client import JsClient


def asking(room_id: str, content: bytes, **more: Any) -> dict[str, Any]:
    """Return the payload of `upload.request` for some bytes."""
    return {
        "room_id": room_id,
        "name": "picture.png",
        "size": len(content),
        "content_type": "image/png",
        "checksum_sha256": b64encode(sha256(content).digest()).decode(),
        **more,
    }


async def post(grant: Mapping[str, Any], content: bytes, **changed: str) -> int:
    """Post the form, with `changed` fields instead of the signed ones; return the status."""
    form = FormData()
    for name, value in (grant["fields"] | changed).items():
        form.add_field(name, value)
    form.add_field("file", content, filename="blob")
    async with ClientSession() as http, http.post(grant["url"], data=form) as answer:
        return answer.status


async def get(url: str) -> tuple[int, dict[str, str], bytes]:
    """Download; return (status, headers, body)."""
    async with ClientSession() as http, http.get(url) as answer:
        headers = {name.lower(): value for name, value in answer.headers.items()}
        return answer.status, headers, await answer.read()


async def uploaded(client: JsClient, room_id: str, content: bytes, **more: Any) -> dict[str, Any]:
    """Upload a file completely; return the attachment."""
    grant = await ok(client, "upload.request", asking(room_id, content, **more))
    assert await post(grant, content) == 204
    named = {"room_id": room_id, "attachment_id": grant["attachment_id"]}
    attachment: dict[str, Any] = (await ok(client, "upload.complete", named))["attachment"]
    return attachment


def citing(room_id: str, *attachments: dict[str, Any] | str, **more: Any) -> dict[str, Any]:
    """Return the payload of a `message.send` with attachments."""
    ids = [one if isinstance(one, str) else one["attachment_id"] for one in attachments]
    return {"room_id": room_id, "client_msg_id": "m1", "attachments": ids, **more}

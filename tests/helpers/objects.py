"""The objects of a room in the bucket."""

from __future__ import annotations

from rts_server.tools.dev import aws
from tests.helpers.world import World


def keys(world: World, room_id: str) -> set[str]:
    """Return the prefixes of a room's objects: pending, files, cited."""
    s3 = aws.client(world.stack.settings, "s3")
    found = s3.list_objects_v2(Bucket=world.stack.settings.bucket).get("Contents", [])
    return {one["Key"].split("/")[0] for one in found if f"/{room_id}/" in one["Key"]}

"""The plan of a deployment that `scripts/deploy create` makes and `destroy` takes away."""

from __future__ import annotations

from scripts.eb.creation import CreationPlan
from scripts.eb.fleet_size import FleetSize

PLAN = CreationPlan(
    name="chat",
    address="chat.example.com",
    region="eu-west-1",
    s3_url="https://s3.eu-west-1.amazonaws.com",
    bundle=b"zip",
    code={"message.zip": b"1", "room.zip": b"2"},
    size=FleetSize("m7g.xlarge", 3, 8),
    zone="Z1",
    stack={"MessageCodeKey": "chat/message.zip", "RoomCodeKey": "chat/room.zip"},
    tags={"team": "messaging"},
    timeout=60,
)

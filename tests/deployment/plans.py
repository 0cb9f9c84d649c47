"""The plan of a deployment that `scripts/deploy create` makes and `destroy` takes away."""

from __future__ import annotations

from rts_server.tools.dev import zips
from scripts.eb.creation import CreationPlan
from scripts.eb.fleet_size import FleetSize

CODE = {zips.code_key(function, b"1"): b"1" for function in zips.KEY_PARAMETERS}
PLAN = CreationPlan(
    name="chat",
    address="chat.example.com",
    region="eu-west-1",
    s3_url="https://s3.eu-west-1.amazonaws.com",
    bundle=b"zip",
    code=CODE,
    size=FleetSize("m7g.xlarge", 3, 8),
    zone="Z1",
    stack={
        parameter: f"chat/{zips.code_key(function, b'1')}"
        for function, parameter in zips.KEY_PARAMETERS.items()
    },
    tags={"team": "messaging"},
    timeout=60,
)

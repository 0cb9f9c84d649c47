"""The wire written down: docs/protocol.md, docs/asyncapi.json and client/types.d.ts, all generated
from the marshmallow schemas and the catalogue. `python -m scripts.wire` writes, `--check` compares.
"""

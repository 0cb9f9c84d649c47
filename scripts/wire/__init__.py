"""Generators of the protocol documents, from the marshmallow schemas and the catalogue:
docs/protocol.md, docs/asyncapi.json, client/types.d.ts and the TypedDicts in
rts_server/types. `python -m scripts.wire` writes, `--check` compares.
"""

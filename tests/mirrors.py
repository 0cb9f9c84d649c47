"""Modules without a test file of their own name: the test that covers each, and the reason."""

from __future__ import annotations

from typing import NamedTuple


class Cover(NamedTuple):
    """Modules (below rts_server, without .py) that one test file covers."""

    test: str
    reason: str
    modules: str


COVERS = (
    Cover("persistence/test_records.py", "one rule: any order of records gives the same tables",
          "persistence/records/expiry persistence/records/files persistence/records/head"
          " persistence/records/keys"
          " persistence/records/messages persistence/records/record persistence/records/record_data"
          " persistence/records/reactions persistence/records/rooms"
          " persistence/records/shapes persistence/records/watermarks persistence/records/write"),
    Cover("persistence/test_archive.py", "reads through it", "persistence/aws"
          " persistence/message_pages persistence/stored_items runtime/throttled_log"),
    Cover("rest/test_queues.py", "needs real queues", "persistence/queues relay/queue_admin"),
    Cover("test_app.py", "seen at the start of a process",
          "persistence/eviction_policy services metrics rest/health"),
    Cover("protocol/test_catalogue.py", "data: the catalogue and all schemas are checked as one",
          "protocol/answers protocol/event protocol/events protocol/objects protocol/requests"
          " protocol/operator_answers types/answers types/operator_answers"
          " types/commands types/events types/objects"
          " types/requests domain/user_message"),
    Cover("protocol/test_fields.py", "payloads are validated by their fields",
          "protocol/commands protocol/media protocol/numbers domain/size_limits"),
    Cover("engine/test_upstream.py", "overrides of the library are compared with it",
          "engine/codec engine/engine realtime/manager"),
    Cover("engine/test_outgoing.py", "packets are seen as they are written", "engine/packets"),
    Cover("engine/test_socket.py", "the bound is seen in a session", "engine/in_flight"),
    Cover("files/test_grant.py", "an upload is signed into a grant", "files/upload"),
    Cover("rest/test_data_requests.py", "an operator's job, seen over REST",
          "admin/data_requests files/user_files"),
    Cover("tools/cli/test_quarantine.py", "needs relay, queues and Lambda", "admin/replays"),
    Cover("views/test_standings.py", "standings are compared with snapshots", "domain/standing"),
    Cover("flows/test_access.py", "each role against each command", "domain/roles"),
    Cover("realtime/test_sequence.py", "positions are compared there", "domain/position"),
    Cover("persistence/test_recent_changes.py", "they are read there", "domain/changes"),
    Cover("realtime/test_subscriptions.py", "they are called there",
          "realtime/subscription_handlers"),
    Cover("flows/test_commands.py", "commands, by the real socket.io-client",
          "namespaces/chat namespaces/answer rooms/messages views/member_list"),
    Cover("flows/test_session.py", "sessions, by the real socket.io-client",
          "namespaces/session namespaces/session_start namespaces/connections"
          " namespaces/cursors"),
    Cover("namespaces/test_base.py", "named after what namespaces share", "namespaces/dispatcher"),
    Cover("hostile/test_rates.py", "needs more connections than allowed",
          "namespaces/connection_cap"),
    Cover("instances/test_receipts.py", "needs two instances", "namespaces/receipts"),
    Cover("instances/test_presence.py", "needs two instances", "namespaces/presence"),
    Cover("instances/test_typing.py", "needs two instances", "rooms/typing"),
    Cover("presence/test_presence.py", "leases, counts and sweeps work together",
          "presence/connection_counts presence/instance_lease presence/instance_registry"
          " presence/presences presence/scripts presence/sweep"),
    Cover("realtime/test_room_unread.py", "the counts of a room move with its events",
          "realtime/unread_count"),
    Cover("realtime/test_room_feed.py", "feeds work with them",
          "realtime/feed_context realtime/opening"),
    Cover("realtime/test_subscriptions.py", "its listeners, and its checks for lost publishes",
          "realtime/listener"),
    Cover("faults/test_cold_rooms.py", "needs a Redis that loses its data",
          "realtime/lost_rooms"),
    Cover("redis_client/test_servers.py", "the kind of a Redis is a field of it",
          "redis_client/info"),
    Cover("rest/test_users.py", "users, as operators see and manage them",
          "realtime/control_channel views/profile"),
    Cover("redis_client/test_transport.py", "takes transports over", "redis_client/connection"),
    Cover("test_config_loading.py", "settings are validated by fields", "config setting_fields"),
    Cover("relay/test_relay.py", "parts of one loop, on real queues",
          "relay/ack_processor relay/group_leases relay/room_queues relay/shard_relay"),
    Cover("relay/test_relay_shards.py", "shards of a real cluster",
          "relay/leases relay/partition_leases relay/running_relays"),
    Cover("rooms/test_receipts.py", "a writer gathers in batches", "rooms/receipt_batch"),
    Cover("rest/test_rooms.py", "routes, with and without rights",
          "rest/events rest/members rest/wait_durable rooms/provisioning"),
    Cover("rest/test_openapi.py", "every route against its document",
          "rest/examples rest/parsing rest/operators"),
    Cover("rest/test_demo.py", "headers of the pages", "rest/security_headers"),
    Cover("instances/test_operators.py", "needs several instances", "rest/instances"),
    Cover("roomlog/test_rehydrate.py", "a load takes and returns it", "roomlog/claim"),
    Cover("roomlog/test_any_sequence.py", "events and script agree with a model",
          "roomlog/log roomlog/member_events roomlog/message_events roomlog/room_events"),
    Cover("persistence/test_user_rooms.py", "limits of the user index", "rooms/memberships"),
    Cover("runtime/test_loops.py", "tasks of the loops", "runtime/tasks"),
    Cover("flows/test_watched.py", "a trace crosses all processes", "tracing"),
    Cover("views/test_sync.py", "sync reads snapshots", "views/snapshots"),
    Cover("views/test_inbox.py", "rows of warm and cold rooms", "views/inbox_row"),
    Cover("tools/cli/test_manifest.py", "a manifest is a YAML stream", "tools/cli/yaml_stream"),
    Cover("tools/cli/test_rooms.py", "operators' commands, as programs",
          "tools/cli/room_selection tools/cli/render tools/cli/replay"),
    Cover("tools/cli/test_quarantine.py", "records move from queue to queue", "tools/cli/queues"),
    Cover("tools/cli/test_user.py", "commands about users and instances",
          "tools/cli/instances tools/cli/presence tools/cli/unread"),
    Cover("tools/cli/test_members.py", "commands about rooms and their members",
          "tools/cli/notice tools/cli/verify"),
    Cover("tools/dev/test_stack.py", "the local stack, started for real",
          "tools/dev/aws tools/dev/deploy tools/dev/local_aws tools/dev/stack_error"
          " runtime/tether tools/dev/valkey"),
    Cover("tools/dev/test_session.py", "`make run`, started for real",
          "tools/dev/console tools/dev/supervisor"),
)  # fmt: skip

"""The metrics of a process, served by `/metrics`. Those that raise alarms go to CloudWatch too
(`emf.py`)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SECONDS_OF_A_COMMAND = (
    0.001,
    0.0025,
    0.005,
    0.01,
    0.025,
    0.05,
    0.1,
    0.25,
    0.5,
    1.0,
    2.5,
    5.0,
    10.0,
)
SECONDS_TO_DURABLE = (*SECONDS_OF_A_COMMAND, 30.0, 60.0, 300.0, 900.0, 3_600.0)

CONNECTIONS = Gauge("rts_connections", "Connected sessions", ["namespace"])
COMMANDS_TOTAL = Counter("rts_commands_total", "Commands answered", ["event", "code"])
COMMAND_SECONDS = Histogram(
    "rts_command_seconds",
    "Seconds from the arrival of a command to its ack",
    ["event"],
    buckets=SECONDS_OF_A_COMMAND,
)
DROPPED = Counter(
    "rts_dropped_packets_total", "Packets that were dropped without an answer", ["reason"]
)
SLOW_CONSUMERS = Counter(
    "rts_slow_consumers_total", "Connections closed because they read too slowly"
)
DELIVERIES = Counter("rts_deliveries_total", "Events written to sockets")
REPAIRS = Counter(
    "rts_gap_repairs_total",
    "Gaps in a room's events that were repaired from the hot log",
    ["result"],
)
ARCHIVE_CALLS = Counter("rts_archive_calls_total", "Reads of the archive, and epochs opened there")
COLD_LOADS = Counter("rts_cold_loads_total", "Rooms loaded from the archive", ["result"])
PENDING = Gauge("rts_pending_appends", "Appends whose durability is not known yet")
FATE_SECONDS = Histogram(
    "rts_fate_seconds",
    "Seconds from accepted in the room log to queued, stored or failed",
    ["fate"],
    buckets=SECONDS_TO_DURABLE,
)
STORED_SECONDS = Histogram(
    "rts_stored_seconds",
    "Seconds from accepted in the room log to seen in DynamoDB (sampled)",
    buckets=SECONDS_TO_DURABLE,
)
LOST = Counter("rts_lost_appends_total", "Appends that Redis lost and that their origin repeated")
DEAF = Gauge("rts_deaf", "1 while this instance receives no publishes from Redis")
LOOP_FAILURES = Counter(
    "rts_loop_failures_total", "Steps of background loops that failed", ["loop"]
)
PRIMARY_REFUSALS = Counter(
    "rts_primary_refusals_total",
    "Times all connections were closed because Redis was not the primary",
)
LOOP_LAG = Histogram(
    "rts_loop_lag_seconds",
    "Seconds by which the event loop wakes too late",
    buckets=SECONDS_OF_A_COMMAND,
)
RELAYED = Counter("rts_relayed_records_total", "Records that SQS accepted", ["queue"])
RELAY_REFUSED = Counter("rts_relay_refused_total", "Records that SQS refused or did not answer")
UPLOADS = Counter("rts_uploads_total", "Uploads of files", ["result"])
QUEUED_SECONDS = Histogram(
    "rts_queued_seconds",
    "Seconds from accepted in the room log to accepted by SQS",
    ["queue"],
    buckets=SECONDS_TO_DURABLE,
)
OUTBOX_ENTRIES = Gauge("rts_outbox_entries", "Records in the outboxes of this relay's partitions")
OUTBOX_AGE = Gauge(
    "rts_outbox_age_seconds", "Age in seconds of the oldest record in these outboxes"
)
RELAY_PARTITIONS = Gauge("rts_relay_partitions", "Partitions on which this relay holds a lease")
QUARANTINED = Counter("rts_quarantined_total", "Records that no Lambda could ever apply")
OFFLINE = Counter(
    "rts_presence_offline_total", "Users announced as offline by this instance's sweep"
)
LIMITED = Counter(
    "rts_limited_total", "Commands and connections refused by a rate or a limit", ["limit"]
)
REFUSED_BY_OVERLOAD = Counter(
    "rts_overload_refusals_total", "Commands refused because the instance was overloaded"
)
ADMISSION_LIMIT = Gauge(
    "rts_admission_limit", "Commands that may be in progress at once, by the delay they meet"
)
SHED = Counter("rts_shed_total", "Ephemeral work dropped in favour of messages", ["kind"])

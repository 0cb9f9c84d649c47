"""What is counted. One registry per process, read by `/metrics`; the few that raise alarms are told
to CloudWatch too (`emf.py`)."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

SHORT = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
LONG = (*SHORT, 30.0, 60.0, 300.0, 900.0, 3_600.0)

CONNECTIONS = Gauge("rts_connections", "Sockets with a session", ["namespace"])
COMMANDS = Counter("rts_commands_total", "Commands answered", ["event", "code"])
COMMAND_SECONDS = Histogram("rts_command_seconds", "From arrival to ack", ["event"], buckets=SHORT)
DROPPED = Counter("rts_dropped_packets_total", "Packets nobody can be answered for", ["reason"])
SLOW_CONSUMERS = Counter("rts_slow_consumers_total", "Connections closed as they did not read")
DELIVERIES = Counter("rts_deliveries_total", "Events written to sockets")
REPAIRS = Counter("rts_gap_repairs_total", "Gaps of a room filled from the hot log", ["result"])
COLD_LOADS = Counter("rts_cold_loads_total", "Rooms loaded from the archive", ["result"])
PENDING = Gauge("rts_pending_appends", "Appends whose fate is not known yet")
FATE_SECONDS = Histogram(
    "rts_fate_seconds", "From accepted in the log to a known fate", ["fate"], buckets=LONG
)
STORED_SECONDS = Histogram(
    "rts_stored_seconds", "From accepted in the log to seen in the table, samples", buckets=LONG
)
LOST = Counter("rts_lost_appends_total", "Appends that Redis lost and their origin repeated")
DEAF = Gauge("rts_deaf", "1 while what is published in Redis is not heard here")
LOOP_FAILURES = Counter(
    "rts_loop_failures_total", "Steps of background loops that failed", ["loop"]
)
PRIMARY_REFUSALS = Counter(
    "rts_primary_refusals_total", "Times all links ended as their Redis was not the primary"
)
LOOP_LAG = Histogram("rts_loop_lag_seconds", "How late the event loop wakes", buckets=SHORT)
RELAYED = Counter("rts_relayed_records_total", "Records handed to SQS", ["queue"])
RELAY_REFUSED = Counter("rts_relay_refused_total", "Records that SQS refused or never answered")
UPLOADS = Counter("rts_uploads_total", "Uploads of files", ["result"])
QUEUED_SECONDS = Histogram(
    "rts_queued_seconds", "From accepted in the log to accepted by SQS", ["queue"], buckets=LONG
)
OUTBOX_ENTRIES = Gauge("rts_outbox_entries", "Records waiting in this relay's partitions")
OUTBOX_AGE = Gauge("rts_outbox_age_seconds", "Age of the oldest record waiting there")
RELAY_PARTITIONS = Gauge("rts_relay_partitions", "Partitions this relay holds the lease of")
QUARANTINED = Counter("rts_quarantined_total", "Records a Lambda could never apply")
OFFLINE = Counter("rts_presence_offline_total", "Users told offline by this instance's sweep")
LIMITED = Counter("rts_limited_total", "Commands and connections above a rate or cap", ["limit"])
SHED = Counter("rts_shed_total", "Ephemeral work dropped to spare messages", ["kind"])

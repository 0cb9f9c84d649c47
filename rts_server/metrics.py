"""What is counted. One registry per process, read by `/metrics`."""

from __future__ import annotations

from prometheus_client import Counter, Gauge, Histogram

CONNECTIONS = Gauge("rts_connections", "Sockets with a session", ["namespace"])
COMMANDS = Counter("rts_commands_total", "Commands answered", ["event", "code"])
COMMAND_SECONDS = Histogram("rts_command_seconds", "From arrival to ack", ["event"])
DROPPED = Counter("rts_dropped_packets_total", "Packets nobody can be answered for", ["reason"])
DELIVERIES = Counter("rts_deliveries_total", "Events written to sockets")
REPAIRS = Counter("rts_gap_repairs_total", "Gaps of a room filled from the hot log", ["result"])
COLD_LOADS = Counter("rts_cold_loads_total", "Rooms loaded from the archive", ["result"])
PENDING = Gauge("rts_pending_appends", "Appends whose fate is not known yet")
LOST = Counter("rts_lost_appends_total", "Appends that Redis lost and their origin repeated")
RELAYED = Counter("rts_relayed_records_total", "Records handed to SQS", ["queue"])
RELAY_REFUSED = Counter("rts_relay_refused_total", "Records that SQS refused or never answered")
UPLOADS = Counter("rts_uploads_total", "Uploads of files", ["result"])
QUARANTINED = Counter("rts_quarantined_total", "Records a Lambda could never apply")
OFFLINE = Counter("rts_presence_offline_total", "Users told offline by this instance's sweep")
LIMITED = Counter("rts_limited_total", "Commands and connections above a rate or cap", ["limit"])
SHED = Counter("rts_shed_total", "Ephemeral work dropped to spare messages", ["kind"])

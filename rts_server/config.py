"""All settings of a process: their variables, defaults, validation and descriptions."""

from __future__ import annotations

from dataclasses import dataclass

from marshmallow.validate import OneOf, Regexp

from rts_server.domain.size_limits import LIMITS, SizeLimits
from rts_server.setting_fields import (
    ENCRYPTED_URL,
    count_setting,
    must_be_long_enough,
    must_be_rates,
    seconds_setting,
    text_setting,
)


@dataclass(frozen=True)
class Settings:
    """All settings of a process. Times are in seconds; docs/guarantees.md marks them with (t)."""

    host: str = text_setting("RTS_HOST", "127.0.0.1", help="Address on which the process listens.")
    port: int = count_setting(
        "RTS_PORT", 8000, 0, 65535, help="TCP port of the web process; 0 lets the system choose."
    )
    web_processes: int = count_setting(
        "RTS_WEB_PROCESSES",
        1,
        1,
        64,
        help="Web processes that `serve` runs, on ports from RTS_PORT on, behind one nginx.",
    )
    redis_url: str = text_setting(
        "RTS_REDIS_URL",
        "redis://127.0.0.1:6379/0",
        Regexp("(rediss?|unix)://.+"),
        secret=True,
        help="URL of Redis, with its password; rediss:// uses TLS.",
    )
    redis_cluster: int = count_setting(
        "RTS_REDIS_CLUSTER",
        0,
        0,
        1,
        help="1: RTS_REDIS_URL leads to a cluster, by its configuration endpoint or any node.",
    )
    redis_token: str = text_setting(
        "RTS_REDIS_TOKEN", "", secret=True, help="AUTH token of Redis, if not in RTS_REDIS_URL."
    )
    aws_endpoint_url: str | None = text_setting(
        "AWS_ENDPOINT_URL",
        None,
        Regexp("https?://.+"),
        help="URL of the AWS services; empty means the real ones.",
    )
    s3_endpoint_url: str | None = text_setting(
        "AWS_ENDPOINT_URL_S3",
        None,
        Regexp("https?://.+"),
        help="URL of S3, if it differs from the other services.",
    )
    aws_region: str = text_setting(
        "AWS_REGION", "us-east-1", help="AWS region of the queues, tables and the bucket."
    )
    web_role_arn: str | None = text_setting(
        "RTS_WEB_ROLE_ARN", None, help="IAM role that web must have by its AWS profile; or any."
    )
    relay_role_arn: str | None = text_setting(
        "RTS_RELAY_ROLE_ARN", None, help="IAM role that the relay must have by its AWS profile."
    )
    stack: str = text_setting(
        "RTS_STACK",
        "chat",
        Regexp("[A-Za-z][A-Za-z0-9-]{0,39}$"),
        help="Name of the CloudFormation stack, with which all names in AWS begin.",
    )
    instance_metadata: str | None = text_setting(
        "RTS_INSTANCE_METADATA", None, Regexp("http://.+"), help="URL of EC2's instance metadata."
    )
    environment: str = text_setting(
        "RTS_ENVIRONMENT", "", help="Beanstalk's name of the environment, a metrics' dimension."
    )
    message_queue: str = text_setting(
        "RTS_MESSAGE_QUEUE",
        "chat-message-queue.fifo",
        Regexp("[\\w-]+\\.fifo$"),
        help="Name of the FIFO queue of message records.",
    )
    room_queue: str = text_setting(
        "RTS_ROOM_QUEUE", "chat-room-queue", help="Name of the queue of room and member records."
    )
    cursor_queue: str = text_setting(
        "RTS_CURSOR_QUEUE",
        "chat-cursor-queue",
        help="Name of the queue of read and delivered cursors.",
    )
    quarantine_queue: str = text_setting(
        "RTS_QUARANTINE_QUEUE",
        "chat-quarantine-queue",
        help="Name of the queue of records that could never be applied.",
    )
    rooms_table: str = text_setting(
        "RTS_ROOMS_TABLE", "chat-rooms", help="Name of the DynamoDB table of rooms and members."
    )
    messages_table: str = text_setting(
        "RTS_MESSAGES_TABLE", "chat-messages", help="Name of the DynamoDB table of messages."
    )
    bucket: str = text_setting(
        "RTS_BUCKET", "chat-files", help="Name of the S3 bucket of uploaded files."
    )
    jwt_secret: str = text_setting(
        "RTS_JWT_SECRET",
        "",
        must_be_long_enough,
        secret=True,
        help="Secret that verifies HS256 tokens, at least 32 bytes.",
    )
    jwt_issuer: str | None = text_setting(
        "RTS_JWT_ISSUER", None, help="Required `iss` of tokens; empty accepts any."
    )
    jwt_audience: str | None = text_setting(
        "RTS_JWT_AUDIENCE", None, help="Required `aud` of tokens; empty accepts any."
    )
    jwks_url: str | None = text_setting(
        "RTS_JWKS_URL",
        None,
        Regexp(ENCRYPTED_URL),
        help="URL of an identity provider's key set (RFC 7517).",
    )
    jwks_refresh: float = seconds_setting(
        "RTS_JWKS_REFRESH", 3600.0, 1.0, help="Seconds between two fetches of the key set."
    )
    cors_origins: str = text_setting(
        "RTS_CORS_ORIGINS",
        "",
        help="Origins of pages that may connect, separated by commas; `*` is any.",
    )
    transports: str = text_setting(
        "RTS_TRANSPORTS",
        "websocket",
        OneOf(["websocket", "polling,websocket"]),
        help="Engine.IO transports; polling needs sticky sessions.",
    )
    rates: str = text_setting(
        "RTS_RATES",
        "",
        must_be_rates,
        help="Rates that differ from the defaults, as `name=per_second/burst`.",
    )
    user_connections: int = count_setting(
        "RTS_USER_CONNECTIONS", 10, help="Connections a user may have, on all instances together."
    )
    address_connections: int = count_setting(
        "RTS_ADDRESS_CONNECTIONS", 100, help="Connections a client address may have per instance."
    )
    commands_in_flight: int = count_setting(
        "RTS_COMMANDS_IN_FLIGHT",
        8,
        help="Unanswered commands of a connection at which reading stops.",
    )
    client_external_ids: str = text_setting(
        "RTS_CLIENT_EXTERNAL_IDS",
        "off",
        OneOf(["on", "off"]),
        help="Whether clients may create rooms by `external_id`.",
    )
    trusted_proxies: int = count_setting(
        "RTS_TRUSTED_PROXIES", 0, 0, 10, help="Proxies in front whose X-Forwarded-For is trusted."
    )
    rate_limits: str = text_setting(
        "RTS_LIMITS",
        "standard",
        OneOf(["standard", "relaxed"]),
        help="`relaxed` switches rates and connection limits off.",
    )
    log_level: str = text_setting(
        "RTS_LOG_LEVEL",
        "INFO",
        OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]),
        help="Least level of the log lines that are written.",
    )
    dev: str = text_setting(
        "RTS_DEV",
        "",
        OneOf(["", "1"]),
        help="1 serves the demo page and its tokens; for development only.",
    )
    ping_interval: float = seconds_setting(
        "RTS_PING_INTERVAL", 15.0, 1.0, help="Seconds between two Engine.IO pings."
    )
    ping_timeout: float = seconds_setting(
        "RTS_PING_TIMEOUT", 10.0, 0.1, help="Seconds a client has to answer a ping."
    )
    drain_spread: float = seconds_setting(
        "RTS_DRAIN_SPREAD",
        20.0,
        0.0,
        40.0,
        help="Seconds over which a drain spreads the closing of connections, at least.",
    )
    drain_rate: int = count_setting(
        "RTS_DRAIN_RATE",
        50,
        help="Connections that a drain closes per second, at most, where time allows it.",
    )
    drain_deadline: float = seconds_setting(
        "RTS_DRAIN_DEADLINE",
        50.0,
        0.0,
        50.0,
        help="Seconds after SIGTERM after which a drain ends in any case.",
    )
    connect_deadline: float = seconds_setting(
        "RTS_CONNECT_DEADLINE", 10.0, 0.1, help="Seconds a connection may be in no namespace."
    )
    expiry_grace: float = seconds_setting(
        "RTS_EXPIRY_GRACE", 30.0, help="Seconds a token is accepted after its expiry."
    )
    longest_token: float = seconds_setting(
        "RTS_LONGEST_TOKEN",
        30 * 86400.0,
        1.0,
        help="Seconds after its issue at which any token expires.",
    )
    revocation_poll: float = seconds_setting(
        "RTS_REVOCATION_POLL", 2.0, 0.05, help="Seconds between two reads of revoked tokens."
    )
    command_deadline: float = seconds_setting(
        "RTS_COMMAND_DEADLINE",
        5.0,
        0.1,
        help="Seconds after which a command is answered `timeout`.",
    )
    redis_deadline: float = seconds_setting(
        "RTS_REDIS_DEADLINE", 3.0, 0.1, help="Seconds a command waits for Redis."
    )
    durable_wait: float = seconds_setting(
        "RTS_DURABLE_WAIT", 3.0, help="Seconds an ack waits for `queued` before it says `accepted`."
    )
    hot_log_floor: float = seconds_setting(
        "RTS_HOT_LOG_FLOOR",
        900.0,
        help="Seconds an event stays in the hot log, unless that is above its bytes.",
    )
    hot_log_age: float = seconds_setting(
        "RTS_HOT_LOG_AGE",
        2700.0,
        help="Seconds after which an event leaves the hot log, once it is stored.",
    )
    hot_log_events: int = count_setting(
        "RTS_HOT_LOG_EVENTS",
        50,
        help="Events of a room that the hot log keeps beyond its floor, until that age.",
    )
    hot_log_bytes: int = count_setting(
        "RTS_HOT_LOG_BYTES",
        8 * 1024 * 1024,
        help="Bytes of a room's hot log above which stored events leave it early.",
    )
    room_ttl: float = seconds_setting(
        "RTS_ROOM_TTL",
        30 * 86400.0,
        1.0,
        help="Seconds after its last event, or connect of a member, at which a room leaves Redis.",
    )
    idempotency_ttl: float = seconds_setting(
        "RTS_IDEMPOTENCY_TTL",
        48 * 3600.0,
        1.0,
        help="Seconds in which Redis alone may recognize a retry by its `client_msg_id`.",
    )
    claim_ttl: float = seconds_setting(
        "RTS_CLAIM_TTL",
        10.0,
        0.5,
        help="Seconds until a claim to load a cold room ends that is not renewed.",
    )
    relay_lease: float = seconds_setting(
        "RTS_RELAY_LEASE", 5.0, 0.5, help="Seconds after which a dead relay is replaced."
    )
    outbox_cap: int = count_setting(
        "RTS_OUTBOX_CAP", 100000, help="Records of a partition at which sends are refused."
    )
    pending_bytes: int = count_setting(
        "RTS_PENDING_BYTES",
        256 * 1024 * 1024,
        help="Memory of an instance for appends that wait for SQS; more are refused.",
    )
    cursor_flush: float = seconds_setting(
        "RTS_CURSOR_FLUSH",
        30.0,
        help="Seconds after which a moved read cursor is written to the queue.",
    )
    delivered_flush: float = seconds_setting(
        "RTS_DELIVERED_FLUSH",
        300.0,
        help="Seconds after which a delivered cursor that moved alone is written to the queue.",
    )
    receipt_interval: float = seconds_setting(
        "RTS_RECEIPT_INTERVAL",
        1.0,
        0.01,
        help="Seconds between two writes of an instance's receipts, and two events of a room.",
    )
    report_interval: float = seconds_setting(
        "RTS_REPORT_INTERVAL",
        10.0,
        0.01,
        help="Seconds between two reports of receipts that clients are asked to keep.",
    )
    upload_types: str = text_setting(
        "RTS_UPLOAD_TYPES", "*/*", help="Content types that may be uploaded, separated by commas."
    )
    upload_ttl: int = count_setting(
        "RTS_UPLOAD_TTL", 300, 1, 300, help="Seconds in which an upload form may be used."
    )
    download_ttl: int = count_setting(
        "RTS_DOWNLOAD_TTL", 300, 1, 300, help="Seconds in which a download URL may be used."
    )
    linger: float = seconds_setting(
        "RTS_LINGER", 30.0, help="Seconds a room stays subscribed after its last listener left."
    )
    loss_check: float = seconds_setting(
        "RTS_LOSS_CHECK", 10.0, 0.1, help="Seconds between two checks that Redis lost no data."
    )
    canary_interval: float = seconds_setting(
        "RTS_CANARY_INTERVAL", 3.0, 0.05, help="Seconds between two canary messages."
    )
    deaf_after: float = seconds_setting(
        "RTS_DEAF_AFTER",
        10.0,
        0.1,
        help="Seconds without a canary after which an instance is deaf.",
    )
    presence_lease: float = seconds_setting(
        "RTS_PRESENCE_LEASE",
        20.0,
        0.5,
        help="Seconds after which the users of a dead instance no longer count.",
    )
    presence_sweep: float = seconds_setting(
        "RTS_PRESENCE_SWEEP", 5.0, 0.05, help="Seconds between two looks for ended leases."
    )
    presence_grace: float = seconds_setting(
        "RTS_PRESENCE_GRACE",
        10.0,
        help="Seconds a user may be gone before they are announced as offline.",
    )
    typing_ttl: float = seconds_setting(
        "RTS_TYPING_TTL", 8.0, 0.1, help="Seconds after which a typing indicator ends by itself."
    )
    typing_interval: float = seconds_setting(
        "RTS_TYPING_INTERVAL",
        1.0,
        0.01,
        help="Seconds between two `typing.changed` events of a room.",
    )
    metrics_port: int = count_setting(
        "RTS_METRICS_PORT", 0, 0, 65535, help="Port on which the relay serves /metrics; 0 is off."
    )
    emf_interval: float = seconds_setting(
        "RTS_EMF_INTERVAL", 60.0, help="Seconds between two lines of CloudWatch metrics; 0 is off."
    )
    emf_namespace: str = text_setting(
        "RTS_EMF_NAMESPACE",
        "rts/chat",
        Regexp("[\\w./#:-]{1,255}$"),
        help="CloudWatch namespace of these metrics.",
    )
    emf_log_group: str = text_setting(
        "RTS_EMF_LOG_GROUP", "/rts/chat/metrics", help="CloudWatch log group of these metrics."
    )
    trace_endpoint: str | None = text_setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        Regexp("https?://.+"),
        help="URL of an OpenTelemetry collector; empty writes no spans.",
    )
    emf_agent: str | None = text_setting(
        "RTS_EMF_AGENT",
        None,
        Regexp("udp://[\\w.-]+(:\\d+)?$"),
        help="udp:// address of the CloudWatch agent; empty writes to standard error.",
    )
    limits: SizeLimits = LIMITS

    @property
    def limited(self) -> bool:
        """True if rates and connection limits apply. Size limits always apply."""
        return self.rate_limits == "standard"


def ms(seconds: float) -> int:
    """Return seconds as whole milliseconds, the unit of Redis."""
    return int(seconds * 1000)

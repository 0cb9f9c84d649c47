"""Settings are read from the environment and validated here, nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError
from marshmallow import fields as wire
from marshmallow.validate import OneOf, Range, Regexp

from rts_server import rates
from rts_server.protocol.numbers import DecimalText, IntegerText

MASK = "********"
MIN_SECRET_BYTES = 32
"""Length of a secret at least: an HS256 key is as long as its hash, or longer (RFC 7518, 3.2)."""


class ConfigError(Exception):
    """A setting is invalid. The message names the variable, and never its value."""


@dataclass(frozen=True)
class Limits:
    """Sizes of the protocol (docs/protocol.md). They always apply; RTS_LIMITS does not."""

    frame_bytes: int = 64 * 1024
    text_points: int = 4_000
    text_bytes: int = 16 * 1024
    metadata_bytes: int = 4 * 1024
    metadata_depth: int = 8
    metadata_keys: int = 64
    room_name: int = 200
    group_members: int = 1_000
    user_rooms: int = 1_000
    put_rooms: int = 900
    stranger_rooms: int = 500
    ids_per_call: int = 100
    mentions: int = 50
    attachments: int = 10
    attachment_bytes: int = 25 * 1024 * 1024
    file_name: int = 255
    emoji: int = 20
    emoji_points: int = 32
    reactions: int = 500
    reaction_users: int = 100
    receipt_members: int = 100
    typing_members: int = 100
    status_text: int = 140
    watched: int = 500
    answer_bytes: int = 256 * 1024
    cursor_rooms: int = 500
    replay_events: int = 300


def _text(
    variable: str, default: str | None, valid: Any = None, *, help: str, secret: bool = False
) -> Any:
    kind = wire.String(validate=valid)
    return _setting(variable, default, kind, help, secret)


def _seconds(
    variable: str, default: float, least: float = 0.0, most: float | None = None, *, help: str
) -> Any:
    return _setting(variable, default, DecimalText(validate=Range(least, most)), help)


def _count(
    variable: str, default: int, least: int = 1, most: int | None = None, *, help: str
) -> Any:
    return _setting(variable, default, IntegerText(validate=Range(least, most)), help)


def _setting(
    variable: str, default: Any, kind: wire.Field[Any], help: str, secret: bool = False
) -> Any:
    metadata = {"env": variable, "wire": kind, "help": help, "secret": secret}
    return field(default=default, metadata=metadata)


def _strong(secret: str) -> None:
    if len(secret.encode()) < MIN_SECRET_BYTES:
        raise ValidationError(f"Shorter than {MIN_SECRET_BYTES} bytes, which HS256 requires.")


def _rates(text: str) -> None:
    try:
        rates.parse(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None


_ENCRYPTED = r"https://.+|http://(127\.0\.0\.1|localhost)[:/].*"
"""Matches URLs that are encrypted, or lead to this machine."""


@dataclass(frozen=True)
class Settings:
    """All settings of a process. Times are in seconds; docs/guarantees.md marks them with (t)."""

    host: str = _text("RTS_HOST", "127.0.0.1", help="Address on which the process listens.")
    port: int = _count(
        "RTS_PORT", 8000, 0, 65535, help="TCP port of the web process; 0 lets the system choose."
    )
    redis_url: str = _text(
        "RTS_REDIS_URL",
        "redis://127.0.0.1:6379/0",
        Regexp("(rediss?|unix)://.+"),
        secret=True,
        help="URL of Redis, with its password; rediss:// uses TLS.",
    )
    aws_endpoint_url: str | None = _text(
        "AWS_ENDPOINT_URL",
        None,
        Regexp("https?://.+"),
        help="URL of the AWS services; empty means the real ones.",
    )
    s3_endpoint_url: str | None = _text(
        "AWS_ENDPOINT_URL_S3",
        None,
        Regexp("https?://.+"),
        help="URL of S3, if it differs from the other services.",
    )
    aws_region: str = _text(
        "AWS_REGION", "us-east-1", help="AWS region of the queues, tables and the bucket."
    )
    message_queue: str = _text(
        "RTS_MESSAGE_QUEUE",
        "chat-message-queue.fifo",
        Regexp("[\\w-]+\\.fifo$"),
        help="Name of the FIFO queue of message records.",
    )
    room_queue: str = _text(
        "RTS_ROOM_QUEUE", "chat-room-queue", help="Name of the queue of room and member records."
    )
    quarantine_queue: str = _text(
        "RTS_QUARANTINE_QUEUE",
        "chat-quarantine-queue",
        help="Name of the queue of records that could never be applied.",
    )
    rooms_table: str = _text(
        "RTS_ROOMS_TABLE", "chat-rooms", help="Name of the DynamoDB table of rooms and members."
    )
    messages_table: str = _text(
        "RTS_MESSAGES_TABLE", "chat-messages", help="Name of the DynamoDB table of messages."
    )
    bucket: str = _text("RTS_BUCKET", "chat-files", help="Name of the S3 bucket of uploaded files.")
    jwt_secret: str = _text(
        "RTS_JWT_SECRET",
        "",
        lambda text: _strong(text),
        secret=True,
        help="Secret that verifies HS256 tokens, at least 32 bytes.",
    )
    jwt_issuer: str | None = _text(
        "RTS_JWT_ISSUER", None, help="Required `iss` of tokens; empty accepts any."
    )
    jwt_audience: str | None = _text(
        "RTS_JWT_AUDIENCE", None, help="Required `aud` of tokens; empty accepts any."
    )
    jwks_url: str | None = _text(
        "RTS_JWKS_URL",
        None,
        Regexp(_ENCRYPTED),
        help="URL of an identity provider's key set (RFC 7517).",
    )
    jwks_refresh: float = _seconds(
        "RTS_JWKS_REFRESH", 3600.0, 1.0, help="Seconds between two fetches of the key set."
    )
    cors_origins: str = _text(
        "RTS_CORS_ORIGINS",
        "",
        help="Origins of pages that may connect, separated by commas; `*` is any.",
    )
    transports: str = _text(
        "RTS_TRANSPORTS",
        "websocket",
        OneOf(["websocket", "polling,websocket"]),
        help="Engine.IO transports; polling needs sticky sessions.",
    )
    rates: str = _text(
        "RTS_RATES",
        "",
        lambda text: _rates(text),
        help="Rates that differ from the defaults, as `name=per_second/burst`.",
    )
    user_connections: int = _count(
        "RTS_USER_CONNECTIONS", 10, help="Connections a user may have, on all instances together."
    )
    address_connections: int = _count(
        "RTS_ADDRESS_CONNECTIONS", 100, help="Connections a client address may have per instance."
    )
    commands_in_flight: int = _count(
        "RTS_COMMANDS_IN_FLIGHT",
        8,
        help="Unanswered commands of a connection at which reading stops.",
    )
    client_external_ids: str = _text(
        "RTS_CLIENT_EXTERNAL_IDS",
        "off",
        OneOf(["on", "off"]),
        help="Whether clients may create rooms by `external_id`.",
    )
    trusted_proxies: int = _count(
        "RTS_TRUSTED_PROXIES", 0, 0, 10, help="Proxies in front whose X-Forwarded-For is trusted."
    )
    rate_limits: str = _text(
        "RTS_LIMITS",
        "standard",
        OneOf(["standard", "relaxed"]),
        help="`relaxed` switches rates and connection limits off.",
    )
    log_level: str = _text(
        "RTS_LOG_LEVEL",
        "INFO",
        OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]),
        help="Least level of the log lines that are written.",
    )
    dev: str = _text(
        "RTS_DEV",
        "",
        OneOf(["", "1"]),
        help="1 serves the demo page and its tokens; for development only.",
    )
    ping_interval: float = _seconds(
        "RTS_PING_INTERVAL", 15.0, 1.0, help="Seconds between two Engine.IO pings."
    )
    ping_timeout: float = _seconds(
        "RTS_PING_TIMEOUT", 10.0, 0.1, help="Seconds a client has to answer a ping."
    )
    drain_spread: float = _seconds(
        "RTS_DRAIN_SPREAD",
        20.0,
        0.0,
        40.0,
        help="Seconds over which a drain spreads the closing of connections.",
    )
    drain_deadline: float = _seconds(
        "RTS_DRAIN_DEADLINE", 50.0, 0.0, 50.0, help="Seconds after which a drain ends in any case."
    )
    connect_deadline: float = _seconds(
        "RTS_CONNECT_DEADLINE", 10.0, 0.1, help="Seconds a connection may be in no namespace."
    )
    expiry_grace: float = _seconds(
        "RTS_EXPIRY_GRACE", 30.0, help="Seconds a token is accepted after its expiry."
    )
    longest_token: float = _seconds(
        "RTS_LONGEST_TOKEN",
        30 * 86400.0,
        1.0,
        help="Seconds after its issue at which any token expires.",
    )
    revocation_poll: float = _seconds(
        "RTS_REVOCATION_POLL", 2.0, 0.05, help="Seconds between two reads of revoked tokens."
    )
    command_deadline: float = _seconds(
        "RTS_COMMAND_DEADLINE",
        5.0,
        0.1,
        help="Seconds after which a command is answered `timeout`.",
    )
    redis_deadline: float = _seconds(
        "RTS_REDIS_DEADLINE", 3.0, 0.1, help="Seconds a command waits for Redis."
    )
    durable_wait: float = _seconds(
        "RTS_DURABLE_WAIT", 3.0, help="Seconds an ack waits for `queued` before it says `accepted`."
    )
    hot_log_floor: float = _seconds(
        "RTS_HOT_LOG_FLOOR", 900.0, help="Seconds an event stays in the hot log in any case."
    )
    hot_log_events: int = _count(
        "RTS_HOT_LOG_EVENTS", 500, help="Events of a room that the hot log keeps beyond its floor."
    )
    hot_log_ttl: float = _seconds(
        "RTS_HOT_LOG_TTL",
        86400.0,
        1.0,
        help="Seconds after its last event at which a room's hot keys expire.",
    )
    head_ttl: float = _seconds(
        "RTS_HEAD_TTL",
        30 * 86400.0,
        1.0,
        help="Seconds after its last event at which a room's head expires.",
    )
    idempotency_ttl: float = _seconds(
        "RTS_IDEMPOTENCY_TTL",
        48 * 3600.0,
        1.0,
        help="Seconds in which a retry with the same `client_msg_id` is recognized.",
    )
    claim_ttl: float = _seconds(
        "RTS_CLAIM_TTL", 10.0, 0.5, help="Seconds an instance may take to load a cold room."
    )
    relay_lease: float = _seconds(
        "RTS_RELAY_LEASE", 5.0, 0.5, help="Seconds after which a dead relay is replaced."
    )
    outbox_cap: int = _count(
        "RTS_OUTBOX_CAP", 100000, help="Records of a partition at which sends are refused."
    )
    pending_cap: int = _count(
        "RTS_PENDING_CAP",
        10000,
        help="Appends of an instance that may wait for SQS; more are refused.",
    )
    cursor_flush: float = _seconds(
        "RTS_CURSOR_FLUSH", 10.0, help="Seconds after which a moved cursor is written to the queue."
    )
    receipt_interval: float = _seconds(
        "RTS_RECEIPT_INTERVAL",
        1.0,
        0.01,
        help="Seconds between two `receipt.updated` events of a room.",
    )
    upload_types: str = _text(
        "RTS_UPLOAD_TYPES", "*/*", help="Content types that may be uploaded, separated by commas."
    )
    upload_ttl: int = _count(
        "RTS_UPLOAD_TTL", 300, 1, 300, help="Seconds in which an upload form may be used."
    )
    download_ttl: int = _count(
        "RTS_DOWNLOAD_TTL", 300, 1, 300, help="Seconds in which a download URL may be used."
    )
    linger: float = _seconds(
        "RTS_LINGER", 30.0, help="Seconds a room stays subscribed after its last listener left."
    )
    head_check: float = _seconds(
        "RTS_HEAD_CHECK",
        15.0,
        0.1,
        help="Seconds between two checks that no event of a room was missed.",
    )
    canary_interval: float = _seconds(
        "RTS_CANARY_INTERVAL", 3.0, 0.05, help="Seconds between two canary messages."
    )
    deaf_after: float = _seconds(
        "RTS_DEAF_AFTER",
        10.0,
        0.1,
        help="Seconds without a canary after which an instance is deaf.",
    )
    presence_lease: float = _seconds(
        "RTS_PRESENCE_LEASE",
        20.0,
        0.5,
        help="Seconds after which the users of a dead instance no longer count.",
    )
    presence_sweep: float = _seconds(
        "RTS_PRESENCE_SWEEP", 5.0, 0.05, help="Seconds between two looks for ended leases."
    )
    presence_grace: float = _seconds(
        "RTS_PRESENCE_GRACE",
        10.0,
        help="Seconds a user may be gone before they are announced as offline.",
    )
    presence_check: float = _seconds(
        "RTS_PRESENCE_CHECK",
        30.0,
        0.1,
        help="Seconds between two checks of the presence of watched users.",
    )
    typing_ttl: float = _seconds(
        "RTS_TYPING_TTL", 8.0, 0.1, help="Seconds after which a typing indicator ends by itself."
    )
    typing_interval: float = _seconds(
        "RTS_TYPING_INTERVAL",
        1.0,
        0.01,
        help="Seconds between two `typing.changed` events of a room.",
    )
    metrics_port: int = _count(
        "RTS_METRICS_PORT", 0, 0, 65535, help="Port on which the relay serves /metrics; 0 is off."
    )
    emf_interval: float = _seconds(
        "RTS_EMF_INTERVAL", 60.0, help="Seconds between two lines of CloudWatch metrics; 0 is off."
    )
    emf_namespace: str = _text(
        "RTS_EMF_NAMESPACE",
        "rts",
        Regexp("[\\w./#:-]{1,255}$"),
        help="CloudWatch namespace of these metrics.",
    )
    emf_log_group: str = _text(
        "RTS_EMF_LOG_GROUP", "/rts/metrics", help="CloudWatch log group of these metrics."
    )
    trace_endpoint: str | None = _text(
        "OTEL_EXPORTER_OTLP_ENDPOINT",
        None,
        Regexp("https?://.+"),
        help="URL of an OpenTelemetry collector; empty writes no spans.",
    )
    emf_agent: str | None = _text(
        "RTS_EMF_AGENT",
        None,
        Regexp("udp://[\\w.-]+(:\\d+)?$"),
        help="udp:// address of the CloudWatch agent; empty writes to standard error.",
    )
    limits: Limits = field(default_factory=Limits)

    @property
    def limited(self) -> bool:
        """Whether rates and connection limits apply. Sizes always apply."""
        return self.rate_limits == "standard"


def ms(seconds: float) -> int:
    """Return seconds as whole milliseconds, the unit of Redis."""
    return int(seconds * 1000)


_VARIABLES = {f.name: f for f in fields(Settings) if "env" in f.metadata}
_SCHEMA = Schema.from_dict(
    {
        name: type(f.metadata["wire"])(
            validate=f.metadata["wire"].validate, data_key=f.metadata["env"]
        )
        for name, f in _VARIABLES.items()
    }
)


def load(environ: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the settings. Raises ConfigError with one sentence about all errors."""
    try:
        return Settings(**_SCHEMA(unknown=EXCLUDE).load(_given(environ)))
    except ValidationError as error:
        says = error.messages_dict.items()
        text = "; ".join(f"{name}: {' '.join(lines)}" for name, lines in says)
        raise ConfigError(text) from None


def _given(environ: Mapping[str, str] | None) -> dict[str, str]:
    """Return the variables that are set, the region by either of its names. Empty means unset."""
    source = os.environ if environ is None else environ
    given = {name: value for name, value in source.items() if value}
    if "AWS_DEFAULT_REGION" in given:
        given.setdefault("AWS_REGION", given["AWS_DEFAULT_REGION"])
    return given


def described(
    settings: Settings, environ: Mapping[str, str] | None = None
) -> list[tuple[str, str, str, str]]:
    """Return rows of (variable, value, source, description) for `rts-server config`.

    Secrets are masked. The source is `environment` or `default`.
    """
    given = _given(environ)
    rows = []
    for name, f in _VARIABLES.items():
        value = getattr(settings, name)
        text = MASK if f.metadata.get("secret") and value not in ("", f.default) else str(value)
        variable = f.metadata["env"]
        source = "environment" if variable in given else "default"
        rows.append((variable, text, source, f.metadata["help"]))
    return rows


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables with which another process loads equal settings."""
    return {
        f.metadata["env"]: str(value)
        for name, f in _VARIABLES.items()
        if (value := getattr(settings, name)) not in (None, "", MISSING)
    }

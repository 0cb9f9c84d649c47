"""Settings: read from the environment and validated here, nowhere else."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from typing import Any

from marshmallow import EXCLUDE, Schema, ValidationError
from marshmallow import fields as wire
from marshmallow.validate import OneOf, Range, Regexp

from rts_server import rates
from rts_server.protocol.numbers import DecimalText, WholeText

MASK = "********"
SECRET_BYTES = 32
"""RFC 7518, 3.2: a key of HS256 is as long as its hash, or longer."""


class ConfigError(Exception):
    """A setting is wrong; the message names the variable."""


@dataclass(frozen=True)
class Limits:
    """Sizes of the protocol. They always hold; rates have a switch of their own (RTS_LIMITS)."""

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


def _text(variable: str, default: str | None, valid: Any = None, **more: Any) -> Any:
    return field(
        default=default, metadata={"env": variable, "wire": wire.String(validate=valid), **more}
    )


def _strong(secret: str) -> None:
    if len(secret.encode()) < SECRET_BYTES:
        raise ValidationError(f"Shorter than {SECRET_BYTES} bytes, which HS256 requires.")


def _seconds(variable: str, default: float, least: float = 0.0, most: float | None = None) -> Any:
    kind = DecimalText(validate=Range(least, most))
    return field(default=default, metadata={"env": variable, "wire": kind})


def _count(variable: str, default: int, least: int = 1, most: int | None = None) -> Any:
    kind = WholeText(validate=Range(least, most))
    return field(default=default, metadata={"env": variable, "wire": kind})


def _rates(text: str) -> None:
    try:
        rates.parse(text)
    except ValueError as error:
        raise ValidationError(str(error)) from None


_ENCRYPTED = r"https://.+|http://(127\.0\.0\.1|localhost)[:/].*"
"""Or on this machine."""


@dataclass(frozen=True)
class Settings:
    """Everything a process is told. Times are in seconds; the promises' (t) are among them."""

    host: str = _text("RTS_HOST", "127.0.0.1")
    port: int = _count("RTS_PORT", 8000, 0, 65_535)
    redis_url: str = _text(
        "RTS_REDIS_URL", "redis://127.0.0.1:6379/0", Regexp(r"(rediss?|unix)://.+"), secret=True
    )
    aws_endpoint_url: str | None = _text("AWS_ENDPOINT_URL", None, Regexp(r"https?://.+"))
    s3_endpoint_url: str | None = _text("AWS_ENDPOINT_URL_S3", None, Regexp(r"https?://.+"))
    aws_region: str = _text("AWS_REGION", "us-east-1")
    message_queue: str = _text(
        "RTS_MESSAGE_QUEUE", "chat-message-queue.fifo", Regexp(r"[\w-]+\.fifo$")
    )
    room_queue: str = _text("RTS_ROOM_QUEUE", "chat-room-queue")
    quarantine_queue: str = _text("RTS_QUARANTINE_QUEUE", "chat-quarantine-queue")
    rooms_table: str = _text("RTS_ROOMS_TABLE", "chat-rooms")
    messages_table: str = _text("RTS_MESSAGES_TABLE", "chat-messages")
    bucket: str = _text("RTS_BUCKET", "chat-files")
    jwt_secret: str = _text("RTS_JWT_SECRET", "", lambda text: _strong(text), secret=True)
    jwt_issuer: str | None = _text("RTS_JWT_ISSUER", None)
    jwt_audience: str | None = _text("RTS_JWT_AUDIENCE", None)
    jwks_url: str | None = _text("RTS_JWKS_URL", None, Regexp(_ENCRYPTED))
    jwks_refresh: float = _seconds("RTS_JWKS_REFRESH", 3_600.0, 1.0)
    cors_origins: str = _text("RTS_CORS_ORIGINS", "")
    transports: str = _text(
        "RTS_TRANSPORTS", "websocket", OneOf(["websocket", "polling,websocket"])
    )
    rates: str = _text("RTS_RATES", "", lambda text: _rates(text))
    user_connections: int = _count("RTS_USER_CONNECTIONS", 10)
    address_connections: int = _count("RTS_ADDRESS_CONNECTIONS", 100)
    commands_in_flight: int = _count("RTS_COMMANDS_IN_FLIGHT", 8)
    client_external_ids: str = _text("RTS_CLIENT_EXTERNAL_IDS", "off", OneOf(["on", "off"]))
    trusted_proxies: int = _count("RTS_TRUSTED_PROXIES", 0, 0, 10)
    rate_limits: str = _text("RTS_LIMITS", "standard", OneOf(["standard", "relaxed"]))
    log_level: str = _text("RTS_LOG_LEVEL", "INFO", OneOf(["DEBUG", "INFO", "WARNING", "ERROR"]))
    dev: str = _text("RTS_DEV", "", OneOf(["", "1"]))
    ping_interval: float = _seconds("RTS_PING_INTERVAL", 15.0, 1.0)
    ping_timeout: float = _seconds("RTS_PING_TIMEOUT", 10.0, 0.1)
    drain_spread: float = _seconds("RTS_DRAIN_SPREAD", 20.0, 0.0, 40.0)
    drain_deadline: float = _seconds("RTS_DRAIN_DEADLINE", 50.0, 0.0, 50.0)
    connect_deadline: float = _seconds("RTS_CONNECT_DEADLINE", 10.0, 0.1)
    expiry_grace: float = _seconds("RTS_EXPIRY_GRACE", 30.0)
    longest_token: float = _seconds("RTS_LONGEST_TOKEN", 30 * 86_400.0, 1.0)
    revocation_poll: float = _seconds("RTS_REVOCATION_POLL", 2.0, 0.05)
    command_deadline: float = _seconds("RTS_COMMAND_DEADLINE", 5.0, 0.1)
    redis_deadline: float = _seconds("RTS_REDIS_DEADLINE", 3.0, 0.1)
    durable_wait: float = _seconds("RTS_DURABLE_WAIT", 3.0)
    hot_log_floor: float = _seconds("RTS_HOT_LOG_FLOOR", 900.0)
    hot_log_events: int = _count("RTS_HOT_LOG_EVENTS", 500)
    hot_log_ttl: float = _seconds("RTS_HOT_LOG_TTL", 86_400.0, 1.0)
    head_ttl: float = _seconds("RTS_HEAD_TTL", 30 * 86_400.0, 1.0)
    idempotency_ttl: float = _seconds("RTS_IDEMPOTENCY_TTL", 48 * 3_600.0, 1.0)
    claim_ttl: float = _seconds("RTS_CLAIM_TTL", 10.0, 0.5)
    relay_lease: float = _seconds("RTS_RELAY_LEASE", 5.0, 0.5)
    outbox_cap: int = _count("RTS_OUTBOX_CAP", 100_000)
    pending_cap: int = _count("RTS_PENDING_CAP", 10_000)
    cursor_flush: float = _seconds("RTS_CURSOR_FLUSH", 10.0)
    receipt_interval: float = _seconds("RTS_RECEIPT_INTERVAL", 1.0, 0.01)
    upload_types: str = _text("RTS_UPLOAD_TYPES", "*/*")
    upload_ttl: int = _count("RTS_UPLOAD_TTL", 300, 1, 300)
    download_ttl: int = _count("RTS_DOWNLOAD_TTL", 300, 1, 300)
    linger: float = _seconds("RTS_LINGER", 30.0)
    head_check: float = _seconds("RTS_HEAD_CHECK", 15.0, 0.1)
    canary_interval: float = _seconds("RTS_CANARY_INTERVAL", 3.0, 0.05)
    deaf_after: float = _seconds("RTS_DEAF_AFTER", 10.0, 0.1)
    presence_lease: float = _seconds("RTS_PRESENCE_LEASE", 20.0, 0.5)
    presence_sweep: float = _seconds("RTS_PRESENCE_SWEEP", 5.0, 0.05)
    presence_grace: float = _seconds("RTS_PRESENCE_GRACE", 10.0)
    presence_check: float = _seconds("RTS_PRESENCE_CHECK", 30.0, 0.1)
    typing_ttl: float = _seconds("RTS_TYPING_TTL", 8.0, 0.1)
    typing_interval: float = _seconds("RTS_TYPING_INTERVAL", 1.0, 0.01)
    metrics_port: int = _count("RTS_METRICS_PORT", 0, 0, 65_535)
    emf_interval: float = _seconds("RTS_EMF_INTERVAL", 60.0)
    emf_namespace: str = _text("RTS_EMF_NAMESPACE", "rts", Regexp(r"[\w./#:-]{1,255}$"))
    emf_log_group: str = _text("RTS_EMF_LOG_GROUP", "/rts/metrics")
    trace_endpoint: str | None = _text("OTEL_EXPORTER_OTLP_ENDPOINT", None, Regexp(r"https?://.+"))
    emf_agent: str | None = _text("RTS_EMF_AGENT", None, Regexp(r"udp://[\w.-]+(:\d+)?$"))
    limits: Limits = field(default_factory=Limits)

    @property
    def limited(self) -> bool:
        """Whether rates and connection caps hold; sizes always do."""
        return self.rate_limits == "standard"


def ms(seconds: float) -> int:
    """Milliseconds, as Redis wants them."""
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
    """Read and validate the settings. Raises ConfigError, one sentence that names the variables."""
    try:
        return Settings(**_SCHEMA(unknown=EXCLUDE).load(_given(environ)))
    except ValidationError as error:
        says = error.messages_dict.items()
        text = "; ".join(f"{name}: {' '.join(lines)}" for name, lines in says)
        raise ConfigError(text) from None


def _given(environ: Mapping[str, str] | None) -> dict[str, str]:
    """What the environment says, the region by either of its names; empty means not given."""
    source = os.environ if environ is None else environ
    given = {name: value for name, value in source.items() if value}
    if "AWS_DEFAULT_REGION" in given:
        given.setdefault("AWS_REGION", given["AWS_DEFAULT_REGION"])
    return given


def described(
    settings: Settings, environ: Mapping[str, str] | None = None
) -> list[tuple[str, str, str]]:
    """Rows of (variable, value with secrets masked, source) for `rts-server config`."""
    given = _given(environ)
    rows = []
    for name, f in _VARIABLES.items():
        value = getattr(settings, name)
        shown = MASK if f.metadata.get("secret") and value not in ("", f.default) else str(value)
        rows.append(
            (f.metadata["env"], shown, "environment" if f.metadata["env"] in given else "default")
        )
    return rows


def environment(settings: Settings) -> dict[str, str]:
    """The variables that make another process load equal settings."""
    return {
        f.metadata["env"]: str(value)
        for name, f in _VARIABLES.items()
        if (value := getattr(settings, name)) not in (None, "", MISSING)
    }

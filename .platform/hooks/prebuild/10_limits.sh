#!/usr/bin/env bash
# What systemd grants the processes of the Procfile: a file per socket, and time for a drain.
# The platform writes their units anew at each deployment; drop-ins stay.
set -euo pipefail

units="${RTS_UNITS:-/etc/systemd/system}"

for process in web relay; do
  mkdir -p "$units/$process.service.d"
  cat >"$units/$process.service.d/rts.conf" <<'UNIT'
[Service]
LimitNOFILE=131072
TimeoutStopSec=75
UNIT
done

if [ -z "${RTS_UNITS:-}" ]; then
  systemctl daemon-reload
fi

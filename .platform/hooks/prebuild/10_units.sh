#!/usr/bin/env bash
# What systemd grants the processes of the Procfile: a file per socket, time for a drain and, where
# RTS_WEB_ROLE_ARN and RTS_RELAY_ROLE_ARN are given (outputs of infra/template.yaml), a role each.
# The platform writes their units anew at each deployment; drop-ins stay.
set -euo pipefail

root="${RTS_ROOT:-}"
profiles="/etc/rts/aws.config"

declare -A role=([web]="${RTS_WEB_ROLE_ARN:-}" [relay]="${RTS_RELAY_ROLE_ARN:-}")
mkdir -p "$root/etc/rts"
: >"$root$profiles"

for process in web relay; do
  unit="$root/etc/systemd/system/$process.service.d"
  mkdir -p "$unit"
  {
    echo "[Service]"
    echo "LimitNOFILE=131072"
    echo "TimeoutStopSec=75"
    if [ -n "${role[$process]}" ]; then
      echo "Environment=AWS_CONFIG_FILE=$profiles AWS_PROFILE=$process"
      printf '[profile %s]\nrole_arn = %s\ncredential_source = Ec2InstanceMetadata\n' \
        "$process" "${role[$process]}" >>"$root$profiles"
    fi
  } >"$unit/rts.conf"
done

if [ -z "$root" ]; then
  systemctl daemon-reload
fi

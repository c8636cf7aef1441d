#!/bin/sh
# Creates or updates the log-based metrics, the dashboard and the alert policies in a project. Safe to repeat.
# Usage: monitoring/apply.sh PROJECT [NOTIFICATION_CHANNEL]
# Dashboards and policies are found by display name. A policy keeps the notification channels that it has.
# Needs no alpha or beta components of gcloud, but a version that has `gcloud monitoring policies`.
set -eu
project=${1:?Usage: monitoring/apply.sh PROJECT [NOTIFICATION_CHANNEL]}
channel=${2:-}
cd "$(dirname "$0")"

display_name() {
  sed -n 's/^  "displayName": "\(.*\)",$/\1/p' "$1"
}

# column LIST DISPLAY_NAME N: column N of the line with a display name; lines are NAME, DISPLAY NAME and another value.
column() {
  printf '%s\n' "$1" | awk -F '\t' -v wanted="$2" -v column="$3" '$2 == wanted { print $column; exit }'
}

metrics=$(gcloud logging metrics list --project="$project" --format='value(name)')
for file in metrics/*.json; do
  name=$(basename "$file" .json)
  if printf '%s\n' "$metrics" | grep -qx "$name"; then verb=update; else verb=create; fi
  gcloud logging metrics "$verb" "$name" --config-from-file="$file" --project="$project"
done

dashboards=$(gcloud monitoring dashboards list --project="$project" --format='value(name,displayName,etag)')
title=$(display_name dashboard.json)
dashboard=$(column "$dashboards" "$title" 1)
if [ -n "$dashboard" ]; then
  # The API accepts an update only with the etag of the version that it replaces.
  etag=$(column "$dashboards" "$title" 3)
  config=$(mktemp)
  trap 'rm -f "$config"' EXIT
  sed "1s/^{/{\"etag\": \"$etag\",/" dashboard.json >"$config"
  gcloud monitoring dashboards update "$dashboard" --config-from-file="$config" --project="$project"
else
  gcloud monitoring dashboards create --config-from-file=dashboard.json --project="$project"
fi

policies=$(gcloud monitoring policies list --project="$project" \
  --format='value(name,displayName,notificationChannels.join(","))')
for file in alerts/*.json; do
  title=$(display_name "$file")
  policy=$(column "$policies" "$title" 1)
  if [ -n "$policy" ]; then
    channels=$(column "$policies" "$title" 3)
    case ",$channels," in
      *",${channel:-$channels},"*) ;;
      *) channels="${channels:+$channels,}$channel" ;;
    esac
    gcloud monitoring policies update "$policy" --policy-from-file="$file" --project="$project" \
      ${channels:+--set-notification-channels="$channels"}
  else
    gcloud monitoring policies create --policy-from-file="$file" --project="$project" \
      ${channel:+--notification-channels="$channel"}
  fi
done

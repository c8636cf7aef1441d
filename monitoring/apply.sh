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

# Prints the resource name of the one that has a display name; lines are NAME, tab, DISPLAY NAME.
find_by_display_name() {
  awk -F '\t' -v wanted="$1" '$2 == wanted { print $1; exit }'
}

for file in metrics/*.json; do
  name=$(basename "$file" .json)
  if gcloud logging metrics describe "$name" --project="$project" >/dev/null 2>&1; then
    gcloud logging metrics update "$name" --config-from-file="$file" --project="$project"
  else
    gcloud logging metrics create "$name" --config-from-file="$file" --project="$project"
  fi
done

dashboards=$(gcloud monitoring dashboards list --project="$project" --format='value(name,displayName)')
dashboard=$(printf '%s\n' "$dashboards" | find_by_display_name "$(display_name dashboard.json)")
if [ -n "$dashboard" ]; then
  # The API accepts an update only with the etag of the version that it replaces.
  etag=$(gcloud monitoring dashboards describe "$dashboard" --project="$project" --format='value(etag)')
  config=$(mktemp)
  trap 'rm -f "$config"' EXIT
  sed "1s/^{/{\"etag\": \"$etag\",/" dashboard.json >"$config"
  gcloud monitoring dashboards update "$dashboard" --config-from-file="$config" --project="$project"
else
  gcloud monitoring dashboards create --config-from-file=dashboard.json --project="$project"
fi

policies=$(gcloud monitoring policies list --project="$project" --format='value(name,displayName)')
for file in alerts/*.json; do
  policy=$(printf '%s\n' "$policies" | find_by_display_name "$(display_name "$file")")
  if [ -n "$policy" ]; then
    channels=$(gcloud monitoring policies describe "$policy" --project="$project" \
      --format='value(notificationChannels.join(","))')
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

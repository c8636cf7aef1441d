#!/bin/sh
# Creates the log-based metrics, the dashboard and the alert policies in a project.
# Usage: monitoring/apply.sh PROJECT [NOTIFICATION_CHANNEL]
# Metrics that exist are updated. Of dashboards and policies each run makes new ones.
set -eu
project=${1:?Usage: monitoring/apply.sh PROJECT [NOTIFICATION_CHANNEL]}
channel=${2:-}
cd "$(dirname "$0")"

for file in metrics/*.json; do
  name=$(basename "$file" .json)
  if gcloud logging metrics describe "$name" --project="$project" >/dev/null 2>&1; then
    gcloud logging metrics update "$name" --config-from-file="$file" --project="$project"
  else
    gcloud logging metrics create "$name" --config-from-file="$file" --project="$project"
  fi
done

gcloud monitoring dashboards create --config-from-file=dashboard.json --project="$project"

for file in alerts/*.json; do
  gcloud monitoring policies create --policy-from-file="$file" --project="$project" \
    ${channel:+--notification-channels="$channel"}
done

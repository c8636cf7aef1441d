#!/bin/sh
# Stands in for gcloud in tests of a script's command lines. Keeps what they create in STATE_DIR: each item is a folder
# with its name, etag, notification channels and config. Knows no command or flag beyond those used here. In sh, because
# a test runs it about 100 times.
set -eu

fail() {
  echo "gcloud: $1" >&2
  exit 1
}

display_name() {
  sed -n 's/^  "displayName": "\(.*\)",$/\1/p' "$1/config"
}

kind=$2
verb=$3
case "$1 $kind" in
  "logging metrics" | "monitoring dashboards" | "monitoring policies") ;;
  *) fail "no $1 $kind" ;;
esac
shift 3

name= config= channels= project=
for arg; do
  case "$verb $arg" in
    *" --project=demo-project") project=demo-project ;;
    "create --config-from-file="* | "update --config-from-file="*) config=${arg#*=} ;;
    "create --policy-from-file="* | "update --policy-from-file="*) config=${arg#*=} ;;
    "create --notification-channels="* | "update --set-notification-channels="*) channels=${arg#*=} ;;
    "list --format="*) format=${arg#*=} ;;
    *" -"*) fail "no flag $arg of $verb" ;;
    *) name=$arg ;;
  esac
done
[ -n "$project" ] || fail "no project"

items=$STATE_DIR/$kind
mkdir -p "$items"
echo "$kind $verb" >>"$STATE_DIR/commands"

store() {
  cp "$config" "$1/config"
  echo "$2" >"$1/name"
  echo "$channels" >"$1/channels"
  echo "$3" >"$1/etag"
}

case $verb in
  create)
    id=${name:-$(find "$items" -name name | wc -l)}
    mkdir "$items/$id" || fail "$kind $id exists"
    store "$items/$id" "${name:-projects/1/$kind/$id}" v1
    ;;
  update)
    item=$items/${name##*/}
    [ -d "$item" ] || fail "no $kind $name"
    etag=$(cat "$item/etag")
    if [ "$kind" = dashboards ]; then
      grep -q "\"etag\": \"$etag\"" "$config" || fail "FAILED_PRECONDITION: etag"
    fi
    store "$item" "$name" "${etag}1"
    ;;
  list)
    for item in "$items"/*/; do
      [ -d "$item" ] || continue
      case $format in
        "value(name)") cat "$item/name" ;;
        "value(name,displayName,etag)")
          printf '%s\t%s\t%s\n' "$(cat "$item/name")" "$(display_name "$item")" "$(cat "$item/etag")"
          ;;
        'value(name,displayName,notificationChannels.join(","))')
          printf '%s\t%s\t%s\n' "$(cat "$item/name")" "$(display_name "$item")" "$(cat "$item/channels")"
          ;;
        *) fail "no format $format" ;;
      esac
    done
    ;;
  *) fail "no command $verb" ;;
esac

#!/usr/bin/env bash
# A worker in bash, curl and jq: the SHA-256 of the file that each task names.
queue=${1:-sha256} url=${LEASEQ_URL:-http://127.0.0.1:8080}

# Repeats while the service is away: every one of these calls is safe to repeat.
post() { curl -sS --retry 60 --retry-delay 1 --retry-all-errors "$url$1" -d "$2"; }

while true; do
  task=$(post "/v1/queues/$queue/lease" '{"worker": "bash"}' | jq -c '.tasks[0] // empty')
  [ -n "$task" ] || continue # nothing came within 20 seconds
  read -r id grant lease < <(jq -r '"\(.id) \(.grant) \(.lease_id)"' <<<"$task") || continue
  echo "$id $grant"
  if digest=$(sha256sum <"$(jq -r .payload <<<"$task")"); then
    post "/v1/leases/$lease/ack" "{\"result\": \"${digest%% *}\"}" >/dev/null
  else
    post "/v1/leases/$lease/nack" '{"error": "the file cannot be read"}' >/dev/null
  fi
done

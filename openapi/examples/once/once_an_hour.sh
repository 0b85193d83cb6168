#!/usr/bin/env bash
# One alert an hour for each problem, however often it is seen: the task holds its key for `ttl_seconds` from
# acceptance, even if it is done long before.
set -euo pipefail
url=${LEASEQ_URL:-http://localhost:8080}

alert() { # key text
  curl -sS --fail-with-body "$url/v1/queues/alerts/tasks" \
    -d "{\"payload\": {\"text\": \"$2\"}, \"unique\": {\"key\": \"$1\", \"ttl_seconds\": 3600}}"
  echo
}

disk=disk-full:db-$$ # the process id, so that a second run of this file is a problem of its own
alert "$disk" "91 % used"
alert "$disk" "92 % used"
alert "load-high:db-$$" "load 40"
alert "$disk" "95 % used"

# A worker gets one task per problem, with the text of the first alert.
tasks=$(curl -sS --fail-with-body "$url/v1/queues/alerts/lease" -d '{"max_tasks": 10}')
echo "$tasks"
[ "$(grep -o '"unique_key"' <<<"$tasks" | wc -l)" = 2 ]
grep -q '91 % used' <<<"$tasks"
for lease in $(grep -o '"lease_id":"[^"]*' <<<"$tasks" | cut -d'"' -f4); do
  curl -sS --fail-with-body "$url/v1/leases/$lease/ack" -d '{}'
  echo
done

# The task is done, and there is still no second one within the hour.
last=$(alert "$disk" "96 % used")
echo "$last"
grep -q '"duplicate":true' <<<"$last"

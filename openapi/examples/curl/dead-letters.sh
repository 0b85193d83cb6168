#!/usr/bin/env bash
# An operator's work after failures: dead letters are inspected, replayed with three new retries, purged.
# Needs jq. Creates its own dead letters in a queue of its own.
set -euo pipefail
url=${LEASEQ_URL:-http://localhost:8080}
queue=$url/v1/queues/dead-letters-example
copy=$(mktemp)
trap 'rm -f "$copy"' EXIT

# Three mails fail for good: the first attempt is the only one.
for to in a b c; do
  curl -fsS "$queue/tasks" -d '{"name": "welcome", "payload": {"to": "'$to'@example.com"}, "max_attempts": 1}' > /dev/null
done
for error in Timeout Timeout Rejected; do
  lease=$(curl -fsS -X POST "$queue/lease" | jq -r '.tasks[0].lease_id')
  curl -fsS "$url/v1/leases/$lease/nack" -d '{"error": {"type": "'$error'", "message": "smtp: '$error'"}}' > /dev/null
done

# List the dead letters, newest first; then show one with its attempts.
curl -fsS "$queue/dlq" | jq -r '.items[] | [.died_at, .id, .name, .last_error.message] | @tsv'
id=$(curl -fsS "$queue/dlq?error_type=Timeout&limit=1" | jq -r '.items[0].id')
curl -fsS "$queue/dlq/$id" | jq '{payload, reason, attempts: [.attempts[] | {number, error}]}'

# Keep a copy that can be enqueued again.
curl -fsS "$queue/dlq/export" > "$copy"

# The upstream is back. Count the timeouts, then replay them, two a second: one attempt, three retries.
curl -fsS "$queue/dlq/replay" -d '{"filter": {"error_type": "Timeout"}, "dry_run": true}' | jq -e '.matched == 2'
curl -fsS "$queue/dlq/replay" -d '{"filter": {"error_type": "Timeout"}, "max_attempts": 4, "rate_per_second": 2}' | jq -e '.replayed == 2'

# Replayed tasks are new ones: their attempts begin anew, and `replayed_from` names the dead letter.
curl -fsS -X POST "$queue/lease" -d '{"max_tasks": 2, "wait_seconds": 5}' |
  jq -e '.tasks[0] | .attempt == 1 and .max_attempts == 4 and (.replayed_from | length) == 23'

# The rest is hopeless. A purge without a filter needs the queue's name as confirmation.
curl -sS "$queue/dlq/purge" -d '{}' | jq -e '.code == "confirmation_required"'
curl -fsS "$queue/dlq/purge" -d '{"confirm": "dead-letters-example"}' | jq -e '.purged == 1'
curl -fsS "$queue/stats" | jq -e '.dead == 0 and .replayed_total == 2 and .purged_total == 1'

# The copy brings all of them back.
curl -fsS "$queue/tasks/batch" -H 'Content-Type: application/x-ndjson' --data-binary @"$copy" | jq -e '.accepted == 3'

#!/usr/bin/env bash
# Exponential backoff: a webhook that fails is tried again after about 1, 2, 4 ... and at most 300 seconds, in
# all ten times. The delays vary ("equal" jitter), so that tasks that fail together do not come back together.
set -euo pipefail
url=${LEASEQ_URL:-http://localhost:8080}
call() { curl --silent --show-error --fail-with-body "$@"; }
lease() { call -X POST "$url/v1/queues/webhooks/lease" -d '{"wait_seconds": 10}'; }
lease_id() { grep -o '"lease_id":"[^"]*' | cut -d'"' -f4; }

# One setting for all tasks of a name. Each task keeps the setting that applied when it was accepted.
call -X PATCH "$url/v1/queues/webhooks" -d '{"names": {"deliver": {"max_attempts": 10, "retry":
  {"strategy": "exponential", "base_seconds": 1, "factor": 2, "max_seconds": 300, "jitter": "equal"}}}}'

# After a day the webhook is of no use any more: the task expires and becomes a dead letter.
call "$url/v1/queues/webhooks/tasks" -d '{"name": "deliver", "payload": {"order": 7}, "expires_in_seconds": 86400}'

# The first attempt fails. The response has the time of the next one.
failed=$(lease | lease_id)
call "$url/v1/leases/$failed/nack" -d '{"error": {"type": "Timeout", "message": "no answer within 10 s"}}' | grep '"next_attempt_at"'

# The next worker that gets the task sees its last error.
again=$(lease)
grep -o '"last_error":{[^}]*}' <<< "$again"
call "$url/v1/leases/$(lease_id <<< "$again")/ack" -d '{"result": "delivered"}'

# An order that must not be charged twice by accident is tried once, whatever happens.
call "$url/v1/queues/webhooks/tasks" -d '{"name": "charge", "retry": false}'
call "$url/v1/leases/$(lease | lease_id)/nack" -d '{"error": "card declined"}' | grep '"state":"dead"'

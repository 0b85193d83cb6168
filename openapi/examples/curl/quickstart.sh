#!/usr/bin/env bash
# The README's first minute: a producer, a worker and an operator with nothing but curl.
set -euo pipefail
url=${LEASEQ_URL:-http://localhost:8080}

# A producer enqueues.
curl $url/v1/queues/emails/tasks -d '{"name": "welcome", "payload": {"to": "a@example.com"}}'
curl $url/v1/queues/emails/tasks -d '{"name": "welcome", "payload": {"to": "b@example.com"}, "delay_seconds": 60}'

# A worker leases, works, and reports the outcome. The lease call waits up to 20 seconds for a task.
LEASE=$(curl -X POST $url/v1/queues/emails/lease | grep -o '"lease_id":"[^"]*' | cut -d'"' -f4)
curl $url/v1/leases/$LEASE/extend -d '{"lease_seconds": 60}'
curl $url/v1/leases/$LEASE/ack -d '{"result": "sent"}'

# An operator looks at counts and tasks.
curl $url/v1/queues/emails/stats
curl "$url/v1/queues/emails/tasks?state=scheduled"

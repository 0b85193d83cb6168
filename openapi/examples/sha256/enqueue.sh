#!/usr/bin/env bash
# Enqueues one task for each line of its input: find /usr/share/doc -type f | ./enqueue.sh sha256
set -euo pipefail
url=${LEASEQ_URL:-http://127.0.0.1:8080}
export tasks=$url/v1/queues/${1:-sha256}/tasks/batch

# 500 tasks a request, one JSON object per line.
jq -cR '{name: "sha256", payload: .}' |
  split -l 500 --filter 'curl -sS --fail-with-body -H "content-type: application/x-ndjson" --data-binary @- "$tasks"; echo'

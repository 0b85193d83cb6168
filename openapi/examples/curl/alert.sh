#!/usr/bin/env bash
# An alert on more than 100 dead letters, for cron or a monitoring agent:  alert.sh QUEUE [HOW_MANY]
# Exits with 1 and prints the main causes when there are more, with 2 when the service does not respond.
# Needs jq. If you use Prometheus, deploy/prometheus/rules.yaml has the same alert.
queue=$1 limit=${2:-100} url=${LEASEQ_URL:-http://localhost:8080}
get() { curl -fsS "$url/v1/queues/$queue/$1" || exit 2; }

stats=$(get stats) || exit
dead=$(jq .dead <<< "$stats")
[ "$dead" -gt "$limit" ] || exit 0

groups=$(get dlq/groups) || exit
echo "$dead tasks of $queue are dead letters, most of them:"
jq -r '.items[:3][] | "\(.count) × \(.name): \(.error_type) \(.message)"' <<< "$groups"
exit 1

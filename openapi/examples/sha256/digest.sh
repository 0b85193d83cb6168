#!/bin/sh
# A program for `leaseq work sha256 -- ./digest.sh`. The payload is on stdin, JSON on stdout is the result,
# and exit 0 is an ack.
set -eu
echo "$LEASEQ_TASK_ID $LEASEQ_GRANT" >>"${DIGEST_LOG:-/dev/null}"
digest=$(sha256sum <"$(jq -r .)")
echo "\"${digest%% *}\""

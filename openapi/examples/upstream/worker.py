#!/usr/bin/env python3
"""A worker whose upstream responds 429. It releases the task until the time that the upstream names, and
holds all tasks of the same name until then, for all workers. One request gets the 429 instead of a thousand,
and no attempt is spent.

    worker.py UPSTREAM [QUEUE]
"""
import json
import os
import sys
import urllib.error
import urllib.request

URL = os.environ.get("LEASEQ_URL", "http://localhost:8080")
UPSTREAM, QUEUE = sys.argv[1], (sys.argv[2:] or ["calls"])[0]


def post(url, body):
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.load(answer)


def work(task):
    lease = f"{URL}/v1/leases/{task['lease_id']}"
    try:
        result = post(UPSTREAM, task["payload"])
    except urllib.error.HTTPError as error:
        if error.code == 429:
            # Seconds or an HTTP date: `retry_after` takes both.
            later = error.headers.get("Retry-After", "30")
            later = int(later) if later.isdigit() else later
            return post(f"{lease}/release", {"retry_after": later, "hold": "name", "reason": "upstream says 429"})
        return post(f"{lease}/nack", {"error": {"type": f"Http{error.code}", "message": str(error)}})
    return post(f"{lease}/ack", {"result": result})


while True:
    for task in post(f"{URL}/v1/queues/{QUEUE}/lease", {"worker": "upstream", "wait_seconds": 20})["tasks"]:
        work(task)

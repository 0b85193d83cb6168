#!/usr/bin/env python3
"""A worker in plain Python: the SHA-256 of the file that each task names, with one request per 20 tasks."""
import hashlib, http.client, json, os, sys, time, urllib.error, urllib.request

queue = sys.argv[1] if len(sys.argv) > 1 else "sha256"
url = os.environ.get("LEASEQ_URL", "http://127.0.0.1:8080") + f"/v1/queues/{queue}/lease"


def lease(body):
    """Settles finished tasks and leases the next ones; repeats while the service is away, which is safe."""
    while True:
        try:
            with urllib.request.urlopen(url, json.dumps(body).encode(), timeout=60) as response:
                return json.load(response)["tasks"]
        except urllib.error.HTTPError as error:
            if error.code not in (408, 429, 503, 504):
                raise
        except (OSError, http.client.HTTPException):
            pass
        time.sleep(1)


def work(task):
    print(task["id"], task["grant"], flush=True)
    settle = {"lease_id": task["lease_id"]}
    try:
        with open(task["payload"], "rb") as file:
            return settle | {"op": "ack", "result": hashlib.file_digest(file, "sha256").hexdigest()}
    except OSError as error:
        return settle | {"op": "nack", "error": {"type": type(error).__name__, "message": str(error)}}


settled = []
while True:
    tasks = lease({"worker": "python", "max_tasks": 20, "settle": settled})
    settled = [work(task) for task in tasks]

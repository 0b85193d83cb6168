#!/usr/bin/env python3
"""Charges an order once, however often its button is pressed and whatever dies in between.

- The shop enqueues with a unique key: all its requests for one order are one task. Once that task is
  completed, each of them gets its result, the receipt.
- The worker charges under the task's id, which stays the same over all attempts. A payment provider with
  idempotency keys, as most have them, charges once for each key.
"""
import json
import os
import time
import urllib.request

URL = os.environ.get("LEASEQ_URL", "http://localhost:8080")


def post(path, body):
    request = urllib.request.Request(URL + path, json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


class Provider:
    """A stand-in for an external API."""

    charged = {}

    def charge(self, amount, idempotency_key):
        receipt = {"receipt": f"r-{len(self.charged) + 1}", "amount": amount}
        return self.charged.setdefault(idempotency_key, receipt)


def pay(order, amount):
    """Runs each time somebody presses the shop's button. Safe to repeat, for a day."""
    return post("/v1/queues/charges/tasks", {
        "payload": {"order": order, "amount": amount},
        "lease_seconds": 1,
        "unique": {"key": f"charge:{order}", "ttl_seconds": 86400},
    })


def work(provider, dies=False):
    """Runs one turn of a worker. With `dies` it ends between charge and ack, the worst moment."""
    for task in post("/v1/queues/charges/lease", {"max_tasks": 1, "wait_seconds": 10})["tasks"]:
        receipt = provider.charge(task["payload"]["amount"], idempotency_key=task["id"])
        print(f"attempt {task['attempt']} charged {receipt}", "and died" if dies else "")
        if not dies:
            post(f"/v1/leases/{task['lease_id']}/ack", {"result": receipt})


provider, order = Provider(), f"order-{time.time_ns()}"
first = pay(order, 1999)
assert not first["duplicate"], first
for _ in range(3):
    again = pay(order, 1999)
    assert again["duplicate"] and again["id"] == first["id"], again

work(provider, dies=True)
work(provider)

answer = pay(order, 1999)
assert answer["state"] == "completed" and answer["id"] == first["id"], answer
assert list(provider.charged.values()) == [answer["result"]], provider.charged
print("every request for", order, "gets", answer["result"])

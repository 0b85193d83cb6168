"""Measures the budget table. Start it with `bench/run`.

    build       binaries: the service, and the two yardsticks that never change
    processes   private servers, each stopped by its creator
    stand       one Redis with one service on it, at one durability level
    resp        a minimal Redis client for counters
    generator   one sample: `leaseq bench`, `bare`, or BullMQ
    rounds      interleaved samples, medians, and the rule of three
    rows/       the measurements, one file for each kind of question
    table       lines with their budgets, for a terminal and for docs/benchmarks.md
    results     raw samples and the machine they come from, as JSON
"""

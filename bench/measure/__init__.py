"""The budget table, measured: `bench/run` is the way in.

    build       binaries: the service, and the two yardsticks that never change
    processes   private servers, each ended by the one who started it
    stand       one Redis with one service on it, at one durability level
    resp        as much Redis protocol as counting needs
    generator   one sample: `leaseq bench`, `bare`, or BullMQ
    rounds      interleaved samples, medians, and the rule of three
    rows/       what is measured, one file per kind of question
    table       lines against budgets, for a terminal and for docs/benchmarks.md
    results     raw samples and the machine they come from, as JSON
"""

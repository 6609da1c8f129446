#!/usr/bin/env python3
"""Parallel writers into one table under Discord's real limits.

Discord takes about one message a second in a channel, so one writer gets one
row a second, and W writers share commits. Measured: rows a second as a ratio
to W, commits, and what `cat` and `ls` of warm rows cost meanwhile, as a ratio
to the same before the writers started.

    writers.py --dbcord build/dbcord --emulator build/dbcord-emulator

One JSON line for each W on standard output.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request


class Emulator:
    def __init__(self, program, *options):
        self.process = subprocess.Popen(
            [program, "--guild", "home", *options], stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.control = ready["api"].removesuffix("/api/v10") + "/emulator"
        self.env = dict(os.environ, DBCORD_API_URL=ready["api"],
                        DISCORD_BOT_TOKEN=ready["token"],
                        DBCORD_GUILD_ID=ready["guild_id"])

    def requests(self):
        with urllib.request.urlopen(self.control + "/requests") as answer:
            return json.load(answer)

    def forget(self):
        urllib.request.urlopen(
            urllib.request.Request(self.control + "/requests", method="DELETE")).read()

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Mount:
    def __init__(self, program, emulator, where):
        self.process = subprocess.Popen(
            [program, "mount", where, "-f"], env=emulator.env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.where = where
        while not os.path.exists(where + "/.dbcord/status.json"):
            if self.process.poll() is not None:
                sys.exit("the mount did not start")
            threading.Event().wait(0.02)

    def stop(self):
        self.process.terminate()
        self.process.wait()


def write_row(path, text):
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o644)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def fill(table, rows):
    threads = [threading.Thread(target=write_row, args=(
        f"{table}/r{i}.json", b'{"n":%d,"pad":"%s"}\n' % (i, b"x" * 200)))
        for i in range(rows)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


READER = """
import os, statistics, sys, time
table, times = sys.argv[1], int(sys.argv[2])
reads, lists = [], []
for _ in range(times):
    start = time.perf_counter_ns()
    with open(table + "/r7.json", "rb") as row:
        row.read()
    reads.append(time.perf_counter_ns() - start)
    start = time.perf_counter_ns()
    os.listdir(table)
    lists.append(time.perf_counter_ns() - start)
print(statistics.median(reads) / 1000, statistics.median(lists) / 1000)
"""


def read_cost(table):
    """Median microseconds of a warm open+read+close and of a listing, in a
    process of its own, of a table nobody writes to."""
    out = subprocess.run([sys.executable, "-c", READER, table, "500"],
                         check=True, capture_output=True, text=True).stdout
    return [float(word) for word in out.split()]


def measure(emulator, table, still, writers, seconds):
    os.mkdir(table)
    os.listdir(table)
    read_cost(still)
    idle = read_cost(still)
    emulator.forget()
    stop = threading.Event()
    done = [0] * writers

    def work(number):
        n = 0
        while not stop.is_set():
            write_row(f"{table}/w{number}-{n}.json", b'{"n":%d,"pad":"%s"}\n' % (n, b"x" * 200))
            n += 1
            done[number] = n

    threads = [threading.Thread(target=work, args=(i,)) for i in range(writers)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    # The first window is a burst that the limits allow; what is sustained
    # comes after it.
    threading.Event().wait(6)
    first, mark = sum(done), time.monotonic()
    beside = []
    while time.monotonic() < mark + seconds:
        beside.append(read_cost(still))
        threading.Event().wait(1)
    rows, took = sum(done) - first, time.monotonic() - mark
    busy = [statistics.median(column) for column in zip(*beside)]
    stop.set()
    for thread in threads:
        thread.join()
    counted = emulator.requests()
    refused = sum(r["status"].get("429", 0) for r in counted["routes"])
    return {
        "writers": writers,
        "seconds": round(took, 1),
        "rows": rows,
        "rows_per_second": round(rows / took, 2),
        "ratio_to_writers": round(rows / took / writers, 3),
        "requests": counted["total"],
        "refused_429": refused,
        "cat_beside_writers_ratio": round(busy[0] / idle[0], 2),
        "ls_beside_writers_ratio": round(busy[1] / idle[1], 2),
        "elapsed": round(time.monotonic() - start, 1),
    }


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--dbcord", required=True)
    parser.add_argument("--emulator", required=True)
    parser.add_argument("--writers", default="1,8,64")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--least", type=float, help="exit 1 below this ratio of rows a second to writers")
    args = parser.parse_args()
    worst = None
    with tempfile.TemporaryDirectory(prefix="dbcord-bench.") as work:
        where = work + "/mnt"
        os.mkdir(where)
        emulator = Emulator(args.emulator, "--limits", "real")
        mount = Mount(args.dbcord, emulator, where)
        try:
            os.mkdir(where + "/home/bench")
            still = where + "/home/bench/still"
            os.mkdir(still)
            fill(still, 50)
            for count in map(int, args.writers.split(",")):
                result = measure(emulator, f"{where}/home/bench/w{count}", still, count, args.seconds)
                print(json.dumps(result), flush=True)
                ratio = result["ratio_to_writers"]
                worst = ratio if worst is None else min(worst, ratio)
        finally:
            mount.stop()
            emulator.stop()
    if args.least is not None and worst < args.least:
        sys.exit(f"{worst} rows a second for each writer, less than {args.least}")


if __name__ == "__main__":
    main()

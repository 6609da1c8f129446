#!/usr/bin/env python3
"""A flood of slash commands beside a shell that reads.

People type so many commands in so many seconds, half of them reading a row and
half writing one, while one program reads a warm row of the same mount again and
again. Measured: how many commands were answered, declined and left without an
answer, how long the slowest took, and the speed of the reads as a ratio to the
same before the flood.

The emulator and this program, which plays a thousand people, take the
processors too; the same flood at an emulator whose bot is another process (a
mount that answers no commands is read meanwhile) is measured beside it, to tell
what of a slower read is the machine's.

    slash.py --dbcord build/dbcord --emulator build/dbcord-emulator

One JSON line for each on standard output.
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
import urllib.error
import urllib.request


class Emulator:
    def __init__(self, program):
        self.process = subprocess.Popen(
            [program, "--guild", "home"], stdout=subprocess.PIPE, text=True)
        ready = json.loads(self.process.stdout.readline())
        self.control = ready["api"].removesuffix("/api/v10") + "/emulator"
        self.env = dict(os.environ, DBCORD_API_URL=ready["api"],
                        DISCORD_BOT_TOKEN=ready["token"],
                        DBCORD_GUILD_ID=ready["guild_id"])

    def ask(self, path, body=None):
        data = json.dumps(body).encode() if body is not None else None
        with urllib.request.urlopen(f"{self.control}/{path}", data, timeout=120) as answer:
            return json.load(answer)

    def types(self, name, **options):
        """What the person sees, in one text; None: no answer in time."""
        try:
            seen = self.ask("interactions", {"user": "owner", "command": name,
                                             "options": options})
        except urllib.error.HTTPError as e:
            return f"refused by the client: {e.read().decode()}"
        if seen.get("failed") or not seen["messages"]:
            return None
        return "\n".join(m["content"] for m in seen["messages"])

    def stop(self):
        self.process.terminate()
        self.process.wait()


class Program:
    """dbcord in front, until stop()."""

    def __init__(self, program, emulator, *arguments):
        self.process = subprocess.Popen(
            [program, *arguments], env=emulator.env,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)

    def until(self, condition):
        end = time.monotonic() + 60
        while not condition():
            if self.process.poll() is not None or time.monotonic() > end:
                sys.exit("dbcord did not start")
            threading.Event().wait(0.05)

    def stop(self):
        self.process.terminate()
        self.process.wait()


READER = """
import sys, time
row, seconds = sys.argv[1], float(sys.argv[2])
end, n = time.monotonic() + seconds, 0
while time.monotonic() < end:
    with open(row, "rb") as f:
        f.read()
    n += 1
print(n / seconds)
"""


def start_reader(row, seconds):
    return subprocess.Popen([sys.executable, "-c", READER, row, str(seconds)],
                            stdout=subprocess.PIPE, text=True)


def reads_a_second(reader):
    return float(reader.communicate()[0])


def flood(emulator, commands, seconds):
    """Each at its time, on a thread of its own."""
    answers = [None] * commands
    took = [0.0] * commands
    begun = time.monotonic()

    def person(i):
        wait = begun + i * seconds / commands - time.monotonic()
        if wait > 0:
            threading.Event().wait(wait)
        start = time.monotonic()
        if i % 2:
            answers[i] = emulator.types("dbc_get", database="prod", table="users", key="r0")
        else:
            answers[i] = emulator.types("dbc_insert", database="prod", table="users",
                                        key=f"k{i}", value_json="{}")
        took[i] = time.monotonic() - start

    threads = [threading.Thread(target=person, args=(i,)) for i in range(commands)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return answers, took


def run(options, apart, emulator, where, others):
    def start(*arguments):
        others.append(Program(options.dbcord, emulator, *arguments))
        return others[-1]

    def is_up():
        text = emulator.types("dbc_help", command="get")
        return text is not None and "/dbc_get" in text

    mount = start("mount", where, "-f", *(["-o", "nobot"] if apart else []))
    mount.until(lambda: os.path.exists(where + "/.dbcord/status.json"))
    if apart:
        start("bot")
    mount.until(is_up)
    emulator.types("dbc_init", database="prod")
    emulator.types("dbc_table_create", database="prod", table="users")
    row = where + "/home/prod/users/r0.json"
    mount.until(lambda: os.path.isdir(os.path.dirname(row)))
    with open(row, "w") as f:
        f.write('{"id":"r0","pad":"%s"}\n' % ("x" * 200))

    before = reads_a_second(start_reader(row, options.seconds))
    reader = start_reader(row, options.seconds)
    answers, took = flood(emulator, options.commands, options.seconds)
    during = reads_a_second(reader)
    print(json.dumps({
        "bot": "another process" if apart else "the mount's process",
        "commands": options.commands,
        "seconds": options.seconds,
        "unanswered": sum(1 for a in answers if a is None),
        "declined": sum(1 for a in answers if a and "Too many" in a),
        "not_done": sum(1 for a in answers if a and "Not done" in a),
        "median_ms": round(statistics.median(took) * 1000),
        "slowest_ms": round(max(took) * 1000),
        "reads_before": round(before),
        "reads_ratio": round(during / before, 2),
    }), flush=True)


def measure(options, apart):
    """Everything ends before the directory goes, which was a mount."""
    emulator = Emulator(options.emulator)
    where = tempfile.mkdtemp(prefix="dbcord-slash-")
    others = []
    try:
        run(options, apart, emulator, where, others)
    finally:
        for program in reversed(others):
            program.stop()
        emulator.stop()
    os.rmdir(where)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--dbcord", required=True)
    parser.add_argument("--emulator", required=True)
    parser.add_argument("--commands", type=int, default=1000)
    parser.add_argument("--seconds", type=float, default=10)
    options = parser.parse_args()
    for apart in (False, True):
        measure(options, apart)


main()

#!/bin/bash
# A reader never gets parts of two versions, however they are written.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod notes

# Each version is one letter over and over, of its own length.
python3 - "$T" <<'PY' || fail "a reader saw two versions"
import json, os, sys, threading, time

table = sys.argv[1]

def text(name, n):
    size = [10, 900, 3000, 5000, 200, 60000][n % 6]
    return b'{"id":"%s","n":%d,"x":"%s"}\n' % (
        name.encode(), n, (b"abcdefghijklmnop"[n % 16 : n % 16 + 1]) * size)

def overwrite(path, data):
    fd = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CREAT)
    while data:
        data = data[os.write(fd, data):]
    os.close(fd)

def replace(path, data):
    tmp = path + ".%d" % threading.get_ident()
    overwrite(tmp, data)
    os.replace(tmp, path)

def in_place(path, data):
    with open(path, "r+b", buffering=0) as f:
        f.write(data)
        f.truncate(len(data))

done = False
bad = []
reads = 0

def reader(path):
    global reads
    last = 0
    while not done:
        with open(path, "rb", buffering=0) as f:
            data = f.read()
        try:
            row = json.loads(data)
            assert set(row["x"]) <= {row["x"][0]}, "mixed"
            assert data == text(row["id"], row["n"]), "not what was written"
            assert row["n"] >= last, "back from %d to %d" % (last, row["n"])
            last = row["n"]
        except Exception as e:
            bad.append((path, e, data[:80], data[-80:], len(data)))
            return
        reads += 1

ways = {"o": overwrite, "r": replace, "p": in_place}
for name in ways:
    overwrite("%s/%s.json" % (table, name), text(name, 0))
readers = [threading.Thread(target=reader, args=("%s/%s.json" % (table, n),))
           for n in ways for _ in range(2)]
for t in readers:
    t.start()
for n in range(1, 120):
    for name, way in ways.items():
        way("%s/%s.json" % (table, name), text(name, n))
    if bad:
        break
done = True
for t in readers:
    t.join()
for b in bad:
    print(b, file=sys.stderr)
if reads < 100:
    sys.exit("only %d reads" % reads)
sys.exit(bool(bad))
PY

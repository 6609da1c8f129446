#!/bin/bash
# A reader never gets parts of two versions, however they are written; nor does
# one on a read-only mount elsewhere, where no open file is known.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod notes

# Each version is one letter over and over, of its own length.
start_mount_at "$WORK/mnt2" -o ro
wait_for ls "$WORK/mnt2/home/prod/notes"
python3 - "$T" "$WORK/mnt2/home/prod/notes" <<'PY' || fail "a reader saw two versions"
import json, os, sys, threading, time

table, elsewhere = sys.argv[1:]

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
        try:
            with open(path, "rb", buffering=0) as f:
                data = f.read()
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

def wait_for(what, condition):
    end = time.monotonic() + 20
    while not condition():
        if time.monotonic() > end:
            sys.exit("waited in vain for " + what)
        time.sleep(0.01)

wait_for("the rows elsewhere", lambda: len(os.listdir(elsewhere)) == len(ways))
readers = [threading.Thread(target=reader, args=("%s/%s.json" % (where, n),))
           for n in ways for where in (table, table, elsewhere)]
for t in readers:
    t.start()
for n in range(1, 120):
    for name, way in ways.items():
        way("%s/%s.json" % (table, name), text(name, n))
    if bad:
        break
def arrived(name):
    with open("%s/%s.json" % (elsewhere, name), "rb") as f:
        return f.read() == text(name, n)

if not bad:
    for name in ways:
        wait_for("the last version of %s elsewhere" % name, lambda: arrived(name))
done = True
for t in readers:
    t.join()
for b in bad:
    print(b, file=sys.stderr)
if reads < 100:
    sys.exit("only %d reads" % reads)
sys.exit(bool(bad))
PY

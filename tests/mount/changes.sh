#!/bin/bash
# .changes: what happens to a table's rows, whoever did it, in its order, each
# change once; for tail, cat, head, read and poll; and what it never holds up.
. "$(dirname "$0")/lib.sh"

# In a process of its own: one of ours that ends meanwhile would interrupt the
# shell's write.
put() { # file text
    (echo "$2" >"$1") || fail "$1"
}

start_emulator --limits off
start_mount
make_table prod users
put "$T/old.json" '{"id":"old","n":0}'
start_mount_at "$WORK/mnt2"
B=$WORK/mnt2/home/prod/users
ls "$B" >"$WORK/out"

reads_wait() { # how many
    [ "$(status_json .queues.waiting)" = "$1" ]
}
lines() { # file count
    [ "$(wc -l <"$1")" = "$2" ]
}

# Reachable, not listed, and nothing to write to.
assert_eq "$(ls -A "$T")" old.json
assert_ok test -f "$T/.changes"
assert_fails bash -c "echo x >'$T/.changes'"
assert_fails rm "$T/.changes"

# A read waits, and gives what comes: from this mount, from another one, from a
# command. What was before it was opened it does not give.
cat "$T/.changes" >"$WORK/cat" &
CAT=$!
wait_for reads_wait 1
tail -s 0.05 -f "$T/.changes" >"$WORK/tail" 2>"$WORK/tail.err" &
TAIL=$!
opened() { [ "$(status_json .caches.open_files)" -ge "$1" ]; }
wait_for opened 2
put "$T/a.json" '{"id":"a","n":1}'
wait_for lines "$WORK/cat" 1
printf '{\n  "id": "a",\n  "n": 2\n}\n' >"$B/a.json" || fail "update elsewhere"
wait_for lines "$WORK/cat" 2
assert_ok "$DBCORD" insert prod users c '{"n":3}' >"$WORK/out"
wait_for lines "$WORK/cat" 3
assert_ok mv "$T/c.json" "$T/d.json"
wait_for lines "$WORK/cat" 5
assert_ok rm "$B/d.json"
wait_for lines "$WORK/cat" 6
assert_eq "$(jq -c '[.op,.key,.version,.local]' "$WORK/cat")" '["put","a",1,true]
["put","a",2,false]
["put","c",1,false]
["delete","c",2,true]
["put","d",1,true]
["delete","d",2,false]'
assert_eq "$(jq -c .row "$WORK/cat" | tr '\n' ' ')" \
    '{"id":"a","n":1} {"id":"a","n":2} {"id":"c","n":3} null {"id":"d","n":3} null '
attr() { getfattr --absolute-names --only-values -n "user.dbcord.$1" "$2"; }
assert_eq "$(sed -n 2p "$WORK/cat" | jq -r .message_id)" "$(jq -r 'select(.version == 2) | .message_id' <"$WORK/cat" | head -1)"
assert_eq "$("$DBCORD" get prod users a --meta | jq -c '[.version,.at,.by,.message_id]')" \
    "$(sed -n 2p "$WORK/cat" | jq -c '[.version,.at,.by,.message_id]')"
wait_for cmp "$WORK/cat" "$WORK/tail"
assert_eq "$(cat "$WORK/tail.err")" ''

# tail shows what was last, then goes on, or only that; without -f it ends.
assert_eq "$(tail -n 2 "$T/.changes")" "$(tail -n 2 "$WORK/cat")"
assert_eq "$(tail "$T/.changes")" "$(cat "$WORK/cat")"
tail -s 0.05 -n 1 -f "$T/.changes" >"$WORK/tail1" &
TAIL1=$!
tail -s 0.05 -n 0 -F "$T/.changes" >"$WORK/tail0" &
TAIL0=$!
wait_for lines "$WORK/tail1" 1
wait_for opened 4
put "$B/e.json" '{"id":"e"}'
wait_for lines "$WORK/cat" 7
wait_for lines "$WORK/tail1" 2
wait_for lines "$WORK/tail0" 1
assert_eq "$(cat "$WORK/tail1")" "$(tail -n 2 "$WORK/cat")"
assert_eq "$(cat "$WORK/tail0")" "$(tail -n 1 "$WORK/cat")"
kill "$TAIL1" "$TAIL0"

# head ends after one; the shell's read takes one line after the other, each.
head -n 1 "$T/.changes" >"$WORK/head" &
HEAD=$!
bash -c 'read -r one && read -r two && printf "%s\n" "$one" "$two"' <"$T/.changes" >"$WORK/read" &
READ=$!
wait_for reads_wait 3
put "$B/r.json" '{"id":"r","n":1}'
assert_ok wait "$HEAD"
put "$B/r.json" '{"id":"r","n":2}'
assert_ok wait "$READ"
assert_eq "$(jq -c '[.key,.row.n]' "$WORK/head")" '["r",1]'
assert_eq "$(jq -c '[.key,.row.n]' "$WORK/read" | tr '\n' ' ')" '["r",1] ["r",2] '

# Waiting ends with a signal, and leaves nothing behind.
wait_for lines "$WORK/cat" 9
timeout 0.3 cat "$T/.changes"
assert_eq $? 124
cat >"$WORK/int.py" <<'PY'
import os, signal, sys
class Interrupted(Exception): pass
def on_int(*args): raise Interrupted
signal.signal(signal.SIGINT, on_int)
fd = os.open(sys.argv[1], os.O_RDONLY)
try:
    os.read(fd, 4096)
except Interrupted:
    # The same open file reads on afterwards, without a gap.
    print("interrupted", flush=True)
    os.write(1, os.read(fd, 4096))
    sys.exit(0)
sys.exit("was not interrupted")
PY
python3 "$WORK/int.py" "$T/.changes" >"$WORK/int" &
INT=$!
wait_for reads_wait 2
kill -INT "$INT"
wait_for grep -q interrupted "$WORK/int"
wait_for reads_wait 2
put "$B/after.json" '{"id":"after"}'
assert_ok wait "$INT"
assert_eq "$(tail -n 1 "$WORK/int" | jq -r .key)" after
wait_for reads_wait 1

# poll, select, epoll; O_NONBLOCK; how soon it is known here what another
# process did.
cat >"$WORK/poll.py" <<'PY'
import errno, json, os, select, sys, time
path, other = sys.argv[1:]
fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
try:
    os.read(fd, 100)
    sys.exit("read something out of nothing")
except BlockingIOError:
    pass
def write(n):
    out = os.open(other, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(out, b'{"id":"p","n":%d}' % n)
    os.close(out)
def got(n):
    line = json.loads(os.read(fd, 4096))
    assert line["row"]["n"] == n, line
p = select.poll(); p.register(fd, select.POLLIN)
assert p.poll(0) == []
assert select.select([fd], [], [], 0)[0] == []
late, whole = [], []
for n in range(20):
    start = time.monotonic()
    write(n)
    written = time.monotonic()
    assert p.poll(20000) == [(fd, select.POLLIN)]
    late.append((time.monotonic() - written) * 1000)
    whole.append((time.monotonic() - start) * 1000)
    got(n)
    assert p.poll(0) == []
write(100)
assert select.select([fd], [], [], 20)[0] == [fd]
got(100)
for flags in 0, select.EPOLLET:
    e = select.epoll(); e.register(fd, select.EPOLLIN | flags)
    assert e.poll(0) == []
    for n in 200, 201:
        write(n)
        assert e.poll(20) == [(fd, select.EPOLLIN)]
        got(n)
    assert e.poll(0) == []
    e.close()
# A part of a line is something to read as well; an ordinary file always is.
write(300)
assert p.poll(20000)
assert os.read(fd, 1) == b"{"
assert p.poll(0) == [(fd, select.POLLIN)]
os.read(fd, 4096)
assert p.poll(0) == []
row = os.open(other, os.O_RDONLY)
assert select.select([row], [], [], 0)[0] == [row]
print("a change elsewhere is known at most %.1f ms after its answer, %.1f ms after it began"
      % (max(late), max(whole)))
PY
assert_ok python3 "$WORK/poll.py" "$T/.changes" "$B/p.json"

# A gap in the connection: each change once, too.
for what in drop reconnect invalid-session; do
    n=$(wc -l <"$WORK/cat")
    control gateway "{\"do\":\"$what\"}" >"$WORK/out"
    put "$B/g.json" "{\"id\":\"g\",\"after\":\"$what\"}"
    put "$T/h.json" "{\"id\":\"h\",\"after\":\"$what\"}"
    wait_for lines "$WORK/cat" $((n + 2))
    assert_eq "$(tail -n 2 "$WORK/cat" | jq -r '"\(.key) \(.row.after)"' | sort | tr '\n' ' ')" "g $what h $what "
done

# Hundreds at once: all, in their order, for a reader who reads and a shell.
before=$(wc -l <"$WORK/cat")
for i in $(seq 300); do printf '{"id":"m%d","n":%d}\n' "$i" "$i"; done >"$WORK/many"
bash -c 'for i in $(seq 300); do read -r line || exit 1; printf "%s\n" "$line"; done' <"$T/.changes" >"$WORK/shell" &
SHELL_READER=$!
wait_for reads_wait 2
assert_ok "$DBCORD" import prod users "$WORK/many" --format ndjson >"$WORK/out"
wait_for lines "$WORK/cat" $((before + 300))
assert_ok wait "$SHELL_READER"
assert_eq "$(tail -n 300 "$WORK/cat" | jq .row.n | md5sum)" "$(seq 300 | md5sum)"
assert_ok cmp <(tail -n 300 "$WORK/cat") "$WORK/shell"
wait_for cmp "$WORK/cat" "$WORK/tail"
kill "$TAIL"
wait "$TAIL" 2>>"$WORK/waits"

# Who does not read holds up nobody and nothing: the oldest are dropped, and
# one line says how many.
exec 7<"$T/.changes"
big=$(printf '%01200d' 0)
for i in $(seq 1100); do printf '{"id":"b%d","n":%d,"s":"%s"}\n' "$((i % 50))" "$i" "$big"; done >"$WORK/big"
# A key twice in one file is refused.
split -l 50 "$WORK/big" "$WORK/part."
for f in "$WORK"/part.*; do
    assert_ok "$DBCORD" import prod users "$f" --upsert --format ndjson >"$WORK/out"
done
wait_for lines "$WORK/cat" $((before + 300 + 1100))
cat <&7 >"$WORK/slow" &
SLOW=$!
last() { cmp <(tail -n 1 "$WORK/cat") <(tail -n 1 "$WORK/slow"); }
wait_for last
lost=$(head -n 1 "$WORK/slow" | jq 'select(.op == "lost") | .n')
[ "${lost:-0}" -gt 0 ] || fail "nothing was lost: $(head -c 300 "$WORK/slow")"
kept=$(($(wc -l <"$WORK/slow") - 1))
assert_eq $((lost + kept)) 1100
assert_ok cmp <(tail -n "$kept" "$WORK/cat") <(tail -n +2 "$WORK/slow")
[ "$(wc -c <"$WORK/slow")" -lt 1200000 ] || fail "kept more than it should"
kill "$SLOW"
wait "$SLOW" 2>>"$WORK/waits"
exec 7<&-
# Far back there are empty lines instead.
assert_eq "$(tail -n 2000 "$T/.changes" | grep -c .)" "$kept"

# A table that is dropped ends it.
make_table prod gone
cat "$T/.changes" >"$WORK/gone" &
GONE=$!
T=$DB/prod/users
wait_for reads_wait 2
put "$DB/prod/gone/x.json" '{"id":"x"}'
assert_ok rm -r "$DB/prod/gone"
assert_ok wait "$GONE"
assert_eq "$(jq -r '"\(.op) \(.key)"' "$WORK/gone" | tr '\n' ' ')" 'put x delete x '

# A read-only mount hears of no opening: there it is a text that grows.
start_mount_at "$WORK/mnt3" -o ro
C=$WORK/mnt3/home/prod/users
assert_eq "$(cat "$C/.changes")" ''
ls "$C" >"$WORK/out" # the table is open now
put "$T/seen.json" '{"id":"seen"}'
grown() { [ "$(jq -r .key "$C/.changes")" = seen ]; }
wait_for grown
stop_mount

# The end of the mount ends what waits, without delay and without an error.
start=$(date +%s%N)
ended=${DAEMONS[0]}
kill -TERM "$ended"
wait "$CAT" || fail "cat ended with $?"
wait "$ended" || fail "the daemon ended with $?"
took=$((($(date +%s%N) - start) / 1000000))
[ "$took" -lt 5000 ] || fail "took $took ms"
DAEMONS=("${DAEMONS[@]:1}")
MOUNTS=("${MOUNTS[@]:1}")

#!/bin/bash
# Every call that waits ends with Ctrl-C: the program hears EINTR or dies of the
# signal, the mount goes on, and what was held back is not done.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod slow
echo '{"id":"a","v":1}' >"$T/a.json" || fail "insert"
echo '{"id":"b"}' >"$T/b.json" || fail "insert"
echo '{"id":"c"}' >"$T/c.json" || fail "insert"
echo '{"id":"a","v":2}' >"$T/a.tmp" || fail "draft"

# Every create is held back for long.
hold() {
    control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"429 12"}' >"$WORK/out"
    # The one that is told to come back later; all that follow wait behind it.
    bash -c "echo '{\"id\":\"first\"}' >'$T/first.json'" 2>"$WORK/first" &
    FIRST=$!
    held() { [ "$(refused_by_limits)" -ge 1 ]; }
    wait_for held
}
waits() { [ "$(status_json .queues.waiting)" -ge 2 ]; }
all_ended() { [ "$(status_json .queues.waiting)" -le 1 ]; }

# SIGINT with a handler, as an interactive program has one: the call returns.
cat >"$WORK/try.py" <<'PY'
import os, signal, sys, time

class Interrupted(Exception):
    pass

def on_int(*args):
    raise Interrupted

def put(name, text):
    fd = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.write(fd, text)

signal.signal(signal.SIGINT, on_int)
start = time.monotonic()
try:
    exec(sys.argv[1])
except Interrupted:
    took = time.monotonic() - start
    sys.exit(0 if took < 6 else "came back after %.1f s" % took)
sys.exit("was not interrupted")
PY

interrupted() { # python text
    (cd "$T" && exec python3 "$WORK/try.py" "$1") 2>"$WORK/stderr" &
    local pid=$!
    wait_for waits
    kill -INT "$pid"
    wait "$pid" || fail "$1: $(cat "$WORK/stderr")"
    wait_for all_ended
}

hold
interrupted 'put("a.json", b"{}")'
interrupted 'os.unlink("b.json")'
interrupted 'os.rename("a.tmp", "a.json")'
interrupted 'os.rename("c.json", "d.json")'
interrupted 'put("new.json", b"{}")'

# Nothing of it has happened, and the mount is as quick as ever.
start=$(date +%s%N)
assert_eq "$(cat "$T/a.json")" '{"id":"a","v":1}'
assert_eq "$(cat "$T/a.tmp")" '{"id":"a","v":2}'
assert_eq "$(cat "$T/b.json" "$T/c.json" | tr '\n' ' ')" '{"id":"b"} {"id":"c"} '
assert_fails ls "$T/d.json"
took=$((($(date +%s%N) - start) / 1000000))
[ "$took" -lt 2000 ] || fail "took $took ms"

# A kill ends it as well, and the end of the mount waits for nobody for ever.
bash -c "echo '{\"id\":\"k\"}' >'$T/k.json'" 2>"$WORK/stderr" &
pid=$!
wait_for waits
kill -KILL "$pid"
wait "$pid" 2>>"$WORK/stderr"
wait_for all_ended
kill -INT "$FIRST"
wait "$FIRST"
none() { [ "$(status_json .queues.waiting)" = 0 ]; }
wait_for none
stop_mount
start_mount
assert_eq "$(cat "$T/a.json")" '{"id":"a","v":1}'
assert_eq "$(cat "$T/b.json" "$T/c.json" | tr '\n' ' ')" '{"id":"b"} {"id":"c"} '

#!/bin/bash
# SIGTERM while programs wait: what was accepted is committed and answered, what
# comes too late hears so at once, and the daemon ends whatever they do.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
echo '{"id":"r","v":1}' >"$T/r.json" || fail "insert"
# Afresh, so that the row comes from the kernel's cache as any that has been
# there for a while.
stop_mount
start_mount
[ "$(cat "$T/r.json")" = '{"id":"r","v":1}' ] || fail "the row: $(cat "$T/r.json")"
exec 5<"$T/r.json"
read -r line <&5

# A writer waits for Discord, and the answer will have to forget a name.
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"delay 3000"}' >"$WORK/out"
bash -c "echo '{\"id\":\"r\",\"v\":2}' >'$T/r.json'" 2>"$WORK/writer" &
writer=$!
waits() { [ "$(status_json .queues.waiting)" -ge 1 ]; }
wait_for waits

kill -TERM "$DAEMON"
start=$SECONDS
# The first mount's end is in there too.
told() { [ "$(grep -c 'unmounting' "$WORK/daemon.log")" -ge 2 ]; }
wait_for told

# The same directory is asked for a name that it does not have, and for a new
# file.
bash -c "cat '$T/none.json'" 2>"$WORK/reader" &
reader=$!
bash -c "echo x >'$T/t.tmp'" 2>"$WORK/late" &
late=$!

while kill -0 "$DAEMON" 2>"$WORK/out"; do
    if [ $((SECONDS - start)) -ge 15 ]; then
        # Else nobody who waits for it could be killed.
        umount -f "$MNT" 2>"$WORK/out"
        fail "the daemon is still there after 15 s"
    fi
    moment
done
wait "$DAEMON"
status=$?
unset 'MOUNTS[-1]' 'DAEMONS[-1]'
assert_eq "$status" 0
assert_ok wait "$writer"
wait "$reader" && fail "read a file that is not there"
wait "$late" && fail "a draft was taken by a mount that was about to end"
assert_match "$(cat "$WORK/late")" 'Input/output error'
exec 5<&-
mountpoint -q "$MNT" && fail "still mounted"

start_mount
assert_eq "$(cat "$T/r.json")" '{"id":"r","v":2}'
assert_eq "$(ls "$T")" r.json

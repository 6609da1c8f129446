#!/bin/bash
# A call that waits for a rate limit holds up nobody, and Ctrl-C ends it with
# nothing half done.
. "$(dirname "$0")/lib.sh"
start_emulator --limits real
start_mount
make_table prod slow
echo '{"id":"warm"}' >"$T/warm.json" || fail "insert"

# Every create is held back from now on: the writers wait.
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"429 6"}' >"$WORK/out"
writers=()
for i in $(seq 100); do
    bash -c "echo '{\"id\":\"w$i\"}' >'$T/w$i.json'" 2>"$WORK/w$i.log" &
    writers+=($!)
done
waiting() { [ "$(status_json '[.. | .waiting? // empty | numbers] | add // 0')" -ge 50 ]; }
wait_for waiting

# Meanwhile reading goes on at once, far within the time they wait.
start=$(date +%s%N)
for i in $(seq 20); do
    cat "$T/warm.json" >"$WORK/out" || fail "cat"
    ls "$T" >"$WORK/out" || fail "ls"
done
took=$((($(date +%s%N) - start) / 1000000))
[ "$took" -lt 3000 ] || fail "20 cats and lists took $took ms beside waiting writers"

# Ctrl-C.
kill -INT "${writers[50]}" 2>"$WORK/out"
kill -TERM "${writers[51]}"
wait "${writers[51]}"
[ $? -gt 128 ] || fail "the writer was not interrupted"

for i in "${!writers[@]}"; do
    case $i in 50 | 51) continue ;; esac
    wait "${writers[i]}" || fail "writer $i: $(cat "$WORK/w$((i + 1)).log")"
done
[ "$(ls "$T" | grep -c '^w')" -ge 98 ] || fail "only $(ls "$T" | grep -c '^w') rows"
assert_eq "$(cat "$T/w1.json")" '{"id":"w1"}'

# Nor does one table hold up another: while a row is being removed in one, and
# names in it are to be forgotten, writers in the other are answered at once.
stop_mount
start_mount
A=$T
make_table prod quick
echo '{"id":"r","v":1}' >"$T/r.json" || fail "insert"
stop_mount
start_mount
# Sessions may begin five seconds apart only; news comes with one.
connected() { [ "$(status_json .gateway.connected)" = true ]; }
wait_for connected
cat "$A/w1.json" "$A/w2.json" "$T/r.json" >"$WORK/out" || fail "cat"
# Open and read: each of them leaves its node to the reader when it changes.
exec 5<"$A/w1.json" 6<"$A/w2.json" 7<"$T/r.json"
read -r line <&7
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"delay 9000"}' >"$WORK/out"
rm "$A/w3.json" &
remover=$!
removes() { [ "$(status_json .queues.waiting)" -ge 1 ]; }
wait_for removes
"$DBCORD" update prod slow w1 '{"v":2}' >"$WORK/out" &
other=$!
"$DBCORD" update prod slow w2 '{"v":2}' >"$WORK/out2" || fail "update w2"
wait "$other" || fail "update w1"
queued() { [ "$(status_json .queues.notifications)" -ge 1 ]; }
wait_for queued
start=$(date +%s%N)
# Not by this shell, which the end of the rm would interrupt.
bash -c "echo '{\"id\":\"r\",\"v\":2}' >'$T/r.json'" || fail "write"
took=$((($(date +%s%N) - start) / 1000000))
[ "$took" -lt 2000 ] || fail "a write took $took ms beside another table's rm"
kill -0 "$remover" 2>"$WORK/out" || fail "the row was removed too early to tell"
assert_eq "$(cat "$T/r.json")" '{"id":"r","v":2}'
wait "$remover" || fail "rm"
exec 5<&- 6<&- 7<&-

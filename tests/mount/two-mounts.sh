#!/bin/bash
# Two daemons on one guild: what one writes the other shows, without a stale
# byte, size or name; gaps in the connection are healed.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod shared
A=$T
start_mount_at "$WORK/mnt2"
B=$WORK/mnt2/home/prod/shared
ls "$A" "$B" >"$WORK/out"

shows() { # file text
    [ "$(cat "$1" 2>&1)" = "$2" ]
}

echo '{"id":"x","n":1}' >"$A/x.json" || fail "insert"
wait_for shows "$B/x.json" '{"id":"x","n":1}'
echo '{"id":"x","n":"longer than it was"}' >"$B/x.json" || fail "update"
wait_for shows "$A/x.json" '{"id":"x","n":"longer than it was"}'
assert_eq "$(stat -c %s "$A/x.json")" "$(stat -c %s "$B/x.json")"
assert_ok rm "$A/x.json"
wait_for eval '! [ -e "$B/x.json" ]'
assert_eq "$(ls "$B")" ''

# A table made on one side appears on the other, and goes again.
assert_ok mkdir "$DB/prod/new"
wait_for test -d "$WORK/mnt2/home/prod/new"
echo '{"id":"a"}' >"$WORK/mnt2/home/prod/new/a.json" || fail "insert"
wait_for shows "$DB/prod/new/a.json" '{"id":"a"}'
assert_ok rm -r "$DB/prod/new"
wait_for eval '! [ -e "$WORK/mnt2/home/prod/new" ]'

# A command is one more process.
assert_ok "$DBCORD" insert prod shared c1 '{"from":"command"}' >"$WORK/out"
wait_for eval '[ "$(jq -r .from "$A/c1.json")" = command ]'
wait_for eval '[ "$(jq -r .from "$B/c1.json")" = command ]'

# Connections lost, in each way there is; what was written meanwhile shows.
for what in drop reconnect invalid-session; do
    control gateway "{\"do\":\"$what\"}" >"$WORK/out"
    echo "{\"id\":\"g\",\"after\":\"$what\"}" >"$A/g.json" || fail "write during $what"
    wait_for shows "$B/g.json" "{\"id\":\"g\",\"after\":\"$what\"}"
done

# Both at once, many times: they agree in the end.
(for i in $(seq 40); do echo "{\"id\":\"k$((i % 5))\",\"a\":$i}" >"$A/k$((i % 5)).json"; done) 2>"$WORK/a.log" &
(for i in $(seq 40); do echo "{\"id\":\"k$((i % 5))\",\"b\":$i}" >"$B/k$((i % 5)).json"; done) 2>"$WORK/b.log" &
wait %?seq 2>"$WORK/out"
wait $(jobs -p | grep -vxE "$EMULATOR|${DAEMONS[0]}|${DAEMONS[1]}") 2>"$WORK/out"
agree() { [ "$(cd "$A" && tail -n +1 *.json)" = "$(cd "$B" && tail -n +1 *.json)" ]; }
wait_for agree

# A name that is empty here becomes the row that another process makes of it.
assert_ok touch "$A/taken.json"
assert_ok "$DBCORD" insert prod shared taken '{"from":"elsewhere"}' >"$WORK/out"
wait_for shows "$A/taken.json" '{"id":"taken","from":"elsewhere"}'
assert_eq "$(ls "$A" | grep -c '^taken')" 1

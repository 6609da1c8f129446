#!/bin/bash
# .stats.json: what a table holds, at once and without a request.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
stats() { jq -c "$1" "$T/.stats.json"; }
assert_eq "$(stats '[.name,.open,.rows,.bytes,.versions]')" '["users",true,0,0,0]'
echo '{"id":"u_1"}' >"$T/u_1.json" || fail "insert"
echo '{"id":"u_1","n":22}' >"$T/u_1.json" || fail "update"
echo '{"id":"u_2"}' >"$T/u_2.json" || fail "insert"
assert_eq "$(stats '[.rows,.bytes]')" '[2,33]'
counted() { [ "$(stats '[.versions,.largest_row]')" = '[3,20]' ]; }
wait_for counted
assert_eq "$(stats '[.indexes,.damaged]')" '[[],0]'
assert_match "$(stats '[.channel_id,.history_id]')" '^\["[0-9]+","[0-9]+"\]$'
up_to_date() { [ "$(stats '.row_messages.behind')" = 0 ]; }
wait_for up_to_date
assert_eq "$(stat -c %s "$T/.stats.json")" "$(wc -c <"$T/.stats.json")"
forget_requests
stats . >"$WORK/out"
assert_eq "$(requests)" 0
assert_match "$(failure_of "echo '{}' >'$T/.stats.json'")" 'denied|permitted'
assert_fails rm "$T/.stats.json"

# After a restart the table is opened for it.
stop_mount
start_mount
assert_eq "$(stats '[.open,.rows]')" '[true,2]'
stop_mount
start_mount -o ro
assert_eq "$(stats '[.open,.rows]')" '[true,2]'

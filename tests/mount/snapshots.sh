#!/bin/bash
# .snapshots: touch takes one, cat reads its rows, .restore goes back to it, rm
# removes it; those of other processes are seen.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
S=$T/.snapshots
printf '{\n  "id": "u_1",\n  "n": 1\n}\n' >"$T/u_1.json" || fail "insert"
echo '{"id":"u_2","n":2}' >"$T/u_2.json" || fail "insert"
assert_eq "$(ls "$S")" ""

assert_ok touch "$S/before"
assert_eq "$(ls "$S")" before
assert_eq "$(jq -c .n "$S/before" | paste -sd' ')" "1 2"
assert_eq "$(wc -l <"$S/before")" 2
assert_eq "$(stat -c %s "$S/before")" "$(cat "$S/before" | wc -c)"
assert_match "$(getfattr --absolute-names --only-values -n user.dbcord.message_id "$S/before")" '^[0-9]+$'

# What changes since is not in it; going back is one commit.
echo '{"id":"u_2","n":22}' >"$T/u_2.json" || fail "update"
assert_ok rm "$T/u_1.json"
echo '{"id":"u_3"}' >"$T/u_3.json" || fail "insert"
assert_eq "$(jq -c .n "$S/before" | paste -sd' ')" "1 2"
assert_ok touch "$S/after"
assert_eq "$(ls "$S" | paste -sd' ')" "after before"
echo before >"$S/.restore" || fail "restore"
assert_eq "$(ls "$T" | paste -sd' ')" "u_1.json u_2.json"
assert_eq "$(cat "$T/u_1.json")" "$(printf '{\n  "id": "u_1",\n  "n": 1\n}')"
assert_eq "$(cat "$T/u_2.json")" '{"id":"u_2","n":2}'
assert_eq "$(cut -f1,4 "$T/.history/u_1/.log" | paste -sd' ')" "$(printf '1\tput 2\tdelete 3\tput')"
printf 'after' | tee "$S/.restore" >"$WORK/out" || fail "restore by tee"
assert_eq "$(ls "$T" | paste -sd' ')" "u_2.json u_3.json"

# Refusals: visible, noted, and nothing changed.
said=$(failure_of "echo nonsuch >'$S/.restore'")
assert_match "$said" 'No such file'
assert_match "$(tail -n 1 "$T/.errors")" ' \.snapshots/\.restore ENOENT .*nonsuch'
failure_of "echo a b >'$S/.restore'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' \.snapshots/\.restore EINVAL '
said=$(failure_of "touch '$S/before'")
assert_match "$said" 'File exists'
assert_match "$(tail -n 1 "$T/.errors")" ' \.snapshots/before EEXIST .*already'
said=$(failure_of "touch '$S/12345'")
assert_match "$said" 'Invalid argument'
assert_match "$(tail -n 1 "$T/.errors")" ' \.snapshots/12345 EINVAL '
failure_of "rm '$S/nonsuch'" >"$WORK/said"
assert_fails cat "$S/nonsuch"
assert_fails rm "$S/.restore"
assert_eq "$(ls "$T" | paste -sd' ')" "u_2.json u_3.json"
assert_eq "$(ls "$S" | paste -sd' ')" "after before"

# Another process takes one and removes one.
start_mount_at "$WORK/mnt2"
O=$WORK/mnt2/home/prod/users/.snapshots
assert_ok touch "$O/theirs"
assert_eq "$(ls "$O" | paste -sd' ')" "after before theirs"
seen() { [ "$(ls "$S" | paste -sd' ')" = "after before theirs" ]; }
wait_for seen
assert_eq "$(wc -l <"$S/theirs")" 2
assert_ok rm "$O/theirs"
gone() { [ "$(ls "$S" | paste -sd' ')" = "after before" ]; }
wait_for gone
assert_fails cat "$S/theirs"
stop_mount

# Removed, and the label is free again.
assert_ok rm "$S/before"
assert_eq "$(ls "$S")" after
assert_fails cat "$S/before"
assert_ok touch "$S/before"
assert_eq "$(jq -c .id "$S/before" | paste -sd' ')" '"u_2" "u_3"'

# A table without rows.
make_table prod none
assert_ok touch "$T/.snapshots/empty"
assert_eq "$(cat "$T/.snapshots/empty")" ""

# Ctrl-C ends the waiting of who reads one.
T=$DB/prod/users
stop_mount
start_mount
assert_eq "$(ls "$T" | wc -l)" 2
control faults '{"route":"/channels/{id}/messages","method":"GET","times":100,"do":"delay 4000"}' >"$WORK/out"
control faults '{"route":"/attachments","method":"GET","times":100,"do":"delay 4000"}' >"$WORK/out"
SECONDS=0
timeout -s INT 1 cat "$S/after" >"$WORK/out" 2>&1
assert_eq $? 124
[ $SECONDS -lt 4 ] || fail "it took $SECONDS seconds"
curl -sSf -X DELETE "$CONTROL/faults" -o "$WORK/out" || fail "control route faults"

stop_mount
start_mount -o ro
assert_eq "$(ls "$S" | paste -sd' ')" "after before"
assert_eq "$(jq -c .id "$S/after" | paste -sd' ')" '"u_2" "u_3"'
assert_match "$(failure_of "touch '$S/new'")" 'Read-only'
assert_match "$(failure_of "echo after >'$S/.restore'")" 'Read-only'

#!/bin/bash
# -o ro, -o root=, the modes, unmounting, and a mount point whose daemon died.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
echo '{"id":"u_1"}' >"$T/u_1.json" || fail "insert"
assert_eq "$(stat -c %a "$T/u_1.json")" 644
assert_eq "$(stat -c %a "$T")" 755
stop_mount

start_mount -o ro
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1"}'
assert_match "$(failure_of "echo '{}' >'$T/u_1.json'")" 'Read-only'
assert_match "$(failure_of "rm -f '$T/u_1.json'")" 'Read-only'
assert_match "$(failure_of "mkdir '$DB/x'")" 'Read-only'
assert_eq "$(stat -c %a "$T/u_1.json")" 444

# What changes elsewhere shows here whole: a row, and views, longer and shorter.
start_mount_at "$WORK/mnt2"
there=$WORK/mnt2/home/prod/users
whole() { # file text
    [ "$(tr -d '\0' <"$1")" = "$2" ] && [ "$(stat -c %s "$1")" = $((${#2} + 1)) ]
}
for text in '{"pk":"id","properties":{"id":"str","name":"str?"}}' \
    '{"pk":"id","properties":{"id":"str","nick":"str?"}}' '{"pk":"id"}'; do
    echo "$text" >"$there/.schema.json" || fail "schema"
    wait_for whole "$T/.schema.json" "$text"
done
for text in '{"id":"u_1","more":"text than before"}' '{"id":"u_1"}'; do
    echo "$text" >"$there/u_1.json" || fail "update"
    wait_for whole "$T/u_1.json" "$text"
done
assert_ok jq -e .pid "$MNT/.dbcord/status.json" >"$WORK/out"
stop_mount
stop_mount

start_mount -o root=home/prod
assert_eq "$(cat "$MNT/users/u_1.json")" '{"id":"u_1"}'
stop_mount

# In the background: mount returns once it answers, unmount once it is gone.
assert_ok "$DBCORD" mount "$MNT"
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1"}'
pid=$(status_json .pid)
assert_ok kill -0 "$pid"
assert_eq "$("$DBCORD" status "$MNT" --json | jq -r .pid)" "$pid"
assert_fails "$DBCORD" mount "$MNT"
assert_ok "$DBCORD" unmount "$MNT"
assert_fails mountpoint -q "$MNT"

# Died: the next mount takes the place.
assert_ok "$DBCORD" mount "$MNT"
kill -KILL "$(status_json .pid)"
wait_for eval '! stat "$MNT"'
assert_ok "$DBCORD" mount "$MNT"
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1"}'

# The token is in nobody's sight.
pid=$(status_json .pid)
! tr '\0' '\n' <"/proc/$pid/cmdline" | grep -qF "$DISCORD_BOT_TOKEN" || fail "the token is an argument"
! grep -rqF "$DISCORD_BOT_TOKEN" "$MNT/.dbcord" || fail "the token is shown"
assert_ok "$DBCORD" unmount "$MNT"

# Wrong settings end with words and the right status.
DISCORD_BOT_TOKEN=wrong "$DBCORD" mount "$MNT" 2>"$WORK/stderr"
assert_eq $? 5
assert_match "$(cat "$WORK/stderr")" '[Tt]oken'
"$DBCORD" mount "$WORK/nowhere" 2>"$WORK/stderr" && fail "mounted on nothing"
assert_match "$(cat "$WORK/stderr")" 'nowhere'

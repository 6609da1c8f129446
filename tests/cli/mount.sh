#!/bin/bash
# dbcord mount, unmount and status: into the background and out of it, what is
# refused, and where the token is not.
NEEDS_MOUNT=yes
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

# A process that has ended, whether somebody took notice of it or not.
gone() { # pid
    [ ! -e "/proc/$1" ] || grep -q '^State:.Z' "/proc/$1/status"
}

# Refused with words, at once.
assert_exit 1 dbcord mount "$WORK/nowhere"
assert_said 'does not exist'
touch file
assert_exit 1 dbcord mount file
assert_said 'not a directory'
mkdir full && touch full/x
assert_exit 1 dbcord mount full
assert_said 'not empty'
assert_exit 2 dbcord mount "$MNT" -o frobnicate=1,ro
DISCORD_BOT_TOKEN=wrong-token-0123456789 assert_exit 5 dbcord mount "$MNT"
assert_said 'token'
DBCORD_API_URL=http://127.0.0.1:1/api/v10 assert_exit 5 dbcord mount "$MNT"
assert_exit 3 dbcord status "$MNT"
assert_exit 3 dbcord unmount "$MNT"
mountpoint -q "$MNT" && fail "something is mounted"

# It answers as soon as the command returns, and holds no descriptor of ours.
said=$(dbcord mount "$MNT" 2>&1) || fail "mount: $said"
assert_eq "$said" ''
assert_eq "$(ls "$MNT")" home
pid=$(jq .pid "$MNT/.dbcord/status.json")
[ "$pid" -gt 1 ] || fail "no pid"
assert_exit 1 dbcord mount "$MNT"
assert_said 'already'

# The token is in no list of processes, and no log.
for file in cmdline environ; do
    tr '\0' '\n' <"/proc/$pid/$file" | grep -qF "$DISCORD_BOT_TOKEN" && fail "the token is in $file"
done
grep -qF "$DISCORD_BOT_TOKEN" "$MNT/.dbcord/log" && fail "the token is in the log"
assert_match "$(grep 'Max core' "/proc/$pid/limits")" 'size +0 +0 '
assert_eq "$(readlink "/proc/$pid/cwd")" /

assert_exit 0 dbcord status "$MNT"
assert_match "$(out)" "pid: $pid"
assert_exit 0 dbcord status "$MNT" --json
assert_eq "$(jq .pid "$WORK/out")" "$pid"
assert_exit 0 dbcord status --json
jq -s --argjson pid "$pid" -e 'any(.pid == $pid)' "$WORK/out" >"$WORK/found" || fail "status without a mount point"

# What is in use stays.
exec 7<"$MNT/.dbcord/status.json"
assert_exit 1 dbcord unmount "$MNT"
exec 7<&-

# Written, unmounted: the process is gone when the command returns.
mkdir "$MNT/home/prod" "$MNT/home/prod/users" || fail mkdir
echo '{"id":"u_1"}' >"$MNT/home/prod/users/u_1.json" || fail write
assert_exit 0 dbcord unmount "$MNT"
gone "$pid" || fail "the process is still there"
mountpoint -q "$MNT" && fail "it is still mounted"
assert_exit 0 dbcord get prod users u_1

# A mount whose process died is in nobody's way.
dbcord mount "$MNT" || fail "second mount"
pid=$(jq .pid "$MNT/.dbcord/status.json")
kill -KILL "$pid"
wait_for gone "$pid"
assert_exit 1 dbcord status "$MNT"
assert_exit 0 dbcord mount "$MNT"
assert_eq "$(cat "$MNT/home/prod/users/u_1.json")" '{"id":"u_1"}'
pid=$(jq .pid "$MNT/.dbcord/status.json")

# SIGTERM is a clean unmount.
kill -TERM "$pid"
ended() {
    gone "$pid" && ! mountpoint -q "$MNT"
}
wait_for ended

# A link in the way, a slash at the end.
ln -s "$MNT" link
assert_exit 0 dbcord mount link/
assert_exit 0 dbcord unmount link
mountpoint -q "$MNT" && fail "it is still mounted"
exit 0

#!/bin/bash
# /.dbcord, .errors and the log can be read, and followed as they grow.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users

assert_eq "$(ls -A "$MNT")" home
assert_eq "$(ls -A "$MNT/.dbcord" | tr '\n' ' ')" 'log status.json '
status_json . >"$WORK/out" || fail "status.json is not JSON"
assert_eq "$(status_json .pid)" "$DAEMON"
assert_eq "$(status_json '.guilds[0].name')" home
assert_eq "$(status_json '.guilds[0].id')" "$GUILD"
for part in version gateway rate_limits engine queues caches; do
    assert_eq "$part $(status_json "has(\"$part\")")" "$part true"
done
assert_match "$(cat "$MNT/.dbcord/log")" 'mounted'

# tail -f of the refusals.
: >"$WORK/followed"
tail -n +1 -s 0.1 -f "$T/.errors" >"$WORK/followed" &
tail=$!
for i in 1 2 3; do
    bash -c "echo '{\"id\":$i}' >'$T/u_$i.json'" 2>"$WORK/stderr" && fail "taken"
    followed() { [ "$(wc -l <"$WORK/followed")" = "$i" ]; }
    wait_for followed
done
kill "$tail"
assert_eq "$(cat "$WORK/followed")" "$(cat "$T/.errors")"
assert_match "$(cat "$MNT/.dbcord/log")" 'u_3.json refused'

# Views stay.
assert_fails rm "$T/.errors" "$T/.schema.json" "$MNT/.dbcord/log"
assert_fails rm -r "$MNT/.dbcord"
assert_fails touch "$MNT/file"
assert_match "$(tail -n 1 "$MNT/.dbcord/log")" 'file'
assert_fails mkdir "$T/deeper"

# Attributes of a row and of a table.
echo '{"id":"u_1"}' >"$T/u_1.json" || fail "insert"
attr() { getfattr --absolute-names --only-values -n "user.dbcord.$1" "$2"; }
assert_eq "$(attr guild_id "$T/u_1.json")" "$GUILD"
assert_eq "$(attr channel_id "$T/u_1.json")" "$(attr channel_id "$T")"
assert_eq "$(attr message_id "$T/u_1.json")" "$(stat -c %i "$T/u_1.json")"
assert_eq "$(attr url "$T/u_1.json")" \
    "https://discord.com/channels/$GUILD/$(attr channel_id "$T")/$(attr message_id "$T/u_1.json")"
assert_eq "$(attr key "$T/u_1.json")" u_1
assert_match "$(attr author "$T/u_1.json")" .
assert_match "$(getfattr --absolute-names -d "$T/u_1.json")" 'user.dbcord.etag'

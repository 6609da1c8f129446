#!/bin/bash
# Directories: namespaces and tables are made, renamed and removed.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount

assert_ok mkdir "$DB/prod"
assert_ok mkdir "$DB/prod/users" "$DB/prod/Über uns"
assert_eq "$(ls "$DB/prod")" "$(printf 'users\nÜber uns')"
assert_match "$(failure_of "mkdir '$DB/prod/users'")" 'File exists'
assert_fails mkdir "$MNT/another-guild"
assert_fails mkdir "$DB/prod/users/deeper"
assert_fails touch "$DB/prod/file"

# In Discord: a category, its catalog and a channel for each table.
discord GET "/guilds/$GUILD/channels" >"$WORK/channels"
assert_eq "$(jq -r '[.[] | select(.type == 4) | .name] | join(" ")' "$WORK/channels")" dbcord-prod
assert_eq "$(jq -r '[.[] | select(.name == "table-users" or .name == "dbc-catalog")] | length' "$WORK/channels")" 2

# Not empty.
echo '{"id":"u_1"}' >"$DB/prod/users/u_1.json" || fail "insert"
assert_match "$(failure_of "rmdir '$DB/prod/users'")" 'not empty'
assert_match "$(failure_of "rmdir '$DB/prod'")" 'not empty'

# A table under another name, and in another namespace.
assert_ok mv "$DB/prod/users" "$DB/prod/people"
assert_eq "$(cat "$DB/prod/people/u_1.json")" '{"id":"u_1"}'
assert_fails ls "$DB/prod/users"
assert_ok mkdir "$DB/test"
assert_ok mv "$DB/prod" "$DB/live"
assert_eq "$(cat "$DB/live/people/u_1.json")" '{"id":"u_1"}'

# A directory of rows in and out.
mkdir "$WORK/in"
for i in $(seq 20); do echo "{\"id\":\"r$i\",\"n\":$i}" >"$WORK/in/r$i.json"; done
assert_ok cp -r "$WORK/in" "$DB/test/in"
assert_ok cp -r "$DB/test/in" "$WORK/out-again"
assert_ok diff -r "$WORK/in" "$WORK/out-again"

# Walkers see each row once.
assert_eq "$(find "$DB/test" -name '*.json' | wc -l)" 20
assert_eq "$(grep -rl '"n":7}' "$DB/test")" "$DB/test/in/r7.json"
assert_ok tar -C "$DB/test" -cf "$WORK/in.tar" in
assert_eq "$(tar -tf "$WORK/in.tar" | grep -c json)" 20
assert_ok mkdir "$WORK/untar"
assert_ok tar -C "$WORK/untar" -xf "$WORK/in.tar"
assert_ok diff -r "$WORK/in" "$WORK/untar/in"
assert_ok tar -C "$DB/live" -xf "$WORK/in.tar"
assert_ok diff -r "$WORK/in" "$DB/live/in"
assert_eq "$(du -sb --apparent-size "$WORK/in" | cut -f1 | wc -l)" 1

# mv from one table to another copies, and complains of nothing.
mkdir "$DB/live/moved"
assert_eq "$(mv "$DB/live/in/r3.json" "$DB/live/moved/" 2>&1)" ''
assert_eq "$(cat "$DB/live/moved/r3.json")" '{"id":"r3","n":3}'
assert_ok mv "$DB/live/moved/r3.json" "$DB/live/in/"

# It is all there after a restart.
stop_mount
start_mount
assert_ok diff -r "$WORK/in" "$DB/test/in"
assert_eq "$(ls "$DB")" "$(printf 'live\ntest')"

# rm -r, as for files.
assert_ok rm -r "$DB/test/in"
assert_eq "$(ls -A "$DB/test")" ''
assert_ok rmdir "$DB/test"
assert_ok rm -r "$DB/live"
assert_eq "$(ls -A "$DB")" ''
gone() { [ "$(discord GET "/guilds/$GUILD/channels" | jq '[.[] | select(.name | startswith("table-") or startswith("dbc"))] | length')" = 0 ]; }
wait_for gone

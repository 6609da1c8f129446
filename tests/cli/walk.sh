#!/bin/bash
# A whole first session, command by command as it is told in the handbook: what
# each prints, and that all of it is right in the end. Every request is held
# against Discord's schemas when the case ends.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

# What the last command printed, through jq.
assert_out() { # filter wanted
    assert_eq "$(jq -c "$1" "$WORK/out")" "$2"
}

assert_exit 0 dbcord init prod
assert_out '[.database, .created]' '["prod",true]'
assert_exit 0 dbcord table-create prod users id
assert_out '[.table, .pk]' '["users","id"]'
schema='{"required":["id","email"],"properties":{"id":"str","email":"str","role":"str"}}'
assert_exit 0 dbcord schema-set prod users "$schema"
assert_exit 0 dbcord schema-get prod users
assert_out '[.pk, .required, .properties.role]' '["id",["id","email"],"str"]'
assert_exit 0 dbcord index-create prod users email --unique
assert_out '[.field, .unique]' '["email",true]'
assert_exit 0 dbcord schema-get prod users
assert_out .indexes '{"email":{"unique":true}}'

# A row; what the schema and the index refuse.
assert_exit 0 dbcord insert prod users u_1 '{"email":"ada@x.org","role":"student"}'
assert_out '[.key, .version]' '["u_1",1]'
assert_exit 4 dbcord insert prod users u_2 '{"role":"student"}'
assert_said email
assert_exit 4 dbcord insert prod users u_2 '{"email":"ada@x.org"}'
assert_said 'email.*u_1'
assert_exit 0 dbcord insert prod users u_2 '{"email":"bob@x.org","role":"guest"}'

# Found, changed, found as it is now.
assert_exit 0 dbcord find prod users '{"role":"student"}'
assert_out .id '"u_1"'
assert_exit 0 dbcord update prod users u_1 '{"role":"admin"}'
assert_out .version 2
assert_exit 0 dbcord find prod users '{"role":"student"}'
assert_eq "$(out)" ''
assert_exit 0 dbcord find prod users '{"role":"admin","email":{"$prefix":"ada"}}'
assert_out '[.id, .role]' '["u_1","admin"]'
assert_exit 0 dbcord find prod users '{"email":"ada@x.org"}'
assert_out .id '"u_1"'
assert_exit 0 dbcord count prod users
assert_out .count 2
assert_exit 0 dbcord explain prod users '{"email":"ada@x.org"}'

assert_exit 0 dbcord verify prod
assert_exit 0 dbcord verify prod users

# Back and forth.
assert_exit 0 dbcord snapshot prod users before
assert_out '[.label, .rows]' '["before",2]'
assert_exit 0 dbcord history prod users u_1
assert_eq "$(jq -sc 'map([.version, .op, .row.role])' "$WORK/out")" '[[1,"put","student"],[2,"put","admin"]]'
assert_exit 0 dbcord restore prod users u_1 1
assert_out '[.version, .changed]' '[3,true]'
assert_exit 0 dbcord get prod users u_1
assert_out '[.role, .email]' '["student","ada@x.org"]'
assert_exit 3 dbcord restore prod users u_1 17
assert_exit 0 dbcord delete prod users u_2
assert_exit 0 dbcord history prod users u_2
assert_eq "$(jq -sc 'map([.version, .op])' "$WORK/out")" '[[1,"put"],[2,"delete"]]'
assert_exit 0 dbcord snapshots prod users
jq -se 'any(.label == "before")' "$WORK/out" >"$WORK/found" || fail "the snapshot is not listed: $(out)"
assert_exit 0 dbcord snapshot-restore prod users before
assert_exit 0 dbcord export prod users
assert_eq "$(jq -sc 'sort_by(.id) | map([.id, .role])' "$WORK/out")" '[["u_1","admin"],["u_2","guest"]]'
cp "$WORK/out" rows.ndjson

# Out and in again, in another table.
assert_exit 0 dbcord export prod users csv
assert_match "$(head -1 "$WORK/out")" 'id'
assert_exit 0 dbcord table-create prod copies id
assert_exit 0 dbcord import prod copies rows.ndjson
assert_out '[.rows, .inserted]' '[2,2]'
assert_exit 0 dbcord import prod copies rows.ndjson
assert_out '[.inserted, .skipped]' '[0,2]'
assert_exit 0 dbcord export prod copies
assert_eq "$(out)" "$(cat rows.ndjson)"

assert_exit 0 dbcord reindex prod users
assert_exit 0 dbcord find prod users '{"email":"bob@x.org"}'
assert_out .id '"u_2"'
assert_exit 0 dbcord vacuum prod users --dry-run
assert_exit 0 dbcord vacuum prod users
assert_exit 0 dbcord get prod users u_1
assert_out .role '"admin"'
assert_exit 0 dbcord verify prod
exit 0

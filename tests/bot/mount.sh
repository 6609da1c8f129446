#!/bin/bash
# One process, two faces: what a slash command does a shell sees at once, and
# the other way round.
NEEDS_MOUNT=yes
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
wait_for bot_is_ready
make_table prod users

shows() { # file text
    [ "$(cat "$1" 2>&1)" = "$2" ]
}

types dbc_insert database=prod table=users key=u_1 'value_json={"id":"u_1","from":"discord"}'
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","from":"discord"}'
assert_match "$(getfattr --only-values -n user.dbcord.author "$T/u_1.json" 2>&1)" 'owner/[0-9]+@discord'
echo '{"id":"u_2","from":"shell"}' >"$T/u_2.json" || fail "write"
types dbc_get database=prod table=users key=u_2
assert_sees '"from":"shell"'
types dbc_update database=prod table=users key=u_2 'patch_json={"from":"both"}'
assert_eq "$(cat "$T/u_2.json")" '{"id":"u_2","from":"both"}'
types dbc_delete database=prod table=users key=u_1
assert_eq "$(ls "$T")" u_2.json
types dbc_table_create database=prod table=orders
assert_ok test -d "$DB/prod/orders"
assert_eq "$(status_json '.gateway.commands.failed')" 0
stop_mount

# Without it there are no commands.
start_mount -o nobot
assert_eq "$(status_json '.gateway.commands // "none"')" none
stop_mount

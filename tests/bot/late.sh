#!/bin/bash
# A slow Discord, dropped connections, tokens that have died: every command has
# an answer in time, and the rows are right.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_bot
types dbc_init database=prod
types dbc_table_create database=prod table=users

# The commit takes ten seconds: first "is thinking", then the answer.
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"delay 10000"}' >"$WORK/out"
types dbc_insert database=prod table=users key=slow 'value_json={"n":1}'
assert_sees '"key":"slow"'
assert_eq "$(jq -r '.failed // "no"' "$WORK/seen")" no

# The answer is lost on its way: the row is there all the same.
control faults '{"route":"/interactions/{id}/{token}/callback","method":"POST","times":1,"do":"status 503"}' >"$WORK/out"
types dbc_insert database=prod table=users key=again 'value_json={"n":2}'
assert_exit 0 dbcord get prod users again

# The gateway is cut; after it is back commands work.
for what in drop reconnect invalid-session; do
    control gateway "{\"do\":\"$what\"}" >"$WORK/out"
    wait_for bot_is_ready
    wait_for eval "types dbc_insert database=prod table=users key=$what value_json={}; sees | grep -qE 'key|already'"
    assert_exit 0 dbcord get prod users "$what"
done

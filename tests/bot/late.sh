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

# The answer is lost on its way: it is sent again.
control faults '{"route":"/interactions/{id}/{token}/callback","method":"POST","times":1,"do":"status 503"}' >"$WORK/out"
types dbc_insert database=prod table=users key=again 'value_json={"n":2}'
assert_sees '"key":"again"'
assert_exit 0 dbcord get prod users again

# The answer arrives, and what Discord says to that is lost: it is seen once,
# and the command is run once.
control faults '{"route":"/interactions/{id}/{token}/callback","method":"POST","times":1,"do":"drop-after"}' >"$WORK/out"
types dbc_insert database=prod table=users key=twice 'value_json={"n":3}'
assert_sees '"key":"twice"'
assert_eq "$(jq '.messages | length' "$WORK/seen")" 1

# The same for "is thinking".
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"delay 4000"}' >"$WORK/out"
control faults '{"route":"/interactions/{id}/{token}/callback","method":"POST","times":1,"do":"drop-after"}' >"$WORK/out"
types dbc_insert database=prod table=users key=thrice 'value_json={"n":3}'
assert_sees '"key":"thrice"'

# What comes again after the connection was dead for longer than a person waits
# is not run: that person has been told that nothing answered.
control gateway '{"do":"silence"}' >"$WORK/out"
types dbc_insert database=prod table=users key=unheard 'value_json={}'
assert_match "$(jq -r '.failed // "no"' "$WORK/seen")" 'respond'
control gateway '{"do":"drop"}' >"$WORK/out"
wait_for grep -q 'dbc_insert of owner came too late and was not run' "$WORK/daemon.log"
assert_exit 3 dbcord get prod users unheard
wait_for bot_is_ready

# A quarter of an hour passes meanwhile: the answer has nowhere to go, the row
# is there, and the process is none the worse for it.
put_off() {
    [ "$(requests POST '/interactions/{id}/{token}/callback')" -ge 1 ]
}
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"delay 6000"}' >"$WORK/out"
forget_requests
types dbc_insert database=prod table=users key=old 'value_json={"n":4}' &
typing=$!
wait_for put_off
control clock '{"advance_ms":960000}' >"$WORK/out"
wait "$typing"
assert_match "$(jq -r '.failed // "no"' "$WORK/seen")" '15 minutes'
wait_for eval 'dbcord get prod users old'
wait_for bot_is_ready
wait_for eval "types dbc_get database=prod table=users key=old; sees | grep -q '\"n\":4'"

# The gateway is cut; after it is back commands work.
for what in drop reconnect invalid-session; do
    control gateway "{\"do\":\"$what\"}" >"$WORK/out"
    wait_for bot_is_ready
    wait_for eval "types dbc_insert database=prod table=users key=$what value_json={}; sees | grep -qE 'key|already'"
    assert_exit 0 dbcord get prod users "$what"
done

#!/bin/bash
# Who may do what.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_bot
types dbc_init database=prod
types dbc_table_create database=prod table=users

# Whom Discord would not show the command it does not let type it either.
PERSON=guest types dbc_get database=prod table=users key=u_1
assert_match "$(cat "$WORK/seen")" 'ermission|403|not allowed|hidden'
stop_bot

# With roles named, they decide.
role() { # name bits -> id
    interaction <<<"{\"user\":\"$1\",\"command\":\"dbc_help\",\"roles\":[{\"name\":\"$1\",\"permissions\":\"0\"}]}"
    control guild | jq -r --arg n "$1" '[.roles[] | select(.name == $n) | .id][0]'
}
start_bot
writers=$(role writers)
readers=$(role readers)
assert_match "$writers" '^[0-9]+$'
stop_bot
export DBCORD_ROLE_ID=$writers
start_bot
interaction <<<"{\"user\":\"wendy\",\"roles\":[\"$writers\"],\"command\":\"dbc_insert\",\"options\":{\"database\":\"prod\",\"table\":\"users\",\"key\":\"u_1\",\"value_json\":\"{}\"}}"
assert_sees '"key":"u_1"'
interaction <<<"{\"user\":\"rob\",\"roles\":[\"$readers\"],\"command\":\"dbc_get\",\"options\":{\"database\":\"prod\",\"table\":\"users\",\"key\":\"u_1\"}}"
assert_sees 'You may not use dbcord here'
interaction <<<"{\"user\":\"rob\",\"roles\":[\"$readers\"],\"command\":\"dbc_get\",\"options\":{\"database\":\"prod\",\"table\":\"users\",\"key\":\"u\"},\"focused\":\"key\"}"
assert_eq "$(choices)" ''
PERSON=owner types dbc_get database=prod table=users key=u_1
assert_sees '"id":"u_1"'

# What the bot itself may not do is said in a sentence, with the next step.
discord PATCH "/guilds/$GUILD/roles/$GUILD" '{"permissions":"2147483648"}' >"$WORK/out"
revokes() { # bits
    control permissions "{\"revoke\":\"$1\"}" >"$WORK/out"
}
grants() { # bits
    control permissions "{\"grant\":\"$1\"}" >"$WORK/out"
}
send_messages=2048 manage_channels=16 view_channel=1024
revokes $send_messages
types dbc_insert database=prod table=users key=u_2 'value_json={}'
assert_sees 'Not done'
assert_sees 'permission|allowed'
assert_sees 'doctor|Send Messages'
grants $send_messages
types dbc_insert database=prod table=users key=u_2 'value_json={}'
assert_sees '"key":"u_2"'
revokes $manage_channels
types dbc_table_create database=prod table=more
assert_sees 'Not done'
assert_sees 'permission|allowed'
grants $manage_channels
types dbc_table_create database=prod table=more
assert_sees '"table":"more"'
revokes $view_channel
types dbc_insert database=prod table=users key=u_3 'value_json={}'
assert_sees 'Not done'
assert_sees 'View Channel'

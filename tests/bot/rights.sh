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

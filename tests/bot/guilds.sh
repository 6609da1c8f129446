#!/bin/bash
# One process, several servers: each sees its own and nothing of the others'.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
OTHER=$(control guilds '{"name":"faraway"}' | jq -r '.id // .guild_id')
assert_match "$OTHER" '^[0-9]+$'
HOME_GUILD=$GUILD
export DBCORD_GUILD_ID=$HOME_GUILD,$OTHER
start_bot
GUILD=$OTHER wait_for bot_is_ready

types dbc_init database=prod
types dbc_table_create database=prod table=users
types dbc_insert database=prod table=users key=u_1 'value_json={"at":"home"}'
PLACE=$OTHER types dbc_init database=prod
assert_sees '"guild":"faraway"'
PLACE=$OTHER types dbc_init database=hidden
PLACE=$OTHER types dbc_table_create database=prod table=letters
PLACE=$OTHER types dbc_table_create database=hidden table=diary
PLACE=$OTHER types dbc_insert database=hidden table=diary key=d_1 'value_json={}'
assert_sees '"key":"d_1"'

# The same name is each server's own database.
types dbc_get database=prod table=users key=u_1
assert_sees '"at":"home"'
PLACE=$OTHER types dbc_get database=prod table=users key=u_1
assert_sees "no table 'users'"

# Nothing that is typed at home tells of the other one.
sees_nothing_of_it() {
    assert_sees_no 'faraway|hidden|letters|diary|'"$OTHER"
}
types dbc_tables
assert_sees 'users'
sees_nothing_of_it
types dbc_status
assert_sees '"databases":'
assert_sees '"id":"'"$HOME_GUILD"'"'
sees_nothing_of_it
types dbc_get database=nowhere table=users key=u_1
assert_sees "no database 'nowhere'"
sees_nothing_of_it
types dbc_get database=prod table=nowhere key=u_1
sees_nothing_of_it
types dbc_get database=hidden table=diary key=d_1
assert_sees 'Not done'
assert_sees_no 'diary|faraway'
for command in tables inspect verify 'vacuum dry_run=true'; do
    # shellcheck disable=SC2086 # a command and its option
    types dbc_$command database=faraway/hidden
    assert_sees 'only databases of this server'
done
types dbc_init database=faraway/mine
assert_sees 'only databases of this server'
types dbc_inspect database=prod
sees_nothing_of_it
types_in database dbc_get database:=
assert_eq "$(choices)" prod
types_in table dbc_get database=hidden table:=
assert_eq "$(choices)" ''
PLACE=$OTHER types_in database dbc_get database:=
assert_eq "$(jq -r '[.choices[].value] | sort | join(",")' "$WORK/seen")" hidden,prod
stop_bot

# A server that this process does not serve is told so, and nothing is done.
export DBCORD_GUILD_ID=$HOME_GUILD
start_bot
PLACE=$OTHER types dbc_insert database=prod table=letters key=l_1 'value_json={}'
assert_sees 'not one that this dbcord serves'
PLACE=$OTHER types_in database dbc_get database:=
assert_eq "$(choices)" ''
stop_bot
export DBCORD_GUILD_ID=$OTHER
assert_exit 3 dbcord get prod letters l_1

#!/bin/bash
# From an empty server to rows by slash commands alone; the same rows are files.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_bot

types dbc_init database=prod
assert_sees '"created":true'
assert_private
types dbc_table_create database=prod table=users pk=id
assert_sees '"table":"users"'
types dbc_schema_set database=prod table=users \
    'schema_json={"required":["id","email"],"properties":{"id":"str","email":"str","role":"str"}}'
assert_sees '"required":\["id","email"\]'
types dbc_index_create database=prod table=users field=email unique=true
assert_sees_no 'Not done'
types dbc_insert database=prod table=users key=u_1 'value_json={"email":"ada@x.org","role":"student"}'
assert_sees '"key":"u_1"'
types dbc_insert database=prod table=users key=u_2 'value_json={"email":"ada@x.org"}'
assert_sees 'Not done'
assert_sees 'ada@x.org'
types dbc_find database=prod table=users 'where_json={"role":"student"}'
assert_sees '"email":"ada@x.org"'
types dbc_update database=prod table=users key=u_1 'patch_json={"role":"admin"}'
assert_sees '"version":2'
types dbc_verify database=prod
assert_sees_no 'Not done'
types dbc_snapshot database=prod table=users label=first
assert_sees 'first'
types dbc_history database=prod table=users key=u_1
assert_sees 'owner/[0-9]+@discord'
stop_bot

assert_exit 0 dbcord get prod users u_1
assert_eq "$(jq -c '[.id, .email, .role]' "$WORK/out")" '["u_1","ada@x.org","admin"]'

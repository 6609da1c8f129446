#!/bin/bash
# What a person sees of commands meant well and not so well.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_bot
types dbc_init database=prod
types dbc_table_create database=prod table=users

# For one person, or for all who are there.
types dbc_insert database=prod table=users key=u_1 'value_json={"n":1}'
assert_private
types dbc_get database=prod table=users key=u_1 public=true
assert_public
assert_sees '"n":1'

# What is wrong is said in a sentence, and nothing was done.
types dbc_get database=prod table=users key=u_9
assert_sees 'Not done'
assert_sees "no row 'u_9'"
types dbc_get database=prod table=nowhere key=u_1
assert_sees 'users'
types dbc_get database=elsewhere table=users key=u_1
assert_sees "no database 'elsewhere'"
types dbc_get database=other/prod table=users key=u_1
assert_sees 'only databases of this server'
types dbc_insert database=prod table=users key=u_2 'value_json={"n":'
assert_sees 'Not done'
types dbc_insert database=prod table=users key=u_1 'value_json={"n":2}'
assert_sees 'is there already'
types dbc_update database=prod table=users key=u_1 'patch_json={"n":3}' if_version=7
assert_sees 'version 1'
types dbc_insert database=prod table=users
assert_sees 'Not done'
types dbc_help command=insert
assert_sees '/dbc_insert'
types dbc_help
assert_sees '/dbc_find'
types dbc_help command=nonsense
assert_sees 'no such command'

# A file in, a large row out as a file.
head -c 3000 /dev/zero | tr '\0' x | jq -Rc '{text: .}' >"$WORK/big.json"
types dbc_insert database=prod table=users key=big "file@$WORK/big.json"
assert_sees '"key":"big"'
types dbc_get database=prod table=users key=big
assert_eq "$(file_seen | jq -r '.text | length')" 3000

# Nothing in a row gets out of its block, or pings.
types dbc_insert database=prod table=users key=bad \
    'value_json={"x":"```@everyone <@1> [a](https://evil.example) ||b|| ``````"}'
types dbc_get database=prod table=users key=bad
assert_eq "$(sees | grep -o '```' | wc -l)" 2
assert_eq "$(jq '[.messages[] | (.mention_everyone // false), (.mentions // [] | length), (.embeds // [] | length)] | unique - [false, 0]' "$WORK/seen")" '[]'
assert_eq "$(sees | sed '1d;$d' | jq -r .x)" '```@everyone <@1> [a](https://evil.example) ||b|| ``````'

# What is typed is completed from memory.
types_in database dbc_get database:=p
assert_eq "$(choices)" prod
types_in table dbc_get database=prod table:=US
assert_eq "$(choices)" users
types_in key dbc_get database=prod table=users key:=u_
assert_eq "$(choices)" u_1
types_in key dbc_get database=nowhere table=users key:=u_
assert_eq "$(choices)" ''
types_in command dbc_help command:=table_
assert_match "$(choices)" 'table_create'

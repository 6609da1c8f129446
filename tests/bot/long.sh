#!/bin/bash
# Work that takes its time: how far it is, files in and out, mistakes in them.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_bot
types dbc_init database=prod
types dbc_table_create database=prod table=users

# Rows come in slowly: what is seen meanwhile are edits of one answer.
for i in $(seq 4000); do
    printf '{"id":"u_%04d","n":%d,"text":"%0400d"}\n' "$i" "$i" "$i"
done >"$WORK/rows.ndjson"
control faults '{"route":"/channels/{id}/messages","method":"POST","times":20,"do":"delay 8000"}' >"$WORK/out"
types dbc_import database=prod table=users "file@$WORK/rows.ndjson"
assert_sees '[0-9]+ of 4000 rows are in'
curl -sSf -X DELETE "$CONTROL/faults" -o "$WORK/out" || fail "control route faults"
is_told() { # pattern: an edit said so
    control trace | jq -r '.exchanges[] | select(.method == "PATCH" and (.path | test("/webhooks/"))) | .request.content' |
        grep -q -- "$1"
}
wait_for is_told '"inserted":4000'

# All of it as a file, in each format that is one.
types dbc_export database=prod table=users
assert_eq "$(file_seen | wc -l)" 4000
assert_eq "$(file_seen | jq -c '.n' | sed -n 4000p)" 4000
types dbc_export database=prod table=users format=csv public=true
assert_public
assert_eq "$(file_seen | wc -l)" 4001
assert_match "$(file_seen | sed -n 1p)" '^id,n,text'

# A snapshot, what it is offered as, and the rows as it has them.
types dbc_snapshot database=prod table=users label=before
assert_sees 'before'
types dbc_update database=prod table=users key=u_0001 'patch_json={"n":-1}'
types_in label dbc_snapshot_restore database=prod table=users label:=be
assert_eq "$(choices)" before
types_in snapshot dbc_export database=prod table=users snapshot:=
assert_eq "$(choices)" before
types dbc_export database=prod table=users snapshot=before
assert_eq "$(file_seen | jq -c 'select(.id == "u_0001") | .n')" 1
types_in version dbc_restore database=prod table=users key=u_0001 version:=
assert_eq "$(jq -c '[.choices[].value]' "$WORK/seen")" '[2,1]'
types_in version dbc_history database=prod table=users key=u_0002 version:=
assert_eq "$(jq -c '[.choices[].value]' "$WORK/seen")" '[1]'
types dbc_snapshot_restore database=prod table=users label=before
press 'Yes, do it'
wait_for is_told '"put":1'
assert_exit 0 dbcord get prod users u_0001
assert_eq "$(jq -c .n "$WORK/out")" 1

# Fields of lists, and those that have an index.
types dbc_schema_set database=prod table=users 'schema_json={"properties":{"id":"str","n":"int","text":"str"}}'
types dbc_index_create database=prod table=users field=n
assert_sees_no 'Not done'
types_in sort dbc_find database=prod table=users sort:=-n,t
assert_eq "$(choices)" -n,text
types_in field dbc_index_drop database=prod table=users field:=
assert_eq "$(choices)" n

# The mistakes of a file are listed, and nothing of it came in.
cat >"$WORK/bad.ndjson" <<'END'
{"id":"good","n":1}
{"id":"worse","n":"not a number"}
{"id":"torn"
END
types dbc_import database=prod table=users "file@$WORK/bad.ndjson"
assert_sees 'Not done'
assert_sees '2'
assert_exit 3 dbcord get prod users good

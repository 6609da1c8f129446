#!/bin/bash
# Every command there is, typed once as it is meant; the mount of the same
# process shows what came of it.
NEEDS_MOUNT=yes
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
wait_for bot_is_ready

: >"$WORK/typed"
does() { # pattern command option ...
    local pattern=$1
    shift
    types "$@"
    [[ $pattern = sure:* ]] && press 'Yes, do it'
    echo "$1" >>"$WORK/typed"
    assert_sees "${pattern#sure:}"
    assert_sees_no 'Not done'
}
users="database=prod table=users"
# shellcheck disable=SC2086 # several options
{
    does '"created":true' dbc_init database=prod
    does '"table":"users"' dbc_table_create $users pk=id
    does '"email":"str"' dbc_schema_set $users 'schema_json={"properties":{"id":"str","email":"str","n":"int"}}'
    does '"pk":"id"' dbc_schema_get $users
    does '"field":"email"' dbc_index_create $users field=email
    does '"version":1' dbc_insert $users key=u_1 'value_json={"email":"ada@x.org","n":1}'
    does 'ada@x.org' dbc_get $users key=u_1
    does '"version":2' dbc_update $users key=u_1 'patch_json={"n":2}' if_version=1
    does '"version":3' dbc_replace $users key=u_1 'value_json={"id":"u_1","email":"bob@x.org","n":3}'
    does 'bob@x.org' dbc_find $users 'where_json={"n":{"$gte":3}}' sort=-n limit=5 fields=id,email
    does '1' dbc_count $users 'where_json={"email":"bob@x.org"}'
    does 'email' dbc_explain $users 'where_json={"email":"bob@x.org"}'
    does 'version: *1|1 ' dbc_history $users key=u_1
    does '"restored":1' dbc_restore $users key=u_1 version=1
    does 'first' dbc_snapshot $users label=first
    does 'first' dbc_snapshots $users
    does 'in the file' dbc_export $users
    echo '[{"id":"u_2","n":5}]' >"$WORK/more.json"
    does '"inserted":1' dbc_import $users "file@$WORK/more.json"
    does 'email' dbc_reindex $users
    does 'users' dbc_tables
    does '"rows":2' dbc_inspect $users
    does '1 table with 2 rows.*0 errors' dbc_verify database=prod
    does '"databases":' dbc_status
    does '/dbc_find' dbc_help
}
T=$DB/prod/users
assert_eq "$(jq -c '[.email, .n]' "$T/u_1.json" 2>&1)" '["ada@x.org",1]'
assert_eq "$(ls "$T")" $'u_1.json\nu_2.json'
# shellcheck disable=SC2086 # several options
{
    does 'sure:Working|put' dbc_snapshot_restore $users label=first
    wait_for test ! -e "$T/u_2.json"
    does '"dropped":true' dbc_index_drop $users field=email
    does '.' dbc_delete $users key=u_1
    assert_eq "$(ls "$T")" ''
    does '.' dbc_vacuum $users dry_run=true
    does 'sure:.' dbc_table_drop $users
    wait_for test ! -e "$T"
}

# None was left out.
app=$(discord GET /applications/@me | jq -r .id)
discord GET "/applications/$app/guilds/$GUILD/commands" | jq -r '.[].name' | sort >"$WORK/there"
assert_eq "$(sort -u "$WORK/typed" | comm -3 - "$WORK/there")" ''
stop_mount

#!/bin/bash
# Questions before what cannot be undone, and pages of long lists.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_bot
types dbc_init database=prod
for t in a b c d; do types dbc_table_create database=prod "table=$t"; done

has_table() { # name
    dbcord tables prod | jq -r .table | grep -qx "$1"
}

# Only who asked may answer, and once.
types dbc_table_drop database=prod table=a
assert_sees 'cannot be undone'
assert_sees 'table:a'
cp "$WORK/seen" "$WORK/question"
PERSON=mallory press 'Yes, do it'
assert_sees 'Only who typed'
assert_ok has_table a
cp "$WORK/question" "$WORK/seen"
press 'Yes, do it'
assert_sees_no 'Not done'
assert_fails has_table a
cp "$WORK/question" "$WORK/seen"
press 'Yes, do it'
assert_sees 'answered already'

types dbc_table_drop database=prod table=b
press No
assert_sees 'Nothing was done'
assert_ok has_table b

# A question is not open for ever.
types dbc_table_drop database=prod table=b
cp "$WORK/seen" "$WORK/question"
stop_bot
start_bot
cp "$WORK/question" "$WORK/seen"
press 'Yes, do it'
assert_sees 'answered already|too old'
assert_ok has_table b

# Pages.
for i in $(seq 120); do
    printf '{"id":"row_%03d","text":"%060d"}\n' "$i" "$i"
done >"$WORK/rows.ndjson"
types dbc_import database=prod table=c "file@$WORK/rows.ndjson"
assert_sees_no 'Not done'
types dbc_find database=prod table=c
assert_sees 'rows 1 to [0-9]+ of 120'
assert_sees 'row_001'
cp "$WORK/seen" "$WORK/page1"
press '▶'
assert_sees_no 'row_001'
assert_sees 'of 120'
press '◀'
assert_sees 'row_001'
PERSON=mallory press '▶'
assert_sees 'Only who typed'

# After a restart the list says that it has ended.
stop_bot
start_bot
cp "$WORK/page1" "$WORK/seen"
press '▶'
assert_sees 'The list has ended'
assert_sees 'row_001'

# So many rows are a file.
for i in $(seq 5000); do
    printf '{"id":"row_%04d","text":"%0100d"}\n' "$i" "$i"
done >"$WORK/rows.ndjson"
types dbc_import database=prod table=d "file@$WORK/rows.ndjson"
types dbc_find database=prod table=d
assert_sees '5000 rows'
assert_eq "$(file_seen | wc -l)" 5000

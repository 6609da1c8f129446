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
types dbc_table_drop database=prod table=a public=true
assert_sees 'cannot be undone'
assert_sees 'table:a'
cp "$WORK/seen" "$WORK/question"
PERSON=mallory press 'Yes, do it'
assert_sees 'Only who typed'
assert_ok has_table a
cp "$WORK/question" "$WORK/seen"
# Pressed twice in one moment: it is done once, and each press has an answer.
message=$(jq -r '.messages[-1].id' "$WORK/seen")
yes=$(jq -r '.messages[-1].components[0].components[0].custom_id' "$WORK/seen")
for i in 1 2; do
    curl -sS -m 60 -d "{\"user\":\"owner\",\"message_id\":\"$message\",\"custom_id\":\"$yes\"}" \
        "$CONTROL/interactions" >"$WORK/press.$i" &
    pressed[i]=$!
done
wait "${pressed[@]}"
assert_fails has_table a
said=$(cat "$WORK"/press.[12] | jq -rs 'map(.messages[0].content // .message) | sort | join(" / ")')
assert_match "$said" 'answered already|has no component'
assert_eq "$(grep -c 'Not done' <<<"$said")" 0

types dbc_table_drop database=prod table=b
press No
assert_sees 'Nothing was done'
assert_ok has_table b

# A question is not open for ever: not after a crash, and not after an end.
types dbc_table_drop database=prod table=b
cp "$WORK/seen" "$WORK/question"
kill_bot
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
types dbc_find database=prod table=c public=true
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

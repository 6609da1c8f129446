#!/bin/bash
# Snapshots: taken, listed, read by other tools, gone back to; and what it
# costs to open a table from one.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

assert_exit 0 dbcord init prod
assert_exit 0 dbcord table-create prod users id
for i in 1 2 3; do
    assert_exit 0 dbcord insert prod users "u_$i" "{\"role\":\"student\",\"n\":$i}"
done

# One with a label.
assert_exit 0 dbcord snapshot prod users before
assert_eq "$(jq -c '[.label, .rows, .parts, .automatic]' "$WORK/out")" '["before",3,1,false]'
id=$(jq -r .id "$WORK/out")
assert_exit 4 dbcord snapshot prod users before
assert_said "there is a snapshot 'before' already"
assert_exit 4 dbcord snapshot prod users .hidden
assert_exit 4 dbcord snapshot prod users 123
assert_exit 0 dbcord snapshots prod users
assert_eq "$(jq -c '[.label, .id, .rows]' "$WORK/out")" "[\"before\",\"$id\",3]"

# Other tools read it.
thread=$(dbcord inspect prod users | jq -r .history_id)
url=$(curl -sSf -H "Authorization: Bot $DISCORD_BOT_TOKEN" "$API/channels/$thread/messages/$id" |
    jq -r '.attachments[0].url')
curl -sf "$url" >snapshot.gz || fail "the attachment"
assert_eq "$(zcat snapshot.gz | jq -sc '[.[] | select(.op == "put") | .row.n]')" '[1,2,3]'

# Back to it.
assert_exit 0 dbcord update prod users u_1 '{"role":"admin"}'
assert_exit 0 dbcord delete prod users u_2
assert_exit 0 dbcord insert prod users u_4 '{}'
assert_exit 3 dbcord snapshot-restore prod users nowhere
assert_exit 0 dbcord snapshot-restore prod users before --yes
assert_eq "$(jq -c '[.put, .deleted, .same, .overtaken]' "$WORK/out")" '[2,1,1,0]'
assert_exit 0 dbcord get prod users u_1
assert_eq "$(jq -r .role "$WORK/out")" student
assert_exit 3 dbcord get prod users u_4
assert_exit 0 dbcord history prod users u_1
assert_eq "$(wc -l <"$WORK/out")" 3
assert_exit 0 dbcord snapshot-restore prod users "$id" --yes
assert_eq "$(jq -c '[.put, .deleted]' "$WORK/out")" '[0,0]'

# What it costs to open a table: two requests where a snapshot is near, and no
# more when rows come; one-shot commands write one when there are too many.
assert_exit 0 dbcord table-create prod many id
for i in $(seq 300); do echo "{\"id\":\"r_$i\",\"n\":$i}"; done >rows.ndjson
forget_requests
assert_exit 0 dbcord schema-get prod many
known=$(requests)
assert_exit 0 dbcord import prod many rows.ndjson
assert_exit 0 dbcord snapshot prod many all
forget_requests
assert_exit 0 dbcord count prod many '{"n":{"$gt":100}}'
assert_eq "$(jq .count "$WORK/out")" 200
[ "$(requests)" -le $((known + 2)) ] || fail "opening: $(control requests)"
assert_exit 0 dbcord update prod many r_1 '{"n":1000}'
assert_exit 0 dbcord insert prod many r_301 '{"n":301}'
forget_requests
assert_exit 0 dbcord count prod many '{"n":{"$gt":100}}'
assert_eq "$(jq .count "$WORK/out")" 202
[ "$(requests)" -le $((known + 2)) ] || fail "opening again: $(control requests)"

# One that somebody deleted is known no more, and not missed.
assert_exit 0 dbcord snapshot prod many again
id=$(jq -r .id "$WORK/out")
thread=$(dbcord inspect prod many | jq -r .history_id)
assert_eq "$(dbcord snapshots prod many | jq -sc 'map(.label)')" '["all","again"]'
curl -sSf -X DELETE -H "Authorization: Bot $DISCORD_BOT_TOKEN" "$API/channels/$thread/messages/$id" ||
    fail "delete"
assert_eq "$(dbcord snapshots prod many | jq -sc 'map(.label)')" '["all"]'
assert_exit 0 dbcord count prod many '{"n":{"$gt":100}}'
assert_eq "$(jq .count "$WORK/out")" 202

#!/bin/bash
# Damage of every kind is planted by hand, found by its kind and its message,
# healed where it can be, and gone when everything is read again.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

made() {
    dbcord "$@" >"$WORK/made" 2>"$WORK/err" || fail "$*: $(cat "$WORK/err")"
}

# What a verification finds: lines of "kind message", sorted, without notes.
problems() {
    jq -r 'select(.severity != "note") | "\(.kind) \(.message_id // .channel_id)"' "$WORK/out" | sort
}

# The only finding of this kind.
finding() { # kind filter
    local n
    n=$(jq -r --arg k "$1" 'select(.kind == $k) | .kind' "$WORK/out" | wc -l)
    [ "$n" -eq 1 ] || fail "$n findings of kind $1 in: $(cat "$WORK/out" "$WORK/err")"
    jq -r --arg k "$1" "select(.kind == \$k) | $2" "$WORK/out"
}

assert_clean() {
    assert_exit 0 dbcord verify prod
    assert_eq "$(problems)" ''
}

# Found, healed, and not found again.
assert_heals() { # kind message exit [key]
    assert_exit "$3" dbcord verify prod
    assert_eq "$(finding "$1" '.message_id // .channel_id')" "$2"
    [ -z "${4:-}" ] || assert_eq "$(finding "$1" .key)" "$4"
    assert_eq "$(finding "$1" '.text | length > 0')" true
    assert_eq "$(finding "$1" '.remedy | length > 0')" true
    assert_eq "$(finding "$1" .repairable)" true
    assert_exit 0 dbcord verify prod --repair
    assert_eq "$(finding "$1" .repaired)" true
    assert_clean
}

home_of() { # table key: the message of the row
    dbcord get prod "$1" "$2" --meta | jq -r .message_id
}

content_of() { # channel message
    discord GET "/channels/$1/messages/$2" | jq -r .content
}

# Row messages of a key, in the channel, oldest first.
homes() { # key
    discord GET "/channels/$CHANNEL/messages?limit=100" |
        jq -r --arg k "\"$1\"" '[.[] | select(.content | startswith("-# dbcord put \($k)"))] | sort_by(.id) | .[].id'
}

in_thread() { # how many from the newest: its id
    discord GET "/channels/$THREAD/messages?limit=100" |
        jq -r --argjson n "$1" '[.[] | select(.type == 0)][$n].id'
}

made init prod
made table-create prod users id
dbcord inspect prod users >"$WORK/where"
CHANNEL=$(jq -r .channel_id "$WORK/where")
THREAD=$(jq -r .history_id "$WORK/where")
made insert prod users ada '{"n":1}'
made update prod users ada '{"n":2}'
made insert prod users bob '{"n":1}'
made delete prod users bob
made insert prod users eve "{\"pad\":\"$(printf 'x%.0s' {1..5000})\"}"

# All is well, and what it is well with.
assert_clean
assert_said '1 table with 2 rows.* 0 errors, 0 warnings, 0 notes'
assert_exit 0 dbcord verify prod users
assert_exit 0 dbcord verify prod users --skip-files
assert_exit 3 dbcord verify prod nowhere
assert_exit 3 dbcord verify nowhere

# What is known without reading everything.
assert_exit 0 dbcord inspect prod users
assert_eq "$(jq -c '[.rows, .versions, .largest_row > 5000, .foreign_messages, .waiting_records, .row_messages.behind]' "$WORK/out")" '[2,3,true,0,0,0]'
assert_eq "$(jq -c '[.indexes, .snapshots | type] | unique' "$WORK/out")" '["array"]'

# What people write is noted, and no error.
control users '{"name":"alice"}' >"$WORK/done"
control messages "{\"channel_id\":\"$CHANNEL\",\"user\":\"alice\",\"content\":\"hello\"}" >"$WORK/said"
assert_exit 0 dbcord verify prod
assert_eq "$(finding foreign_message .message_id)" "$(jq -r .id "$WORK/said")"
assert_eq "$(finding foreign_message .severity)" note

# The message of a row: deleted, damaged, out of date, twice, left over.
home=$(homes ada)
discord DELETE "/channels/$CHANNEL/messages/$home" >"$WORK/done"
assert_heals missing_row_message "$home" 1 ada
assert_exit 0 dbcord get prod users ada
assert_eq "$(jq -c .n "$WORK/out")" 2
home=$(homes ada)
assert_match "$(content_of "$CHANNEL" "$home")" '"n":2'

curl -sS --fail-with-body -X PATCH -H 'Content-Type: application/json' \
    -d "$(jq -nc --arg c "$CHANNEL" --arg m "$home" \
        --arg t "$(content_of "$CHANNEL" "$home" | sed 's/"n":2/"n":3/')" \
        '{channel_id: $c, message_id: $m, content: $t}')" "$CONTROL/messages" >"$WORK/done" || fail "damage"
assert_heals damaged_message "$home" 1
assert_match "$(content_of "$CHANNEL" "$home")" '"n":2'

old=$(content_of "$CHANNEL" "$home")
made update prod users ada '{"n":3}'
discord PATCH "/channels/$CHANNEL/messages/$home" "$(jq -nc --arg t "$old" '{content: $t}')" >"$WORK/done"
assert_heals stale_row_message "$home" 0 ada
assert_match "$(content_of "$CHANNEL" "$home")" '"n":3'

discord POST "/channels/$CHANNEL/messages" \
    "$(jq -nc --arg t "$(content_of "$CHANNEL" "$home")" '{content: $t}')" >"$WORK/done"
assert_heals duplicate_row_message "$home" 0 ada
assert_eq "$(homes ada | wc -l)" 1

home=$(homes ada)
old=$(content_of "$CHANNEL" "$home")
made insert prod users tmp '{"n":1}'
made update prod users tmp '{"n":2}'
old=$(content_of "$CHANNEL" "$(homes tmp)")
made delete prod users tmp
discord POST "/channels/$CHANNEL/messages" "$(jq -nc --arg t "$old" '{content: $t}')" >"$WORK/said"
assert_heals left_over_row_message "$(jq -r .id "$WORK/said")" 0 tmp

# History: a version in between is gone, and what came after it is kept.
made insert prod users max '{"n":1}'
made update prod users max '{"n":2}'
made update prod users max '{"n":3}'
lost=$(in_thread 1)
waits=$(in_thread 0)
discord DELETE "/channels/$THREAD/messages/$lost" >"$WORK/done"
assert_heals waiting_record "$waits" 1 max
assert_exit 0 dbcord get prod users max
assert_eq "$(jq -c .n "$WORK/out")" 3

# Something that this version does not know.
discord POST "/channels/$THREAD/messages" '{"content":"-# dbcord merge \"x\""}' >"$WORK/said"
assert_exit 1 dbcord verify prod --repair
assert_eq "$(finding unknown_message .message_id)" "$(jq -r .id "$WORK/said")"
discord DELETE "/channels/$THREAD/messages/$(jq -r .id "$WORK/said")" >"$WORK/done"
assert_clean

# The thread: locked, archived.
discord PATCH "/channels/$THREAD" '{"locked":true,"archived":true}' >"$WORK/done"
assert_exit 0 dbcord verify prod
assert_eq "$(finding locked_thread .channel_id)" "$THREAD"
assert_eq "$(finding archived_thread .severity)" note
discord PATCH "/channels/$THREAD" '{"locked":false,"archived":false}' >"$WORK/done"

# Rights that are missing.
discord PUT "/channels/$CHANNEL/permissions/$GUILD" '{"type":0,"allow":"0","deny":"32768"}' >"$WORK/done"
assert_exit 1 dbcord verify prod
assert_eq "$(jq -r 'select(.kind == "missing_permission") | .channel_id' "$WORK/out" | grep -c "$CHANNEL")" 1
discord DELETE "/channels/$CHANNEL/permissions/$GUILD" >"$WORK/done"
assert_clean

# A channel that no table has.
category=$(dbcord inspect prod | jq -r .category_id)
discord POST "/guilds/$GUILD/channels" "{\"name\":\"table-ghost\",\"type\":0,\"parent_id\":\"$category\"}" >"$WORK/ghost"
assert_exit 0 dbcord verify prod
assert_eq "$(finding orphan_channel .channel_id)" "$(jq -r .id "$WORK/ghost")"
discord DELETE "/channels/$(jq -r .id "$WORK/ghost")" >"$WORK/done"

# A row that the schema does not allow.
made schema-set prod users '{"pk":"id","required":["n"],"properties":{"n":"int"}}' --force
assert_exit 0 dbcord verify prod
assert_eq "$(finding schema_violation .key)" eve
made schema-set prod users '{"pk":"id"}'

# An attachment that is gone, with all that had it.
eve=$(home_of users eve)
discord PATCH "/channels/$CHANNEL/messages/$eve" '{"attachments":[]}' >"$WORK/done"
assert_exit 1 dbcord verify prod --repair
assert_eq "$(finding missing_attachment .message_id)" "$eve"
assert_eq "$(finding missing_attachment .repaired)" false
discord DELETE "/channels/$CHANNEL/messages/$eve" >"$WORK/done"

# A table whose channel is gone.
made table-create prod gone id
gone=$(dbcord inspect prod gone | jq -r .channel_id)
discord DELETE "/channels/$gone" >"$WORK/done"
assert_heals missing_channel "$(dbcord verify prod 2>"$WORK/err" | jq -r 'select(.kind == "missing_channel") | .message_id')" 1 table/gone
made table-create prod gone id

# An index: entries that are gone, that are wrong, that no row has; its channel.
made schema-set prod users '{"pk":"id","properties":{"id":"str","email":"str"}}'
for i in 1 2 3; do made insert prod users "u_$i" "{\"email\":\"u$i@x.org\"}"; done
made index-create prod users email unique
assert_clean
index=$(discord GET "/guilds/$GUILD/channels" | jq -r '.[] | select(.name == "idx-users-email") | .id')
entries() {
    discord GET "/channels/$index/messages?limit=100" | jq -r 'sort_by(.id) | .[] | select(.content | startswith("-# dbcord index")) | .id'
}
index_line() { # n: the message that tells of u_n
    local id
    for id in $(entries); do
        content_of "$index" "$id" | grep -q "^+ \"u_$1\" " && echo "$id"
    done
}

# Gone, the newest: the log does not claim to have it, so no find goes wrong.
made insert prod users u_4 '{"email":"u4@x.org"}'
discord DELETE "/channels/$index/messages/$(index_line 4)" >"$WORK/done"
assert_exit 0 dbcord verify prod
assert_eq "$(finding missing_index_entry '[.key, .severity] | join(" ")')" 'u_4 warning'
assert_exit 0 dbcord verify prod --repair
assert_clean
assert_eq "$(dbcord find prod users '{"email":"u4@x.org"}' | jq -r .id)" u_4

# Wrong, and about a row that is not there.
made insert prod users u_5 '{"email":"u5@x.org"}'
line=$(content_of "$index" "$(index_line 5)")
discord POST "/channels/$index/messages" \
    "$(jq -nc --arg t "$(sed 's/"u_5" v1/"u_5" v2/; s/u5@x/u6@x/' <<<"$line")" '{content: $t}')" >"$WORK/wrong"
discord POST "/channels/$index/messages" \
    "$(jq -nc --arg t "$(sed 's/"u_5"/"u_9"/' <<<"$line")" '{content: $t}')" >"$WORK/stray"
discord POST "/channels/$index/messages" '{"content":"-# dbcord index \"email\" of nothing"}' >"$WORK/broken"
assert_exit 1 dbcord verify prod
assert_eq "$(finding wrong_index_entry .message_id)" "$(jq -r .id "$WORK/wrong")"
assert_eq "$(finding stray_index_entry .message_id)" "$(jq -r .id "$WORK/stray")"
assert_eq "$(finding damaged_index_message .message_id)" "$(jq -r .id "$WORK/broken")"
assert_exit 0 dbcord verify prod --repair
assert_clean
assert_eq "$(dbcord find prod users '{"email":"u6@x.org"}')" ''

# A row whose only message is gone: the index is the only witness.
made insert prod users u_8 '{"email":"u8@x.org"}'
gone=$(jq -r .message_id "$WORK/made")
discord DELETE "/channels/$CHANNEL/messages/$gone" >"$WORK/done"
assert_exit 1 dbcord verify prod
assert_eq "$(finding lost_record '[.key, .message_id] | join(" ")')" "u_8 $gone"
assert_exit 1 dbcord verify prod --repair
assert_clean

# The whole channel.
discord DELETE "/channels/$index" >"$WORK/done"
assert_heals missing_index_channel "$index" 1
assert_eq "$(dbcord find prod users '{"email":"u5@x.org"}' | jq -r .id)" u_5

# A history thread, with nobody who has it in memory.
made table-create prod notes id
made insert prod notes a '{"n":1}'
made update prod notes a '{"n":2}'
made insert prod notes b '{"n":1}'
thread=$(dbcord inspect prod notes | jq -r .history_id)
discord DELETE "/channels/$thread" >"$WORK/done"
assert_heals missing_thread "$thread" 1
assert_exit 0 dbcord get prod notes a
assert_eq "$(jq -c .n "$WORK/out")" 2
assert_exit 0 dbcord update prod notes b '{"n":2}'
assert_clean

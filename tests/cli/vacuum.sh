#!/bin/bash
# A vacuum does what its dry run said; rows are the same before and after, also
# when it was killed half-way; what is to be kept can be read.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

made() {
    dbcord "$@" >"$WORK/made" 2>"$WORK/err" || fail "$*: $(cat "$WORK/err")"
}

rows() {
    dbcord export prod users 2>"$WORK/err" | jq -Sc . | sort
}

# Kind and message of what goes.
going() { # file
    jq -r '"\(.kind) \(.message_id) \(.bytes)"' "$1" | sort
}

assert_sound() {
    assert_exit 0 dbcord verify prod
    assert_eq "$(jq -r 'select(.severity != "note") | .kind' "$WORK/out")" ''
    assert_eq "$(rows)" "$BEFORE"
}

made init prod
made table-create prod users id
for i in 1 2 3 4 5 6 7 8; do
    made insert prod users u_1 "{\"n\":$i}" || :
    made delete prod users u_1
done
made insert prod users u_1 '{"n":9}'
for i in 1 2 3 4 5; do made update prod users u_1 "{\"n\":1$i}"; done
made insert prod users big "{\"pad\":\"$(printf 'x%.0s' {1..5000})\"}"
made replace prod users big '{"id":"big","small":true}'
made insert prod users gone '{"n":1}'
made update prod users gone '{"n":2}'
made delete prod users gone
jq -nc 'range(30) | {id: "m_\(.)", n: .}' >many.ndjson
made import prod users many.ndjson
for i in 1 2 3; do made update prod users "m_$i" '{"n":-1}'; done
BEFORE=$(rows)

# Within the days nothing goes.
assert_exit 0 dbcord vacuum prod users --versions 1 --days 30
assert_eq "$(jq -r 'select(.versions > 0) | .kind' "$WORK/out")" ''

# A dry run changes nothing, and says what is then done.
assert_exit 2 dbcord vacuum prod users --versions 0
assert_exit 3 dbcord vacuum prod nowhere
forget_requests
assert_exit 0 dbcord vacuum prod users --dry-run --versions 2 --days 0
assert_said 'would be removed'
cp "$WORK/out" dry
assert_eq "$(requests DELETE)" 0
assert_eq "$(jq -s 'map(.removed) | unique | length' dry)" 1
[ "$(jq -s 'map(.versions) | add' dry)" -ge 10 ] || fail "too little would go: $(cat dry)"

# Killed as soon as the first message is gone; the next run does the rest.
control faults '{"route":"/channels/{id}/messages/bulk-delete","method":"POST","times":1,"do":"delay 1000"}' >"$WORK/done"
forget_requests
"$DBCORD" vacuum prod users --versions 2 --days 0 >killed 2>"$WORK/err" &
pid=$!
bulk_delete_is_out() {
    [ "$(control faults | jq length)" = 0 ]
}
wait_for bulk_delete_is_out
kill -KILL $pid
wait $pid 2>"$WORK/waited"
assert_sound
assert_exit 0 dbcord vacuum prod users --versions 2 --days 0
assert_sound

# Every message the dry run named is gone now, and no other row's.
dbcord inspect prod users >"$WORK/where"
for channel in $(jq -r '.channel_id, .history_id' "$WORK/where"); do
    discord GET "/channels/$channel/messages?limit=100" | jq -r '.[].id'
done >left
jq -r 'select(.kind != "attachment") | .message_id' dry | sort >named
assert_eq "$(sort left | comm -12 - named)" ''

# What is left of history can be read, and says that there was more.
assert_exit 0 dbcord history prod users u_1
assert_eq "$(jq -s 'map(.version) | sort | .[-2:] | .[1] - .[0]' "$WORK/out")" 1
assert_exit 0 dbcord history prod users m_1
assert_eq "$(jq -s 'length' "$WORK/out")" 2

# A second one in a row says and does the same thing: nothing of versions.
assert_exit 0 dbcord vacuum prod users --dry-run --versions 2 --days 0
going "$WORK/out" >dry
assert_exit 0 dbcord vacuum prod users --versions 2 --days 0
going "$WORK/out" >done
cmp -s dry done || fail "the dry run said $(cat dry), done was $(cat done)"
assert_sound

# An attachment that its message does not speak of.
home=$(discord GET "/channels/$(jq -r .channel_id "$WORK/where")/messages?limit=100" |
    jq -r '[.[] | select(.content | startswith("-# dbcord put \"u_1\""))] | sort_by(.id) | last | .id')
echo stray >stray.txt
curl -sS --fail-with-body -X PATCH -H "Authorization: Bot $DISCORD_BOT_TOKEN" \
    -H 'User-Agent: DiscordBot (https://example.org, 1)' \
    -F 'payload_json={"attachments":[{"id":"0","filename":"stray.txt"}]};type=application/json' \
    -F 'files[0]=@stray.txt' "$API/channels/$(jq -r .channel_id "$WORK/where")/messages/$home" >"$WORK/done" ||
    fail "attach: $(cat "$WORK/done")"
assert_exit 0 dbcord verify prod
assert_eq "$(jq -r 'select(.kind == "orphan_attachment") | .message_id' "$WORK/out")" "$home"
assert_exit 0 dbcord vacuum prod users --versions 2 --days 0
assert_eq "$(jq -r 'select(.kind == "attachment") | .message_id' "$WORK/out")" "$home"
assert_sound

# The whole database; what a label needs stays.
made snapshot prod users kept
made update prod users u_1 '{"n":20}'
made update prod users u_1 '{"n":21}'
made delete prod users big
BEFORE=$(rows)
assert_exit 0 dbcord vacuum prod --versions 1 --days 0
[ "$(jq -s 'map(.versions) | add' "$WORK/out")" -gt 0 ] || fail "nothing went: $(cat "$WORK/out")"
assert_sound
assert_exit 0 dbcord snapshots prod users
assert_match "$(cat "$WORK/out")" kept
made snapshot-restore prod users kept
assert_exit 0 dbcord get prod users big
assert_eq "$(jq -c .small "$WORK/out")" true
assert_exit 0 dbcord verify prod

# What stood before the mark may be gone, but not a row's own message, nor one
# whose attachment is a row's text.
made table-create prod after
made insert prod after small '{"n":1}'
made insert prod after large "{\"n\":1,\"t\":\"$(head -c 5000 /dev/zero | tr '\0' x)\"}"
made update prod after large "{\"n\":2,\"t\":\"$(head -c 5000 /dev/zero | tr '\0' y)\"}"
assert_exit 0 dbcord get prod after large --meta
text=$(jq -r .message_id "$WORK/out")
assert_exit 0 dbcord get prod after small --meta
home=$(jq -r .message_id "$WORK/out")
made update prod after small '{"n":2}'
made update prod after small '{"n":3}'
assert_exit 0 dbcord vacuum prod after --versions 1 --days 0
[ "$(jq -s length "$WORK/out")" -gt 0 ] || fail "nothing went"
assert_exit 0 dbcord inspect prod after
cp "$WORK/out" "$WORK/where"
discord DELETE "/channels/$(jq -r .channel_id "$WORK/where")/messages/$home" >"$WORK/done"
assert_exit 1 dbcord verify prod after
assert_eq "$(jq -r 'select(.kind == "missing_row_message") | .message_id' "$WORK/out")" "$home"
assert_exit 0 dbcord verify prod after --repair
assert_exit 0 dbcord verify prod after
discord DELETE "/channels/$(jq -r .history_id "$WORK/where")/messages/$text" >"$WORK/done"
assert_exit 1 dbcord verify prod after
assert_eq "$(jq -r 'select(.kind == "missing_attachment") | [.key, .message_id] | join(" ")' "$WORK/out")" "large $text"

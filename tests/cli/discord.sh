#!/bin/bash
# What Discord refuses, and what cannot be reached: exit status 5.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
assert_exit 0 dbcord init prod
assert_exit 0 dbcord table-create prod users

DISCORD_BOT_TOKEN=wrong-token-0123456789 assert_exit 5 dbcord tables prod
assert_said 'token'
! grep -q wrong-token "$WORK/err" || fail "the token was shown"
DBCORD_GUILD_ID=1 assert_exit 3 dbcord tables prod
DBCORD_API_URL=http://127.0.0.1:1/api/v10 assert_exit 5 dbcord tables prod

# A server that stumbles is asked again, and a lost answer is no second row.
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"status 503"}' >"$WORK/control"
assert_exit 0 dbcord insert prod users u_1 '{}'
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"drop-after"}' >"$WORK/control"
assert_exit 0 dbcord insert prod users u_2 '{}'
assert_eq "$(control faults | jq 'length')" 0
assert_exit 0 dbcord inspect prod users
assert_eq "$(jq .rows "$WORK/out")" 2

# What other people write in a table's channel is counted, and no row.
channel=$(jq -r .channel_id "$WORK/out")
control messages "{\"channel_id\":\"$channel\",\"content\":\"hello\"}" >"$WORK/control"
assert_exit 0 dbcord inspect prod users
assert_eq "$(jq -c '[.rows, .foreign_messages, .damaged_messages]' "$WORK/out")" '[2,1,0]'

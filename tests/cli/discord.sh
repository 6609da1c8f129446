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

# A limit is waited for, a server that stumbles is asked again.
control faults '{"route":"POST /channels/{id}/messages","times":1,"do":"status 503"}' >"$WORK/control"
assert_exit 0 dbcord insert prod users u_1 '{}'

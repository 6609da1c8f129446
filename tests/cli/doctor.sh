#!/bin/bash
# dbcord doctor finds what is wrong, each thing by its name and with what to
# do; and nothing where nothing is.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

# The machine's own checks may fail where the tests run; what is told of
# Discord is what counts here.
about_machine='/dev/fuse|fusermount3'

diagnose() {
    dbcord doctor "$@" >"$WORK/out" 2>"$WORK/err"
    CODE=$?
    [ ! -s "$WORK/err" ] || fail "doctor said on standard error: $(cat "$WORK/err")"
    ! grep -qvE '^(ok   |FAIL .* — )' "$WORK/out" || fail "a line of another form: $(out)"
}

assert_healthy() {
    diagnose
    assert_eq "$(grep ^FAIL "$WORK/out" | grep -vE "$about_machine")" ''
    grep -q ^FAIL "$WORK/out" || assert_eq $CODE 0
}

assert_finds() { # pattern
    diagnose
    grep -qE "^FAIL .*$1" "$WORK/out" || fail "'$1' was not found: $(out)"
    [ $CODE -eq 1 ] || fail "exit status $CODE"
    ! grep -qF "$DISCORD_BOT_TOKEN" "$WORK/out" || fail "the token was shown"
}

assert_healthy
grep -q "^ok .*$GUILD is home" "$WORK/out" || fail "the guild is not named: $(out)"

# Settings.
DISCORD_BOT_TOKEN=wrong-token-0123456789 assert_finds 'token'
DBCORD_GUILD_ID=1 assert_finds 'guild 1 .*invite.*client_id=[1-9][0-9]+'
DBCORD_API_URL=http://127.0.0.1:1/api/v10 assert_finds 'cannot be reached'
DBCORD_API_URL=http://192.0.2.1/api/v10 assert_finds '192.0.2.1'
saved=$DISCORD_BOT_TOKEN
unset DISCORD_BOT_TOKEN
echo "DISCORD_BOT_TOKEN=$saved" >.env
chmod 644 .env
DISCORD_BOT_TOKEN=$saved
export -n DISCORD_BOT_TOKEN
assert_finds 'chmod 600'
chmod 600 .env
assert_healthy
mv .env broken && echo nonsense >>broken
diagnose --env-file broken
grep -q '^FAIL broken, line 2' "$WORK/out" || fail "a broken line was not found: $(out)"
diagnose --env-file nowhere
grep -q '^FAIL no settings file nowhere' "$WORK/out" || fail "a file that is not there: $(out)"
rm broken
export DISCORD_BOT_TOKEN

# What the portal allows.
control application '{"flags":0}' >"$WORK/control"
assert_finds 'MESSAGE CONTENT'
control application '{"intents":["message_content"]}' >"$WORK/control"
assert_healthy

# Each permission by itself; @everyone gives none, so that the bot's role decides.
discord PATCH "/guilds/$GUILD/roles/$GUILD" '{"permissions":"0"}' >"$WORK/control"
assert_eq "$(jq -r .permissions "$WORK/control")" 0
while read -r bit name; do
    control permissions "{\"revoke\":\"$((1 << bit))\"}" >"$WORK/control"
    assert_finds "lacks $name in home"
    control permissions "{\"grant\":\"$((1 << bit))\"}" >"$WORK/control"
done <<'LIST'
11 Send Messages
38 Send Messages in Threads
35 Create Public Threads
13 Manage Messages
4 Manage Channels
34 Manage Threads
16 Read Message History
15 Attach Files
10 View Channels
LIST
assert_healthy

# An API that stumbles for good.
control faults '{"route":"/users/@me","times":100,"do":"status 500"}' >"$WORK/control"
assert_finds "(status 500|cannot be reached)"
curl -sSf -X DELETE "$CONTROL/faults" -o "$WORK/control"
assert_healthy

#!/bin/bash
# What needs no Discord: help, versions, wrong use, settings.
. "$(dirname "$0")/lib.sh"

assert_exit 0 dbcord --version
assert_match "$(out)" '^dbcord [0-9]+\.[0-9]+'
assert_exit 0 dbcord --help
assert_match "$(out)" 'table-create'
assert_exit 0 dbcord help
for name in $(dbcord help --names | cut -f1); do
    assert_exit 0 dbcord "$name" --help
    assert_match "$(out)" "usage: dbcord $name"
    assert_exit 0 dbcord help "$name"
    assert_match "$(out)" "usage: dbcord $name"
    dbcord help --options "$name" | grep -q '^--help' || fail "options of $name"
done
assert_exit 0 dbcord help --format json
assert_eq "$(jq -r '.[0].command' "$WORK/out")" init
assert_exit 0 dbcord help get --format ndjson
assert_eq "$(jq -r '.options[2].name' "$WORK/out")" key
assert_exit 3 dbcord help frobnicate

# Wrong use is 2, and says what is right.
assert_exit 2 dbcord
assert_exit 2 dbcord --frobnicate
assert_exit 2 dbcord isnert prod users '{}'
assert_said "did you mean 'insert'"
assert_exit 2 dbcord frobnicate
assert_said 'dbcord help'
assert_exit 2 dbcord insert prod
assert_said 'table is missing'
assert_exit 2 dbcord insert prod users
assert_said 'value_json is missing'
assert_exit 2 dbcord get prod users u_1 more
assert_said 'too many'
assert_exit 2 dbcord get prod users u_1 --format yaml
assert_said 'yaml'
assert_exit 2 dbcord update prod users u_1 '{}' --if-version=none
assert_exit 2 dbcord mount
assert_exit 2 dbcord mount a b
assert_exit 2 dbcord unmount
assert_exit 2 dbcord status --frobnicate
assert_exit 2 dbcord doctor now
assert_eq "$(out)" ''

# Settings: what is missing or open to others is said, and the token is not.
assert_exit 1 dbcord tables prod
assert_said 'DISCORD_BOT_TOKEN'
echo 'DISCORD_BOT_TOKEN=sesame-open-1234' >.env
chmod 644 .env
assert_exit 1 dbcord tables prod
assert_said 'chmod 600'
chmod 600 .env
assert_exit 1 dbcord tables prod
assert_said 'DBCORD_GUILD_ID'
echo 'DBCORD_GUILD_ID=home' >>.env
assert_exit 1 dbcord tables prod
assert_said "'home' is not a guild's id"
assert_exit 1 dbcord tables prod --env-file nowhere
assert_said 'no settings file nowhere'
printf '%s\n' DISCORD_BOT_TOKEN=sesame-open-1234 DBCORD_GUILD_ID=1 \
    DBCORD_API_URL=http://192.0.2.1/api/v10 >.env
assert_exit 1 dbcord tables prod
assert_said 'https:'
! grep -q sesame "$WORK/err" || fail "the token was shown"

# A value from a file that is not there.
assert_exit 1 dbcord insert prod users --file nowhere.json
assert_said 'nowhere.json'

# A result that cannot be written is an error, said once, and not Discord's.
for nowhere in /dev/full closed; do
    if [ $nowhere = closed ]; then
        "$DBCORD" help >&- 2>"$WORK/err"
    else
        "$DBCORD" help >$nowhere 2>"$WORK/err"
    fi
    assert_eq $? 1
    assert_eq "$(grep -c 'cannot write the result' "$WORK/err")" 1
done
exit 0

#!/bin/bash
# What a public Discord library makes of the answers that are for all to see.
HERE=$(cd "$(dirname "$0")" && pwd)
. "$HERE/lib.sh"
NODE=$HERE/../node
[ -d "$NODE/node_modules/discord.js" ] && command -v node >/dev/null || {
    echo "skipped: run npm ci in tests/node first"
    exit 77
}
start_emulator --limits off
start_bot
types dbc_init database=prod
types dbc_table_create database=prod table=users
for i in $(seq 60); do
    printf '{"id":"row_%03d","text":"%060d"}\n' "$i" "$i"
done >"$WORK/rows.ndjson"
types dbc_import database=prod table=users "file@$WORK/rows.ndjson"

node "$NODE/watch.mjs" "${API%/api/v10}" "$DISCORD_BOT_TOKEN" >"$WORK/watched" 2>"$WORK/watch.log" &
watcher=$!
watched() { # jq filter on all lines: true
    kill -0 "$watcher" || fail "the client ended: $(cat "$WORK/watch.log")"
    jq -se "$1" "$WORK/watched"
}
wait_for watched 'any(. == "ready")'

# An answer of each form.
types dbc_get database=prod table=users key=row_001 public=true
wait_for watched 'any(.content? | strings | test("```json\n.*row_001"))'
types dbc_insert database=prod table=users key=bad public=true 'value_json={"x":"```@everyone <@1> https://evil.example"}'
types dbc_get database=prod table=users key=bad public=true
wait_for watched 'any(.content? | strings | test("evil.example"))'
types dbc_find database=prod table=users public=true
press '▶'
wait_for watched 'any(.what? == "update" and ([.buttons[].label] | length == 3 and .[0] == "◀" and .[2] == "▶"))'
types dbc_export database=prod table=users public=true
wait_for watched 'any(.files? | arrays | any(.name == "users.ndjson" and .size > 1000))'
types dbc_table_drop database=prod table=users public=true
wait_for watched 'any(.buttons? | arrays | any(.label == "Yes, do it"))'
press No
wait_for watched 'any(.what? == "update" and .content == "Nothing was done." and .buttons == [])'
types dbc_get database=prod table=nowhere key=x public=true
wait_for watched 'any(.content? | strings | test("Not done"))'

# Each is one command's, pings nobody, and shows no preview.
said='map(objects | select(.command))'
assert_eq "$(jq -sc "$said | map(.bot and .same and .suppressed and .mentions == 0 and .embeds == 0) | unique" "$WORK/watched")" '[true]'
[ "$(jq -s "$said | length" "$WORK/watched")" -ge 8 ] || fail "too few messages: $(cat "$WORK/watched")"
kill -TERM "$watcher"
wait "$watcher" || fail "the client ended with $?: $(cat "$WORK/watch.log")"

#!/bin/bash
# Two hundred commands at once: each has an answer, within its time.
. "$(dirname "$0")/lib.sh"
start_emulator
start_bot
types dbc_init database=prod
types dbc_table_create database=prod table=users
types dbc_insert database=prod table=users key=u_0 'value_json={}'

for i in $(seq 200); do
    if [ $((i % 2)) = 0 ]; then
        body="{\"user\":\"owner\",\"command\":\"dbc_get\",\"options\":{\"database\":\"prod\",\"table\":\"users\",\"key\":\"u_0\"}}"
    else
        body="{\"user\":\"owner\",\"command\":\"dbc_insert\",\"options\":{\"database\":\"prod\",\"table\":\"users\",\"key\":\"k$i\",\"value_json\":\"{}\"}}"
    fi
    curl -sS -m 120 -d "$body" "$CONTROL/interactions" >"$WORK/answer.$i" &
    asked+=($!)
done
wait "${asked[@]}"
assert_eq "$(cat "$WORK"/answer.* | jq -s 'map(select(.failed or (.messages | length == 0))) | length')" 0
said=$(cat "$WORK"/answer.* | jq -rs 'map(.messages[0].content) | map(if test("\"key\"|\"id\"") then "done" elif test("Too many") then "declined" else . end) | unique | join(",")')
assert_match "$said" '^(done|declined|declined,done)$'

# Those that were told that it is done are there.
dbcord get prod users k1 >"$WORK/out" 2>&1
done_keys=$(cat "$WORK"/answer.* | jq -r '.messages[0].content | capture("\"key\":\"(?<k>k[0-9]+)\"").k' 2>"$WORK/err" | sort -u | wc -l)
[ "$done_keys" -ge 1 ] || fail "no insert was done"

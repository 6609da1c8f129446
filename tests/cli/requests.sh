#!/bin/bash
# What commands cost in requests to Discord, where no rate limit holds them
# back: counted by the emulator.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

post=/channels/{id}/messages
rows=100000

# The last command cost no more than that many requests, of a kind.
assert_at_most() { # number what [method [route]]
    local got
    got=$(requests "${@:3}")
    [ "$got" -le "$1" ] || fail "$2 cost $got requests, expected at most $1: $(control requests)"
}

assert_exit 0 dbcord init prod
assert_exit 0 dbcord table-create prod many id

# What every command needs to find guild, channels and catalog.
forget_requests
assert_exit 0 dbcord schema-get prod many
known=$(requests)
[ "$known" -le 3 ] || fail "finding the catalog cost $known requests"

# 100,000 rows of 300 bytes: 20 creates at most.
awk -v n=$rows 'BEGIN {
    for (i = 0; i < 400; i++) letters = letters sprintf("%c", 97 + i * 7 % 26)
    for (i = 0; i < n; i++) {
        row = sprintf("{\"id\":\"u_%06d\",\"email\":\"p%d@example.org\",\"role\":\"%s\",\"n\":%d,\"pad\":\"", i, i, i % 1000 ? "student" : "admin", i)
        print row substr(letters, 1 + i % 90, 298 - length(row)) "\"}"
    }
}' >many.ndjson
assert_eq "$(head -c 301 many.ndjson | wc -l)" 1
forget_requests
assert_exit 0 dbcord import prod many many.ndjson
assert_eq "$(jq .inserted "$WORK/out")" $rows
assert_at_most 20 import POST "$post"

# Opened from a snapshot at any size: 6 requests.
assert_exit 0 dbcord snapshot prod many all
forget_requests
assert_exit 0 dbcord count prod many '{"n":{"$gte":99990}}'
assert_eq "$(jq .count "$WORK/out")" 10
assert_at_most $((known + 6)) 'opening from a snapshot'

# An index over rows that are there: entries in few messages.
forget_requests
assert_exit 0 dbcord index-create prod many email --unique
assert_at_most 12 'making an index' POST "$post"

# Rows with messages of their own, a cold find for an indexed value: 3.
assert_exit 0 dbcord table-create prod few id
assert_exit 0 dbcord index-create prod few email --unique
assert_exit 0 dbcord index-create prod few role
for i in 1 2 3 4 5 6; do
    assert_exit 0 dbcord insert prod few "u_$i" "{\"email\":\"p$i@x.org\",\"role\":\"r$((i % 3))\"}"
done
forget_requests
assert_exit 0 dbcord schema-get prod few
known=$(requests)
# The first search of a guild has Discord build its index.
assert_exit 0 dbcord find prod few '{"email":"p3@x.org"}'
control clock '{"advance_ms":60000}' >"$WORK/control"
for where in '{"email":"p3@x.org"}' '{"role":"r1"}' '{"id":"u_5"}'; do
    forget_requests
    assert_exit 0 dbcord find prod few "$where"
    [ -s "$WORK/out" ] || fail "nothing was found for $where"
    assert_at_most $((known + 3)) "a cold find for $where"
done
forget_requests
assert_exit 0 dbcord find prod many '{"email":"p77777@example.org"}'
assert_eq "$(jq -r .id "$WORK/out")" u_077777
assert_at_most $((known + 6)) 'a cold find among many'

# A field that is not indexed changes: nothing is written to index channels.
assert_exit 0 dbcord inspect prod few
channels=$(control guild | jq -r '[.. | objects | select((.name? // "") | startswith("idx-few")) | .id] | unique[]')
[ -n "$channels" ] || fail "no index channels"
entries() {
    local id
    for id in $channels; do
        discord GET "/channels/$id/messages?limit=100" | jq -r '.[] | [.id, .edited_timestamp] | @tsv'
    done
}
before=$(entries)
assert_exit 0 dbcord update prod few u_1 '{"age":36}'
assert_exit 0 dbcord update prod few u_1 '{"age":37}'
assert_eq "$(entries)" "$before"
exit 0

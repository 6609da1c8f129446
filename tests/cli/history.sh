#!/bin/bash
# The versions of a row, and going back to one.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
assert_exit 0 dbcord init prod
assert_exit 0 dbcord table-create prod users id

versions() {
    jq -sc 'map([.version, .op, .row.n])' "$WORK/out"
}

assert_exit 0 dbcord insert prod users u_1 '{"n":1}'
assert_exit 0 dbcord update prod users u_1 '{"n":2}'
assert_exit 0 dbcord delete prod users u_1
assert_exit 0 dbcord insert prod users u_1 '{"n":4}'
assert_exit 0 dbcord replace prod users u_1 '{"n":5}'
assert_exit 0 dbcord history prod users u_1
assert_eq "$(versions)" '[[1,"put",1],[2,"put",2],[3,"delete",null],[4,"put",4],[5,"put",5]]'
assert_eq "$(jq -r .by "$WORK/out" | sort -u)" "$(id -un)@$(hostname)"
assert_match "$(head -1 "$WORK/out" | jq -r .at)" '^20[0-9-]+T[0-9:.]+Z$'
# The message that is named is there, but for the row's that went with it.
line=$(sed -n 2p "$WORK/out")
assert_eq "$(discord GET "/channels/$(jq -r .channel_id <<<"$line")/messages/$(jq -r .message_id <<<"$line")" |
    jq -r '.content | test("dbcord put \"u_1\" v2 ")')" true

assert_exit 0 dbcord history prod users u_1 --version 2
assert_eq "$(out)" '{"id":"u_1","n":2}'
assert_exit 4 dbcord history prod users u_1 --version 3
assert_exit 3 dbcord history prod users u_1 --version 9
assert_said 'newest is 5'
assert_exit 2 dbcord history prod users u_1 --version 0
assert_exit 3 dbcord history prod users nobody
assert_exit 0 dbcord history prod users u_1 --format csv
assert_eq "$(wc -l <"$WORK/out")" 6

# Few requests: what a table costs to open, and a page of each place.
forget_requests
assert_exit 0 dbcord get prod users u_1
opened=$(requests)
forget_requests
assert_exit 0 dbcord history prod users u_1
[ "$(requests)" -le $((opened + 4)) ] || fail "$(requests) requests, and $opened for a get"

# Back, once; again it is nothing new.
assert_exit 0 dbcord restore prod users u_1 2
assert_eq "$(jq -c '[.restored, .changed, .version]' "$WORK/out")" '[2,true,6]'
assert_exit 0 dbcord get prod users u_1
assert_eq "$(out)" '{"id":"u_1","n":2}'
forget_requests
assert_exit 0 dbcord restore prod users u_1 2
assert_eq "$(jq -c '[.restored, .changed, .version]' "$WORK/out")" '[2,false,6]'
assert_eq "$(requests POST)" 0
assert_exit 4 dbcord restore prod users u_1 3
assert_said 'deletion'
assert_exit 3 dbcord restore prod users u_1 70
assert_exit 2 dbcord restore prod users u_1 x
assert_exit 0 dbcord delete prod users u_1
assert_exit 0 dbcord history prod users u_1
assert_eq "$(tail -1 "$WORK/out" | jq -c '[.version, .op]')" '[7,"delete"]'
assert_exit 0 dbcord restore prod users u_1 5
assert_exit 0 dbcord get prod users u_1
assert_eq "$(jq .n "$WORK/out")" 5

# A text in an attachment is asked for alone.
printf '{"pad":"%05000d"}' 7 >big.json
assert_exit 0 dbcord insert prod users big --file big.json
assert_exit 0 dbcord replace prod users big '{"n":2}'
assert_exit 0 dbcord history prod users big
assert_eq "$(head -1 "$WORK/out" | jq -c '[.version, has("row"), .bytes > 5000]')" '[1,false,true]'
assert_exit 0 dbcord history prod users big --version 1
assert_eq "$(jq '.pad | length' "$WORK/out")" 5000
assert_exit 0 dbcord restore prod users big 1
assert_exit 0 dbcord get prod users big
assert_eq "$(jq '.pad | length' "$WORK/out")" 5000

# A version that somebody's hand removed is told as that; the others are there.
assert_exit 0 dbcord insert prod users hurt '{"n":1}'
for n in 2 3 4; do
    assert_exit 0 dbcord replace prod users hurt "{\"n\":$n}"
done
assert_exit 0 dbcord snapshot prod users kept
assert_exit 0 dbcord history prod users hurt
second=$(sed -n 2p "$WORK/out")
curl -sSf -X DELETE -H 'Content-Type: application/json' "$CONTROL/messages" -o "$WORK/control" \
    -d "$(jq -c '{channel_id, message_id}' <<<"$second")" || fail 'control route messages'
dbcord history prod users hurt >"$WORK/out" 2>"$WORK/err"
[ $? -eq 1 ] || grep -q 'not there any more' "$WORK/err" || fail "not told: $(cat "$WORK/out" "$WORK/err")"
assert_eq "$(jq -sc '[.[] | select(.version > 2) | .row.n]' "$WORK/out")" '[3,4]'

# Values come as arguments, from standard input and from files.
assert_exit 0 dbcord insert prod users io '{}'
echo '{"a":1}' | dbcord update prod users io - >"$WORK/out" || fail 'a patch from standard input'
echo '{"b":1}' >row.json
assert_exit 0 dbcord replace prod users io --file row.json
echo '{"c":1}' | dbcord replace prod users io - >"$WORK/out" || fail 'a row from standard input'
echo '{"d":1}' | dbcord replace prod users io --file - >"$WORK/out" || fail 'a file that is standard input'
assert_exit 0 dbcord history prod users io
assert_eq "$(jq -sc 'map(.row | del(.id))' "$WORK/out")" '[{},{"a":1},{"b":1},{"c":1},{"d":1}]'

#!/bin/bash
# Indexes by hand: made, kept, unique, dropped, damaged; and what they cost.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

channel() { # name -> its id, empty where there is none
    control guild | jq -r --arg n "$1" '.channels[] | select(.name == $n) | .id'
}

# Everything the channel of an index says, each entry once: key, and value or null.
entries() { # channel name
    discord GET "/channels/$(channel "$1")/messages?limit=100" |
        jq -c 'reverse | .[]' | while read -r message; do
        jq -r .content <<<"$message" | grep -E '^[+-] ' |
            sed -E 's/^\+ ("([^"\\]|\\.)*") v([0-9]+) of [0-9]+ in [0-9]+ (.*)$/[\1,\3,\4]/; s/^- ("([^"\\]|\\.)*") v([0-9]+) of [0-9]+$/[\1,\3,null]/'
        url=$(jq -r '.attachments[0].url // empty' <<<"$message")
        [ -z "$url" ] || curl -sSf "$url" | jq -c '[.key, .v, .value]'
    done | jq -sc 'group_by(.[0]) | map(max_by(.[1]) | select(.[2]) | {key: .[0], value: .[2]}) | from_entries'
}

assert_entries() { # channel name, object
    assert_eq "$(entries "$1" | jq -Sc .)" "$(jq -Sc . <<<"$2")"
}

# --- the walk ------------------------------------------------------------------

assert_exit 0 dbcord init prod
assert_exit 0 dbcord table-create prod users id
assert_exit 0 dbcord schema-set prod users '{"required":["id","email"],"properties":{"id":"str","email":"str","role":"str"}}'
assert_eq "$(jq -r .pk "$WORK/out")" id
assert_exit 0 dbcord index-create prod users email unique
assert_eq "$(jq -c '[.field, .unique, .entries]' "$WORK/out")" '["email",true,0]'
assert_eq "$(jq -r .channel_id "$WORK/out")" "$(channel idx-users-email)"
assert_exit 0 dbcord insert prod users u_1 '{"email":"ada@x.org","role":"student"}'
assert_entries idx-users-email '{"u_1":"str:ada@x.org"}'
assert_exit 0 dbcord update prod users u_1 '{"role":"admin"}'
assert_exit 0 dbcord schema-get prod users
assert_eq "$(jq -c '[.required, .indexes]' "$WORK/out")" '[["id","email"],{"email":{"unique":true}}]'

# --- unique ---------------------------------------------------------------------

assert_exit 4 dbcord insert prod users u_2 '{"email":"ada@x.org"}'
assert_said 'email'
assert_said 'u_1'
assert_exit 0 dbcord insert prod users u_2 '{"email":"grace@x.org","role":"admin"}'
assert_exit 4 dbcord update prod users u_2 '{"email":"ada@x.org"}'
assert_exit 0 dbcord update prod users u_1 '{"email":"lovelace@x.org"}'
assert_exit 0 dbcord update prod users u_2 '{"email":"ada@x.org"}'
assert_entries idx-users-email '{"u_1":"str:lovelace@x.org","u_2":"str:ada@x.org"}'
assert_exit 4 dbcord index-create prod users email
assert_said 'already, unique'
assert_exit 4 dbcord index-create prod users role --unique
assert_said "'u_1' and 'u_2'"
assert_eq "$(channel idx-users-role)" ''
assert_exit 2 dbcord index-create prod users
assert_exit 3 dbcord index-create prod nowhere email
assert_exit 3 dbcord index-drop prod users role
assert_exit 3 dbcord reindex prod users role

# --- values of every type, dotted fields, any name -------------------------------

assert_exit 0 dbcord table-create prod things id
assert_exit 0 dbcord insert prod things a '{"v":1.50,"at":{"home":{"x":1}}}'
assert_exit 0 dbcord insert prod things b '{"v":"1","at":{"home":2}}'
assert_exit 0 dbcord insert prod things c '{"v":null,"at.home":"literally"}'
assert_exit 0 dbcord insert prod things d '{"v":true,"at":{"home":{"x":[1,{"b":1,"a":2}]}}}'
assert_exit 0 dbcord insert prod things e '{"v":[1, "x"]}'
assert_exit 0 dbcord insert prod things f '{"v":{"b":1.0,"a":2}}'
assert_exit 0 dbcord insert prod things g '{}'
assert_exit 0 dbcord insert prod things "q\"\\ 中 <:x:1>" '{"v":"a\"b\\c\nd"}'
assert_exit 0 dbcord index-create prod things v
assert_entries idx-things-v "$(jq -nc '{a:"num:15e0",b:"str:1",c:"raw:null",d:"raw:true",e:"json:[1e0,\"x\"]",
    f:"json:{\"a\":2e0,\"b\":1e0}","q\"\\ 中 <:x:1>":"str:a\"b\\c\nd"}')"
assert_exit 0 dbcord index-create prod things at.home
assert_entries idx-things-at_home '{"a":"json:{\"x\":1e0}","b":"num:2e0","c":"str:literally","d":"json:{\"x\":[1e0,{\"a\":2e0,\"b\":1e0}]}"}'
assert_exit 0 dbcord index-create prod things 'Größe / "x"'
assert_match "$(channel idx-things-gr__e____x_)" '^[0-9]+$'
assert_exit 0 dbcord insert prod things h '{"Größe / \"x\"":1}'
assert_entries idx-things-gr__e____x_ '{"h":"num:1e0"}'
assert_exit 4 dbcord index-create prod things "$(printf 'x%.0s' {1..300})"

# --- requests --------------------------------------------------------------------

# A change that leaves the field as it is costs the index nothing.
index_requests() { # channel name
    discord GET "/channels/$(channel "$1")/messages?limit=100" | jq length
}
before=$(index_requests idx-users-email)
forget_requests
assert_exit 0 dbcord update prod users u_1 '{"role":"owner"}'
assert_eq "$(requests POST '/channels/{id}/messages')" 1
# catalog, table, thread; the two again, for who was first
assert_eq "$(requests GET '/channels/{id}/messages')" 5
assert_eq "$(index_requests idx-users-email)" "$before"
# One that changes it costs a look and a message, after the commit.
forget_requests
assert_exit 0 dbcord update prod users u_1 '{"email":"countess@x.org"}'
assert_eq "$(requests POST '/channels/{id}/messages')" 2
assert_eq "$(requests GET '/channels/{id}/messages')" 6
# Ten thousand entries are not ten thousand messages.
jq -nc 'range(3000) | {id: "b\(.)", email: "b\(.)@x.org"}' >many.ndjson
assert_exit 0 dbcord import prod users many.ndjson
assert_eq "$(entries idx-users-email | jq length)" 3002
[ "$(index_requests idx-users-email)" -le $((before + 4)) ] || fail "too many messages in the index"

# --- dropped, by command and by schema ---------------------------------------------

assert_exit 0 dbcord index-drop prod things v
assert_eq "$(jq .dropped "$WORK/out")" true
assert_eq "$(channel idx-things-v)" ''
assert_exit 0 dbcord schema-set prod things '{"indexes":{"v":{},"at.home":{}}}'
assert_match "$(channel idx-things-v)" '^[0-9]+$'
assert_eq "$(channel idx-things-gr__e____x_)" ''
assert_exit 0 dbcord schema-set prod things '{"pk":"id"}'
assert_match "$(channel idx-things-v)" '^[0-9]+$'
assert_exit 0 dbcord schema-set prod things '{"indexes":{}}'
assert_eq "$(channel idx-things-v)$(channel idx-things-at_home)" ''
assert_exit 4 dbcord schema-set prod users '{"indexes":{"email":{"unique":true},"role":{"unique":1}}}'

# What was unique while it was stays as it was decided then.
assert_exit 0 dbcord index-drop prod users email
assert_exit 0 dbcord insert prod users u_9 '{"email":"ada@x.org"}'
assert_exit 4 dbcord index-create prod users email unique
assert_said "'u_2' and 'u_9'"
assert_exit 0 dbcord delete prod users u_9
assert_exit 0 dbcord index-create prod users email unique
assert_exit 4 dbcord insert prod users u_9 '{"email":"ada@x.org"}'

# --- by somebody's hand ---------------------------------------------------------------

lost=$(channel idx-users-email)
message=$(discord GET "/channels/$lost/messages?limit=1" | jq -r '.[0].id')
discord DELETE "/channels/$lost/messages/$message" >"$WORK/deleted"
assert_exit 0 dbcord reindex prod users email
assert_eq "$(jq -c '[.field, .entries]' "$WORK/out")" '["email",3002]'
assert_eq "$(entries idx-users-email | jq length)" 3002
discord DELETE "/channels/$lost" >"$WORK/deleted"
assert_exit 0 dbcord update prod users u_1 '{"role":"none"}'
assert_exit 4 dbcord insert prod users u_9 '{"email":"ada@x.org"}'
assert_exit 0 dbcord reindex prod users
assert_match "$(channel idx-users-email)" '^[0-9]+$'
[ "$(channel idx-users-email)" != "$lost" ] || fail "the same channel"
assert_eq "$(entries idx-users-email | jq length)" 3002
# Requests that fail in the middle leave nothing that the next attempt minds.
for route in '/channels/{id}/messages' '/guilds/{id}/channels'; do
    for what in 'status 400' 'status 503' drop drop-after; do
        for times in 1 2; do
            control faults "$(jq -nc --arg r "$route" --arg w "$what" --argjson n $times \
                '{route: $r, method: "POST", times: $n, do: $w}')" >"$WORK/fault"
            made=no
            ! dbcord index-create prod users role >"$WORK/out" 2>"$WORK/err" || made=yes
            curl -sSf -X DELETE "$CONTROL/faults" -o "$WORK/fault"
            [ $made = yes ] || assert_exit 0 dbcord index-create prod users role
            assert_eq "$(control guild | jq '[.channels[] | select(.name == "idx-users-role")] | length')" 1
            assert_entries idx-users-role '{"u_1":"str:none","u_2":"str:admin"}'
            assert_exit 0 dbcord index-drop prod users role
        done
    done
done

# --- all of it ----------------------------------------------------------------------

assert_exit 0 dbcord table-drop prod users
assert_eq "$(control guild | jq '[.channels[] | select(.name | startswith("idx-users"))] | length')" 0

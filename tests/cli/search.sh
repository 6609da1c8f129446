#!/bin/bash
# Rows of a table that nobody has opened, found by a search that lags, drops,
# reorders, is not ready or is switched off: always the right rows, and how
# many requests it took.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

made() {
    dbcord "$@" >"$WORK/made" 2>"$WORK/err" || fail "$*: $(cat "$WORK/err")"
}

later() { # minutes
    control clock "{\"advance_ms\":$(($1 * 60000))}" >"$WORK/clock"
}

search_is() { # json
    control search "$1" >"$WORK/search"
}

# What was asked of Discord for the last explain, beside channels and catalog.
explain() { # table where [options]
    forget_requests
    dbcord explain prod "$@" >"$WORK/out" 2>"$WORK/err" || fail "explain $*: $(cat "$WORK/err")"
    ALL=$(requests)
}

told() { # filter
    jq -c "$1" "$WORK/out"
}

found() { # table where [options]
    dbcord find prod "$@" >"$WORK/found" 2>"$WORK/err" || fail "find $*: $(cat "$WORK/err")"
    jq -r .id "$WORK/found" | sort | paste -sd ' '
}

# A table that has seen more changes than a page, and no snapshot lately.
made init prod
made table-create prod users id
made schema-set prod users '{"pk":"id","properties":{"id":"str","email":"str","role":"str"},
    "indexes":{"email":{"unique":true}}}'
made insert prod users '{"id":"counter","n":0}'
for i in {1..104}; do
    made update prod users counter "{\"n\":$i}"
done
later 10
for who in ada bob cyn dan; do
    made insert prod users "{\"id\":\"$who\",\"email\":\"$who@x.org\",\"role\":\"member\",\"n\":1}"
done
later 10

# The index is built when first asked for: until then nothing is concluded.
explain users '{"id":"ada"}'
assert_eq "$(told '[.choice, .how, .returned]')" '["search","key",1]'
assert_match "$(told .fell_back)" 'not ready'
# What was looked at to decide is not asked for again.
assert_eq "$(control requests | jq '[.routes[] | select(.route | endswith("/search")) | .count] | add')" 1
later 1

# By key and by unique value: the page of the thread, the search, and what
# stands before the row.
for where in '{"id":"ada"}' '{"email":"ada@x.org"}' '{"email":"ada@x.org","role":"member"}' \
    '{"id":{"$in":["ada"]}}'; do
    explain users "$where"
    assert_eq "$(told '[.choice, .how, .matched, .returned, .fell_back]')" '["search","search",1,1,null]'
    assert_eq "$(told .requests)" 3
    [ "$ALL" -le 9 ] || fail "$ALL requests in all for $where"
    assert_eq "$(found users "$where")" ada
done
assert_exit 0 dbcord get prod users cyn --meta
assert_eq "$(jq -c '[.key, .version, .row.email]' "$WORK/out")" '["cyn",1,"cyn@x.org"]'
assert_eq "$(jq -r .message_id "$WORK/out")" "$(jq -r .message_id "$WORK/out" | grep -E '^[0-9]+$')"

# Several keys, sorted; the other terms are asked of what was found.
assert_eq "$(dbcord find prod users '{"id":{"$in":["bob","ada"]}}' --sort=-email | jq -r .id | paste -sd ' ')" 'bob ada'
explain users '{"id":"ada","role":"guest"}'
assert_eq "$(told '[.how, .returned]')" '["search",0]'

# Enough rows, whichever they are.
explain users '{"role":"member"}' --limit 2
assert_eq "$(told '[.how, .how_field, .returned]')" '["search","role",2]'
dbcord find prod users '{"role":"member"}' --limit 2 | jq -r .role | sort -u | assert_eq "$(cat)" member
# All there are: a search cannot tell.
explain users '{"role":"member"}'
assert_eq "$(told '[.choice, .returned]')" '["open",4]'
assert_match "$(told '.candidates[] | select(.way == "search") | .why_not')" 'miss'
explain users '{"role":"member"}' --limit 2 --sort=email
assert_eq "$(told '[.choice, .returned]')" '["open",2]'
explain users '{"role":"member"}' --limit 9
assert_eq "$(told '[.choice, .how, .returned]')" '["search","scan",4]'
assert_match "$(told .fell_back)" 'few'

# What is not there is believed only when the table is open.
explain users '{"id":"nobody"}'
assert_eq "$(told '[.choice, .how, .returned]')" '["search","key",0]'
assert_match "$(told .fell_back)" 'proves nothing'
assert_exit 3 dbcord get prod users nobody

# A change that the index has not heard of yet, and one it never hears of.
search_is '{"lag_ms":3600000}'
made update prod users ada '{"email":"ada@y.org"}'
assert_eq "$(found users '{"email":"ada@x.org"}')" ''
assert_eq "$(found users '{"email":"ada@y.org"}')" ada
assert_eq "$(dbcord get prod users ada | jq -r .email)" ada@y.org
made insert prod users '{"id":"eve","email":"ada@x.org","role":"member"}'
assert_eq "$(found users '{"email":"ada@x.org"}')" eve
made delete prod users bob
assert_eq "$(found users '{"id":"bob"}')" ''
assert_eq "$(found users '{"role":"member"}' --limit 9)" 'ada cyn dan eve'
search_is '{"lag_ms":0,"drop_every":1}'
made insert prod users '{"id":"fay","email":"fay@x.org","role":"member"}'
assert_eq "$(found users '{"email":"fay@x.org"}')" fay
assert_eq "$(found users '{"role":"member"}' --limit 9)" 'ada cyn dan eve fay'
search_is '{"drop_every":0,"reorder":true}'
assert_eq "$(found users '{"id":"dan"}')" dan
assert_eq "$(found users '{"role":"member"}' --limit 3 | wc -w)" 3

# The history is ahead of the row's message: it is not taken for the row.
later 61
home=$(control guild | jq -r '.channels[] | select(.name == "table-users") | .messages[] | select(.content | contains("dan@x.org")) | .id' | head -1)
old=$(control guild | jq -r --arg id "$home" '.channels[].messages[]? | select(.id == $id) | .content')
made update prod users dan '{"email":"dan@y.org"}'
channel=$(control guild | jq -r '.channels[] | select(.name == "table-users") | .id')
curl -sSf -X PATCH -H 'Content-Type: application/json' -o "$WORK/patched" \
    -d "$(jq -nc --arg c "$channel" --arg m "$home" --arg t "$old" '{channel_id:$c,message_id:$m,content:$t}')" \
    "$CONTROL/messages" || fail "the message as it was"
explain users '{"email":"dan@x.org"}'
assert_eq "$(told .returned)" 0
assert_match "$(told .fell_back)" 'changed'
assert_eq "$(dbcord get prod users dan | jq -r .email)" dan@y.org

# A row whose text somebody has tampered with is no hit.
made insert prod users '{"id":"gus","email":"gus@x.org","role":"member"}'
later 5
explain users '{"id":"gus"}'
assert_eq "$(told .how)" '"search"'
home=$(control guild | jq -r '.channels[] | select(.name == "table-users") | .messages[] | select(.content | contains("gus@x.org")) | .id' | head -1)
bad=$(control guild | jq -r --arg id "$home" '.channels[].messages[]? | select(.id == $id) | .content' | sed 's/"role":"member"/"role":"master"/')
curl -sSf -X PATCH -H 'Content-Type: application/json' -o "$WORK/patched" \
    -d "$(jq -nc --arg c "$channel" --arg m "$home" --arg t "$bad" '{channel_id:$c,message_id:$m,content:$t}')" \
    "$CONTROL/messages" || fail "damage"
assert_eq "$(found users '{"id":"gus","role":"master"}')" ''

# Searching is switched off for bots.
search_is '{"off":true}'
explain users '{"id":"cyn"}'
assert_eq "$(told '[.choice, .how, .returned]')" '["search","key",1]'
assert_match "$(told .fell_back)" 'failed'
search_is '{"off":false,"forget":true}'
assert_eq "$(found users '{"id":"cyn"}')" cyn

# A short table is read as fast as it would be searched.
made table-create prod small id
made insert prod small '{"id":"a"}'
explain small '{"id":"a"}'
assert_eq "$(told '[.choice, .how, .returned]')" '["open","key",1]'
assert_eq "$(told .requests)" 2

# Rows with messages of their own, more than a page of them, and no snapshot;
# then with one.
made table-create prod plain id
made index-create prod plain email --unique
made index-create prod plain role
for i in {1..120}; do
    made insert prod plain "{\"id\":\"p$i\",\"email\":\"p$i@x.org\",\"role\":\"r$((i % 40))\"}"
done
for taken in no yes; do
    for where in '{"email":"p77@x.org"}' '{"role":"r37"}' '{"id":"p77"}' '{"email":"nobody@x.org"}'; do
        explain plain "$where"
        [ "$(told .requests)" -le 3 ] || fail "$(told .requests) requests for $where, snapshot: $taken"
        [ "$ALL" -le 9 ] || fail "$ALL requests in all for $where, snapshot: $taken"
    done
    assert_eq "$(found plain '{"email":"p77@x.org"}')" p77
    assert_eq "$(found plain '{"role":"r37"}')" 'p117 p37 p77'
    made snapshot prod plain
done
explain plain '{"role":"r37"}'
assert_eq "$(told '[.how, .examined, .returned, .requests]')" '["index",3,3,2]'

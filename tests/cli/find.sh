#!/bin/bash
# find, count, explain and get: the language as it is typed in a shell, each
# format, and each way in which it is refused. How rows of a table that is not
# open are searched for is search.sh's.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

dbcord init prod >"$WORK/made" || fail init
dbcord table-create prod users id >"$WORK/made" || fail table-create
dbcord schema-set prod users '{"pk":"id","properties":{"id":"str","name":"str","role":"str",
    "age":"int","ok":"bool","nick":"str?","tags":"array","address":"object"}}' >"$WORK/made" || fail schema-set
{
    echo '{"id":"ada","name":"Ada Lovelace","role":"student","age":36,"ok":true,"tags":["math","poems"],"address":{"city":"London"}}'
    echo '{"id":"bob","name":"Bob","role":"student","age":17,"tags":[],"address":{"city":"Leeds"}}'
    echo '{"id":"cyn","name":"Cyn","role":"admin","age":52,"ok":false,"nick":null,"address":{"city":"Paris"},"level":10}'
    echo '{"id":"dan","name":"Dan","role":"teacher","nick":"dd","level":9.5}'
    echo '{"id":"eve","name":"Eve","role":"admin","age":28,"ok":true,"level":"high"}'
} >rows.ndjson
while read -r row; do
    dbcord insert prod users "$row" >"$WORK/made" || fail "insert $row"
done <rows.ndjson

keys() { # where [options]: the keys found, in their order
    dbcord find prod users "$@" >"$WORK/found" || fail "find $*"
    jq -r .id "$WORK/found" | paste -sd ' '
}

# Everything, as it was written, in the order of creation.
assert_exit 0 dbcord find prod users
diff "$WORK/out" rows.ndjson || fail "rows are not as they were written"

# The ten operators.
assert_eq "$(keys '{"role":"student"}')" 'ada bob'
assert_eq "$(keys '{"role":{"$eq":"student"}}')" 'ada bob'
assert_eq "$(keys '{"role":{"$ne":"student"}}')" 'cyn dan eve'
assert_eq "$(keys '{"age":{"$gt":28}}')" 'ada cyn'
assert_eq "$(keys '{"age":{"$gte":28}}')" 'ada cyn eve'
assert_eq "$(keys '{"age":{"$lt":28}}')" 'bob'
assert_eq "$(keys '{"age":{"$lte":28}}')" 'bob eve'
assert_eq "$(keys '{"name":{"$contains":"Love"}}')" 'ada'
assert_eq "$(keys '{"tags":{"$contains":"math"}}')" 'ada'
assert_eq "$(keys '{"role":{"$in":["admin","teacher"]}}')" 'cyn dan eve'
assert_eq "$(keys '{"nick":{"$exists":true}}')" 'cyn dan'
assert_eq "$(keys '{"age":{"$exists":false}}')" 'dan'
assert_eq "$(keys '{"name":{"$prefix":"E"}}')" 'eve'

# AND, several of one field, dotted fields, null, by key.
assert_eq "$(keys '{"role":"admin","age":{"$gte":28,"$lt":50}}')" 'eve'
assert_eq "$(keys '{"address.city":{"$prefix":"L"}}')" 'ada bob'
assert_eq "$(keys '{"nick":null}')" 'cyn'
assert_eq "$(keys '{"id":"cyn"}')" 'cyn'
assert_eq "$(keys '{"id":"cyn","role":"student"}')" ''
assert_eq "$(keys '{"id":{"$in":["eve","nobody","ada"]}}')" 'ada eve'
assert_eq "$(keys '{"id":"nobody"}')" ''
assert_eq "$(keys '{"role":{"$in":[]}}')" ''
assert_eq "$(echo '{"role":"teacher"}' | keys -)" 'dan'
assert_eq "$(keys '{}')" 'ada bob cyn dan eve'

# Order, skip, limit, fields.
assert_eq "$(keys --sort=age)" 'dan bob eve ada cyn'
assert_eq "$(keys --sort=-age)" 'cyn ada eve bob dan'
assert_eq "$(keys --sort=role,-age)" 'cyn eve ada bob dan'
assert_eq "$(keys --sort=-age --limit 2)" 'cyn ada'
assert_eq "$(keys --sort=-age --skip 1 --limit 2)" 'ada eve'
assert_eq "$(keys --skip 3)" 'dan eve'
assert_eq "$(keys --skip 30)" ''
assert_eq "$(keys --limit 30)" 'ada bob cyn dan eve'
assert_eq "$(keys '{"role":"admin"}' --sort=age --limit=1)" 'eve'
assert_eq "$(keys '{"age":{"$gt":0}}' age 2 id)" 'bob eve'
assert_exit 0 dbcord find prod users '{"id":"ada"}' --fields name,address.city
assert_eq "$(out)" '{"name":"Ada Lovelace","address":{"city":"London"}}'
assert_exit 0 dbcord find prod users '{"role":"teacher"}' --fields=id,age
assert_eq "$(out)" '{"id":"dan"}'

# Each format.
assert_exit 0 dbcord find prod users '{"role":"student"}' --fields id,age --format json
assert_eq "$(jq -c . "$WORK/out")" '[{"id":"ada","age":36},{"id":"bob","age":17}]'
assert_exit 0 dbcord find prod users '{"role":"student"}' --fields id,age --format ndjson
assert_eq "$(out)" $'{"id":"ada","age":36}\n{"id":"bob","age":17}'
assert_exit 0 dbcord find prod users '{"role":"student"}' --fields id,age --format csv
assert_eq "$(out)" $'id,age\nada,36\nbob,17'
assert_exit 0 dbcord find prod users '{"role":"student"}' --fields id,age --format tsv
assert_eq "$(out)" $'id\tage\nada\t36\nbob\t17'
assert_exit 0 dbcord find prod users '{"role":"student"}' --fields id,age --format table
assert_match "$(out)" 'bob +17'
assert_exit 0 dbcord find prod users '{"id":"nobody"}' --format json
assert_eq "$(jq -c . "$WORK/out")" '[]'

# count.
assert_exit 0 dbcord count prod users
assert_eq "$(out)" '{"count":5}'
assert_exit 0 dbcord count prod users '{"role":"admin"}'
assert_eq "$(out)" '{"count":2}'
assert_exit 0 dbcord count prod users '{"role":"nothing"}'
assert_eq "$(out)" '{"count":0}'

# explain carries it out and says how.
assert_exit 0 dbcord explain prod users '{"age":{"$gt":18}}' --sort=-age --limit 1
assert_eq "$(jq -c '[.query.where.age["$gt"], .query.sort, .query.limit]' "$WORK/out")" '[18,"-age",1]'
assert_eq "$(jq -c '[.choice, .how, .examined, .matched, .returned]' "$WORK/out")" '["open","scan",5,3,1]'
assert_eq "$(jq '.requests > 0 and .ms > 0' "$WORK/out")" true
assert_eq "$(jq -c '[.candidates[] | select(.way == "open") | .possible]' "$WORK/out")" '[true]'
assert_exit 0 dbcord explain prod users '{"id":{"$in":[]}}'
assert_eq "$(jq -c '[.choice, .requests, .returned]' "$WORK/out")" '["none",0,0]'
forget_requests
assert_exit 0 dbcord explain prod users
assert_eq "$(($(requests) - $(jq .requests "$WORK/out") <= 6))" 1

# An index is used as soon as it is there, and finds the same rows.
before=$(keys '{"role":"admin"}')
dbcord index-create prod users role >"$WORK/made" || fail index-create
dbcord index-create prod users address.city >"$WORK/made" || fail index-create
assert_eq "$(keys '{"role":"admin"}')" "$before"
assert_eq "$(keys '{"role":{"$in":["teacher","student","student"]}}')" 'ada bob dan'
assert_eq "$(keys '{"address.city":"Paris"}')" 'cyn'
assert_exit 0 dbcord explain prod users '{"role":"admin","age":{"$gt":30}}'
assert_eq "$(jq -c '[.how, .how_field, .examined, .matched]' "$WORK/out")" '["index","role",2,1]'
assert_exit 0 dbcord explain prod users '{"role":"nobody"}'
assert_eq "$(jq -c '[.how, .examined]' "$WORK/out")" '["index",0]'
assert_exit 0 dbcord explain prod users '{"role":"admin","id":"eve"}'
assert_eq "$(jq -c '[.how, .examined, .returned]' "$WORK/out")" '["key",1,1]'

# Refused: each names what is wrong.
assert_exit 4 dbcord find prod users '{"role":'
assert_exit 4 dbcord find prod users '[1]'
assert_exit 4 dbcord find prod users '{"role":{"$like":"x"}}'
assert_said 'like'
assert_exit 4 dbcord find prod users '{"age":"old"}'
assert_said 'age'
assert_exit 4 dbcord count prod users '{"age":{"$gt":true}}'
assert_exit 4 dbcord explain prod users '{"age":{"$prefix":"1"}}'
assert_exit 4 dbcord find prod users --sort=,
assert_exit 2 dbcord find prod users --limit 0
assert_exit 2 dbcord find prod users --limit many
assert_exit 2 dbcord find prod users --skip=-1
assert_exit 2 dbcord find prod
assert_exit 2 dbcord find prod users '{}' age 1 id one-too-many
assert_exit 3 dbcord find prod nowhere '{}'
assert_said 'users'
assert_exit 3 dbcord count nowhere users
assert_exit 3 dbcord get prod users nobody
assert_said "no row 'nobody' in table 'users'"
dbcord schema-set prod users '{"pk":"id","properties":{"id":"str","name":"any"},"additional":false}' \
    --force >"$WORK/made" || fail schema-set
assert_exit 4 dbcord find prod users '{"nmae":"x"}'
assert_said 'nmae'

# Rows too big for a message: looked into like others, fetched once each.
dbcord table-create prod docs id >"$WORK/made" || fail table-create
for i in 1 2 3 4 5 6 7 8 9 10 11 12; do
    printf '{"id":"d%d","n":%d,"pad":"%s","last":"x%d"}' $i $i "$(head -c 5000 /dev/zero | tr '\0' p)" $((i % 3))
done | while read -rd '}' row; do
    dbcord insert prod docs "$row}" >"$WORK/made" || fail "insert a big row"
done
assert_exit 0 dbcord find prod docs '{"last":"x1"}' --fields id --sort=-n
assert_eq "$(jq -r .id "$WORK/out" | paste -sd ' ')" 'd10 d7 d4 d1'
assert_exit 0 dbcord find prod docs '{"n":{"$lte":3}}' --limit 2
assert_eq "$(jq -r .id "$WORK/out" | paste -sd ' ')" 'd1 d2'
assert_eq "$(jq -r '.pad | length' "$WORK/out" | paste -sd ' ')" '5000 5000'
assert_exit 0 dbcord count prod docs '{"last":"x0"}'
assert_eq "$(out)" '{"count":4}'

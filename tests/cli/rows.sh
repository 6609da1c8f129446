#!/bin/bash
# Every command once as it is meant, and each way in which it is refused.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off

# Databases and tables.
assert_exit 3 dbcord tables prod
assert_said "no database 'prod'"
assert_exit 0 dbcord init prod
assert_eq "$(jq -c '[.database, .guild, .created]' "$WORK/out")" '["prod","home",true]'
assert_exit 0 dbcord init home/prod
assert_eq "$(jq .created "$WORK/out")" false
assert_exit 3 dbcord init elsewhere/prod
assert_exit 0 dbcord tables prod
assert_eq "$(out)" ''
assert_exit 0 dbcord table-create prod users id
assert_eq "$(jq -r .pk "$WORK/out")" id
assert_exit 4 dbcord table-create prod users id
assert_exit 0 dbcord table_create home/prod 'Mixed Case Ü' name
assert_exit 0 dbcord tables prod
assert_eq "$(jq -rs 'map(.table) | sort | join(",")' "$WORK/out")" 'Mixed Case Ü,users'
assert_exit 0 dbcord tables --format csv
assert_match "$(head -1 "$WORK/out")" '^guild,database,table,pk,channel_id$'
assert_eq "$(wc -l <"$WORK/out")" 3

# Rows: the key beside the row, in the row, or both.
assert_exit 0 dbcord insert prod users u_1 '{"email":"ada@x.org"}'
assert_eq "$(jq -c '[.key, .version]' "$WORK/out")" '["u_1",1]'
assert_exit 0 dbcord insert prod users '{"id":"u_2",  "n" : 1.50}'
assert_exit 0 dbcord get prod users u_2
assert_eq "$(out)" '{"id":"u_2",  "n" : 1.50}'
assert_exit 0 dbcord get prod users u_1
assert_eq "$(jq -c '[.id, .email]' "$WORK/out")" '["u_1","ada@x.org"]'
echo '{"id":"u_3","from":"stdin"}' | dbcord insert prod users - >"$WORK/out" || fail "standard input"
echo '{"id":"u_4","from":"file"}' >row.json
assert_exit 0 dbcord insert prod users --file row.json
assert_exit 0 dbcord insert --database prod --table users --key u_5 --value-json '{}'
assert_exit 0 dbcord get prod users u_5 --meta
assert_eq "$(jq -c '[.key, .version, .row.id]' "$WORK/out")" '["u_5",1,"u_5"]'
assert_exit 0 dbcord get prod users u_4 --format csv
assert_eq "$(out)" $'id,from\nu_4,file'

assert_exit 4 dbcord insert prod users u_1 '{}'
assert_exit 4 dbcord insert prod users u_9 '{"id":"other"}'
assert_exit 4 dbcord insert prod users u_9 '{"id":'
assert_exit 4 dbcord insert prod users u_9 '[1]'
assert_exit 4 dbcord insert prod users '{"email":"no key"}'
assert_exit 3 dbcord get prod users u_9
assert_said "u_9"
assert_exit 3 dbcord get prod nowhere u_1
assert_said 'users'

# Changes, each at its version.
assert_exit 0 dbcord update prod users u_1 '{"role":"admin","email":null}'
assert_eq "$(jq .version "$WORK/out")" 2
assert_exit 0 dbcord get prod users u_1
assert_eq "$(jq -Sc . "$WORK/out")" '{"id":"u_1","role":"admin"}'
assert_exit 4 dbcord update prod users u_1 '{"role":"x"}' --if-version 1
assert_exit 4 dbcord update prod users u_1 'nonsense'
assert_exit 3 dbcord update prod users u_9 '{}'
assert_exit 0 dbcord replace prod users u_1 '{"id":"u_1","new":true}' --if-version 2
assert_exit 4 dbcord replace prod users u_1 '{"id":"u_1"}' --if-version 2
assert_exit 3 dbcord replace prod users u_9 '{}'
assert_exit 0 dbcord get prod users u_1
assert_eq "$(out)" '{"id":"u_1","new":true}'
assert_exit 4 dbcord delete prod users u_1 --if-version 1
assert_exit 0 dbcord delete prod users u_1
assert_exit 3 dbcord delete prod users u_1
assert_exit 3 dbcord get prod users u_1

# Schemas.
assert_exit 0 dbcord schema-get prod users
assert_eq "$(jq -r .pk "$WORK/out")" id
schema='{"pk":"id","required":["email"],"properties":{"email":"str"}}'
assert_exit 4 dbcord schema-set prod users "$schema"
assert_said 'u_[2-5]'
assert_exit 4 dbcord schema-set prod users '{"pk":1}'
assert_exit 4 dbcord schema-set prod users '{"pk":"other"}'
assert_said "field 'other' is missing: the primary key"
assert_exit 0 dbcord schema-set prod users "$schema" --force
assert_eq "$(out)" "$schema"
assert_exit 4 dbcord insert prod users u_7 '{"email":7}'
assert_said email
assert_exit 0 dbcord insert prod users u_7 '{"email":"x"}'
assert_exit 0 dbcord schema-get prod users
assert_eq "$(out)" "$schema"

# Where it all is.
assert_exit 0 dbcord inspect prod
assert_eq "$(jq -r '.tables | map(.table) | sort | join(",")' "$WORK/out")" 'Mixed Case Ü,users'
assert_exit 0 dbcord inspect prod users
assert_eq "$(jq -c '[.guild, .rows, .schema.pk]' "$WORK/out")" '["home",5,"id"]'
assert_match "$(jq -r .channel_url "$WORK/out")" "^https://discord.com/channels/$GUILD/[0-9]+$"

# Gone for good.
assert_exit 1 dbcord table-drop prod users --if-empty
assert_exit 0 dbcord table-drop prod users
assert_exit 3 dbcord get prod users u_2
assert_exit 3 dbcord table-drop prod users
assert_exit 0 dbcord tables prod
assert_eq "$(jq -r .table "$WORK/out")" 'Mixed Case Ü'

# Two processes write at once, and the first to arrive counts: the other, which
# had read the table before, is told so, or does its work again.
overtaken() { # code command ..., which leaves while the lines of standard input run
    local wanted=$1
    shift
    control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"delay 1000"}' >"$WORK/control"
    dbcord "$@" >"$WORK/late.out" 2>"$WORK/err" &
    local late=$!
    wait_for no_faults
    bash -e /dev/stdin >"$WORK/out" || fail "the one before '$*'"
    wait $late
    local got=$?
    [ $got -eq "$wanted" ] ||
        fail "'$*' ended with $got, expected $wanted: $(cat "$WORK/late.out" "$WORK/err")"
}
no_faults() {
    [ "$(control faults | jq '[.. | objects | select(has("do"))] | length')" -eq 0 ]
}
export DBCORD
dbcord table-create prod race >"$WORK/out"
dbcord index-create prod race email --unique >"$WORK/out"
dbcord insert prod race n '{"n":0}' >"$WORK/out"
overtaken 4 insert prod race k '{"by":"late"}' <<<'"$DBCORD" insert prod race k "{\"by\":\"early\"}"'
assert_said "'k' was created by another process"
assert_eq "$(dbcord get prod race k)" '{"id":"k","by":"early"}'
overtaken 4 insert prod race l '{"email":"x"}' <<<'"$DBCORD" insert prod race m "{\"email\":\"x\"}"'
assert_said "email is unique, and 'm' has the value"
overtaken 4 update prod race n '{"late":1}' --if-version 1 <<<'"$DBCORD" update prod race n "{\"n\":1}"'
assert_said "'n' was changed by another process"
overtaken 0 update prod race n '{"late":1}' <<<'"$DBCORD" update prod race n "{\"n\":2}"'
assert_eq "$(dbcord get prod race n)" '{"id":"n","n":2,"late":1}'
overtaken 4 delete prod race n --if-version 4 <<<'"$DBCORD" update prod race n "{\"n\":3}"'
printf '{"id":"i%s"}\n' 1 2 3 >race.ndjson
overtaken 4 import prod race race.ndjson <<<'"$DBCORD" insert prod race i2 "{\"by\":\"early\"}"'
assert_said "'i2' was created by another process.* 2 of 3 rows are in"
assert_exit 0 dbcord verify prod race

#!/bin/bash
# Files of rows: checked whole, written in few messages, and gone on with after
# whatever interrupted them. What comes out goes in again.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
assert_exit 0 dbcord init prod

new_table() { # name [schema]
    assert_exit 0 dbcord table-create prod "$1" id
    [ $# -lt 2 ] || assert_exit 0 dbcord schema-set prod "$1" "$2"
}

result() {
    jq -c '[.rows, .inserted, .replaced, .skipped]' "$WORK/out"
}

make_rows() { # count: of about 300 bytes
    awk -v n="$1" 'BEGIN {
        pad = sprintf("%228s", ""); gsub(/ /, "x", pad)
        for (i = 0; i < n; i++)
            printf "{\"id\":\"k%06d\",\"email\":\"user%d@example.org\",\"n\":%d,\"pad\":\"%s\"}\n", i, i, i, pad
    }'
}

# What is wrong is told with its place, all of it, and nothing is written.
new_table users '{"pk":"id","required":["email"],"properties":{"email":"str","age":"int"}}'
forget_requests
cat >bad.ndjson <<'END'
{"id":"a","email":"a@x.org","age":1}
{"id":"b","email":"b@x.org","age":"old"}
{"id":"c","age":2}

{"id":"d","email":"d@x.org",}
{"id":"a","email":"e@x.org"}
END
assert_exit 4 dbcord import prod users bad.ndjson
assert_said "^dbcord: line 2, column 35: field 'age': expected int"
assert_said "^dbcord: line 3, column 1: field 'email' is required"
assert_said '^dbcord: line 5, column 29: '
assert_said "^dbcord: line 6, column 7: the row in line 1 has the key 'a'"
assert_said '4 mistakes in the file; nothing was written'
assert_eq "$(out)" ''
printf '[{"id":"a","email":"x"},\n {"id":"b","email":7}]' >bad.json
assert_exit 4 dbcord import prod users bad.json
assert_said '^dbcord: line 2, column 20: .*; nothing was written'
printf 'id,email,age\na,"x\ny",1\nb,z,"1,5"\n' >bad.csv
assert_exit 4 dbcord import prod users bad.csv
assert_said "line 4, column 5: field 'age'"
for i in $(seq 30); do echo "{\"id\":\"r$i\"}"; done >many.ndjson
assert_exit 4 dbcord import prod users many.ndjson
assert_eq "$(grep -c '^dbcord: line' "$WORK/err")" 20
assert_said '30 mistakes in the file, the first 20'
assert_exit 1 dbcord import prod users missing.ndjson
assert_exit 3 dbcord import prod nowhere bad.json
assert_exit 2 dbcord import prod users
assert_exit 2 dbcord import prod users bad.json --format xml
assert_eq "$(requests POST)" 0

# Standard input, and formats that are guessed or said.
printf 'id\temail\nt\tt@x.org\n' | dbcord import prod users - >"$WORK/out" || fail 'from standard input'
assert_eq "$(result)" '[1,1,0,0]'
printf 'id,email\nu,u@x.org\n' >odd.txt
assert_exit 0 dbcord import prod users odd.txt csv
assert_exit 0 dbcord import prod users odd.txt --format csv
assert_eq "$(result)" '[1,0,0,1]'
assert_exit 0 dbcord --format csv import prod users odd.txt
: >empty.csv
assert_exit 0 dbcord import prod users empty.csv
assert_eq "$(result)" '[0,0,0,0]'

# Keys that are taken, unless they may be.
printf '{"id":"u","email":"new@x.org"}\n{"id":"v","email":"v@x.org"}\n' >more.ndjson
assert_exit 4 dbcord import prod users more.ndjson
assert_said "line 1, column 7: there is a row 'u' with another text"
assert_exit 3 dbcord get prod users v
assert_exit 0 dbcord import prod users more.ndjson --upsert
assert_eq "$(result)" '[2,1,1,0]'
assert_exit 0 dbcord get prod users u
assert_eq "$(out)" '{"id":"u","email":"new@x.org"}'
assert_exit 0 dbcord import prod users more.ndjson --upsert
assert_eq "$(result)" '[2,0,0,2]'

# Values that must be unique, in the file and among the rows.
new_table people '{"pk":"id","indexes":{"email":{"unique":true}}}'
printf 'id,email\n1,a@x.org\n2,b@x.org\n3,a@x.org\n4,\n5,\n' >people.csv
assert_exit 4 dbcord import prod people people.csv
assert_said "line 4, column 3: field 'email' must be unique, and the row in line 2"
printf 'id,email\n1,a@x.org\n2,b@x.org\n4,\n5,\n' >people.csv
assert_exit 0 dbcord import prod people people.csv
printf 'id,email\n6,c@x.org\n7,b@x.org\n' >taken.csv
assert_exit 4 dbcord import prod people taken.csv
assert_said "line 3, column 3: field 'email' must be unique, and the row '2' of the table"
assert_exit 3 dbcord get prod people 6

# All formats, out and in again.
new_table mixed '{"pk":"id","properties":{"id":"str","t":"str"}}'
cat >mixed.ndjson <<'END'
{"id":"1","t":"12","n":1.50,"s":"plain"}
{"id":"a,b","t":"say \"hi\"\n\tthere\\","n":-3,"s":"x y"}
{"id":"ü","t":"","b":true,"o":{"a":[1,"2"]},"l":[]}
{"id":"bare","t":"null","s":" blanks "}
END
assert_exit 0 dbcord import prod mixed mixed.ndjson
assert_exit 0 dbcord export prod mixed
assert_eq "$(out)" "$(cat mixed.ndjson)"
for format in json ndjson csv tsv; do
    assert_exit 0 dbcord export prod mixed "$format"
    cp "$WORK/out" "mixed-out.$format"
    new_table "copy_$format" '{"pk":"id","properties":{"id":"str","t":"str"}}'
    # With tabs nothing is quoted: an empty string is no field.
    assert_exit 0 dbcord import prod "copy_$format" "mixed-out.$format"
    assert_exit 0 dbcord export prod "copy_$format" --format ndjson
    filter='.'
    [ $format != tsv ] || filter='with_entries(select(.value != ""))'
    assert_eq "$(jq -Sc . "$WORK/out")" "$(jq -Sc "$filter" mixed.ndjson)"
done
assert_exit 0 dbcord --format table export prod mixed
assert_match "$(head -1 "$WORK/out")" '^id +t +n +s '
assert_exit 0 dbcord export prod copy_csv --format json
assert_eq "$(jq length "$WORK/out")" 4
new_table none
for format in json:'[]' ndjson: csv: table:; do
    assert_exit 0 dbcord export prod none "${format%%:*}"
    assert_eq "$(out)" "${format#*:}"
done
assert_exit 3 dbcord export prod nowhere

# Rows that are attachments, several at once; they are known by their digests.
new_table large
for i in $(seq 20); do
    printf '{"id":"big%d","pad":"%s"}\n' "$i" "$(printf "%05000d" "$i")"
done >large.ndjson
for i in $(seq 20); do
    sed -n "${i}p" large.ndjson | dbcord insert prod large - >"$WORK/out" || fail "row $i"
done
assert_exit 0 dbcord export prod large
cmp -s large.ndjson "$WORK/out" || fail 'large rows differ'
assert_exit 0 dbcord export prod large csv
assert_eq "$(wc -l <"$WORK/out")" 21
forget_requests
assert_exit 0 dbcord import prod large large.ndjson
assert_eq "$(result)" '[20,0,0,20]'
assert_eq "$(requests POST)" 0

# As a snapshot has them.
assert_exit 0 dbcord export prod mixed csv
cp "$WORK/out" then.csv
assert_exit 0 dbcord snapshot prod mixed before
assert_exit 0 dbcord update prod mixed bare '{"t":"changed"}'
assert_exit 0 dbcord insert prod mixed new '{}'
assert_exit 0 dbcord export prod mixed csv --snapshot before
assert_eq "$(out)" "$(cat then.csv)"
assert_exit 0 dbcord export prod mixed --snapshot before
assert_eq "$(out)" "$(cat mixed.ndjson)"
assert_exit 3 dbcord export prod mixed --snapshot never

# A hundred thousand rows: a dozen messages.
make_rows 100000 >rows.ndjson
new_table rows
forget_requests
assert_exit 0 dbcord import prod rows rows.ndjson
assert_eq "$(result)" '[100000,100000,0,0]'
posts=$(requests POST '/channels/{id}/messages')
[ "$posts" -le 20 ] || fail "$posts messages for 100000 rows"
assert_exit 0 dbcord export prod rows
cmp -s rows.ndjson "$WORK/out" || fail 'what was exported is not what was imported'

slow_posts() {
    control faults '{"route":"/channels/{id}/messages","method":"POST","times":100,"do":"delay 700"}' >"$WORK/control"
}
posted() { # how many
    [ "$(requests POST '/channels/{id}/messages')" -ge "$1" ]
}
fast_posts() {
    curl -sSf -X DELETE "$CONTROL/faults" -o "$WORK/control" || fail 'control route faults'
}

# Killed in the middle, and run again: each row once.
make_rows 60000 >killed.ndjson
new_table killed
forget_requests
slow_posts
"$DBCORD" import prod killed killed.ndjson >"$WORK/out" 2>"$WORK/err" &
importer=$!
wait_for posted 3
kill -9 $importer
wait $importer 2>"$WORK/waited"
fast_posts
assert_exit 0 dbcord import prod killed killed.ndjson
[ "$(jq '.skipped > 0 and .inserted > 0 and .skipped + .inserted == .rows' "$WORK/out")" = true ] ||
    fail "the second run: $(out)"
assert_exit 0 dbcord export prod killed
sort "$WORK/out" | cmp -s killed.ndjson - || fail 'rows are lost or twice'
assert_exit 0 dbcord inspect prod killed
assert_eq "$(jq .rows "$WORK/out")" 60000

# Ctrl-C ends it between two batches; it says how far it came.
new_table stopped
forget_requests
slow_posts
env --default-signal=INT "$DBCORD" import prod stopped rows.ndjson >"$WORK/out" 2>"$WORK/err" &
importer=$!
wait_for posted 2
kill -INT $importer
wait $importer
assert_eq $? 130
assert_said '[1-9][0-9]* of 100000 rows are in: run it again to go on'
in=$(grep -oE '[0-9]+ of 100000' "$WORK/err" | cut -d' ' -f1)
fast_posts
assert_exit 0 dbcord import prod stopped rows.ndjson
assert_eq "$(jq .skipped "$WORK/out")" "$in"

# Discord refuses in the middle.
new_table failing
for answer in '2,"do":"delay 1"' '20,"do":"status 403"'; do
    control faults '{"route":"/channels/{id}/messages","method":"POST","times":'"$answer}" >"$WORK/control"
done
assert_exit 5 dbcord import prod failing rows.ndjson
assert_said '[1-9][0-9]* of 100000 rows are in: run it again'
fast_posts
assert_exit 0 dbcord import prod failing rows.ndjson
[ "$(jq '.skipped > 0 and .skipped + .inserted == .rows' "$WORK/out")" = true ] || fail "gone on with: $(out)"
assert_exit 0 dbcord inspect prod failing
assert_eq "$(jq .rows "$WORK/out")" 100000

# Keys that look like something else come back from a table of cells as they
# were, and so does a field whose name is empty.
cat >odd.ndjson <<'EOF'
{"id":"null"}
{"id":"true"}
{"id":"1.5"}
{"id":"[1]"}
{"id":"{}"}
{"id":7}
EOF
for format in csv tsv; do
    new_table "odd-$format"
    assert_exit 0 dbcord import prod "odd-$format" odd.ndjson
    dbcord export prod "odd-$format" "$format" >"odd.$format"
    new_table "again-$format"
    assert_exit 0 dbcord import prod "again-$format" "odd.$format"
    assert_exit 0 dbcord export prod "again-$format"
    cmp -s odd.ndjson "$WORK/out" || fail "through $format: $(out)"
done
new_table nameless
assert_exit 0 dbcord insert prod nameless a '{"":1}'
dbcord export prod nameless csv >nameless.csv
assert_exit 0 dbcord import prod nameless nameless.csv
assert_eq "$(jq .skipped "$WORK/out")" 1

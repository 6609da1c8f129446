#!/bin/bash
# Files of rows written to .import: all checked first, then committed in few
# messages, or refused as a whole with the place of what is wrong.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
I=$T/.import
assert_eq "$(ls "$I" | LC_ALL=C sort | paste -sd' ')" \
    "insert.csv insert.json insert.ndjson upsert.csv upsert.json upsert.ndjson"

# Five hundred rows in a few requests.
for ((i = 0; i < 500; i++)); do echo "{\"id\":\"r$i\",\"n\":$i}"; done >"$WORK/rows"
forget_requests
assert_ok cp "$WORK/rows" "$I/insert.ndjson"
[ "$(requests POST)" -le 5 ] || fail "$(requests POST) requests for 500 rows"
assert_eq "$(ls "$T" | wc -l)" 500
assert_eq "$(cat "$T/r499.json")" '{"id":"r499","n":499}'
# What is there with the same text is passed over.
forget_requests
assert_ok cp "$WORK/rows" "$I/insert.ndjson"
assert_eq "$(requests POST)" 0
assert_eq "$(stat -c %s "$I/insert.ndjson")" 0
assert_eq "$(cat "$I/insert.ndjson")" ""

# One wrong row, and nothing is written; the reason has its place.
echo '{"pk":"id","properties":{"n":"int"}}' >"$T/.schema.json" || fail "schema"
printf '{"id":"a","n":1}\n{"id":"b","n":"x"}\n' >"$WORK/wrong"
said=$(failure_of "cp '$WORK/wrong' '$I/insert.ndjson'")
assert_match "$said" 'Invalid argument'
assert_match "$(tail -n 1 "$T/.errors")" ' \.import/insert\.ndjson EINVAL line 2, column 1[0-9].*int.*nothing was written'
assert_fails [ -e "$T/a.json" ]
said=$(failure_of "dd if='$WORK/wrong' of='$I/insert.ndjson' conv=fsync status=none")
assert_match "$said" 'Invalid argument'
printf '{"id":"a","n":1}\n{"id":"b",\n' >"$WORK/wrong"
failure_of "cat '$WORK/wrong' >'$I/insert.ndjson'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" 'insert\.ndjson EINVAL line 2'
assert_fails [ -e "$T/a.json" ]

# insert does not replace, upsert does.
echo '{"id":"r1","n":-1}' >"$WORK/one"
said=$(failure_of "cp '$WORK/one' '$I/insert.ndjson'")
assert_match "$said" 'File exists'
assert_eq "$(cat "$T/r1.json")" '{"id":"r1","n":1}'
assert_ok cp "$WORK/one" "$I/upsert.ndjson"
assert_eq "$(cat "$T/r1.json")" '{"id":"r1","n":-1}'

# The other formats, in pieces, and by a pipe.
printf 'id,n,s\nc1,1,"a, b"\nc2,2,x\n' | dd of="$I/insert.csv" bs=3 status=none || fail "csv"
assert_eq "$(jq -c '[.id,.n,.s]' "$T/c1.json")" '["c1",1,"a, b"]'
echo '[{"id":"j1"},{"id":"j2","n":3}]' | tee "$I/upsert.json" >"$WORK/out" || fail "json"
assert_eq "$(jq -c .n "$T/j2.json")" 3
(cat "$WORK/one" && echo '{"id":"p1"}') | cat >"$I/upsert.ndjson" || fail "pipe"
[ -e "$T/p1.json" ] || fail "p1 is missing"

# Opened and closed: nothing. Other names: no.
: >"$I/insert.json" || fail "an empty file"
assert_ok truncate -s 0 "$I/insert.json"
failure_of "cp '$WORK/one' '$I/insert.xml'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' \.import/insert\.xml EPERM .*upsert'
assert_fails rm "$I/insert.csv"

# More than is kept in memory for drafts; what was collected is let go.
free_again() { [ "$(status_json .caches.draft_bytes)" = 0 ]; }
wait_for free_again
head -c 70000000 /dev/zero | tr '\0' ' ' >"$WORK/huge"
failure_of "cp '$WORK/huge' '$I/insert.ndjson'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' \.import/insert\.ndjson E[A-Z]+ .*memory'
wait_for free_again

# Ctrl-C while the rows wait for Discord: the writer is let go, and either all
# of the rows come or none.
for ((i = 0; i < 300; i++)); do echo "{\"id\":\"w$i\",\"n\":$i}"; done >"$WORK/rows"
control faults '{"route":"/channels/{id}/messages","method":"POST","times":1,"do":"delay 3000"}' >"$WORK/out"
SECONDS=0
timeout -s INT 1 cp "$WORK/rows" "$I/insert.ndjson" 2>"$WORK/out"
assert_eq $? 124
[ $SECONDS -lt 3 ] || fail "it took $SECONDS seconds"
all() { [ "$(ls "$T" | grep -c '^w')" = 300 ]; }
wait_for all

stop_mount
start_mount -o ro
assert_match "$(failure_of "cp '$WORK/rows' '$I/insert.ndjson'")" 'Read-only'

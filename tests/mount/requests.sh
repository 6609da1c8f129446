#!/bin/bash
# What an operation costs is counted at the emulator: one request for a write
# before the call returns, none for what is warm, and under Discord's real
# limits never a 429.
. "$(dirname "$0")/lib.sh"
start_emulator --limits real
start_mount
make_table prod users
ls "$T" >"$WORK/listing"

post=/channels/{id}/messages

# The background writer comes later: counted apart, by method.
forget_requests
echo '{"id":"u_1","n":1}' >"$T/u_1.json" || fail "insert"
assert_eq "$(requests)" 1
assert_eq "$(requests POST "$post")" 1

echo '{"id":"u_1","n":2}' >"$T/u_1.json" || fail "update"
assert_eq "$(requests POST)" 2

echo '{"id":"u_2"}' >"$T/u_2.json" || fail "insert"
assert_eq "$(requests POST)" 3
assert_ok rm "$T/u_2.json"
assert_eq "$(requests POST)" 4
wait_for settled

# Warm: nothing.
forget_requests
for i in 1 2 3; do
    cat "$T/u_1.json" >"$WORK/out" || fail "cat"
    ls -l "$T" >"$WORK/out" || fail "ls"
    stat "$T/u_1.json" "$T" "$DB" >"$WORK/out" || fail "stat"
    assert_fails stat "$T/nobody.json"
done
assert_eq "$(requests)" 0
assert_eq "$(refused_by_limits)" 0

# The first touch of a table of N rows: ceil(N / 100) lists and at most 6 more.
for i in $(seq 250); do echo "{\"id\":\"r$i\",\"n\":$i}" >"$WORK/r$i.json"; done
mkdir "$DB/prod/many"
(cd "$WORK" && ls r*.json | xargs -P 64 -I{} cp {} "$DB/prod/many/{}") || fail "parallel copies"
wait_for settled
stop_mount
start_mount
forget_requests
assert_eq "$(ls "$DB/prod/many" | wc -l)" 250
total=$(requests)
[ "$total" -le $((3 + 6)) ] || fail "the first touch of 250 rows cost $total requests"
assert_eq "$(refused_by_limits)" 0

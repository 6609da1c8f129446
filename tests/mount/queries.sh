#!/usr/bin/env bash
# Queries as directories: .find/<term>/<term>/…
. "$(dirname "$0")/lib.sh"

start_emulator --limits off
start_mount
make_table prod users
echo '{"pk":"id","properties":{"id":"str","name":"str","role":"str","age":"int","email":"str"}}' >"$T/.schema.json" ||
    fail "the schema"
row() { # id role age
    echo "{\"id\":\"$1\",\"role\":\"$2\",\"age\":$3,\"email\":\"$1@x.org\"}" >"$T/$1.json" || fail "row $1"
}
row ada student 36
row bob student 17
row cyn admin 52
row dan teacher 20
Q=$T/.find

listed() { # dir: its names in their order, on one line
    ls -U "$1" | tr '\n' ' '
}

# --- what is found, in which order --------------------------------------------
assert_eq "$(listed "$Q/role=student")" "ada.json bob.json "
assert_eq "$(listed "$Q/role=student/age=gte.18")" "ada.json "
assert_eq "$(listed "$Q/age=gte.18/_sort=-age/_limit=2")" "cyn.json ada.json "
assert_eq "$(listed "$Q/_skip=1/_limit=2/_sort=age")" "dan.json ada.json "
assert_eq "$(listed "$Q/role=in.admin,teacher")" "cyn.json dan.json "
assert_eq "$(listed "$Q/role=ne.student")" "cyn.json dan.json "
assert_eq "$(listed "$Q/name=exists.false")" "ada.json bob.json cyn.json dan.json "
assert_eq "$(listed "$Q/id=prefix.a")" "ada.json "
assert_eq "$(listed "$Q/email=contains.n@")" "cyn.json dan.json "
assert_eq "$(listed "$Q/role=nobody")" ""
# The sort's direction is not that of creation, and `ls` alone sorts by name.
assert_eq "$(ls "$Q/age=gte.18/_sort=-age" | tr '\n' ' ')" "ada.json cyn.json dan.json "

# --- the row itself -------------------------------------------------------------
assert_eq "$(stat -c %i "$Q/role=student/ada.json")" "$(stat -c %i "$T/ada.json")"
assert_eq "$(cat "$Q/role=student/age=lt.18/bob.json")" "$(cat "$T/bob.json")"
assert_fails cat "$Q/role=student/cyn.json"
assert_fails stat "$Q/role=student/nobody.json"
assert_ok test -e "$Q/_sort=-age/_limit=1/cyn.json"
assert_fails stat "$Q/_sort=-age/_limit=1/ada.json"
assert_fails stat "$Q/role=student/sub"

echo '{"id":"ada","role":"student","age":37,"email":"ada@x.org"}' >"$Q/email=ada@x.org/ada.json" ||
    fail "writing a row through a query"
assert_match "$(cat "$T/ada.json")" '"age":37'
assert_match "$(cat "$Q/age=37/ada.json")" '"age":37'
assert_fails stat "$Q/age=36/ada.json"

# A change shows at once: by the name, and in the listing the kernel had.
cd "$Q/role=student" || fail "cd"
assert_eq "$(listed .)" "ada.json bob.json "
row bob admin 18
assert_eq "$(listed .)" "ada.json "
assert_fails stat bob.json
row eve student 9
assert_eq "$(listed .)" "ada.json eve.json "
cd "$WORK" || fail "cd"

# rm removes the row.
assert_ok rm "$Q/role=student/eve.json"
assert_fails stat "$T/eve.json"
assert_eq "$(listed "$T")" "ada.json bob.json cyn.json dan.json "
assert_eq "$(listed "$Q/role=student")" "ada.json "

# Nothing is made or renamed here.
assert_match "$(failure_of "echo '{}' >'$Q/role=student/new.json'")" 'not permitted'
assert_match "$(tail -n 1 "$T/.errors")" '\.find/role=student/new\.json EPERM .*table'
assert_fails mv "$Q/role=student/ada.json" "$Q/role=student/x.json"
assert_match "$(tail -n 1 "$T/.errors")" 'ada\.json EPERM mv'
assert_fails mkdir "$Q/role=student/age=1x"
assert_fails rmdir "$Q/role=student"
assert_fails rm "$Q/role=student/.count"
assert_ok test -e "$T/ada.json"

# --- wrong terms ------------------------------------------------------------------
assert_match "$(failure_of "ls '$Q/role'")" 'No such file'
assert_match "$(tail -n 1 "$T/.errors")" "\.find/role ENOENT .*no term"
assert_match "$(failure_of "ls '$Q/age=old'")" 'Invalid argument'
assert_match "$(tail -n 1 "$T/.errors")" "\.find/age=old EINVAL .*'age'.*expected int"
assert_match "$(failure_of "ls '$Q/role=student/_order=age'")" 'No such file'
assert_match "$(tail -n 1 "$T/.errors")" "\.find/role=student/_order=age ENOENT .*modifier"
assert_match "$(failure_of "ls '$Q/_limit=0'")" 'Invalid argument'
assert_match "$(failure_of "ls '$Q/role=%zz'")" 'Invalid argument'
assert_match "$(tail -n 1 "$T/.errors")" "EINVAL .*%25"
assert_match "$(failure_of "ls '$Q/_limit=1/_limit=2'")" 'Invalid argument'

# A slash is written %2F; a schema that has changed reads terms anew.
echo '{"id":"s","name":"a/b"}' >"$T/s.json" || fail "row s"
assert_eq "$(listed "$Q/name=a%2Fb")" "s.json "
assert_ok rm "$T/s.json"
assert_fails ls "$Q/age=x"
echo '{"pk":"id","properties":{"id":"str","name":"str","role":"str","email":"str"}}' >"$T/.schema.json" ||
    fail "another schema"
assert_eq "$(listed "$Q/age=x")" ""

# --- walkers ------------------------------------------------------------------------
assert_eq "$(ls -A "$Q")" ""
assert_eq "$(ls -A "$T" | tr '\n' ' ')" "ada.json bob.json cyn.json dan.json "
assert_eq "$(find "$T" -name '*.json' | wc -l)" 4
assert_eq "$(grep -rl student "$T" | wc -l)" 1
assert_eq "$(find "$Q/role=student" -type f | wc -l)" 1
(cd "$Q/role=student" && tar cf "$WORK/a.tar" .) || fail "tar of a query"
assert_eq "$(tar xOf "$WORK/a.tar" ./ada.json)" "$(cat "$T/ada.json")"

# --- a warm query asks Discord nothing -----------------------------------------------
wait_for settled
forget_requests
ls -l "$Q/role=student/age=gte.18" >"$WORK/out" || fail "ls -l"
cat "$Q/role=student/ada.json" "$Q/role=student/.count" >"$WORK/out" || fail "cat"
assert_eq "$(requests)" 0

# --- more than one answer's worth of names ---------------------------------------------
make_table prod many
for ((i = 0; i < 1500; i++)); do
    printf '{"id":"a_rather_long_key_%04d","odd":%d}\n' $i $((i % 2))
done >"$WORK/rows.ndjson"
"$DBCORD" import prod many "$WORK/rows.ndjson" >"$WORK/out" 2>&1 || fail "import: $(cat "$WORK/out")"
rows_there() { [ "$(ls -U "$T" | wc -l)" = 1500 ]; }
wait_for rows_there
ls -U "$T/.find/odd=1/_sort=-id" >"$WORK/names"
assert_eq "$(wc -l <"$WORK/names")" 750
assert_eq "$(head -n 1 "$WORK/names")" a_rather_long_key_1499.json
assert_ok sort -rc "$WORK/names"

# --- a row whose text is an attachment ---------------------------------------------------
make_table prod blobs
{
    printf '{"id":"big","kind":"x","text":"'
    head -c 60000 /dev/zero | tr '\0' y
    printf '"}\n'
} >"$WORK/big.json"
cp "$WORK/big.json" "$T/big.json" || fail "a large row"
assert_eq "$(listed "$T/.find/kind=x")" "big.json "
assert_ok cmp "$WORK/big.json" "$T/.find/kind=x/big.json"
assert_fails stat "$T/.find/kind=y/big.json"

# --- read-only -----------------------------------------------------------------------------
start_mount_at "$WORK/mnt-ro" -o ro
R=$WORK/mnt-ro/home/prod/users
assert_eq "$(listed "$R/.find/role=student")" "ada.json "
assert_eq "$(cat "$R/.find/role=student/ada.json")" "$(cat "$T/../users/ada.json")"
T=$DB/prod/users
row fay student 1
shown() { [ "$(listed "$R/.find/role=student")" = "ada.json fay.json " ]; }
wait_for shown
assert_fails rm "$R/.find/role=student/ada.json"
stop_mount

# --- a find that waits ends with a signal, and holds up nobody --------------------------------
stop_mount
start_mount
ls "$DB/prod/blobs" "$DB/prod/users" >"$WORK/out" || fail "ls"
control faults '{"route":"/attachments","method":"GET","times":2,"do":"delay 8000"}' >"$WORK/out"
began=$SECONDS
ls "$DB/prod/blobs/.find/text=prefix.y" >"$WORK/asked" 2>&1 &
asker=$!
waits() { [ "$(status_json .queues.waiting)" -ge 1 ]; }
wait_for waits
assert_eq "$(listed "$DB/prod/users/.find/role=student")" "ada.json fay.json "
kill -TERM "$asker"
wait "$asker"
assert_eq $? 143
[ $((SECONDS - began)) -lt 6 ] || fail "the find was not interrupted"

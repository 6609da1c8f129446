#!/usr/bin/env bash
# The files beside the rows of a set: .ndjson .json .csv .tsv .count .keys
# .explain; and appending to a table's .ndjson.
. "$(dirname "$0")/lib.sh"

start_emulator --limits off
start_mount
make_table prod users
echo '{"id":"ada","name":"Ada, Lovelace","role":"student","age":36}' >"$T/ada.json" || fail "ada"
echo '{"id":"bob","role":"student","age":17,"nick":"bo\tb"}' >"$T/bob.json" || fail "bob"
echo '{"id":"cyn","role":"admin","age":52}' >"$T/cyn.json" || fail "cyn"
Q=$T/.find/role=student

# --- what they hold -------------------------------------------------------------
assert_eq "$(cat "$T/.ndjson")" "$(cat "$T/ada.json" "$T/bob.json" "$T/cyn.json")"
assert_eq "$(cat "$Q/.ndjson")" "$(cat "$T/ada.json" "$T/bob.json")"
assert_eq "$(jq -r '.[].id' "$T/.json" | tr '\n' ' ')" "ada bob cyn "
assert_eq "$(jq -c . "$T/.find/role=nobody/.json")" "[]"
assert_eq "$(tr -d '\r' <"$T/.csv" | head -n 2)" 'id,name,role,age,nick
ada,"Ada, Lovelace",student,36,'
assert_eq "$(sed -n 3p "$T/.tsv" | tr '\t' '|')" 'bob||student|17|bo\tb'
assert_eq "$(cat "$T/.count")" 3
assert_eq "$(cat "$Q/.count")" 2
assert_eq "$(wc -c <"$Q/.count")" 2
assert_eq "$(cat "$Q/_sort=-age/_limit=1/.keys")" ada
assert_eq "$(cat "$T/.keys" | tr '\n' ' ')" "ada bob cyn "
assert_eq "$(cat "$T/.find/age=gt.17/_fields=age,id/_sort=-age/.ndjson")" '{"age":52,"id":"cyn"}
{"age":36,"id":"ada"}'
assert_eq "$(cat "$Q/_fields=id/.csv" | tr -d '\r' | tr '\n' ' ')" "id ada bob "
assert_eq "$(jq -c '[.how, .returned, .requests]' "$Q/.explain")" '["scan",2,0]'
assert_eq "$(jq -c .how "$T/.find/id=ada/.explain")" '"key"'

# --- all programs read all of it ---------------------------------------------------
for f in .ndjson .json .csv .tsv .count .keys; do
    for dir in "$T" "$Q"; do
        cat "$dir/$f" >"$WORK/cat" || fail "cat $f"
        cp "$dir/$f" "$WORK/cp" || fail "cp $f"
        assert_ok cmp "$WORK/cat" "$WORK/cp"
        assert_eq "$(stat -c %s "$dir/$f")" "$(wc -c <"$WORK/cat")"
        assert_eq "$(wc -c <"$dir/$f")" "$(wc -c <"$WORK/cat")"
        assert_eq "$(tail -c 3 "$dir/$f" | od -c)" "$(tail -c 3 "$WORK/cat" | od -c)"
        (cd "$dir" && tar cf - "$f") | tar xOf - >"$WORK/tar" || fail "tar $f"
        assert_ok cmp "$WORK/cat" "$WORK/tar"
    done
done
assert_eq "$(jq -r .id "$Q/.ndjson" | tr '\n' ' ')" "ada bob "

# An open file stays what it was; the next one is new, and so is its size.
exec 7<"$T/.ndjson"
echo '{"id":"dan","role":"student"}' >"$T/dan.json" || fail "dan"
assert_eq "$(wc -l <&7)" 3
exec 7<&-
assert_eq "$(wc -l <"$T/.ndjson")" 4
assert_eq "$(cat "$Q/.count")" 3
assert_eq "$(stat -c %s "$Q/.keys")" 12

# Reachable, not listed; to be read.
assert_eq "$(ls -A "$T" | tr '\n' ' ')" "ada.json bob.json cyn.json dan.json "
assert_eq "$(ls -A "$Q" | tr '\n' ' ')" "ada.json bob.json dan.json "
assert_match "$(failure_of "echo x >>'$Q/.ndjson'")" 'not permitted'
assert_match "$(tail -n 1 "$T/.errors")" "\.find/role=student/\.ndjson EPERM .*table"
assert_fails bash -c "echo x >'$T/.csv'"
assert_fails rm "$T/.count"

# --- lines appended are rows -----------------------------------------------------------
make_table prod lines
jq -nc 'range(50) | {id: "r\(.)", n: .}' >>"$T/.ndjson" || fail "appending fifty rows"
assert_eq "$(cat "$T/.count")" 50
assert_eq "$(cat "$T/r49.json")" '{"id":"r49","n":49}'
echo '{"id":"one"}' >>"$T/.ndjson" || fail "one line"
printf '{"id":"bare"}' >>"$T/.ndjson" || fail "a line without its newline"
assert_eq "$(cat "$T/bare.json")" '{"id":"bare"}'
{
    printf '{"id":'
    printf '"pieces"}'
    printf '\n\n{"id":"after"}\n'
} >>"$T/.ndjson" || fail "a line in pieces"
assert_ok test -e "$T/pieces.json"
assert_ok test -e "$T/after.json"
printf '{"id":"x"}\n' | tee -a "$T/.ndjson" >"$WORK/out" || fail "tee -a"
assert_eq "$(cat "$T/.count")" 55

# One batch of lines is one request, or a few.
forget_requests
jq -nc 'range(40) | {id: "b\(.)"}' >"$WORK/forty"
cat "$WORK/forty" >>"$T/.ndjson" || fail "forty rows"
[ "$(requests POST)" -le 3 ] || fail "forty lines cost $(requests POST) requests"

# A bad line fails its own write; those before it count, those behind do not.
assert_match "$(failure_of "echo '{\"id\":\"y\",}' >>'$T/.ndjson'")" 'Invalid argument'
assert_match "$(tail -n 1 "$T/.errors")" '\.ndjson EINVAL a line appended'
assert_eq "$(cat "$T/.rejected/.ndjson")" '{"id":"y",}'
assert_match "$(failure_of "echo '{\"id\":\"one\",\"n\":2}' >>'$T/.ndjson'")" 'File exists'
assert_match "$(tail -n 1 "$T/.errors")" 'one\.json EEXIST a line appended'
assert_eq "$(cat "$T/.rejected/one.json")" '{"id":"one","n":2}'
assert_eq "$(cat "$T/one.json")" '{"id":"one"}'
printf '{"id":"good"}\n{"id":"bad"\n{"id":"behind"}\n' >"$WORK/three"
assert_match "$(failure_of "cat '$WORK/three' >>'$T/.ndjson'")" 'Invalid argument'
assert_ok test -e "$T/good.json"
assert_fails test -e "$T/behind.json"
assert_match "$(failure_of "printf '{\"id\":\"half\"' | cat >>'$T/.ndjson'")" 'Invalid argument'
assert_fails test -e "$T/half.json"

# Rows are not replaced by writing the file.
assert_match "$(failure_of "echo '{\"id\":\"z\"}' >'$T/.ndjson'")" 'not permitted'
assert_match "$(tail -n 1 "$T/.errors")" '\.ndjson EPERM lines are appended'
assert_fails truncate -s 0 "$T/.ndjson"
assert_fails perl -e 'truncate($ARGV[0], 0) or die' "$T/.ndjson"
assert_match "$(tail -n 1 "$T/.errors")" '\.ndjson EPERM it cannot be cut'
assert_eq "$(cat "$T/.count")" 96

# --- a large file -----------------------------------------------------------------------
make_table prod many
jq -nc 'range(3000) | {id: "a_rather_long_key_\(.)", pad: ("y" * 300), odd: (. % 2)}' >"$WORK/rows"
cat "$WORK/rows" >>"$T/.ndjson" || fail "three thousand rows"
assert_ok cmp "$WORK/rows" "$T/.ndjson"
assert_eq "$(cat "$T/.find/odd=1/.count")" 1500
wait_for settled
forget_requests
cat "$T/.csv" "$T/.find/odd=1/.json" "$T/.explain" >"$WORK/out" || fail "reading warm"
assert_eq "$(requests)" 0

# One that does not stay in memory, and one that fetches rows.
make_table prod heavy
jq -nc 'range(40) | {id: "h\(.)", pad: ("z" * 300000)}' >"$WORK/heavy"
cat "$WORK/heavy" >>"$T/.ndjson" || fail "twelve megabytes"
assert_ok cmp "$WORK/heavy" "$T/.ndjson"
assert_eq "$(stat -c %s "$T/.ndjson")" "$(wc -c <"$WORK/heavy")"
assert_eq "$(tail -n 1 "$T/.ndjson" | jq -r .id)" h39

# --- read-only --------------------------------------------------------------------------
start_mount_at "$WORK/mnt-ro" -o ro
R=$WORK/mnt-ro/home/prod
assert_ok cmp "$WORK/rows" "$R/many/.ndjson"
assert_eq "$(cat "$R/users/.find/role=student/.count")" 3
assert_eq "$(jq -r .how "$R/users/.explain")" scan
echo '{"id":"eve","role":"student"}' >"$DB/prod/users/eve.json" || fail "eve"
counted() { [ "$(cat "$R/users/.find/role=student/.count")" = 4 ]; }
wait_for counted
assert_eq "$(wc -l <"$R/users/.ndjson")" 5
assert_fails bash -c "echo '{}' >>'$R/users/.ndjson'"

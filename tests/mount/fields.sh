#!/bin/bash
# One field of a row as a file, and patches merged into a row: all that they do
# not name keeps every byte.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
F=$T/.fields
printf '{\n  "id": "u_1",\n  "name": "Ada \\u00e9",\n  "age": 36,\n  "tags": ["a", "b"],\n  "a/b": null\n}\n' \
    >"$T/u_1.json" || fail "insert"

# Reading: strings are themselves, all else is JSON.
assert_eq "$(ls "$F/u_1" | LC_ALL=C sort | paste -sd' ')" "a%2Fb age id name tags"
assert_eq "$(cat "$F/u_1/name")" 'Ada é'
assert_eq "$(cat "$F/u_1/age")" 36
assert_eq "$(cat "$F/u_1/tags")" '["a", "b"]'
assert_eq "$(cat "$F/u_1/a%2Fb")" null
assert_eq "$(stat -c %s "$F/u_1/age")" 3
assert_fails cat "$F/u_1/email"
assert_fails ls "$F/u_9"

# Writing: that field alone.
echo 37 >"$F/u_1/age" || fail "a number"
assert_eq "$(cat "$T/u_1.json")" "$(printf '{\n  "id": "u_1",\n  "name": "Ada \\u00e9",\n  "age": 37,\n  "tags": ["a", "b"],\n  "a/b": null\n}')"
assert_eq "$(cat "$F/u_1/age")" 37
echo 42 >"$F/u_1/name" || fail "a string stays one"
assert_eq "$(jq -c .name "$T/u_1.json")" '"42"'
echo 'x "quoted"' >"$F/u_1/email" || fail "a new field"
assert_eq "$(jq -c .email "$T/u_1.json")" '"x \"quoted\""'
assert_eq "$(ls "$F/u_1" | wc -l)" 6
printf '{\n "deep": 1\n}\n' >"$F/u_1/tags" || fail "several lines"
assert_eq "$(jq -c .tags "$T/u_1.json")" '{"deep":1}'
echo '{"other":2}' | tee "$F/u_1/tags" >"$WORK/out" || fail "replaces, does not merge"
assert_eq "$(jq -c .tags "$T/u_1.json")" '{"other":2}'
echo more >>"$F/u_1/name" || fail "append"
assert_eq "$(jq -c .name "$T/u_1.json")" '"42\nmore"'
assert_ok rm "$F/u_1/email"
assert_eq "$(jq -c 'has("email")' "$T/u_1.json")" false
assert_fails [ -e "$F/u_1/email" ]
if command -v vim >"$WORK/out"; then
    assert_ok vim -es -u NONE -c 's/37/38/' -c 'wq' "$F/u_1/age"
    assert_eq "$(cat "$F/u_1/age")" 38
    assert_eq "$(ls "$F/u_1" | LC_ALL=C sort | paste -sd' ')" "a%2Fb age id name tags"
fi

# By the schema.
echo '{"pk":"id","required":["age"],"properties":{"age":"int","email":"str"}}' >"$T/.schema.json" || fail "schema"
echo 7 >"$F/u_1/email" || fail "a string by the schema"
assert_eq "$(jq -c .email "$T/u_1.json")" '"7"'
before=$(cat "$T/u_1.json")
said=$(failure_of "echo old >'$F/u_1/age'")
assert_match "$said" 'Invalid argument'
assert_match "$(tail -n 1 "$T/.errors")" ' \.fields/u_1/age EINVAL .*whole number'
failure_of "echo 1.5 >'$F/u_1/age'" >"$WORK/said"
failure_of "echo old | tee '$F/u_1/age'" >"$WORK/said"
failure_of "rm '$F/u_1/age'" >"$WORK/said"
failure_of "echo u_2 >'$F/u_1/id'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' \.fields/u_1/id EINVAL '
assert_eq "$(cat "$T/u_1.json")" "$before"

# Writers of different fields do not undo each other.
declare -a JOBS=()
for ((i = 0; i < 12; i++)); do
    echo "$i" >"$F/u_1/f$i" &
    JOBS+=($!)
done
for job in "${JOBS[@]}"; do wait "$job" || fail "a writer of a field"; done
assert_eq "$(jq -c '[range(12) as $i | .["f\($i)"]]' "$T/u_1.json")" '[0,1,2,3,4,5,6,7,8,9,10,11]'

# A row that changes is seen at once, in files that were read before.
echo '{"id":"u_1","age":1,"x":true}' >"$T/u_1.json" || fail "update"
assert_eq "$(ls "$F/u_1" | paste -sd' ')" "age id x"
assert_eq "$(cat "$F/u_1/age")" 1
assert_fails cat "$F/u_1/email"
assert_fails [ -e "$F/u_1/f3" ]

# A patch.
echo '{"age":2,"x":null,"y":{"z":1}}' >"$T/.patch/u_1.json" || fail "patch"
assert_eq "$(jq -cS . "$T/u_1.json")" '{"age":2,"id":"u_1","y":{"z":1}}'
echo '{"y":{"w":2}}' | tee "$T/.patch/u_1.json" >"$WORK/out" || fail "patch by tee"
assert_eq "$(jq -c .y "$T/u_1.json")" '{"z":1,"w":2}'
assert_eq "$(cat "$T/.patch/u_1.json")" ""
assert_eq "$(ls "$T/.patch")" ""
before=$(cat "$T/u_1.json")
said=$(failure_of "echo '{\"age\":\"x\"}' >'$T/.patch/u_1.json'")
assert_match "$said" 'Invalid argument'
assert_match "$(tail -n 1 "$T/.errors")" ' \.patch/u_1\.json EINVAL .*age'
failure_of "echo '{\"age\":}' >'$T/.patch/u_1.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' \.patch/u_1\.json EINVAL .*line 1'
failure_of "echo '{\"age\":1}' >'$T/.patch/u_9.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' \.patch/u_9\.json ENOENT '
assert_eq "$(cat "$T/u_1.json")" "$before"

# A text in an attachment.
head -c 20000 /dev/zero | tr '\0' x >"$WORK/x"
jq -nc --rawfile x "$WORK/x" '{id:"big",age:1,x:$x}' >"$T/big.json" || fail "a large row"
stop_mount
start_mount
assert_ok cmp "$F/big/x" <(cat "$WORK/x" && echo)
echo 2 >"$F/big/age" || fail "a field of a large row"
assert_eq "$(jq -c '[.age,(.x|length)]' "$T/big.json")" '[2,20000]'

stop_mount
start_mount -o ro
assert_eq "$(cat "$F/u_1/age")" 2
assert_match "$(failure_of "echo 3 >'$F/u_1/age'")" 'Read-only'
assert_match "$(failure_of "echo '{}' >'$T/.patch/u_1.json'")" 'Read-only'

#!/bin/bash
# A write that is refused fails visibly, changes nothing, and leaves its reason
# and its text.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
echo '{"id":"u_1","ok":true}' >"$T/u_1.json" || fail "insert"

# Incomplete: known at the close, of which the shell's own echo says nothing.
said=$(failure_of "/bin/echo '{\"id\":\"u_1\"' >'$T/u_1.json'")
assert_match "$said" 'Invalid argument|write error'
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","ok":true}'
assert_match "$(tail -n 1 "$T/.errors")" 'u_1'
assert_match "$(tail -n 1 "$T/.errors")" 'line [0-9]+'
assert_eq "$(cat "$T/.rejected/u_1.json")" '{"id":"u_1"'

# The shell's own echo says so by its status, in whatever shell.
for shell in bash dash; do
    command -v $shell >"$WORK/out" || continue
    said=$($shell -c "echo '{\"id\":\"u_1\"' >'$T/u_1.json'; echo \"status \$?\"" 2>&1)
    assert_match "$said" 'Invalid argument|I/O error'
    assert_match "$said" 'status [1-9]'
done
# What bash writes line by line is one text.
printf '{\n  "id": "u_1",\n  "ok": true\n}\n' >"$T/u_1.json" || fail "several lines"
assert_eq "$(jq -c . "$T/u_1.json")" '{"id":"u_1","ok":true}'
{ printf '{"id":"u_1"' && printf ',"ok":true}\n'; } >"$T/u_1.json" || fail "two printfs"
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","ok":true}'
# A program that looks at close() may write it piece by piece.
(printf '{"id":' && printf '"u_1","ok":true}') | dd of="$T/u_1.json" bs=3 2>"$WORK/out" || fail "pieces"
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","ok":true}'

# Broken in a way that no more bytes can mend.
failure_of "printf '{\"id\":\"u_1\",\n  \"a\" 1}' >'$T/u_1.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" 'line 2, column 7'
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","ok":true}'

# Not an object; another key than the name says.
failure_of "echo '[1]' >'$T/u_1.json'" >"$WORK/said"
failure_of "echo '{\"id\":\"u_9\"}' >'$T/u_1.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" 'u_9'
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","ok":true}'

# The rejected text can be mended and put in its place.
sed 's/u_9/u_1/' "$T/.rejected/u_1.json" >"$WORK/mended"
assert_ok cp "$WORK/mended" "$T/u_1.json"
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1"}'

# Schema: read it, change it, be refused by it.
assert_eq "$(jq -r .pk "$T/.schema.json")" id
echo '{"pk":"id","required":["id","email"],"properties":{"id":"str","email":"str","age":"int"}}' >"$WORK/schema"
said=$(failure_of "cat '$WORK/schema' >'$T/.schema.json'")
assert_match "$(tail -n 1 "$T/.errors")" 'u_1'
echo '{"id":"u_1","email":"a@x.org"}' >"$T/u_1.json" || fail "update"
assert_ok eval "cat '$WORK/schema' >'$T/.schema.json'"
assert_eq "$(jq -c .required "$T/.schema.json")" '["id","email"]'
# What a new text does not say of the key stays.
echo '{"required":["email"],"properties":{"id":"str","email":"str","age":"int"}}' >"$T/.schema.json" ||
    fail "a schema without a key: $(tail -n 1 "$T/.errors")"
assert_eq "$(jq -r .pk "$T/.schema.json")" id
assert_ok eval "cat '$WORK/schema' >'$T/.schema.json'"
failure_of "echo '{\"id\":\"u_2\"}' >'$T/u_2.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" 'email'
failure_of "echo '{\"id\":\"u_2\",\"email\":\"b\",\"age\":\"old\"}' >'$T/u_2.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" 'age.*int'
assert_eq "$(ls "$T")" u_1.json

# Both the row and the schema are what they were after a restart.
stop_mount
start_mount
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","email":"a@x.org"}'
assert_eq "$(jq -c .required "$T/.schema.json")" '["id","email"]'

# Discord fails for good: EIO, and the row as before.
control faults '{"route":"/channels/{id}/messages","method":"POST","times":100,"do":"status 503"}' >"$WORK/out"
said=$(failure_of "echo '{\"id\":\"u_1\",\"email\":\"lost\"}' >'$T/u_1.json'")
assert_match "$said" 'Input/output error|timed out'
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","email":"a@x.org"}'

# A name is refused in the table's .errors as a text is.
last_error() { # command pattern
    failure_of "$1" >"$WORK/said"
    assert_match "$(tail -n 1 "$T/.errors")" "$2"
}
last_error "echo '{}' >'$T/%.json'" ' %\.json EINVAL .*one way'
last_error "mv '$T/u_1.json' '$T/%.json'" ' %\.json EPERM mv of u_1\.json: no key'
last_error "head -c 70000000 /dev/zero >'$T/huge'" ' huge ENOSPC .*drafts'
assert_ok rm "$T/huge"

# Of the rejected texts the oldest make room, and are gone for who knew them.
for ((i = 0; i < 64; i++)); do
    failure_of "printf '{\"n\":}' >'$T/r$i.json'" >"$WORK/said"
done
assert_eq "$(cat "$T"/.rejected/r*.json | wc -c)" $((64 * 6))
exec 3<"$T/.rejected/r0.json"
for ((i = 64; i < 84; i++)); do
    failure_of "printf '{\"n\":}' >'$T/r$i.json'" >"$WORK/said"
done
gone() { ! [ -e "$T/.rejected/r19.json" ]; }
wait_for gone
for ((i = 0; i < 20; i++)); do
    assert_fails [ -e "$T/.rejected/r$i.json" ]
done
assert_eq "$(ls "$T/.rejected" | wc -l)" 64
assert_eq "$(cat <&3)" '{"n":}'
exec 3<&-
# A name that comes again has its new text.
failure_of "printf '{\"again\":}' >'$T/r0.json'" >"$WORK/said"
assert_eq "$(cat "$T/.rejected/r0.json")" '{"again":}'

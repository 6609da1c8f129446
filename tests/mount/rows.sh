#!/bin/bash
# The first tour: rows are files.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount

assert_eq "$(ls "$MNT")" home
make_table prod users
assert_eq "$(ls "$DB")" prod
assert_eq "$(ls "$DB/prod")" users
assert_eq "$(ls -A "$T")" ''

# In, listed, out again byte for byte.
assert_ok eval "echo '{\"id\":\"u_1\",  \"email\":\"ada@x.org\"}' >'$T/u_1.json'"
assert_eq "$(ls "$T")" u_1.json
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1",  "email":"ada@x.org"}'

# White space at the end becomes one newline, and the size tells it.
printf '{"id":"u_2"}  \n\n\n' >"$T/u_2.json" || fail "echo"
assert_eq "$(od -An -c "$T/u_2.json" | tr -d ' ')" '{"id":"u_2"}\n'
assert_eq "$(stat -c %s "$T/u_2.json")" 13

# Pretty printed text stays as it is.
jq -n '{id: "u_3", a: [1, 2], b: {c: null}}' >"$WORK/pretty"
assert_ok cp "$WORK/pretty" "$T/u_3.json"
assert_ok cmp "$WORK/pretty" "$T/u_3.json"

# The primary key may be left out.
echo '{"email":"grace@x.org"}' >"$T/u_4.json" || fail "echo"
assert_eq "$(jq -r .id "$T/u_4.json")" u_4
assert_eq "$(jq -r .email "$T/u_4.json")" grace@x.org

# An update replaces, a second reader sees it at once.
echo '{"id":"u_1","email":"new@x.org"}' >"$T/u_1.json" || fail "echo"
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","email":"new@x.org"}'
assert_eq "$(stat -c %s "$T/u_1.json")" 33

# Gone is gone.
assert_ok rm "$T/u_2.json"
assert_eq "$(ls "$T" | tr '\n' ' ')" 'u_1.json u_3.json u_4.json '
assert_fails cat "$T/u_2.json"
assert_match "$(cat "$WORK/stderr")" 'No such file'

# A deleted key can come back.
echo '{"id":"u_2","again":true}' >"$T/u_2.json" || fail "echo"
assert_eq "$(cat "$T/u_2.json")" '{"id":"u_2","again":true}'

# set -C and O_EXCL.
assert_match "$(failure_of "set -C; echo '{}' >'$T/u_1.json'")" 'cannot overwrite|File exists'
assert_fails python3 -c "import os; os.open('$T/u_1.json', os.O_CREAT | os.O_EXCL | os.O_WRONLY)"
assert_match "$(cat "$WORK/stderr")" 'FileExistsError'

# A new key for the row, in one commit.
forget_requests
assert_ok mv "$T/u_4.json" "$T/u_5.json"
assert_eq "$(requests POST)" 1
assert_fails ls "$T/u_4.json"
assert_eq "$(jq -r '.id + " " + .email' "$T/u_5.json")" 'u_5 grace@x.org'

# All of it is in Discord: a new daemon finds it again.
before=$(cd "$T" && tail -n +1 *.json)
stop_mount
start_mount
assert_eq "$(cd "$T" && tail -n +1 *.json)" "$before"

# What is written to a row that was removed meanwhile does not bring it back.
echo '{"id":"ghost"}' >"$T/ghost.json" || fail "insert"
exec 3>"$T/ghost.json"
assert_ok rm "$T/ghost.json"
echo '{"id":"ghost","again":true}' >&3 2>"$WORK/said" && fail "a removed row was written"
exec 3>&-
assert_fails ls "$T/ghost.json"
assert_match "$(tail -n 1 "$T/.errors")" 'removed while it was open'

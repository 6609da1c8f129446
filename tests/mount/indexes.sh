#!/usr/bin/env bash
# Indexes as directories: .idx/<field>/<value>/, .unique, mkdir and rmdir.
. "$(dirname "$0")/lib.sh"

start_emulator --limits off
start_mount
make_table prod users
row() { # key json
    printf '%s\n' "$2" >"$T/$1.json" || fail "row $1"
}
row ada '{"id":"ada","role":"student","age":36,"email":"ada@x.org","lang":"42"}'
row bob '{"id":"bob","role":"student","age":17,"email":"bob@x.org","lang":42}'
row cyn '{"id":"cyn","role":"admin","age":36.0,"email":"cyn@x.org","lang":""}'
row dan '{"id":"dan","role":"a/b","age":-100.50,"email":"dan@x.org","lang":null,"tags":["x"]}'
X=$T/.idx

listed() { # dir: its names in their order, on one line
    ls -UA "$1" | tr '\n' ' '
}

# --- built and listed ---------------------------------------------------------------
assert_eq "$(listed "$X")" ""
assert_fails ls "$X/role"
assert_ok mkdir "$X/role"
assert_eq "$(listed "$X")" "role "
assert_eq "$(listed "$X/role")" "student admin a%2Fb "
assert_eq "$(listed "$X/role/student")" "ada.json bob.json "
assert_eq "$(listed "$X/role/a%2Fb")" "dan.json "
assert_match "$(cat "$T/.schema.json")" '"role"'
assert_match "$(failure_of "mkdir '$X/role'")" 'File exists'
assert_fails ls "$X/role/nobody"
assert_fails ls "$X/age"
assert_match "$(ls -A "$T" | tr '\n' ' ')" '^ada.json bob.json cyn.json dan.json $'

# --- one shape: the row itself, and the result files -----------------------------------
assert_eq "$(stat -c %i "$X/role/student/ada.json")" "$(stat -c %i "$T/ada.json")"
assert_eq "$(cat "$X/role/student/ada.json")" "$(cat "$T/ada.json")"
assert_fails cat "$X/role/student/cyn.json"
assert_eq "$(cat "$X/role/student/.count")" 2
assert_eq "$(cat "$X/role/student/.keys" | tr '\n' ' ')" "ada bob "
assert_eq "$(jq -r .id "$X/role/student/.ndjson" | tr '\n' ' ')" "ada bob "
assert_eq "$(jq -c '[.how, .how_field, .examined]' "$X/role/student/.explain")" '["index","role",2]'
echo '{"id":"ada","role":"student","age":37,"email":"ada@x.org"}' >"$X/role/student/ada.json" ||
    fail "writing through an index"
assert_match "$(cat "$T/ada.json")" '"age":37'

# What changes shows at once.
cd "$X/role" || fail "cd"
assert_eq "$(listed .)" "student admin a%2Fb "
assert_eq "$(listed student)" "ada.json bob.json "
row bob '{"id":"bob","role":"teacher","age":17,"email":"bob@x.org","lang":42}'
assert_eq "$(listed .)" "student teacher admin a%2Fb "
assert_eq "$(listed student)" "ada.json "
row bob '{"id":"bob","role":"student","age":17,"email":"bob@x.org","lang":42}'
assert_eq "$(listed .)" "student admin a%2Fb "
assert_fails ls teacher
cd "$WORK" || fail "cd"

# A row is not removed by removing it here: rm -r of an index must not.
assert_fails rm "$X/role/student/ada.json"
assert_match "$(tail -n 1 "$T/.errors")" '\.idx/role/student/ada\.json EPERM rm'
assert_fails rm -r "$X/role"
assert_eq "$(cat "$T/.count")" 4
[ -d "$X/role" ] || assert_ok mkdir "$X/role"
assert_fails bash -c "echo '{}' >'$X/role/student/new.json'"
assert_fails mkdir "$X/role/janitor"

# --- values that are no strings ---------------------------------------------------------
row ada '{"id":"ada","role":"student","age":36,"email":"ada@x.org","lang":"42"}'
assert_ok mkdir "$X/age" "$X/lang" "$X/tags"
assert_eq "$(listed "$X/age")" "36 17 -100.5 "
assert_eq "$(listed "$X/age/36")" "ada.json cyn.json "
assert_eq "$(listed "$X/lang")" '"42" 42 "" null '
assert_eq "$(cat "$X/lang/\"42\"/.keys" "$X/lang/42/.keys" "$X/lang/\"\"/.keys" "$X/lang/null/.keys" | tr '\n' ' ')" "ada bob cyn dan "
assert_eq "$(listed "$X/tags")" '["x"] '
assert_eq "$(cat "$X/tags/[\"x\"]/.keys")" dan
long=$(printf 'x%.0s' {1..300})
row eve "{\"id\":\"eve\",\"role\":\"$long\"}"
name=$(ls -U "$X/role" | tail -n 1)
assert_match "$name" '^x+%~[0-9a-f]{16}$'
assert_eq "$(listed "$X/role/$name")" "eve.json "
assert_ok rm "$T/eve.json"
assert_fails ls "$X/role/$name"

# --- unique --------------------------------------------------------------------------------
assert_ok mkdir "$X/email"
assert_fails test -e "$X/email/.unique"
assert_ok touch "$X/email/.unique"
assert_eq "$(listed "$X/email")" ".unique ada@x.org bob@x.org cyn@x.org dan@x.org "
assert_ok touch "$X/email/.unique"
assert_match "$(failure_of "echo '{\"id\":\"eve\",\"email\":\"ada@x.org\"}' >'$T/eve.json'")" 'File exists'
assert_ok rm "$X/email/.unique"
assert_fails test -e "$X/email/.unique"
row eve '{"id":"eve","email":"ada@x.org"}'
assert_match "$(failure_of "touch '$X/email/.unique'")" 'File exists'
assert_match "$(tail -n 1 "$T/.errors")" '\.idx/email/\.unique EEXIST .*(ada|eve)'
assert_fails test -e "$X/email/.unique"
assert_ok rm "$T/eve.json"
assert_fails touch "$X/email/other"

# --- warm: nothing is asked ------------------------------------------------------------------
wait_for settled
forget_requests
ls -l "$X" "$X/role" "$X/role/student" >"$WORK/out" || fail "ls -l"
cat "$X/email/bob@x.org/bob.json" "$X/email/bob@x.org/.count" >"$WORK/out" || fail "cat"
assert_eq "$(requests)" 0

# --- two mounts see each other's ----------------------------------------------------------------
start_mount_at "$WORK/mnt-b"
B=$WORK/mnt-b/home/prod/users
assert_eq "$(listed "$B/.idx")" "role age lang tags email "
assert_eq "$(listed "$B/.idx/role/student")" "ada.json bob.json "
assert_ok rmdir "$X/tags"
b_has() { [ "$(listed "$B/.idx")" = "$1" ]; }
wait_for b_has "role age lang email "
assert_fails ls "$B/.idx/tags"
assert_ok mkdir "$B/.idx/name"
a_has() { [ "$(listed "$X")" = "$1" ]; }
wait_for a_has "role age lang email name "
row fay '{"id":"fay","name":"Fay"}'
b_shows() { [ "$(listed "$B/.idx/name/Fay")" = "fay.json " ]; }
wait_for b_shows
assert_ok touch "$X/email/.unique"
wait_for test -e "$B/.idx/email/.unique"

# --- dropped -----------------------------------------------------------------------------------
assert_ok rmdir "$X/role"
assert_fails ls "$X/role"
assert_fails rmdir "$X/role"
assert_eq "$(listed "$X")" "age lang email name "
assert_eq "$(cat "$T/.count")" 5
assert_eq "$(cat "$T/.find/role=student/.count")" 2

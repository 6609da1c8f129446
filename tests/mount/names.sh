#!/bin/bash
# Keys of every kind as file names: escapes, one .json, length, versions.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod things

check() { # key file
    local text
    text=$(jq -cn --arg id "$1" '{id: $id}')
    printf '%s\n' "$text" >"$T/$2" || fail "write of $2"
    assert_eq "$(cat "$T/$2")" "$text"
    ls -A "$T" | grep -qxF -- "$2" || fail "$2 is not listed"
}
check 'a/b' 'a%2Fb.json'
check 'two words' 'two words.json'
check 'ünï😀' 'ünï😀.json'
check '.hidden' '%2Ehidden.json'
check 'tail@3' 'tail%403.json'
check 'mail@x.org' 'mail@x.org.json'
check '100%' '100%25.json'
check 'a.json' 'a.json.json'
check $'tab\there' 'tab%09here.json'
check -- '--.json'
long=$(printf 'k%.0s' $(seq 250))
check "$long" "$long.json"

# Too long for a name, not UTF-8, or not in the one form that is listed.
assert_match "$(failure_of "echo '{}' >'$T/${long}k.json'")" 'name too long'
assert_match "$(failure_of "echo '{}' >'$T/'\$'\\xff.json'")" '[Ii]llegal byte sequence|Invalid or incomplete'
assert_fails ls "$T/mail%40x.org.json"

# They are the same rows after a restart, and each can be removed.
before=$(ls -A "$T")
stop_mount
start_mount
assert_eq "$(ls -A "$T")" "$before"
assert_eq "$(jq -r .id "$T/a%2Fb.json")" a/b
(cd "$T" && rm -- *.json) || fail "rm"
assert_eq "$(ls -A "$T")" ''

# A key longer than a name can be: listed shortened, whole inside.
verylong=$(printf 'x%.0s' $(seq 400))
assert_ok "$DBCORD" insert prod things "$(jq -cn --arg id "$verylong" '{id: $id}')" >"$WORK/out"
wait_for eval '[ -n "$(ls "$T")" ]'
name=$(ls "$T")
[ "$(printf %s "$name" | wc -c)" -le 255 ] || fail "a name of ${#name} bytes"
assert_eq "$(jq -r .id "$T/$name")" "$verylong"
assert_eq "$(getfattr --only-values -n user.dbcord.key "$T/$name")" "$verylong"

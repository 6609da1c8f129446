#!/bin/bash
# <key>@<version>.json: one version of a row beside it; what is written there
# replaces that version or nothing.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
echo '{"id":"u_1","n":1}' >"$T/u_1.json" || fail "insert"
echo '{"id":"u_1","n":2}' >"$T/u_1.json" || fail "update"

assert_eq "$(cat "$T/u_1@1.json")" '{"id":"u_1","n":1}'
assert_eq "$(cat "$T/u_1@2.json")" '{"id":"u_1","n":2}'
assert_fails cat "$T/u_1@3.json"
assert_fails cat "$T/u_1@01.json"
assert_fails cat "$T/u_9@1.json"
assert_eq "$(getfattr --absolute-names --only-values -n user.dbcord.version "$T/u_1@1.json")" 1

# The current one is replaced, an older one is stale.
echo '{"id":"u_1","n":3}' >"$T/u_1@2.json" || fail "compare and swap"
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","n":3}'
assert_eq "$(cat "$T/u_1@2.json")" '{"id":"u_1","n":2}'
assert_eq "$(cat "$T/u_1@3.json")" '{"id":"u_1","n":3}'
said=$(failure_of "echo '{\"id\":\"u_1\",\"n\":9}' >'$T/u_1@2.json'")
assert_match "$said" 'Stale file handle'
assert_match "$(tail -n 1 "$T/.errors")" ' u_1@2\.json ESTALE '
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","n":3}'
assert_eq "$(cat "$T/u_1@2.json")" '{"id":"u_1","n":2}'
assert_eq "$(cat "$T/.rejected/u_1@2.json")" '{"id":"u_1","n":9}'

# Broken text, and a version that is not there.
failure_of "echo '{\"id\":}' >'$T/u_1@3.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' u_1@3\.json EINVAL .*line 1'
failure_of "echo '{}' >'$T/u_1@8.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' u_1@8\.json EINVAL .*version'
assert_eq "$(cat "$T/u_1@3.json")" '{"id":"u_1","n":3}'
failure_of "rm '$T/u_1@3.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' u_1@3\.json EPERM '

# An editor that opened a version saves over it, or hears that it is stale.
if command -v vim >"$WORK/out"; then
    assert_ok vim -es -u NONE -c 's/3/4/' -c 'wq' "$T/u_1@3.json"
    assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","n":4}'
    assert_fails vim -es -u NONE -c 's/3/5/' -c 'wq' "$T/u_1@3.json"
    assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","n":4}'
fi

# Ten counters that try again lose nothing.
echo '{"id":"c","n":0}' >"$T/c.json" || fail "counter"
count() {
    local v n done=0
    while [ $done -lt 5 ]; do
        v=$(getfattr --absolute-names --only-values -n user.dbcord.version "$T/c.json")
        n=$(jq .n "$T/c@$v.json")
        (echo "{\"id\":\"c\",\"n\":$((n + 1))}" >"$T/c@$v.json") 2>>"$WORK/raced" && done=$((done + 1))
    done
}
declare -a JOBS=()
for ((i = 0; i < 4; i++)); do
    count &
    JOBS+=($!)
done
wait "${JOBS[@]}"
assert_eq "$(cat "$T/c.json")" '{"id":"c","n":20}'

# A row that is gone has versions; none of them is the current one.
assert_ok rm "$T/u_1.json"
assert_eq "$(cat "$T/u_1@1.json")" '{"id":"u_1","n":1}'
failure_of "echo '{\"id\":\"u_1\",\"n\":9}' >'$T/u_1@1.json'" >"$WORK/said"
assert_fails [ -e "$T/u_1.json" ]
last=$(tail -n 1 "$T/.history/u_1/.log" | cut -f1)
assert_fails [ -e "$T/u_1@$last.json" ]
assert_fails cat "$T/u_1@$last.json"

# While one version is waited for, names in the table are found and go.
stop_mount
start_mount
echo '{"id":"a"}' >"$T/a.json" || fail "insert"
echo '{"id":"b"}' >"$T/b.json" || fail "insert"
control faults '{"route":"/channels/{id}/messages","method":"GET","times":100,"do":"delay 5000"}' >"$WORK/out"
cat "$T/u_1@1.json" >"$WORK/version" &
READER=$!
waits() { [ "$(status_json .queues.waiting)" -ge 1 ]; }
wait_for waits
SECONDS=0
assert_ok rm "$T/a.json"
echo '{"id":"n"}' >"$T/n.json" || fail "insert beside"
assert_eq "$(cat "$T/n.json" "$T/b.json")" "$(printf '{"id":"n"}\n{"id":"b"}')"
timeout -s INT 1 cat "$T/u_1@2.json" >"$WORK/out" 2>&1
assert_eq $? 124
[ $SECONDS -lt 4 ] || fail "it took $SECONDS seconds"
curl -sSf -X DELETE "$CONTROL/faults" -o "$WORK/out" || fail "control route faults"
wait "$READER" || fail "who waited for a version"
assert_eq "$(cat "$WORK/version")" '{"id":"u_1","n":1}'
assert_ok rm "$T/b.json" "$T/n.json"

# Versions are not listed.
assert_eq "$(ls "$T")" c.json
stop_mount
start_mount -o ro
assert_eq "$(cat "$T/u_1@1.json")" '{"id":"u_1","n":1}'
assert_eq "$(cat "$T/.history/u_1/2.json")" '{"id":"u_1","n":2}'
assert_match "$(failure_of "echo '{}' >'$T/u_1@1.json'")" 'Read-only'

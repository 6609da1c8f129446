#!/bin/bash
# .history: every version of a row as a file, deletions as lines of .log, also
# of rows that are gone.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod users
H=$T/.history

echo '{"id":"u_1", "n":1}' >"$T/u_1.json" || fail "insert"
assert_eq "$(ls "$H/u_1")" 1.json
printf '{\n  "id": "u_1",\n  "n": 2\n}\n' >"$T/u_1.json" || fail "update"
assert_ok touch -d 2001-02-03T04:05:06Z "$T/u_1.json"
assert_ok rm "$T/u_1.json"
echo '{"id":"u_1","n":4}' >"$T/u_1.json" || fail "insert again"

# A listing that was there before has what came since; a deletion is no file.
assert_eq "$(ls "$H/u_1" | paste -sd' ')" "1.json 2.json 4.json"
assert_eq "$(ls -U "$H/u_1" | paste -sd' ')" "1.json 2.json 4.json"
assert_eq "$(cat "$H/u_1/1.json")" '{"id":"u_1", "n":1}'
assert_eq "$(cat "$H/u_1/2.json")" "$(printf '{\n  "id": "u_1",\n  "n": 2\n}')"
assert_eq "$(stat -c %s "$H/u_1/2.json")" "$(cat "$H/u_1/2.json" | wc -c)"
assert_fails cat "$H/u_1/3.json"
assert_fails cat "$H/u_1/5.json"
assert_fails cat "$H/u_1/0.json"
assert_fails ls "$H/u_2"

# A line a version.
assert_eq "$(wc -l <"$H/u_1/.log")" 4
assert_eq "$(cut -f1,4 "$H/u_1/.log" | paste -sd' ')" "$(printf '1\tput 2\tput 3\tdelete 4\tput')"
assert_eq "$(stat -c %s "$H/u_1/.log")" "$(cat "$H/u_1/.log" | wc -c)"
assert_match "$(head -n 1 "$H/u_1/.log")" $'^1\t20[0-9-]+T[0-9:.]+Z\t[^\t]+\tput\t[0-9]+$'
assert_eq "$(getfattr --absolute-names --only-values -n user.dbcord.message_id "$H/u_1/2.json")" \
    "$(sed -n 2p "$H/u_1/.log" | cut -f5)"
assert_eq "$(getfattr --absolute-names --only-values -n user.dbcord.version "$H/u_1/2.json")" 2
assert_eq "$(date -u -d "@$(stat -c %Y "$H/u_1/1.json")" +%FT%T)" \
    "$(head -n 1 "$H/u_1/.log" | cut -f2 | cut -d. -f1)"

# What was read once is asked for no more.
cat "$H/u_1/"*.json "$H/u_1/.log" >"$WORK/out"
forget_requests
cat "$H/u_1/"*.json "$H/u_1/.log" >"$WORK/out"
ls -l "$H/u_1" >"$WORK/out"
assert_eq "$(requests)" 0

# Nothing is changed here; restoring is a copy.
said=$(failure_of "echo '{}' >'$H/u_1/1.json'")
assert_match "$said" 'denied'
assert_match "$(tail -n 1 "$T/.errors")" ' \.history/u_1/1\.json EACCES .*cp .*u_1\.json'
assert_fails rm "$H/u_1/1.json"
assert_fails touch "$H/u_1/9.json"
assert_fails rmdir "$H/u_1"
assert_eq "$(cat "$H/u_1/1.json")" '{"id":"u_1", "n":1}'
assert_ok cp "$H/u_1/2.json" "$T/u_1.json"
assert_eq "$(cat "$T/u_1.json")" "$(cat "$H/u_1/2.json")"
assert_eq "$(ls "$H/u_1" | paste -sd' ')" "1.json 2.json 4.json 5.json"

# A row that is gone is listed and found; .history itself is not listed.
assert_ok rm "$T/u_1.json"
assert_eq "$(ls "$T")" ""
assert_eq "$(ls "$H")" u_1
assert_eq "$(ls "$H/u_1" | paste -sd' ')" "1.json 2.json 4.json 5.json"
assert_eq "$(tail -n 1 "$H/u_1/.log" | cut -f1,4)" $'6\tdelete'
assert_ok cp "$H/u_1/4.json" "$T/u_1.json"
assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1","n":4}'
assert_eq "$(ls "$H")" u_1
! ls -A "$T" | grep -q history || fail ".history is listed"

# Names as rows have them; the text may be an attachment.
key='a/b@7'
echo '{"n":1}' >"$T/a%2Fb%407.json" || fail "a key with a slash"
assert_eq "$(cat "$H/a%2Fb%407/1.json" | jq -r .id)" "$key"
head -c 20000 /dev/zero | tr '\0' x >"$WORK/x"
jq -nc --rawfile x "$WORK/x" '{id:"big",x:$x}' >"$T/big.json" || fail "a large row"
cp "$T/big.json" "$WORK/big"
echo '{"id":"big"}' >"$T/big.json" || fail "a small one"
assert_ok cmp "$H/big/1.json" "$WORK/big"

# A name that is too long for a file is shortened here as it is there.
long=$(printf 'k%.0s' {1..300})
printf '{"id":"%s"}\n' "$long" >"$WORK/long"
assert_ok cp "$WORK/long" "$T/.import/insert.ndjson"
name=$(ls "$T" | grep kkkk)
assert_eq "$(cat "$H/${name%.json}/1.json")" "$(cat "$WORK/long")"
assert_ok rm "$T/$name"

# All of it again in another process.
stop_mount
start_mount
assert_ok cmp "$H/big/1.json" "$WORK/big"
assert_eq "$(ls "$H/u_1" | paste -sd' ')" "1.json 2.json 4.json 5.json 7.json"
assert_eq "$(wc -l <"$H/u_1/.log")" 7
assert_eq "$(cat "$H/u_1/1.json")" '{"id":"u_1", "n":1}'

# Many versions: the listing is longer than a page.
for ((i = 1; i <= 300; i++)); do
    echo "{\"id\":\"m\",\"n\":$i}" >"$T/m.json" || fail "version $i"
done
assert_eq "$(ls -U "$H/m" | paste -sd' ')" "$(seq -f '%g.json' 300 | paste -sd' ')"
assert_eq "$(wc -l <"$H/m/.log")" 300
assert_eq "$(cat "$H/m/150.json")" '{"id":"m","n":150}'

# Who waits for Discord is let go by Ctrl-C, and nobody waits with him.
stop_mount
start_mount
assert_eq "$(cat "$T/big.json")" '{"id":"big"}'
control faults '{"route":"/channels/{id}/messages","method":"GET","times":100,"do":"delay 6000"}' >"$WORK/out"
SECONDS=0
timeout -s INT 1 ls "$H/m" >"$WORK/out" 2>&1
assert_eq $? 124
timeout -s INT 1 cat "$H/big/1.json" >"$WORK/out" 2>&1
assert_eq $? 124
assert_eq "$(cat "$T/big.json")" '{"id":"big"}'
[ $SECONDS -lt 5 ] || fail "it took $SECONDS seconds"
curl -sSf -X DELETE "$CONTROL/faults" -o "$WORK/out" || fail "control route faults"

# Discord refuses: an error that says so, and nothing of it stays.
control faults '{"route":"/channels/{id}/messages","method":"GET","times":100,"do":"status 403"}' >"$WORK/out"
failure_of "cat '$H/u_1/2.json'" >"$WORK/said"
assert_match "$(tail -n 1 "$T/.errors")" ' \.history/u_1/2\.json E'
failure_of "ls '$H/u_1'" >"$WORK/said"
curl -sSf -X DELETE "$CONTROL/faults" -o "$WORK/out" || fail "control route faults"
assert_eq "$(ls "$H/u_1" | paste -sd' ')" "1.json 2.json 4.json 5.json 7.json"

# A damaged version is told as such; those before and behind it are read.
for n in 1 2 3 4; do echo "{\"id\":\"d\",\"n\":$n}" >"$T/d.json" || fail "version $n"; done
attr() { getfattr --absolute-names --only-values -n "user.dbcord.$1" "$H/d/3.json"; }
where="\"channel_id\":\"$(attr channel_id)\",\"message_id\":\"$(attr message_id)\""
stop_mount
curl -sS --fail-with-body -X PATCH -H 'Content-Type: application/json' \
    -d "{$where,\"content\":\"nonsense\"}" "$CONTROL/messages" -o "$WORK/out" || fail "damage"
start_mount
assert_eq "$(cat "$H/d/1.json")" '{"id":"d","n":1}'
assert_eq "$(cat "$H/d/2.json")" '{"id":"d","n":2}'
assert_eq "$(cat "$H/d/4.json")" '{"id":"d","n":4}'
said=$(failure_of "cat '$H/d/3.json'")
assert_match "$said" 'Input/output error'
assert_match "$(tail -n 1 "$T/.errors")" ' \.history/d/3\.json E[A-Z]+ .*message [0-9]+'
assert_eq "$(cut -f1,4 "$H/d/.log" | paste -sd' ')" "$(printf '1\tput 2\tput 3\tdamaged 4\tput')"
assert_eq "$(ls "$H/d" | paste -sd' ')" "1.json 2.json 3.json 4.json"

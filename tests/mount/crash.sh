#!/bin/bash
# kill -9 of the daemon at any moment: every write that was answered is there,
# and no half row. The mount point of the dead daemon is taken over.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off --data "$WORK/data"
start_mount
make_table prod log

# A writer notes what was answered; the daemon dies under it.
: >"$WORK/answered"
for round in 1 2 3 4; do
    (
        i=0
        while :; do
            i=$((i + 1))
            key=r$round-$((i % 7))
            echo "{\"id\":\"$key\",\"i\":$i,\"pad\":\"$(printf 'p%.0s' $(seq $((i % 400))))\"}" 2>"$WORK/ignored" >"$T/$key.json" || exit 0
            echo "$key $i"
        done
    ) >>"$WORK/answered" 2>"$WORK/writer.log" &
    writer=$!
    enough() { [ "$(wc -l <"$WORK/answered")" -ge $((round * 25)) ]; }
    wait_for enough
    kill_mount
    wait "$writer"
    start_mount
    # The newest answered version of each key, or one newer that was under way.
    sort -k1,1 -k2,2n "$WORK/answered" | awk '{last[$1] = $2} END {for (k in last) print k, last[k]}' >"$WORK/last"
    [ -s "$WORK/last" ] || fail "nothing was answered"
    while read -r key i; do
        got=$(jq -r .i "$T/$key.json") || fail "$key is damaged: $(cat "$T/$key.json")"
        [ "$got" -ge "$i" ] || fail "$key: version $i was answered, $got is there"
    done <"$WORK/last"
done

# The emulator dies too: what it had answered is in its file.
before=$(cd "$T" && cat *.json | sort)
stop_mount
kill -KILL "$EMULATOR"
wait "$EMULATOR" 2>"$WORK/out"
start_emulator --limits off --data "$WORK/data" --token "$DISCORD_BOT_TOKEN"
start_mount
assert_eq "$(cd "$T" && cat *.json | sort)" "$before"

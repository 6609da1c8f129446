#!/bin/bash
# The server dies with kill -9 in the middle of writes and comes back with its
# file: the daemon goes on, and every write that was answered is there.
. "$(dirname "$0")/lib.sh"
port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
start_emulator --limits off --data "$WORK/data" --listen "127.0.0.1:$port"
start_mount
make_table prod log
ls "$T" >"$WORK/out"

: >"$WORK/answered"
for round in 1 2 3; do
    rm -f "$WORK/enough"
    (
        i=0
        while [ ! -e "$WORK/enough" ]; do
            i=$((i + 1))
            echo "{\"id\":\"r$round-$i\",\"pad\":\"$(printf 'p%.0s' $(seq $((i * 37 % 900))))\"}" \
                2>>"$WORK/refused" >"$T/r$round-$i.json" && echo "r$round-$i"
        done
    ) >>"$WORK/answered" &
    writer=$!
    some() { [ "$(grep -c "^r$round-" "$WORK/answered")" -ge "$1" ]; }
    wait_for some 20
    kill -KILL "$EMULATOR"
    wait "$EMULATOR" 2>"$WORK/out"
    start_emulator --limits off --data "$WORK/data" --listen "127.0.0.1:$port" --token "$DISCORD_BOT_TOKEN"
    wait_for some $(($(grep -c "^r$round-" "$WORK/answered") + 10))
    touch "$WORK/enough"
    wait "$writer"
done

check() {
    local key
    while read -r key; do
        assert_eq "$(jq -r .id "$T/$key.json")" "$key"
    done <"$WORK/answered"
    [ "$(ls "$T" | sort | uniq -d | wc -l)" -eq 0 ] || fail "a row twice"
}
check
# From what Discord has, too.
stop_mount
start_mount
check

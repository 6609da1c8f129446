# What every case on a real mount leans on: an emulator of its own, mounts of
# its own, assertions that say what was expected, and nothing left behind.
#
#     . "$(dirname "$0")/lib.sh"
#     start_emulator --limits off
#     start_mount
#     make_table prod users          # -> $T, its directory
#     echo '{"id":"u_1"}' >"$T/u_1.json"
#     assert_eq "$(cat "$T/u_1.json")" '{"id":"u_1"}'
#
# DBCORD and DBCORD_EMULATOR name the programs. Waiting is always for a
# condition, with a limit. Sourced by bash.

set -u
shopt -s lastpipe

# The cases of the command line need no mount and say so.
[ "${NEEDS_MOUNT:-yes}" = no ] || { [ -c /dev/fuse ] && [ -w /dev/fuse ]; } || {
    echo "skipped: no /dev/fuse"
    exit 77
}
: "${DBCORD:?names the dbcord program}" "${DBCORD_EMULATOR:?names the emulator}"

CASE=$(basename "$0" .sh)
WORK=$(mktemp -d "${TMPDIR:-/tmp}/dbcord-$CASE.XXXXXX")
MNT=$WORK/mnt
mkdir "$MNT"
declare -a MOUNTS=() DAEMONS=()
EMULATOR=

# Sanitizers end a program with this status; the daemon's is checked at its end.
export ASAN_OPTIONS="exitcode=99:detect_leaks=1:${ASAN_OPTIONS:-}"
export UBSAN_OPTIONS="halt_on_error=1:print_stacktrace=1:exitcode=99:${UBSAN_OPTIONS:-}"
export TSAN_OPTIONS="exitcode=99:${TSAN_OPTIONS:-}"
export XDG_CONFIG_HOME=$WORK/config

fail() {
    echo "FAIL $CASE: $*" >&2
    local i
    for ((i = 1; i < ${#FUNCNAME[@]}; i++)); do
        echo "    at ${BASH_SOURCE[i]}:${BASH_LINENO[i - 1]}" >&2
    done
    exit 1
}

assert_eq() { # got wanted
    [ "$1" = "$2" ] || fail "expected $(printf %q "$2"), got $(printf %q "$1")"
}

assert_match() { # text pattern
    [[ $1 =~ $2 ]] || fail "expected something like $(printf %q "$2"), got $(printf %q "$1")"
}

assert_ok() { # command ...
    "$@" || fail "'$*' ended with $?"
}

assert_fails() { # command ...
    "$@" 2>"$WORK/stderr" && fail "'$*' should have failed"
    return 0
}

# Runs a shell text that must fail, and gives its message.
failure_of() { # text
    local said
    said=$(bash -c "$1" 2>&1) && fail "should have failed: $1"
    printf '%s\n' "$said"
}

# A moment, for loops that wait for a condition.
moment() {
    read -rt "${1:-0.05}" <>"$WORK/never" || :
}
mkfifo "$WORK/never"

wait_for() { # command ...: until it succeeds, 20 seconds at most
    local end=$((SECONDS + 20))
    until "$@" >"$WORK/waited" 2>&1; do
        [ "$SECONDS" -lt "$end" ] || fail "waited in vain for: $*: $(cat "$WORK/waited")"
        moment
    done
}

# --- the emulator -----------------------------------------------------------

start_emulator() { # options ...
    mkfifo "$WORK/ready"
    "$DBCORD_EMULATOR" --guild home "$@" >"$WORK/ready" 2>>"$WORK/emulator.log" &
    EMULATOR=$!
    local line
    read -rt 60 line <"$WORK/ready" || fail "the emulator did not start"
    rm "$WORK/ready"
    API=$(jq -r .api <<<"$line")
    CONTROL=${API%/api/v10}/emulator
    GUILD=$(jq -r .guild_id <<<"$line")
    export DISCORD_BOT_TOKEN DBCORD_GUILD_ID=$GUILD DBCORD_API_URL=$API
    DISCORD_BOT_TOKEN=$(jq -r .token <<<"$line")
}

control() { # path [json]: a control route of the emulator
    local path=$1
    shift
    if [ $# -gt 0 ]; then
        curl -sS --fail-with-body -H 'Content-Type: application/json' -d "$1" "$CONTROL/$path"
    else
        curl -sS --fail-with-body "$CONTROL/$path"
    fi || fail "control route $path"
}

forget_requests() {
    curl -sSf -X DELETE "$CONTROL/requests" -o "$WORK/forgot" || fail "control route requests"
}

requests() { # [method [route]]: how many since forget_requests
    control requests | jq --arg m "${1:-}" --arg r "${2:-}" \
        '[.routes[] | select(($m == "" or .method == $m) and ($r == "" or .route == $r)) | .count] | add // 0'
}

refused_by_limits() { # how many 429
    control requests | jq '[.routes[].status["429"] // 0] | add // 0'
}

# As somebody at Discord would: a plain call with the bot's token.
discord() { # method path [json]
    local method=$1 path=$2
    shift 2
    curl -sS -X "$method" -H "Authorization: Bot $DISCORD_BOT_TOKEN" \
        -H 'User-Agent: DiscordBot (https://example.org, 1)' \
        ${1:+-H 'Content-Type: application/json' -d "$1"} "$API$path"
}

# --- mounts ------------------------------------------------------------------

is_mounted() { # dir
    [ -e "$1/.dbcord/status.json" ]
}

# In front, so that its messages and its end can be seen. More mounts of the
# same guild: name a directory.
start_mount_at() { # dir options ...
    local dir=$1
    shift
    mkdir -p "$dir"
    "$DBCORD" mount "$dir" -f "$@" >>"$WORK/daemon.log" 2>&1 &
    local pid=$!
    local end=$((SECONDS + 60))
    until is_mounted "$dir"; do
        kill -0 "$pid" 2>/dev/null || fail "the mount did not start: $(tail -n 5 "$WORK/daemon.log")"
        [ "$SECONDS" -lt "$end" ] || fail "the mount did not answer"
        moment
    done
    MOUNTS+=("$dir")
    DAEMONS+=("$pid")
}

start_mount() { # options ...
    start_mount_at "$MNT" "$@"
    DAEMON=${DAEMONS[-1]}
    DB=$MNT/home
}

# Ends the newest mount as SIGTERM does, and looks how it ended.
stop_mount() {
    local dir=${MOUNTS[-1]} pid=${DAEMONS[-1]}
    unset 'MOUNTS[-1]' 'DAEMONS[-1]'
    kill -TERM "$pid"
    wait "$pid"
    local status=$?
    [ $status -eq 0 ] || fail "the daemon of $dir ended with $status: $(tail -n 30 "$WORK/daemon.log")"
    ! mountpoint -q "$dir" || fail "$dir is still mounted"
}

# As a power cut would.
kill_mount() {
    local pid=${DAEMONS[-1]}
    unset 'MOUNTS[-1]' 'DAEMONS[-1]'
    kill -KILL "$pid"
    wait "$pid" 2>>"$WORK/daemon.log"
}

make_table() { # namespace table -> $T
    T=$DB/$1/$2
    [ -d "$DB/$1" ] || mkdir "$DB/$1" || fail "mkdir $1"
    mkdir "$T" || fail "mkdir $2"
}

status_json() { # jq filter
    jq -r "$1" "$MNT/.dbcord/status.json"
}

# Nothing waits to be written behind the scenes.
settled() {
    [ "$(status_json '.engine.settle.waiting // .engine.background.waiting // 0')" = 0 ]
}

# Every request made and every answer given, against Discord's own schemas.
# DBCORD_VALIDATE names the program; without it, or without what it is made of,
# nothing is looked at.
validated() {
    [ -n "${DBCORD_VALIDATE:-}" ] && [ -d "${DBCORD_VALIDATE%/*}/node_modules" ] &&
        command -v node >/dev/null && kill -0 "$EMULATOR" 2>/dev/null || return 0
    node "$DBCORD_VALIDATE" "${API%/api/v10}" >"$WORK/schemas.log" 2>&1 && return 0
    echo "FAIL $CASE: not as Discord's schemas want it" >&2
    tail -n 40 "$WORK/schemas.log" >&2
    return 1
}

finish() {
    local status=$?
    trap - EXIT INT TERM
    while [ ${#DAEMONS[@]} -gt 0 ]; do
        if [ $status -eq 0 ]; then
            # In a subshell fail() could not end us.
            local dir=${MOUNTS[-1]} pid=${DAEMONS[-1]} ended
            unset 'MOUNTS[-1]' 'DAEMONS[-1]'
            kill -TERM "$pid"
            wait "$pid"
            ended=$?
            [ $ended -eq 0 ] || {
                echo "FAIL $CASE: the daemon ended with $ended" >&2
                status=1
            }
        else
            kill -TERM "${DAEMONS[-1]}" 2>/dev/null
            umount -l "${MOUNTS[-1]}" 2>/dev/null || fusermount3 -uqz "${MOUNTS[-1]}" 2>/dev/null
            kill -KILL "${DAEMONS[-1]}" 2>/dev/null
            unset 'MOUNTS[-1]' 'DAEMONS[-1]'
        fi
    done
    if [ -n "$EMULATOR" ]; then
        [ $status -ne 0 ] || validated || status=1
        kill -TERM "$EMULATOR" 2>/dev/null
        wait "$EMULATOR" 2>/dev/null
        local ended=$?
        if [ $status -eq 0 ] && [ $ended -ne 0 ] && [ $ended -ne 143 ]; then
            echo "FAIL $CASE: the emulator ended with $ended" >&2
            status=1
        fi
    fi
    if [ $status -ne 0 ] && [ $status -ne 77 ]; then
        local log
        for log in emulator.log daemon.log; do
            [ -s "$WORK/$log" ] && {
                echo "--- the end of $log"
                tail -n 60 "$WORK/$log"
            } >&2
        done
    fi
    local dir
    for dir in "$WORK"/mnt*; do
        mountpoint -q "$dir" && umount -l "$dir" 2>/dev/null
    done
    mountpoint -q "$MNT" || rm -rf "$WORK"
    exit $status
}
trap finish EXIT
trap 'exit 130' INT TERM

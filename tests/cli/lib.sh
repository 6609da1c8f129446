# shellcheck shell=bash
# What the cases of the command line lean on: the emulator and assertions of
# tests/mount/lib.sh, without a mount.
#
#     . "$(dirname "$0")/lib.sh"
#     start_emulator --limits off
#     dbcord init prod
#     assert_exit 3 dbcord tables nowhere

: "${NEEDS_MOUNT:=no}"
. "$(dirname "${BASH_SOURCE[0]}")/../mount/lib.sh"

# Nothing of the machine's own settings.
unset DISCORD_BOT_TOKEN DBCORD_GUILD_ID DBCORD_API_URL
export HOME=$WORK
cd "$WORK" || exit 1

dbcord() {
    "$DBCORD" "$@"
}

# Runs it; what it printed is in $WORK/out and $WORK/err.
assert_exit() { # code command ...
    local wanted=$1 got
    shift
    "$@" >"$WORK/out" 2>"$WORK/err"
    got=$?
    [ $got -eq "$wanted" ] ||
        fail "'$*' ended with $got, expected $wanted: $(cat "$WORK/out" "$WORK/err")"
}

# The last assert_exit said this on standard error.
assert_said() { # pattern
    grep -qE -- "$1" "$WORK/err" || fail "expected '$1' in: $(cat "$WORK/err")"
}

out() {
    cat "$WORK/out"
}

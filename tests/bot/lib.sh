# shellcheck shell=bash
# What the cases of the slash commands lean on: a person at a Discord client,
# played by the emulator, and what that person sees.
#
#     . "$(dirname "$0")/lib.sh"
#     start_emulator --limits off
#     start_bot                                  # or start_mount
#     types dbc_init database=prod
#     assert_sees '"created":true'
#     press 'Yes, do it'
#
# An option is name=value; true, false and whole numbers are sent as such,
# name:=value is text in any case, name@path is a file.

. "$(dirname "${BASH_SOURCE[0]}")/../cli/lib.sh"

PERSON=owner
PLACE= # another server's id

# The commands are registered and the gateway would deliver them.
bot_is_ready() {
    local app
    app=$(discord GET /applications/@me | jq -r .id)
    [ "$(discord GET "/applications/$app/guilds/$GUILD/commands" | jq length)" -gt 0 ] &&
        [ "$(control gateway | jq .connections)" -gt 0 ]
}

# In front, ended like a mount at the end of the case.
start_bot() { # options ...
    "$DBCORD" bot "$@" >>"$WORK/daemon.log" 2>&1 &
    DAEMONS+=("$!")
    MOUNTS+=("$WORK/nowhere")
    wait_for bot_is_ready
}

stop_bot() {
    local pid=${DAEMONS[-1]}
    unset 'MOUNTS[-1]' 'DAEMONS[-1]'
    kill -TERM "$pid"
    wait "$pid"
    local status=$?
    [ $status -eq 0 ] || fail "the bot ended with $status: $(tail -n 30 "$WORK/daemon.log")"
}

kill_bot() {
    kill_mount
}

option_json() { # option ... -> an object
    local o file
    for o in "$@"; do
        case $o in
        *@/*)
            file=${o#*@}
            jq -nc --arg k "${o%%@*}" --arg n "${file##*/}" --rawfile c "$file" \
                '{($k): {filename: $n, content: $c}}'
            ;;
        *:=*) jq -nc --arg k "${o%%:=*}" --arg v "${o#*:=}" '{($k): $v}' ;;
        *) jq -nc --arg k "${o%%=*}" --arg v "${o#*=}" \
            '{($k): ($v | if test("^(true|false|-?[0-9]+)$") then fromjson else . end)}' ;;
        esac
    done | jq -sc 'add // {}'
}

# Standard input as the emulator's route wants it; the answer is in $WORK/seen.
interaction() {
    curl -sS -m 120 -H 'Content-Type: application/json' --data-binary @- "$CONTROL/interactions" >"$WORK/seen" ||
        fail "the emulator did not answer"
}

types() { # command option ...
    local command=$1
    shift
    option_json "$@" | jq -c --arg u "$PERSON" --arg c "$command" --arg g "$PLACE" \
        '{user: $u, command: $c, options: .} + if $g == "" then {} else {guild_id: $g} end' | interaction
}

# Is typing in this option; choices then tells what is offered.
types_in() { # focused command option ...
    local focused=$1 command=$2
    shift 2
    option_json "$@" | jq -c --arg u "$PERSON" --arg c "$command" --arg f "$focused" --arg g "$PLACE" \
        '{user: $u, command: $c, options: ., focused: $f} + if $g == "" then {} else {guild_id: $g} end' |
        interaction
}

choices() {
    jq -r '[.choices[].value] | join(",")' "$WORK/seen"
}

# Presses a button of the last message seen.
press() { # label
    local message id
    message=$(jq -r '.messages[-1].id' "$WORK/seen")
    id=$(jq -r --arg l "$1" '[.messages[-1].components[]?.components[]? | select(.label == $l) | .custom_id][0] // empty' "$WORK/seen")
    [ -n "$id" ] || fail "no button '$1' in: $(cat "$WORK/seen")"
    press_id "$message" "$id"
}

press_id() { # message custom_id
    jq -nc --arg u "$PERSON" --arg m "$1" --arg c "$2" '{user: $u, message_id: $m, custom_id: $c}' | interaction
}

sees() { # all there is to read
    jq -r '[.messages[]?.content] | join("\n")' "$WORK/seen"
}

assert_sees() { # pattern
    sees | grep -qE -- "$1" || fail "expected to see '$1' in: $(cat "$WORK/seen")"
}

assert_sees_no() { # pattern
    ! sees | grep -qE -- "$1" || fail "did not expect to see '$1' in: $(cat "$WORK/seen")"
}

# Nobody else sees it: the flag of ephemeral messages.
assert_private() {
    assert_eq "$(jq '[.messages[] | .flags / 64 % 2 | floor] | unique == [1]' "$WORK/seen")" true
}

assert_public() {
    assert_eq "$(jq '[.messages[] | .flags / 64 % 2 | floor] | unique == [0]' "$WORK/seen")" true
}

# The file of the last answer, on standard output.
file_seen() {
    local url
    url=$(jq -r '[.messages[-1].attachments[]?.url][0] // empty' "$WORK/seen")
    [ -n "$url" ] || fail "no file in: $(cat "$WORK/seen")"
    curl -sSf "$url" || fail "the file cannot be fetched"
}

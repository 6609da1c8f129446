#!/bin/bash
# The documents say what the program does: the table of commands in
# docs/commands.md and in the man page, and the options of the man pages.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$OLDPWD" && cd "$(dirname "$0")/../.." || exit 1

assert_ok scripts/update-docs --check "$DBCORD"
for name in $("$DBCORD" help --names | cut -f1); do
    grep -qE "^\.It (Nm )?Cm $name( |$)" docs/man/dbcord.1 || fail "the man page lacks $name"
done
for option in $("$DBCORD_EMULATOR" --help 2>&1 | grep -oE -- '--[a-z-]+' | sort -u); do
    [ "$option" = --help ] || [ "$option" = --version ] ||
        grep -q -- "Fl -${option#--}" docs/man/dbcord-emulator.1 || fail "the man page lacks $option"
done
if command -v mandoc >/dev/null; then
    assert_ok mandoc -Tlint -Werror docs/man/dbcord.1 docs/man/dbcord-emulator.1
fi
exit 0

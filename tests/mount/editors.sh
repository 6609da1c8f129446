#!/bin/bash
# Programs save rows as they save files. After each the row has the new text,
# one version was made, and no dropping is left in Discord.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod notes
f=$T/n.json
export HOME=$WORK TERM=xterm

version() {
    getfattr --only-values -n user.dbcord.version "$f"
}

echo '{"id":"n","v":"start"}' >"$f" || fail "insert"
assert_eq "$(version)" 1
n=1

# new text, how many versions it may take
saved() { # who wanted [versions]
    assert_eq "$(jq -r .v "$f")" "$2"
    n=$((n + ${3:-1}))
    assert_eq "$1 made version $(version)" "$1 made version $n"
}

if command -v vim >"$WORK/out"; then
    vim -Nu NONE -es -c 's/start/vim/' -c 'wq' "$f" </dev/null >"$WORK/out" 2>&1
    saved vim vim
    vim -Nu NONE -es -c 'set backup writebackup' -c 's/vim/vimbak/' -c 'wq' "$f" </dev/null >"$WORK/out" 2>&1
    saved 'vim with a backup' vimbak
    rm -f "$f~"
fi
sed -i 's/"v":"[a-z]*"/"v":"sed"/' "$f" || fail "sed -i"
saved 'sed -i' sed
perl -i -pe 's/sed/perl/' "$f" || fail "perl -i"
saved 'perl -i' perl
if command -v sponge >"$WORK/out"; then
    jq -c '.v = "sponge"' "$f" | sponge "$f" || fail "sponge"
    saved sponge sponge
fi
if command -v emacs >"$WORK/out"; then
    emacs -Q --batch "$f" --eval '(progn (goto-char (point-min)) (re-search-forward "\"v\":\"[a-z]*\"") (replace-match "\"v\":\"emacs\"") (save-buffer))' >"$WORK/out" 2>&1 || fail "emacs: $(cat "$WORK/out")"
    saved emacs emacs
    rm -f "$f~"
fi
if command -v nano >"$WORK/out" && command -v tmux >"$WORK/out"; then
    tmux -L "dbcord$$" -f /dev/null new-session -d "nano --ignorercfiles '$f'"
    shows() { tmux -L "dbcord$$" capture-pane -p | grep -q "$1"; }
    wait_for shows '"id"'
    tmux -L "dbcord$$" send-keys C-k '{"id":"n","v":"nano"}' C-s
    wait_for shows 'Wrote'
    tmux -L "dbcord$$" send-keys C-x
    saved nano nano
    tmux -L "dbcord$$" kill-server 2>"$WORK/out"
fi
python3 - "$f" <<'PY' || fail "python"
import json, sys
row = json.load(open(sys.argv[1]))
row["v"] = "python"
with open(sys.argv[1], "w") as out:
    json.dump(row, out)
PY
saved python python
python3 - "$f" <<'PY' || fail "os.replace"
import os, sys
with open(sys.argv[1] + ".tmp", "w") as out:
    out.write('{"id":"n","v":"replace"}\n')
os.replace(sys.argv[1] + ".tmp", sys.argv[1])
PY
saved os.replace replace
# In place, shorter than before.
python3 - "$f" <<'PY' || fail "r+"
import sys
with open(sys.argv[1], "r+") as io:
    io.write('{"id":"n","v":"r"}\n')
    io.truncate()
PY
saved r+ r
printf '{"id":"n","v":"dd"}\n' | dd of="$f" bs=7 2>"$WORK/out" || fail "dd"
saved dd dd
printf '{"id":"n","v":"tee"}\n' | tee "$f" >"$WORK/out" || fail "tee"
saved tee tee

# cp -p and install: as files; install and mv remove the old one first.
printf '{"id":"n","v":"cp"}\n' >"$WORK/n.json"
touch -d '2020-01-02 03:04:05' "$WORK/n.json"
assert_ok cp -p "$WORK/n.json" "$f"
saved cp cp
assert_eq "$(stat -c %Y "$f")" "$(stat -c %Y "$WORK/n.json")"
printf '{"id":"n","v":"install"}\n' >"$WORK/n.json"
assert_ok install -m 644 "$WORK/n.json" "$f"
saved install install 2
printf '{"id":"n","v":"mv"}\n' >"$WORK/n.json"
assert_ok mv -f "$WORK/n.json" "$f"
assert_eq "$(jq -r .v "$f")" mv

# touch, chmod and chown say nothing.
assert_ok touch "$f"
assert_ok chmod 644 "$f"
assert_ok chown "$(id -u)" "$f"

# rsync twice: the second copies nothing.
mkdir "$WORK/tree"
for i in 1 2 3; do echo "{\"id\":\"r$i\"}" >"$WORK/tree/r$i.json"; done
touch -d '2021-01-01' "$WORK"/tree/*
assert_ok rsync -a "$WORK/tree/" "$T/"
assert_eq "$(rsync -ai "$WORK/tree/" "$T/" | grep '^>f')" ''
assert_ok cmp "$WORK/tree/r2.json" "$T/r2.json"

# No droppings: what Discord holds are these rows.
stop_mount
start_mount
assert_eq "$(ls -A "$T" | tr '\n' ' ')" 'n.json r1.json r2.json r3.json '

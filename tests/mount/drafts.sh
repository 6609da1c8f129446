#!/bin/bash
# Files that are no rows: in memory, listed, bounded, never sent; rows that go
# to one and come back; rejected texts mended and moved into their place.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod notes
f=$T/n.json
echo '{"id":"n","v":1}' >"$f" || fail "insert"

version() {
    getfattr --absolute-names --only-values -n user.dbcord.version "$f"
}

forget_requests
echo 'any text' >"$T/draft" || fail "draft"
echo 'hidden' >"$T/.n.json.swp" || fail "draft"
assert_ok chmod 600 "$T/draft"
assert_eq "$(cat "$T/draft")" 'any text'
assert_eq "$(stat -c '%a %s' "$T/draft")" '600 9'
echo more >>"$T/draft"
assert_eq "$(wc -l <"$T/draft")" 2
assert_ok truncate -s 3 "$T/draft"
assert_eq "$(cat "$T/draft")" any
assert_eq "$(ls -A "$T" | tr '\n' ' ')" '.n.json.swp draft n.json '
assert_ok mv "$T/draft" "$T/other"
assert_ok rm "$T/other" "$T/.n.json.swp"
assert_eq "$(requests POST)" 0
assert_eq "$(ls -A "$T")" n.json

# A draft becomes a row in one step, or stays what it is.
echo '{"id":"n","v":2}' >"$T/n.tmp"
touch -d '2020-02-02 02:02:02' "$T/n.tmp"
forget_requests
assert_ok mv "$T/n.tmp" "$f"
assert_eq "$(requests POST)" 1
assert_eq "$(cat "$f")" '{"id":"n","v":2}'
assert_eq "$(date -ud "@$(stat -c %Y "$f")" +%F)" 2020-02-02
assert_eq "$(version)" 2
echo '{"id":' >"$T/n.tmp"
said=$(failure_of "mv '$T/n.tmp' '$f'")
assert_match "$said" 'Bad message'
assert_eq "$(cat "$T/n.tmp")" '{"id":'
assert_eq "$(cat "$f")" '{"id":"n","v":2}'
assert_match "$(tail -n 1 "$T/.errors")" 'line [0-9]+'
rm "$T/n.tmp"
echo '{}' >"$T/x.tmp"
assert_match "$(failure_of "mv -n '$T/x.tmp' '$f' && [ ! -e '$T/x.tmp' ]")" ''
assert_eq "$(cat "$f")" '{"id":"n","v":2}'
rm "$T/x.tmp"

# A row moved away is gone at once; made anew it is the next version.
forget_requests
assert_ok mv "$f" "$f~"
assert_fails ls "$f"
assert_eq "$(ls "$T")" 'n.json~'
assert_eq "$(cat "$f~")" '{"id":"n","v":2}'
echo '{"id":"n","v":3}' >"$f" || fail "write"
assert_eq "$(version)" 3
assert_eq "$(requests POST)" 1
assert_ok rm "$f~"

# And back again: nothing happened.
forget_requests
assert_ok mv "$f" "$f.bak"
assert_ok mv "$f.bak" "$f"
assert_eq "$(version)" 3
assert_eq "$(requests POST)" 0

# Left away, it is deleted after a moment.
echo '{"id":"m"}' >"$T/m.json" || fail "insert"
assert_ok mv "$T/m.json" "$T/m.old"
forget_requests
deleted() { [ "$(requests POST)" = 1 ]; }
wait_for deleted
assert_eq "$(cat "$T/m.old")" '{"id":"m"}'
assert_eq "$(ls "$T" | tr '\n' ' ')" 'm.old n.json '

# But not because the mount ends.
assert_ok mv "$f" "$f.bak"
stop_mount
start_mount
assert_eq "$(cat "$f")" '{"id":"n","v":3}'
assert_eq "$(ls -A "$T")" n.json

# Rejected texts.
assert_fails eval "echo '{\"id\":\"n\",\"v\":4,}' >'$f'"
assert_eq "$(ls "$T/.rejected")" n.json
assert_match "$(getfattr --absolute-names --only-values -n user.dbcord.error "$f")" 'line 1, column 17'
sed -i 's/,}/}/' "$T/.rejected/n.json" 2>"$WORK/stderr" ||
    printf '{"id":"n","v":4}\n' >"$T/.rejected/n.json" || fail "mend"
assert_ok mv "$T/.rejected/n.json" "$f"
assert_eq "$(cat "$f")" '{"id":"n","v":4}'
assert_eq "$(ls "$T/.rejected")" ''
assert_fails getfattr --absolute-names -n user.dbcord.error "$f"

# Bounded.
said=$(failure_of "head -c 70000000 /dev/zero >'$T/huge'")
assert_match "$said" 'No space left'
assert_ok rm "$T/huge"

# Views and versions are nobody's drafts.
for name in .find .idx .history .ndjson .count .stats.json; do
    assert_fails touch "$T/$name/x"
    assert_match "$(failure_of "echo x >'$T/$name'")" 'not permitted|Is a directory|Permission|Invalid'
done
assert_match "$(failure_of "echo '{}' >'$T/n@3.json'")" 'Invalid|Stale|No such'

# Who reads a draft while it becomes a row reads on, however large it is.
assert_ok python3 -c '
import os, sys
d = sys.argv[1]
for size in 100, 9000, 300000:
    text = "{\"id\":\"big\",\"v\":\"" + "x" * size + "\"}\n"
    for mode in "w+", "w":
        f = open(d + "/big.tmp", mode)
        f.write(text)
        f.flush()
        g = f if mode == "w+" else open(d + "/big.tmp")
        os.rename(d + "/big.tmp", d + "/big.json")
        g.seek(0)
        assert g.read() == text, (mode, size)
        # To the end of the version it began with.
        if g is not f:
            open(d + "/big.json", "w").write("{\"id\":\"big\"}\n")
            g.seek(50)
            assert g.read() == text[50:], (mode, size)
            g.close()
        f.close()
os.unlink(d + "/big.json")' "$T"

# What was written of a row that is not there yet goes along to a draft's name,
# and the writer goes on there.
assert_ok python3 -c '
import os, sys
d = sys.argv[1]
fd = os.open(d + "/part.json", os.O_CREAT | os.O_WRONLY)
os.write(fd, b"{\"id\":")
os.rename(d + "/part.json", d + "/part.tmp")
assert open(d + "/part.tmp").read() == "{\"id\":"
os.write(fd, b"\"part\"}\n")
os.close(fd)
assert open(d + "/part.tmp").read() == "{\"id\":\"part\"}\n"
os.rename(d + "/part.tmp", d + "/part.json")
# The same of a row.
fd = os.open(d + "/part.json", os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"{\"id\":\"part\"")
os.rename(d + "/part.json", d + "/part.bak")
os.write(fd, b",\"v\":2}\n")
os.close(fd)
assert open(d + "/part.bak").read() == "{\"id\":\"part\",\"v\":2}\n"
os.rename(d + "/part.bak", d + "/part.json")' "$T"
assert_eq "$(cat "$T/part.json")" '{"id":"part","v":2}'
assert_ok rm "$T/part.json"

#!/bin/bash
# What a program does with an open file, and when it counts.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod notes
f=$T/n.json

text() {
    cat "$f"
}
version() {
    getfattr --absolute-names --only-values -n user.dbcord.version "$f"
}
put() {
    printf '%s\n' "$1" >"$f" || fail "write of $1"
}
python() {
    python3 -c "$1" "$f"
}

put '{"id":"n","v":"a longer text to begin with"}'

# In place: the old tail does not count, the cut does.
assert_ok python '
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, b"{\"id\":\"n\",\"v\":1}\n")
assert b"longer" in open(sys.argv[1], "rb").read()
os.ftruncate(fd, 17)
assert open(sys.argv[1], "rb").read() == b"{\"id\":\"n\",\"v\":1}\n"
os.close(fd)'
assert_eq "$(version)" 2

# Emptied through the same file, then written; read back through it.
assert_ok python '
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.ftruncate(fd, 0)
assert open(sys.argv[1], "rb").read() == b"{\"id\":\"n\",\"v\":1}\n"
os.write(fd, b"{\"id\":\"n\",\"v\":2}")
assert os.pread(fd, 100, 0) == b"{\"id\":\"n\",\"v\":2}"
os.close(fd)'
assert_eq "$(text)" '{"id":"n","v":2}'

# Opened with truncation and nothing written: nothing happened.
before=$(version)
: >"$f" || fail "open"
assert_ok truncate -s 0 "$f"
assert_ok touch "$f"
assert_eq "$(text)" '{"id":"n","v":2}'
assert_eq "$(stat -c %s "$f")" 17
assert_eq "$(version)" "$before"

# While somebody writes, readers have the old row, whole.
assert_ok python '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
old = b"{\"id\":\"n\",\"v\":2}\n"
assert open(sys.argv[1], "rb").read() == old
os.write(fd, b"{\"id\":\"n\",")
assert open(sys.argv[1], "rb").read() == old
assert os.stat(sys.argv[1]).st_size == len(old)
os.write(fd, b"\"v\":3}")
assert open(sys.argv[1], "rb").read() == b"{\"id\":\"n\",\"v\":3}\n"
os.close(fd)'

# White space may follow an object, another object may not.
assert_ok python '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.write(fd, b"{\"id\":\"n\",\"v\":4}")
os.write(fd, b"\n  \n")
try:
    os.write(fd, b"{}")
    sys.exit("a second object was taken")
except OSError as e:
    assert e.errno == 22, e
os.close(fd)'
assert_eq "$(text)" '{"id":"n","v":4}'
assert_match "$(failure_of "echo '{}' >>'$f'")" 'Invalid argument'
assert_ok eval "echo >>'$f'"
assert_eq "$(text)" '{"id":"n","v":4}'

# A hole, a half, a text that only a close can judge.
assert_fails python '
import os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.pwrite(fd, b"}", 100)
os.close(fd)'
assert_match "$(failure_of "printf '{\"id\":' | cat >'$f'")" 'Invalid argument'
assert_match "$(tail -n 1 "$T/.errors")" 'n.json EINVAL'
assert_eq "$(text)" '{"id":"n","v":4}'

# In place on a text that has moved on: not over it.
assert_fails python '
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
other = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.write(other, b"{\"id\":\"n\",\"v\":5}\n")
os.close(other)
os.pwrite(fd, b"7", 14)
os.close(fd)'
assert_match "$(cat "$WORK/stderr")" 'Stale'
assert_eq "$(text)" '{"id":"n","v":5}'

# In place, the same length: at the close.
assert_ok python '
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
os.pwrite(fd, b"6", 14)
os.close(fd)'
assert_eq "$(text)" '{"id":"n","v":6}'

# Two writers: one after the other, whole each.
assert_ok python '
import os, sys
a = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
b = os.open(sys.argv[1], os.O_WRONLY | os.O_TRUNC)
os.write(a, b"{\"id\":\"n\",")
os.write(b, b"{\"id\":\"n\",\"who\":\"b\"}\n")
os.write(a, b"\"who\":\"a\"}\n")
os.close(a)
os.close(b)'
assert_eq "$(text)" '{"id":"n","who":"a"}'

# Two programs, one open file.
(
    /bin/echo -n '{"id":"n",'
    /bin/echo '"who":"both"}'
) >"$f" 2>"$WORK/stderr"
assert_eq "$(text)" '{"id":"n","who":"both"}'

# A new file waits for its content; what came by half is no file.
assert_ok touch "$T/new.json"
assert_eq "$(stat -c %s "$T/new.json")" 0
assert_eq "$(ls "$T" | tr '\n' ' ')" 'n.json new.json '
forget_requests
assert_ok eval "echo '{}' >'$T/new.json'"
assert_eq "$(requests POST)" 1
assert_eq "$(cat "$T/new.json")" '{"id":"new"}'
assert_fails eval "printf '{' | cat >'$T/half.json'"
wait_for eval "! ls '$T' | grep -q half"
assert_eq "$(cat "$T/.rejected/half.json")" '{'
assert_fails cat "$T/half.json"
touch "$T/empty.json"
assert_ok rm "$T/empty.json"
assert_fails ls "$T/empty.json"

# The end of a file that is being written is where its writer is.
assert_ok python '
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR | os.O_TRUNC)
assert os.lseek(fd, 0, os.SEEK_END) == 0
os.write(fd, b"{\"id\":")
os.fstat(fd)
assert os.lseek(fd, 0, os.SEEK_END) == 6
os.write(fd, b"\"n\",\"end\":1}\n")
os.close(fd)
fd = os.open(sys.argv[1], os.O_RDWR)
os.write(fd, b"{\"id\":\"n\",\"end\":22")
os.ftruncate(fd, 17)
assert os.lseek(fd, 0, os.SEEK_END) == 17
os.write(fd, b"}\n")
os.close(fd)'
assert_eq "$(text)" '{"id":"n","end":2}'
assert_eq "$(stat -c %s "$f")" 19

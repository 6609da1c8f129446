#!/bin/bash
# Rows of 2 KB, 1 MB, 10 MB and one byte too many.
. "$(dirname "$0")/lib.sh"
start_emulator --limits off
start_mount
make_table prod blobs

row_of() { # bytes, without the newline -> $WORK/row
    python3 - "$1" "$WORK/row" <<'PY'
import sys
size, name = int(sys.argv[1]), sys.argv[2]
head, tail = '{"id":"big","x":"', '"}'
open(name, "w").write(head + "y" * (size - len(head) - len(tail)) + tail + "\n")
PY
}
limit=$((10 * 1024 * 1024))
for size in 2000 2048 1048576 $limit; do
    row_of "$size"
    assert_ok cp "$WORK/row" "$T/big.json"
    assert_eq "$(stat -c %s "$T/big.json")" $((size + 1))
    assert_ok cmp "$WORK/row" "$T/big.json"
done
row_of $((limit + 1))
assert_match "$(failure_of "cp '$WORK/row' '$T/big.json'")" 'File too large'
assert_match "$(tail -n 1 "$T/.errors")" '10485760'
assert_eq "$(stat -c %s "$T/big.json")" $((limit + 1))

# And from Discord alone: size without the text, the text when it is read.
stop_mount
start_mount
assert_eq "$(stat -c %s "$T/big.json")" $((limit + 1))
row_of "$limit"
assert_ok cmp "$WORK/row" "$T/big.json"

# Back to small, and small again after a restart; links expire meanwhile.
row_of 300
assert_ok cp "$WORK/row" "$T/big.json"
row_of 5000
assert_ok cp "$WORK/row" "$T/big.json"
stop_mount
start_mount
ls -l "$T" >"$WORK/out"
control clock '{"advance_ms":172800000}' >"$WORK/out"
assert_ok cmp "$WORK/row" "$T/big.json"

# What is kept of such texts is bounded, by -o cache=SIZE.
kept() { status_json .engine.text_cache_bytes; }
[ "$(kept)" -ge 5000 ] || fail "the text was not kept: $(kept) bytes"
stop_mount
start_mount -o cache=1K
assert_ok cmp "$WORK/row" "$T/big.json"
[ "$(kept)" -le 1024 ] || fail "cache=1K keeps $(kept) bytes"

# 10,000 rows: complete, counted once.
mkdir "$DB/prod/wide"
python3 - "$DB/prod/wide" <<'PY' || fail "10,000 rows"
import sys, concurrent.futures
def put(i):
    with open(f"{sys.argv[1]}/k{i:05}.json", "w") as f:
        f.write('{"id":"k%05d","n":%d}\n' % (i, i))
with concurrent.futures.ThreadPoolExecutor(64) as pool:
    list(pool.map(put, range(10000)))
PY
assert_eq "$(ls -f "$DB/prod/wide" | grep -c json)" 10000
stop_mount
start_mount
assert_eq "$(ls "$DB/prod/wide" | sort -u | wc -l)" 10000
assert_eq "$(cat "$DB/prod/wide/k07777.json")" '{"id":"k07777","n":7777}'

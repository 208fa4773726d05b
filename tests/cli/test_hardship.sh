#!/usr/bin/env bash
# The program where something is missing: folders that cannot be written, a full disk, no compiler, no libclang, two tuners on one
# database, a tuner that is killed. It says what is wrong, does what is still possible, and nothing that was stored is lost.
. "$(dirname "$0")/lib.sh"
fail() { echo "FAILED: $*"; cat "$work/err"; failures=$((failures + 1)); }
python3 - <<'P'
import struct
values = [i / 7 - 5 for i in range(1000)]
header = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000,), }"
header += " " * (63 - (len(header) + 10) % 64) + "\n"
open("x.npy", "wb").write(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + struct.pack("<1000f", *values))
P
ok 'apply, all well' "$actune" apply gelu --input x.npy --output good.npy

# --- folders that nobody can make: below a file ---
echo 'a file' >blocked
ok 'apply without a cache folder' env XDG_CACHE_HOME="$work/blocked/cache" "$actune" apply gelu --input x.npy --output y.npy --explain
ok 'the same numbers without a cache folder' python3 - <<'P'
import struct
a, b = (struct.unpack("<1000f", open(n, "rb").read()[-4000:]) for n in ("good.npy", "y.npy"))
assert all(abs(p - q) <= 2e-6 * max(abs(p), 1e-3) for p, q in zip(a, b))
P
refused 1 'blocked' env XDG_DATA_HOME="$work/blocked/data" "$actune" tune relu --sizes 4K
refused 1 'blocked' env XDG_DATA_HOME="$work/blocked/data" timeout 30 "$actune" verify relu --direction forward --exhaustive
refused 1 'nowhere' "$actune" apply gelu --input x.npy --output nowhere/y.npy

# --- a user whose home is read-only (as root: another user) ---
as_user=()
[ "$(id -u)" -ne 0 ] || as_user=(setpriv --reuid=65534 --regid=65534 --clear-groups)
mkdir -m 555 home
install -m 755 "$actune" "$work/program" && chmod 755 "$work" && chmod 644 x.npy
mkdir -m 777 place
ok 'apply with a read-only home' env -u XDG_CACHE_HOME -u XDG_DATA_HOME -u XDG_RUNTIME_DIR HOME="$work/home" \
    "${as_user[@]}" "$work/program" apply relu --input x.npy --output place/y.npy --explain
refused 1 'home' env -u XDG_CACHE_HOME -u XDG_DATA_HOME -u XDG_RUNTIME_DIR HOME="$work/home" \
    "${as_user[@]}" "$work/program" tune relu --sizes 4K
[ -z "$(ls -A home)" ] || fail 'something was written into the read-only home'

# --- a disk that is full ---
mkdir -p full
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o size=512k tmpfs full 2>/dev/null; then
    trap 'umount "$work/full"; rm -rf "$work"' EXIT
    ok 'tune while there is room' "$actune" tune relu --direction forward --sizes 4K --db full/a.db
    before=$("$actune" db dump --db full/a.db | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["choices"]))')
    dd if=/dev/zero of=full/filler bs=1k >/dev/null 2>&1
    refused 1 'the disk is full|look at the disk' sh -c '"$@" >&2' sh "$actune" tune 'relu | clip(0, 3)' --direction forward \
        --sizes 4K,16K,64K --db full/a.db
    dd if=/dev/zero of=full/more bs=1k >/dev/null 2>&1
    refused 1 'full|No space' "$actune" apply relu --input x.npy --output full/y.npy
    [ ! -e full/y.npy ] || fail 'half an output stays on a full disk'
    rm full/filler full/more
    ok 'the database is sound after the disk was full' "$actune" db check --db full/a.db
    after=$("$actune" db dump --db full/a.db | python3 -c 'import json, sys; print(len(json.load(sys.stdin)["choices"]))')
    [ "$after" -ge "$before" ] || fail "winners were lost on a full disk: $before, then $after"
else
    echo 'full disk: not tried, mounting needs root'
fi

# --- a cache on a mount that forbids execution ---
mkdir -m 700 noexec
if [ "$(id -u)" -eq 0 ] && mount -t tmpfs -o noexec,size=4m,mode=700 tmpfs noexec 2>/dev/null; then
    trap 'umount "$work/noexec" "$work/full" 2>/dev/null; rm -rf "$work"' EXIT
    ok 'apply with a noexec cache' env XDG_CACHE_HOME="$work/noexec" "$actune" apply gelu --input x.npy --output y.npy --explain
    grep -q 'noexec' "$work/err" || fail 'apply: noexec is not said'
    ok 'the same numbers with a noexec cache' python3 - <<'P'
import struct
a, b = (struct.unpack("<1000f", open(n, "rb").read()[-4000:]) for n in ("good.npy", "y.npy"))
assert all(abs(p - q) <= 2e-6 * max(abs(p), 1) for p, q in zip(a, b)) # the interpreter: another form of the class
P
    refused 1 'noexec' sh -c '"$@" >&2' sh env XDG_CACHE_HOME="$work/noexec" "$actune" tune relu --direction forward --sizes 4K --force
    ok 'doctor with a noexec cache' env XDG_CACHE_HOME="$work/noexec" "$actune" doctor
    grep -qE '^limited +cache .*noexec' "$work/out" || { cat "$work/out"; fail 'doctor: the cache is not said to be limited'; }
    [ -z "$(find noexec -name '*.so')" ] || fail 'something that cannot be loaded lies in the noexec cache'
else
    echo 'noexec cache: not tried, mounting needs root'
fi

# --- two tuners at once on one database ---
"$actune" tune silu --direction forward --sizes 4K,64K --json >one.json 2>one.err & one=$!
"$actune" tune tanh --direction forward --sizes 4K,64K --json >two.json 2>two.err & two=$!
wait $one || { cp one.err err; fail 'the first of two tuners'; }
wait $two || { cp two.err err; fail 'the second of two tuners'; }
ok 'both are stored' "$actune" show --json
python3 -c "import json; j = json.load(open('$work/out')); assert sorted(c['spec'] for c in j) == ['silu'] * 2 + ['tanh'] * 2, j" || fail 'two tuners: not all stored'

# --- killed in the middle, then again ---
"$actune" tune elu --direction forward --sizes 1K,4K,16K,64K,256K,1M >/dev/null 2>&1 & victim=$!
sleep 1; kill -9 $victim 2>/dev/null; wait $victim 2>/dev/null
ok 'the database is sound after a kill' "$actune" db check
ok 'the same command goes on' "$actune" tune elu --direction forward --sizes 1K,4K,16K,64K,256K,1M --json
python3 -c "import json; j = json.load(open('$work/out')); assert len(j['results']) == 6 and all(r['status'] == 'OK' for r in j['results']), j" || fail 'resumption after a kill'
[ "$(python3 -c 'import sqlite3, sys; print(sqlite3.connect(sys.argv[1]).execute("SELECT count(*) FROM progress").fetchone()[0])' \
    "$work/data/actune/actune.db")" = 0 ] || fail 'a race under way is left over'
ok 'and then has all' "$actune" tune elu --direction forward --sizes 1K,4K,16K,64K,256K,1M --json
python3 -c "import json; j = json.load(open('$work/out')); assert all(r['reused'] for r in j['results']), j" || fail 'a second run measures again'

# --- Ctrl-C keeps what was measured ---
"$actune" tune mish --direction forward --sizes 1K,4K,16K,64K,256K,1M >/dev/null 2>"$work/err" & victim=$!
sleep 1.5; kill -INT $victim 2>/dev/null; wait $victim; status=$?
[ $status -ne 139 ] && [ $status -ne 134 ] || fail "Ctrl-C crashed: $status"
ok 'the database is sound after Ctrl-C' "$actune" db check

# --- no compiler, no libclang ---
ok 'apply without a compiler' env PATH=/nonexistent XDG_CACHE_HOME="$work/empty" "$actune" apply gelu --input x.npy --output z.npy --explain
grep -q 'interpre' "$work/err" || fail 'without a compiler: the interpreter is not named'
echo 'float mine(float x) { return x > 0 ? x : 0.25f * x; }' >mine.c
ok 'built-ins need no libclang' env ACTUNE_LIBCLANG=/nonexistent/libclang.so "$actune" apply silu --input x.npy --output z.npy
refused 1 'libclang' env ACTUNE_LIBCLANG=/nonexistent/libclang.so "$actune" apply '@mine.c:mine' --input x.npy --output z.npy
finish

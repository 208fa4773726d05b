#!/usr/bin/env bash
# Kernels generated when a user's project is built: examples/build-time against the installed package, with Ninja and Make generators and with
# plain make; made again when an input changed, and only then; at another instruction set.
# Arguments: the program, the source folder, the build folder.
set -u
build=$3
. "$2/tests/cli/lib.sh"
CC=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$build/CMakeCache.txt")
export CC
# The program under sanitizers is test_export's subject; here it would only be slow.
case $(sed -n 's/^CMAKE_C_FLAGS:[A-Z]*=//p' "$build/CMakeCache.txt") in *-fsanitize*) echo 'a sanitizer build: skipped'; exit 0 ;; esac
unset LD_LIBRARY_PATH CFLAGS
ok 'install' cmake --install "$build" --prefix "$work/prefix" || finish
libdir=$(dirname "$(find "$work/prefix" -name libactune.a)")
export PKG_CONFIG_PATH=$libdir/pkgconfig

expected='y[8] = 3.9999, y[11] = 6.0000, dbias[1] = 7.0578, gate(-3) = 0.0025'
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }
prints() { # PROGRAM: what the example prints
    local got
    got=$("$@") && [ "$got" = "$expected" ] || fail "$* prints '$got', not '$expected'"
}

with_generator() { # GENERATOR
    local folder="build-$1"
    rm -rf project && cp -r "$source/examples/build-time" project && cp tuned.db project/winners.db
    sed -i 's/# DATABASE/DATABASE/; s/    what .*//' project/CMakeLists.txt
    ok "$1: configure" cmake -G "$1" -S project -B "$folder" "-DCMAKE_PREFIX_PATH=$work/prefix" || return
    ok "$1: build" cmake --build "$folder" || { cat out; return; }
    grep -q 'Generating kernels layers' out || fail "$1: nothing was generated"
    prints "$folder/program"
    for level in x86-64-v2; do [ "$(uname -m)" != x86_64 ] || prints env LAYERS_ISA=$level "$folder/program"; done
    ok "$1: build again" cmake --build "$folder"
    grep -qE 'Generating|Building' out && { fail "$1: something was made again:"; cat out; }
    for input in gate.c winners.db; do
        sleep 0.01 && touch "project/$input"
        ok "$1: what a change of $input means" cmake --build "$folder" -- -n
        grep -q 'Generating kernels layers' out || fail "$1: $input was ignored"
    done
    [ "$1" = Ninja ] || return
    echo 'float gate(float x, float sharpness) { return *x; }' >project/gate.c
    cmake --build "$folder" >out 2>&1 && fail "$1: a bad user file went unnoticed"
    grep -q 'gate.c:1:' out || { fail "$1: the error has no place:"; cat out; }
}

"$actune" tune relu --sizes 1K --budget 1 --direction forward --db tuned.db >/dev/null 2>&1 # its winners do not matter here
with_generator Ninja
with_generator 'Unix Makefiles'

rm -rf project && cp -r "$source/examples/build-time" project
ok 'plain make' make -s -C project CC="$CC" && prints project/program
ok 'plain make again' make -C project CC="$CC"
grep -q 'is up to date' out || { fail 'plain make made something again'; cat out; }

# Said before anything is built.
mkdir wrong
for line in 'actune_add_kernels(k)|SPECS are needed' 'actune_add_kernels(k WHAT relu)|what is .WHAT;relu'; do
    printf 'cmake_minimum_required(VERSION 3.22)\nproject(wrong LANGUAGES C)\nfind_package(actune REQUIRED)\n%s\n' "${line%%|*}" >wrong/CMakeLists.txt
    refused 1 "${line##*|}" cmake -S wrong -B wrong-build "-DCMAKE_PREFIX_PATH=$work/prefix"
done
finish

#!/usr/bin/env bash
# actune export from outside: what is in the folder, what the library needs, and that every function of it computes what it should, built with
# nothing but a C compiler, at every instruction set.
# Arguments: the program, the source folder, the build folder.
set -u
. "$2/tests/cli/lib.sh"
project=$source/tests/consumer/exported
CC=$(sed -n 's/^CMAKE_C_COMPILER:[A-Z]*=//p' "$3/CMakeCache.txt")
unset LD_LIBRARY_PATH PKG_CONFIG_PATH

# says PATTERN FILE WHAT
says() {
    grep -qE -- "$1" "$2" && return 0
    echo "FAILED: no '$1' in $3:"; cat "$2"; failures=$((failures + 1))
}
fail() { echo "FAILED: $*"; failures=$((failures + 1)); }

cp "$project/act.c" .
# With a C compiler and nothing else on PATH.
mkdir bin
for tool in as ld; do ln -s "$(command -v $tool)" bin; done
ln -s "$(command -v "$CC")" bin/cc
bare() { env -i PATH="$work/bin" "$@"; }

# Twenty kernels: what is in the folder, what the library needs, what every function computes.
test_functions() {
    specs=('gelu=bias | gelu_tanh | clip(-6, 6)' 'scale_shift | add | relu' 'prelu(alpha=learn)' 'act=@act.c:softish | clip(-1, 1)' 'silu | dropout(0.25)')
    ok 'export' "$actune" export "${specs[@]}" --name net --dtypes f32,bf16 --direction both --grad-of bias,alpha -o net || finish
    cp out export.log
    says '^net: libnet.so [0-9]+ bytes' export.log 'what export says'

    # Two megabytes for twenty kernels.
    [ "$(stat -c %s net/lib/libnet.so)" -lt $((2 << 20)) ] || fail "libnet.so has $(stat -c %s net/lib/libnet.so) bytes"
    [ "$(grep -c '^NET_API net_status net_.*(const' net/include/net.h)" -eq 20 ] || fail 'net.h should declare 20 kernels'

    # The C library alone; our names alone.
    strange=$(ldd net/lib/libnet.so | grep -vE '(linux-vdso|libc|libm|ld-linux[a-z0-9_-]*)\.so') && fail "libnet.so needs $strange"
    strange=$(nm -D --defined-only net/lib/libnet.so | awk '{print $3}' | grep -v '^net_') && fail "libnet.so exports $strange"
    strange=$(nm --defined-only -g net/lib/libnet.a 2>/dev/null | awk 'NF == 3 {print $3}' | grep -v '^net_') && fail "libnet.a defines $strange"
    strange=$(nm -D --undefined-only net/lib/libnet.so | awk '{print $2}' | grep -E '^(at_|actune_|net_)') && fail "libnet.so lacks $strange"
    nm -D --defined-only net/lib/libnet.so | awk '{print $3}' | sort >symbols
    grep -oE '\bnet_[a-z0-9_]+\(' net/include/net.h | tr -d '(' | sort -u >declared
    ok 'libnet.so exports what its header declares' diff declared symbols
    grep -rqF -e "$work" -e "$source" net && fail "paths of this machine: $(grep -rlF -e "$work" -e "$source" net)"

    warnings=(-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror)
    ok 'consumer, static' bare cc "${warnings[@]}" "$project/check.c" -Inet/include net/lib/libnet.a -o check-static -lm -pthread -ldl &&
        ok 'consumer, shared' bare cc "${warnings[@]}" "$project/check.c" -Inet/include -Lnet/lib -lnet -Wl,-rpath,"$work/net/lib" -o check-shared -lm || finish
    ok 'header in C99' bare cc -std=c99 -pedantic -Wall -Wextra -Werror -fsyntax-only -x c net/include/net.h

    # Each level of the processor's, by the environment; another processor where qemu has one.
    best=$(bare ./check-static) || { fail "check-static: $best"; finish; }
    case $best in x86-64-v4) levels='x86-64-v4 x86-64-v3 x86-64-v2' ;; x86-64-v3) levels='x86-64-v3 x86-64-v2' ;; *) levels=$best ;; esac
    for level in $levels; do
        got=$(bare NET_ISA="$level" ./check-shared) && [ "$got" = "$level" ] || fail "at $level: $got"
    done
    if [ "$(uname -m)" = x86_64 ] && command -v qemu-x86_64 >/dev/null; then
        got=$(qemu-x86_64 -cpu Nehalem ./check-static) && [ "$got" = x86-64-v2 ] || fail "on a Nehalem: $got"
        got=$(qemu-x86_64 -cpu core2duo ./check-static) && [ "$got" = unsupported ] || fail "on a processor below all levels: $got"
    fi

    # From its sources: the documented line, and the Makefile.
    sources=$(find net/src -name '*.c')
    # shellcheck disable=SC2086  # names are words
    ok 'the documented line' bare cc -O1 -shared -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -w -Inet/src/runtime/include $sources -o libnet.so -pthread -ldl -lm &&
        got=$(bare LD_LIBRARY_PATH="$work" ./check-shared) && [ "$got" = "$best" ] || fail "built by the documented line: ${got:-}"
}
sanitized=0 # a sanitized program exports the small library alone
case $(sed -n 's/^CMAKE_C_FLAGS:[A-Z]*=//p' "$3/CMakeCache.txt") in *-fsanitize*) sanitized=1 ;; *) test_functions ;; esac

# A second library, twice: the same bytes; into one program with the first, from C++; rebuilt by its Makefile.
ok 'a second library' "$actune" export relu --name other --isa x86-64-v2,generic -o other
ok 'the same again' "$actune" export relu --name other --isa x86-64-v2,generic -o again --json
ok 'has the same bytes' diff -r other again
compiler=$(sed -n 's/.*"compiler": "\(.*\)".*/\1/p' other/manifest.json)
case $compiler in *clang*) own=clang ;; *) own=gcc ;; esac
cp -r other made && rm made/lib/libother.*
ok 'make' make -s -C made CC=$own && ok 'make gives the same archive' cmp made/lib/libother.a other/lib/libother.a &&
    ok 'make gives the same library' cmp made/lib/libother.so other/lib/libother.so
for cxx in c++ g++ clang++; do command -v $cxx >/dev/null && break || cxx=; done
if [ -n "$cxx" ] && [ "$sanitized" = 0 ]; then
    ok 'two libraries in C++' $cxx -std=c++11 -Wall -Wextra -Werror "$project/two.cpp" -Inet/include -Iother/include net/lib/libnet.a other/lib/libother.a -o two -pthread -ldl &&
        ok 'run' ./two && says "^$best x86-64-v2$" out 'two'
fi

# Package files, in another place than where they were made; what a check finds.
test_folder() {
    mkdir moved && mv net moved/net
    ok 'pkg-config' env PKG_CONFIG_PATH="$work/moved/net/lib/pkgconfig" pkg-config --cflags --libs --static net && says "^-I$work/moved/net/.*include.* -lnet .*-lm" out 'pkg-config'
    ok 'cmake' cmake -S "$project" -B cmake "-DCMAKE_PREFIX_PATH=$work/moved/net" "-DCMAKE_C_COMPILER=$CC" && ok 'cmake --build' cmake --build cmake && ok 'its program' cmake/check

    ok 'a sound folder' "$actune" export --check moved/net
    printf x | dd of=moved/net/lib/libnet.a bs=1 seek=5000 conv=notrunc status=none
    echo new >moved/net/new.txt
    rm moved/net/LICENSE
    refused 1 '^lib/libnet.a has changed$' "$actune" export --check moved/net
    says '^new.txt was not exported$' err 'the check'
    says '^LICENSE is missing$' err 'the check'
    ok 'a check as JSON' bash -c "! '$actune' export --check moved/net --json >check.json 2>/dev/null" && says '"sound": false' check.json 'the check'
    refused 1 'no exported folder' "$actune" export --check "$work/bin"
    refused 1 'nowhere' "$actune" export --check nowhere
}
if [ "$sanitized" = 0 ]; then test_folder; fi

# Bad input: an answer, and nothing half-written.
before=$(ls -A)
refused 1 "'9lib' is no name" "$actune" export relu --name 9lib -o x
refused 1 "'class' is no name" "$actune" export relu --name class -o x
refused 2 'f33' "$actune" export relu --dtypes f33 -o x
refused 2 'x86-64-v9' "$actune" export relu --isa x86-64-v9 -o x
refused 2 'sm80' "$actune" export relu --targets cuda --archs sm80 -o x
refused 2 'needs --archs' "$actune" export relu --targets cuda -o x
refused 2 'FOLDER' "$actune" export relu
refused 1 'topk.*not exported yet' "$actune" export 'relu | topk(4)' --db= -o x
refused 1 'stats.*not exported yet' "$actune" export 'relu | stats' --db= -o x
refused 1 "did you mean 'gelu'" "$actune" export geluu -o x
refused 1 'both get the name' "$actune" export a=relu a=gelu -o x
refused 1 "operand 'bias'" "$actune" export relu --direction both --grad-of bias -o x
refused 1 'no database nowhere.db' "$actune" export relu --db nowhere.db -o x
refused 1 'other is not empty' "$actune" export relu -o other
refused 1 'no earlier export' "$actune" export relu -o bin --force
refused 1 'act.c is there and no folder' "$actune" export relu -o act.c --force
refused 1 'no C compiler.*--sources-only' env PATH="$work/nothing" "$actune" export relu -o x
refused 1 'cannot be made' "$actune" export relu -o nowhere/x
[ "$before" = "$(ls -A)" ] || fail "left behind: $(ls -A)"
ok 'the folder is untouched' "$actune" export --check other
ok 'sources without a compiler' env PATH="$work/nothing" "$actune" export relu --name other -o x --sources-only && [ ! -e x/lib/libother.so ] || fail 'sources'
ok 'they build' bare cc -c -w -O1 -Ix/src/runtime/include x/src/kernels_x86_64_v4.c -o x.o
ok 'an earlier export is replaced' "$actune" export relu --name other --isa generic -o x --force && [ -e x/lib/libother.so ] && [ ! -e x/src/kernels_x86_64_v4.c ] || fail 'force'
finish

#!/usr/bin/env bash
# Dependencies run one way: runtime/base <- {codegen, db, runtime/backend} <- runtime <- {tuner, export} <- cli, and every outside library has
# one owner. Fails on an #include that runs back.
set -u
cd "$2"
bad=0
refuse() { # refuse FOLDER PATTERN WHY
    local hits
    hits=$(grep -nE "#include [<\"]($2)" -r "$1" --include='*.c' --include='*.h') && { printf '%s\n  %s\n' "$3" "$hits"; bad=1; }
}
refuse runtime/base '(\.\./)*(codegen|db|tuner|cli|export|backend|runtime/backend)/' 'runtime/base depends on nothing above it'
refuse codegen '(\.\./)*(db|tuner|cli|export|runtime/(plan|pool|launch|context|dispatch|backend))' 'codegen depends on runtime/base alone'
refuse db '(\.\./)*(codegen|tuner|cli|export|runtime/(plan|pool|launch|context|dispatch|backend))' 'db depends on runtime/base alone'
refuse runtime/backend '(\.\./)*(db|tuner|cli)/' 'back ends do not know the database or the tuner'
refuse runtime '(\.\./)*(tuner|cli|export)/' 'the runtime does not know the tuner'
refuse export '(\.\./)*(tuner|cli)/' 'export does not know the tuner or the command line'
refuse export/support '(\.\./)*(codegen|db|tuner|cli|export)/' 'what exported libraries hold knows the runtime alone'
refuse monitor '(\.\./)*(runtime|codegen|db|tuner|cli)/' 'the monitor knows types of the public header alone'
refuse tuner '(\.\./)*(cli|export)/' 'the tuner does not know the command line'
owner() { # owner HEADER FILES...: only these may include it
    local header=$1 hits
    shift
    hits=$(grep -lE "#include [<\"]$header" -r runtime codegen db tuner export cli monitor tools --include='*.c' --include='*.h' | grep -vxE "$(IFS='|'; echo "$*")")
    [ -n "$hits" ] && { echo "$header belongs to $*, not to: $hits"; bad=1; }
}
owner 'sqlite3\.h' 'db/[a-z_]*\.[ch]'
owner 'clang-c/' 'codegen/parse_clang\.c'
owner 'jansson\.h' 'cli/[a-z_]*\.[ch]'
owner 'cudnn(_symbols)?\.' 'runtime/backend/cudnn[a-z_]*\.[ch]'
owner '(protobuf-c/|event\.pb-c)' 'monitor/[a-z_0-9]*\.[ch]'
owner 'xxhash\.h' 'runtime/base/hash\.c'
exit $bad

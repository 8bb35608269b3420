#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make lint`: the house rules of CONTRIBUTING.md that a machine can see. Prints FILE:LINE: what; ends with status 1
# when something was found. Needs shellcheck and mandoc.
set -u
cd "$(dirname "$0")/.." || exit 1
found=$(mktemp) || exit 1
trap 'rm -f "$found"' EXIT

# Files of the tree, new ones included, ignored ones not.
files() {
    git ls-files --cached --others --exclude-standard -- "$@" | while read -r f; do [ -e "$f" ] && echo "$f"; done
}
mapfile -t code < <(files 'src/*.[ch]' 'test/*.[ch]' 'cuda/*.h' 'cuda/*.cu' 'cuda/*.cuh')
mapfile -t scripts < <(files 'scripts/*.sh' '.ci/run')
mapfile -t others < <(files Makefile 'scripts/*.mk' 'configs/*.yaml' 'man/*' 'test/cli/*')

# --- 1. licence line, line length, white space, file length ---
for f in "${code[@]}" "${scripts[@]}" "${others[@]}"; do
    head -n 2 "$f" | grep -q 'SPDX-License-Identifier: Apache-2.0' || echo "$f:1: no SPDX-License-Identifier line"
done >>"$found"
awk 'length($0) > 120 { print FILENAME ":" FNR ": " length($0) " columns (at most 120)" }
     /[ \t]$/ { print FILENAME ":" FNR ": blank at the end of the line" }' \
    "${code[@]}" "${scripts[@]}" "${others[@]}" >>"$found"
awk '/\t/ { print FILENAME ":" FNR ": tab" }' "${code[@]}" >>"$found"
for f in "${code[@]}"; do
    n=$(wc -l <"$f")
    if [ "$n" -gt 700 ]; then
        echo "$f:700: $n lines (at most 700: one subject each)" >>"$found"
    elif [ "$n" -gt 600 ]; then
        echo "$f: warning: $n lines (aim: 600)"
    fi
done

# --- 2. rooms: who may include whom ---
awk '
BEGIN {
    n = split("base format bio compute parallel feature model app", room, " ")
    for (i = 1; i <= n; i++) rank[room[i]] = i
    layers = "attention triangle triangle_part triangle_stream outer_product evoformer template structure heads embed"
    split(layers, l, " ")
    for (i in l) layer["src/model/" l[i] ".c"] = 1
    split("context weights config confidence batch pair offload " layers, a, " ")
    for (i in a) layer_may["model/" a[i] ".h"] = 1
}
FNR == 1 { split(FILENAME, part, "/"); from = part[1] == "src" ? part[2] : "" }
/^#include "/ && from != "" {
    to = $2; gsub(/"/, "", to); split(to, t, "/")
    if (t[1] == "cuda_backend.h") {
        if (FILENAME != "src/compute/backend.c")
            print FILENAME ":" FNR ": only compute/backend.c may include cuda_backend.h"
        next
    }
    if (t[1] == "comm_nccl.h" || t[1] == "comm_peer.h") {
        if (FILENAME != "src/parallel/comm.c")
            print FILENAME ":" FNR ": only parallel/comm.c may include " t[1]
        next
    }
    if (!(t[1] in rank)) { print FILENAME ":" FNR ": " to " is in no room (write \"room/file.h\")"; next }
    if (rank[t[1]] > rank[from])
        print FILENAME ":" FNR ": " from " may not include " to " (" t[1] " stands below it)"
    if ((from == "bio" && t[1] == "compute") || (from == "compute" && t[1] == "bio"))
        print FILENAME ":" FNR ": bio and compute do not know each other"
    if (FILENAME in layer && t[1] == "model" && !(to in layer_may))
        print FILENAME ":" FNR ": a layer includes the context, the weights and other layers only, not " to
}
from == "model" && FILENAME in layer && /^#include "(feature|parallel|format)\// {
    print FILENAME ":" FNR ": a layer knows no features, ranks or files"
}' "${code[@]}" >>"$found"

# --- 3. knowledge that lives in one place ---
# only REGEX WHERE WHAT: code lines (not comments) with REGEX in src/ outside the files matching WHERE.
only() {
    grep -nE "$1" "${code[@]}" | grep '^src/' | grep -vE "^($2)" | grep -vE '^[^:]*:[0-9]+: *(\*|/\*|//)' |
        sed -E "s|^([^:]*:[0-9]+):.*|\1: $3|" >>"$found"
}
only '\bHAVE_CUDA\b' 'src/(compute/backend|parallel/comm)\.c' \
    'HAVE_CUDA belongs in compute/backend.c and parallel/comm.c'
only '\bHAVE_(MPI|NCCL)\b' 'src/parallel/comm\.c' 'HAVE_MPI and HAVE_NCCL belong in parallel/comm.c'
# run.json and what belongs to searches are JSON that these files write themselves.
only '\bff_yaml_(get|to_|is_null|load|parse)' \
    'src/app/option|src/app/run_record|src/app/search_(record|cache)|src/format/yaml' \
    'app/option*.c alone know YAML keys'
only '\bff_subprocess_(run|check)\(' 'src/app/search|src/base/subprocess' 'app/search*.c alone run external programs'
only '"(unrelaxed_|ranked_|ranking_debug|confidence_model|pae_model)' 'src/app/output' \
    'app/output.c alone knows the names of result files'
only '"[^"]*(evoformer_iteration|alphafold_iteration)' 'src/model/weights|src/model/params' \
    'model/weights.c alone knows the names of parameter arrays'

# --- 4. banned functions and words ---
banned='strcpy|strcat|sprintf|vsprintf|atoi|atol|atof|gets|strtok|alloca|system|tmpnam'
grep -nE "(^|[^_[:alnum:]])($banned)\\(" "${code[@]}" |
    sed -E 's|^([^:]*:[0-9]+):.*|\1: banned function (see CONTRIBUTING.md)|' >>"$found"
grep -nE '\b(TODO|FIXME|XXX)\b' "${code[@]}" "${scripts[@]}" Makefile | grep -v '^scripts/lint.sh:' |
    sed -E 's|^([^:]*:[0-9]+):.*|\1: unfinished place|' >>"$found"
grep -nE '^ *//' "${code[@]}" | grep -vE '^cuda/' | sed -E 's|^([^:]*:[0-9]+):.*|\1: use /* */ comments|' >>"$found"

# --- 5. header guards; every source file is built, every test is run ---
for f in "${code[@]}"; do
    case $f in
        src/*.h)
            guard=FF_$(echo "${f#src/}" | sed 's|[/.]|_|g' | tr '[:lower:]' '[:upper:]')
            grep -q "^#ifndef $guard\$" "$f" || echo "$f:1: header guard is not $guard" ;;
    esac
done >>"$found"
built=$(make --no-print-directory -s list-sources have_mpi=yes 2>/dev/null)
for f in $(files 'src/*.c' 'test/*.c' 'test/cli/*.bats' 'cuda/*.cu'); do
    grep -qxF "$f" <<<"$built" || echo "$f:1: stands in no list of the Makefile"
done >>"$found"

# --- 6. other checkers ---
if command -v shellcheck >/dev/null; then
    shellcheck -S warning -f gcc "${scripts[@]}" >>"$found"
else
    echo "scripts: shellcheck is missing (apt-get install shellcheck)" >>"$found"
fi
if command -v mandoc >/dev/null; then
    mandoc -Tlint -Wwarning man/*.[1-9] >>"$found"
else
    echo "man: mandoc is missing (apt-get install mandoc)" >>"$found"
fi

if [ -s "$found" ]; then
    sort -t: -k1,1 -k2,2n "$found"
    echo "lint: $(wc -l <"$found") found"
    exit 1
fi
echo "lint: ${#code[@]} source files, ${#scripts[@]} scripts, ${#others[@]} others: nothing found"

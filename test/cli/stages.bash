# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2034,SC2154
# What the tests of predict, features, search, plan and compare share. They run from the repository's root; $FASTFOLD is
# the program, $BATS_TEST_TMPDIR a folder of each test's own.

setup() {
    FASTFOLD=${FASTFOLD:-build/fastfold}
    FASTFOLD=$(realpath "$FASTFOLD")
    tmp=$BATS_TEST_TMPDIR
    out=$tmp/out
    demo=data/demo
    config=configs/demo.yaml
    export TMPDIR=$tmp
}

# run_code CODE COMMAND...: runs the command; its exit status must be CODE, and what it printed is in $output.
run_code() {
    local code=$1
    shift
    run "$@"
    if [ "$status" -ne "$code" ]; then
        echo "status $status instead of $code: $*"
        echo "$output"
        return 1
    fi
}

# Every word must be in $output.
said() {
    local word
    for word in "$@"; do
        if [[ $output != *"$word"* ]]; then
            echo "'$word' was not said:"
            echo "$output"
            return 1
        fi
    done
}

not_said() {
    if [[ $output == *"$1"* ]]; then
        echo "'$1' was said:"
        echo "$output"
        return 1
    fi
}

# fasta NAME SEQUENCE: a file with one record; prints its path.
fasta() {
    printf '>%s\n%s\n' "$1" "$2" >"$tmp/$1.fasta"
    echo "$tmp/$1.fasta"
}

# Fast settings for tests that do not look at the structure: the demo network without recycles, the query alone.
quick() {
    "$FASTFOLD" "$@" --config "$config" --no-msa --recycles 0 --output-dir "$out"
}

# stub NAME: a program $tmp/bin/NAME with the text of stdin as its body. Asked for help (-h) it tells a version.
stub() {
    mkdir -p "$tmp/bin"
    {
        echo '#!/bin/bash'
            echo 'if [ "$1" = -h ]; then echo "# HMMER 9.9 (stub)"; exit 0; fi'
            echo 'while [ $# -gt 2 ]; do [ "$1" = -A ] && sto=$2; shift; done; query=$1; database=$2'
        cat
    } >"$tmp/bin/$1"
    chmod +x "$tmp/bin/$1"
}

# The files below a folder, one per line, sorted.
files_in() {
    (cd "$1" && find . -type f | sed 's|^\./||' | LC_ALL=C sort)
}

# No temporary files or folders of a run that failed.
nothing_half_written() {
    local left
    left=$(find "$1" -name '.*' ! -name '.' 2>/dev/null)
    if [ -n "$left" ]; then
        echo "left behind: $left"
        return 1
    fi
}

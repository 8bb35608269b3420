#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs test programs (cmocka, TAP output) and .bats files one after the other, shows one line for each and all of the
# output of those that fail, and ends with "N passed, N failed, N skipped". Exits 1 when a test failed.
# usage: run_tests.sh build/test/unit/test_x ... test/cli/y.bats ...
set -u
limit=${FF_TEST_TIMEOUT:-900}
passed=0 failed=0 skipped=0
skips=$(mktemp) || exit 1
log=$(mktemp) || exit 1
trap 'rm -f "$skips" "$log"' EXIT

for t in "$@"; do
    start=$(date +%s)
    case $t in
        *.bats) timeout "$limit" bats --tap "$t" >"$log" 2>&1 ;;
        *) CMOCKA_MESSAGE_OUTPUT=TAP timeout "$limit" "$t" >"$log" 2>&1 ;;
    esac
    rc=$?
    seconds=$(($(date +%s) - start))
    # cmocka writes "not ok N # SKIP name", bats "ok N name # skip reason".
    s=$(grep -ciE '^(not )?ok .*# skip' "$log")
    p=$(grep -E '^ok ' "$log" | grep -civE '# skip')
    f=$(grep -E '^not ok ' "$log" | grep -civE '# skip')
    # A program that crashed, ran out of time or printed no results counts as one failure more.
    note=
    if [ "$rc" -eq 124 ]; then
        f=$((f + 1)) note=", stopped after $limit s"
    elif [ "$f" -eq 0 ] && [ "$rc" -ne 0 ]; then
        f=1 note=", ended with status $rc"
    elif [ $((p + f + s)) -eq 0 ]; then
        f=1 note=", no results"
    fi
    passed=$((passed + p)) failed=$((failed + f)) skipped=$((skipped + s))
    if [ "$f" -ne 0 ]; then
        cat "$log"
        printf 'FAIL  %s (%d failed, %d passed%s)\n' "$t" "$f" "$p" "$note"
    else
        printf 'ok    %-44s %3d passed%s  %d s\n' "$t" "$p" "$([ "$s" -ne 0 ] && echo ", $s skipped")" "$seconds"
    fi
    grep -iE '^(not )?ok .*# skip' "$log" | sed -E "s|^(not )?ok [0-9]+ *-* *(# SKIP )?|$(basename "$t"): |" >>"$skips"
done

if [ -s "$skips" ]; then
    echo 'skipped:'
    sed 's/^/  /' "$skips"
fi
echo "$passed passed, $failed failed, $skipped skipped"
[ "$failed" -eq 0 ]

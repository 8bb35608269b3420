#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Help, version and unknown commands; help, manual and parser agree.
bats_require_minimum_version 1.5.0
load common

@test "without a command: the overview on stderr, status 2" {
    run --separate-stderr "$FASTFOLD"
    [ "$status" -eq 2 ]
    [ -z "$output" ]
    [[ "$stderr" == *"usage: fastfold COMMAND"* ]]
}

@test "help lists every command with one line" {
    run "$FASTFOLD" help
    [ "$status" -eq 0 ]
    for c in predict search features plan compare params config doctor bench version; do
        grep -qE "^  $c " <<<"$output"
    done
    run "$FASTFOLD" --help
    [ "$status" -eq 0 ]
    has "usage: fastfold COMMAND"
}

@test "help COMMAND and COMMAND --help are the same" {
    for c in predict search features plan compare params config doctor bench version; do
        a=$("$FASTFOLD" help "$c")
        b=$("$FASTFOLD" "$c" --help)
        [ "$a" = "$b" ]
        [[ "$a" == "usage: fastfold $c"* ]]
    done
}

@test "a mistyped command is named with the nearest one" {
    fails 2 "$FASTFOLD" predcit
    has "unknown command 'predcit'; did you mean 'predict'?"
    fails 2 "$FASTFOLD" help predcit
    has "'predict'"
}

@test "version prints version, compiler and backends" {
    run "$FASTFOLD" version
    [ "$status" -eq 0 ]
    [[ "${lines[0]}" =~ ^fastfold\ [0-9]+\.[0-9]+\.[0-9]+ ]]
    has "built with"
    has "cpu: "
    has "cuda: "
    run "$FASTFOLD" --version
    [[ "${lines[0]}" =~ ^fastfold\ [0-9] ]]
    fails 2 "$FASTFOLD" version now
}

@test "a full disk behind stdout is an error" {
    [ -e /dev/full ] || skip "no /dev/full"
    run bash -c "'$FASTFOLD' version >/dev/full"
    [ "$status" -eq 8 ]
    has "standard output"
}

@test "every flag in the help of a command stands in the manual, and the other way round" {
    page=$(sed 's/Fl Fl /--/g' man/fastfold.1)
    commands="predict search features plan compare params config doctor bench"
    for c in $commands; do
        for flag in $("$FASTFOLD" help "$c" | grep -oE '(^|[ ,])--[a-z][a-z-]*' | tr -d ' ,' | sort -u); do
            [[ "$page" == *"$flag"* ]] || { echo "$flag of $c is not in man/fastfold.1"; return 1; }
        done
    done
    help=$(for c in $commands; do "$FASTFOLD" help "$c"; done)
    for flag in $(grep -E '^\.It Fl' man/fastfold.1 | grep -oE 'Fl Fl [a-z-]+' | sed 's/Fl Fl /--/' | sort -u); do
        [[ "$help" == *"$flag"* ]] || { echo "$flag of man/fastfold.1 is in no help"; return 1; }
    done
}

@test "the manual's lists of options are what the program knows" {
    cp man/*.[15] "$BATS_TEST_TMPDIR"
    scripts/man_options.sh "$FASTFOLD" "$BATS_TEST_TMPDIR"
    for page in fastfold.1 fastfold-config.5; do
        diff -u "man/$page" "$BATS_TEST_TMPDIR/$page" ||
            { echo "run scripts/man_options.sh build/fastfold"; return 1; }
    done
}

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# fastfold doctor and scripts/deps.sh.
bats_require_minimum_version 1.5.0
load common

@test "doctor finds everything that the demo needs" {
    run "$FASTFOLD" doctor --config configs/demo.yaml
    [ "$status" -eq 0 ]
    has "params_demo.npz"
    has "proteins.fasta"
    has "Nothing is missing"
}

@test "doctor names what is missing, with a remedy, and ends with status 4" {
    run "$FASTFOLD" doctor --config configs/demo.yaml --params "$BATS_TEST_TMPDIR/none.npz" \
        --set tools.jackhmmer=jackhmmer_that_is_not_there --set databases.mgnify=/nowhere/m.fa
    [ "$status" -eq 4 ]
    has "MISSING: '"
    has "apt-get install hmmer"
    has "MISSING: /nowhere/m.fa"
    has "none.npz"
    has "3 things missing"
}

@test "doctor without any database says what to do" {
    run "$FASTFOLD" doctor --params synthetic
    [ "$status" -eq 0 ]
    has "--data-dir DIR"
}

@test "deps.sh does nothing when everything is there, and is told what is missing without apt-get" {
    run scripts/deps.sh
    [ "$status" -eq 0 ]
    [ -z "$output" ]
    # A PATH with the compiler and the shell only.
    mkdir "$BATS_TEST_TMPDIR/bin"
    for p in sh cc as ld id printf; do
        path=$(command -v "$p") && ln -s "$path" "$BATS_TEST_TMPDIR/bin/$p"
    done
    PATH=$BATS_TEST_TMPDIR/bin run scripts/deps.sh
    [ "$status" -eq 1 ]
    has "missing:"
    has "hmmer"
    has "bats"
    has "no apt-get"
}

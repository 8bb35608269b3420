#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Several ranks on the CPU: the pieces by themselves, and whole passes against one rank.

load ranks

setup() {
    command -v mpirun >/dev/null || skip "no mpirun"
    export FF_TEST_LATE=1 # collectives end as late as they may, so that a missing wait shows
}

@test "one rank splits, gathers and exchanges nothing" {
    run ranks 1 "$build/test_exchange"
    [ "$status" -eq 0 ]
}

@test "two, three and four ranks split, gather and exchange tensors" {
    for n in 2 3 4; do
        run ranks "$n" "$build/test_exchange"
        [ "$status" -eq 0 ]
    done
}

emulated_gpus() { # transport
    [ -x "$build/../emulated/test_exchange" ] || skip "no emulated GPU in this build"
    for n in 2 3 4; do
        FF_TEST_DEVICE=cuda FF_TEST_TRANSPORT=$1 run ranks "$n" "$build/../emulated/test_exchange"
        echo "$output"
        [ "$status" -eq 0 ]
    done
}

@test "two, three and four emulated GPUs write into each other's memory" {
    emulated_gpus peer
}

@test "two, three and four emulated GPUs pack what NCCL sends" {
    emulated_gpus nccl
}

@test "operands of triangles are made in the memory of other emulated GPUs" {
    [ -x "$build/../emulated/test_dap" ] || skip "no emulated GPU in this build"
    for n in 2 4; do
        FF_TEST_DEVICE=cuda FF_TEST_TRANSPORT=peer run ranks "$n" "$build/../emulated/test_dap" test_triangles
        echo "$output"
        [ "$status" -eq 0 ]
        [ "$(grep -c 'OK.*test_triangles' <<<"$output")" -eq 1 ]
    done
}

@test "triangle multiplications on three and four ranks equal those on one" {
    for n in 3 4; do
        run ranks "$n" "$build/test_dap" test_triangles
        echo "$output"
        [ "$status" -eq 0 ]
        [ "$(grep -c 'OK.*test_triangles' <<<"$output")" -eq 1 ]
    done
}

@test "whole passes on two ranks equal one rank" {
    run ranks 2 "$build/test_dap"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'largest relative difference' <<<"$output")" -eq 5 ]
}

@test "whole passes on three and four ranks equal one rank" {
    for n in 3 4; do
        run ranks "$n" "$build/test_dap" test_monomer_without_templates
        echo "$output"
        [ "$status" -eq 0 ]
        [ "$(grep -c 'largest relative difference' <<<"$output")" -ge 1 ]
    done
}

@test "with little memory, three ranks share the representations and use the host's memory" {
    run ranks 3 "$build/test_dap" test_little_memory
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'MiB with' <<<"$output")" -eq 1 ]
}

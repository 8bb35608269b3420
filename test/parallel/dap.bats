#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# Several ranks on the CPU: the pieces by themselves, and whole passes against one rank.

build=${FF_TEST_BUILD:-build}/test/parallel

setup() {
    command -v mpirun >/dev/null || skip "no mpirun"
}

# $1 ranks of a program that share this machine: they must not spin while they wait. Collectives end as late as they
# may, so that a missing wait shows.
ranks() {
    local n=$1
    shift
    FF_TEST_LATE=1 OMP_NUM_THREADS=1 timeout 300 mpirun --allow-run-as-root --oversubscribe --bind-to none \
        --mca mpi_yield_when_idle 1 --mca btl self,vader -np "$n" "$@"
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

@test "whole passes on two ranks equal one rank" {
    run ranks 2 "$build/test_dap"
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(grep -c 'largest relative difference' <<<"$output")" -eq 4 ]
}

@test "whole passes on three and four ranks equal one rank" {
    for n in 3 4; do
        run ranks "$n" "$build/test_dap" test_monomer_without_templates
        echo "$output"
        [ "$status" -eq 0 ]
        [ "$(grep -c 'largest relative difference' <<<"$output")" -ge 1 ]
    done
}

@test "commands refuse to run on several ranks" {
    run ranks 2 "${FASTFOLD:-build/fastfold}" version
    [ "$status" -ne 0 ]
    [[ "$output" == *"launched on 2 ranks"* ]]
}

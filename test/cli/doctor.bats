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

@test "OpenBLAS takes kernels that the processor has, unless it is told which" {
    run "$FASTFOLD" version
    [[ $output == *DYNAMIC_ARCH* ]] || skip "a CBLAS that does not choose kernels"
    grep -q '^flags.* avx2' /proc/cpuinfo || skip "a processor without AVX2"
    [[ $output != *" on Prescott"* && $output != *" on Nehalem"* && $output != *" on Sandybridge"* ]]
    if grep -q '^flags.* avx512f.* avx512vl' /proc/cpuinfo; then
        [[ $output == *" on SkylakeX"* || $output == *" on Cooperlake"* || $output == *" on SapphireRapids"* ]]
    fi
    OPENBLAS_CORETYPE=Nehalem run "$FASTFOLD" doctor --params synthetic
    [ "$status" -eq 0 ]
    has " on Nehalem"
}

@test "doctor without any database says what to do" {
    run "$FASTFOLD" doctor --params synthetic
    [ "$status" -eq 0 ]
    has "--data-dir DIR"
}

@test "a GPU that is asked for and cannot be had" {
    run env CUDA_VISIBLE_DEVICES= "$FASTFOLD" bench --device cuda --length 8
    if "$FASTFOLD" version | grep -q 'cuda: not built in'; then
        [ "$status" -eq 2 ]
        has "built without CUDA; use --device cpu, or build it with 'make CUDA=1'"
    else
        [ "$status" -eq 6 ]
        [[ $output == *"no NVIDIA driver is loaded; install one, or use --device cpu"* ||
            $output == *"no NVIDIA GPU is visible to this program; CUDA_VISIBLE_DEVICES is set; use --device cpu"* ]]
    fi
    # Chosen by itself, the processor does without a word.
    run env CUDA_VISIBLE_DEVICES= "$FASTFOLD" bench --no-ops --block 1x1 --model model_3
    [ "$status" -eq 0 ]
    [[ $output != *"computing on the CPU"* ]]
    has "on cpu"
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

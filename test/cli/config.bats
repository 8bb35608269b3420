#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# fastfold config, and what is said about wrong configurations.
bats_require_minimum_version 1.5.0
load common

@test "config prints what config reads back equal" {
    for model in model_1 model_2_ptm model_4_multimer_v3 model_3_multimer demo; do
        "$FASTFOLD" config --model "$model" >"$BATS_TEST_TMPDIR/a.yaml"
        (cd / && "$FASTFOLD" config --config "$BATS_TEST_TMPDIR/a.yaml") >"$BATS_TEST_TMPDIR/b.yaml"
        diff "$BATS_TEST_TMPDIR/a.yaml" "$BATS_TEST_TMPDIR/b.yaml"
    done
}

@test "later files win over earlier ones, the command line over files" {
    echo 'model: {num_recycle: 5, num_ensemble: 2}' >"$BATS_TEST_TMPDIR/a.yaml"
    echo 'model: {num_recycle: 6}' >"$BATS_TEST_TMPDIR/b.yaml"
    run "$FASTFOLD" config --config "$BATS_TEST_TMPDIR/a.yaml" --config "$BATS_TEST_TMPDIR/b.yaml"
    has "  num_recycle: 6"
    has "  num_ensemble: 2"
    run "$FASTFOLD" config --recycles 7 --config "$BATS_TEST_TMPDIR/a.yaml"
    has "  num_recycle: 7"
    run "$FASTFOLD" config --recycles 7 --set model.num_recycle=8
    has "  num_recycle: 8"
}

@test "relative paths of configs/demo.yaml are found from any folder" {
    root=$PWD
    cd /
    run "$FASTFOLD" config --config "$root/configs/demo.yaml"
    [ "$status" -eq 0 ]
    has "params: \"$root/data/demo/params_demo.npz\""
    has "uniref90: \"$root/data/demo/proteins.fasta\""
    run "$FASTFOLD" config --config demo
    has "params: \"$root/data/demo/params_demo.npz\""
}

@test "every preset of configs/ loads" {
    for f in configs/*.yaml; do
        run "$FASTFOLD" config --config "$f"
        [ "$status" -eq 0 ] || { echo "$f: $output"; return 1; }
    done
}

@test "an unknown key is an error with file, line and the nearest key" {
    printf 'model:\n  num_recycle: 1\n  evoformer:\n    num_blocks: 2\n' >"$BATS_TEST_TMPDIR/x.yaml"
    fails 2 "$FASTFOLD" config --config "$BATS_TEST_TMPDIR/x.yaml"
    has "$BATS_TEST_TMPDIR/x.yaml:4: unknown key 'model.evoformer.num_blocks'"
    has "did you mean 'model.evoformer.num_block'?"
}

@test "a wrong type is an error with file, line, what was found and expected" {
    printf '# a comment\nrun:\n  threads: all\n' >"$BATS_TEST_TMPDIR/x.yaml"
    fails 2 "$FASTFOLD" config --config "$BATS_TEST_TMPDIR/x.yaml"
    has "x.yaml:3: run.threads: found 'all'; expected an integer from 0 to 4096"
}

@test "broken YAML is an error with file and line" {
    printf 'run:\n  seed: [1\nmodel:\n' >"$BATS_TEST_TMPDIR/x.yaml"
    fails 2 "$FASTFOLD" config --config "$BATS_TEST_TMPDIR/x.yaml"
    [[ "$output" =~ x.yaml:[0-9]+: ]]
}

@test "a missing file, an unknown model, a wrong operand" {
    fails 4 "$FASTFOLD" config --config nowhere.yaml
    has "nowhere.yaml"
    fails 2 "$FASTFOLD" config --model model_9
    has "unknown model 'model_9'"
    has "model_5_multimer_v2"
    fails 2 "$FASTFOLD" config x.fasta
    has "'x.fasta'"
}

@test "config --list has one line of five fields for every key, then the flags that are no keys" {
    keys=$("$FASTFOLD" config | grep -cE '^ *[a-z0-9_]+: .')
    run "$FASTFOLD" config --list
    [ "$status" -eq 0 ]
    [ "$(grep -c '^[a-z]' <<<"$output")" -eq "$keys" ]
    awk -F '\t' 'NF != 5 || $5 == "" || $1 $2 == "" { print; bad = 1 } END { exit bad }' <<<"$output"
}

@test "the program alone, without its tree, still has its presets" {
    cp "$FASTFOLD" "$BATS_TEST_TMPDIR/fastfold"
    run "$BATS_TEST_TMPDIR/fastfold" config --model model_2
    [ "$status" -eq 0 ]
    has "name: model_2"
}

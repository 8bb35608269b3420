#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# fastfold params, and scripts/download_params.sh against an archive on this machine.
bats_require_minimum_version 1.5.0
load common

# A network small enough to make its parameters in a moment, whose set of arrays is that of a model without templates.
small() {
    cat >"$BATS_TEST_TMPDIR/small.yaml" <<'YAML'
base: model_5
model:
  name: small
  evoformer: {num_block: 1}
  extra_msa_stack: {num_block: 1}
YAML
    echo "$BATS_TEST_TMPDIR/small.yaml"
}

@test "params info lists the arrays and names the model" {
    run "$FASTFOLD" params info data/demo/params_demo.npz
    [ "$status" -eq 0 ]
    has "alphafold/alphafold_iteration/evoformer/evoformer_iteration/pair_transition/transition1//weights"
    has "267 arrays, 1605146 values, 6.1 MiB"
    has "fits: demo"
}

@test "params check reads every array" {
    run "$FASTFOLD" params check data/demo/params_demo.npz --model demo
    [ "$status" -eq 0 ]
    has "267 arrays"
}

@test "params check says what is missing, unexpected and of wrong shape" {
    fails 3 "$FASTFOLD" params check data/demo/params_demo.npz --model model_1_ptm
    has "params_demo.npz"
    has "template"
    has "shape"
}

@test "params synth writes what params check accepts" {
    small=$(small)
    run "$FASTFOLD" params synth --config "$small" --out "$BATS_TEST_TMPDIR/params_small.npz"
    [ "$status" -eq 0 ]
    run "$FASTFOLD" params check "$BATS_TEST_TMPDIR/params_small.npz" --config "$small"
    [ "$status" -eq 0 ]
    run "$FASTFOLD" params check "$BATS_TEST_TMPDIR" --config "$small"
    [ "$status" -eq 0 ]
    has "params_small.npz"
}

@test "a damaged byte and a truncated file are found" {
    cp data/demo/params_demo.npz "$BATS_TEST_TMPDIR/bad.npz"
    printf '\377' | dd of="$BATS_TEST_TMPDIR/bad.npz" bs=1 seek=3000000 conv=notrunc status=none
    fails 3 "$FASTFOLD" params check "$BATS_TEST_TMPDIR/bad.npz" --model demo
    has "bad.npz"
    head -c 3000000 data/demo/params_demo.npz >"$BATS_TEST_TMPDIR/short.npz"
    fails 3 "$FASTFOLD" params check "$BATS_TEST_TMPDIR/short.npz" --model demo
    has "short.npz"
}

@test "params: missing file, wrong verb, no file" {
    fails 4 "$FASTFOLD" params check nowhere.npz --model demo
    fails 4 "$FASTFOLD" params info nowhere.npz
    fails 2 "$FASTFOLD" params look
    fails 2 "$FASTFOLD" params synth --model demo
    has "--out"
    fails 2 "$FASTFOLD" params check --model model_1
}

@test "download_params.sh fetches, goes on, unpacks and checks" {
    small=$(small)
    mkdir "$BATS_TEST_TMPDIR/made" "$BATS_TEST_TMPDIR/got"
    "$FASTFOLD" params synth --config "$small" --out "$BATS_TEST_TMPDIR/made/params_small.npz"
    tar -C "$BATS_TEST_TMPDIR/made" -cf "$BATS_TEST_TMPDIR/made/archive.tar" params_small.npz
    # The script asks for --model NAME; the network of this test needs its file.
    cat >"$BATS_TEST_TMPDIR/fastfold" <<SH
#!/bin/sh
exec "$FASTFOLD" params check "\$3" --config "$small"
SH
    chmod +x "$BATS_TEST_TMPDIR/fastfold"
    export FASTFOLD_PARAMS_URL=file://$BATS_TEST_TMPDIR/made/archive.tar FASTFOLD_PARAMS_MODELS=small
    head -c 100000 "$BATS_TEST_TMPDIR/made/archive.tar" >"$BATS_TEST_TMPDIR/got/archive.tar"
    command -v curl >/dev/null || skip "no curl"
    FASTFOLD=$BATS_TEST_TMPDIR/fastfold run scripts/download_params.sh "$BATS_TEST_TMPDIR/got"
    [ "$status" -eq 0 ] || { echo "$output"; return 1; }
    cmp "$BATS_TEST_TMPDIR/made/params_small.npz" "$BATS_TEST_TMPDIR/got/params/params_small.npz"
    [ ! -e "$BATS_TEST_TMPDIR/got/archive.tar" ]
    FASTFOLD=$BATS_TEST_TMPDIR/fastfold run scripts/download_params.sh "$BATS_TEST_TMPDIR/got"
    [ "$status" -eq 0 ]
    has "has every file"
}

@test "download_params.sh refuses an archive of something else" {
    command -v curl >/dev/null || skip "no curl"
    echo text >"$BATS_TEST_TMPDIR/file"
    tar -C "$BATS_TEST_TMPDIR" -cf "$BATS_TEST_TMPDIR/other.tar" file
    export FASTFOLD_PARAMS_URL=file://$BATS_TEST_TMPDIR/other.tar FASTFOLD_PARAMS_MODELS=model_1
    FASTFOLD=$FASTFOLD run scripts/download_params.sh "$BATS_TEST_TMPDIR/got"
    [ "$status" -eq 1 ]
    has "does not hold params_model_1.npz"
    run scripts/download_params.sh
    [ "$status" -eq 1 ]
    has "expected a folder"
}

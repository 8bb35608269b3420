#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2154
# `fastfold plan`: needs no parameters and no GPU.

load stages

# value KEY: a number of the JSON output.
value() {
    sed -n "s/^ *\"$1\": \([0-9.e+]*\),*$/\1/p" <<<"$output" | head -n 1
}

@test "every stage with its memory and work" {
    run_code 0 "$FASTFOLD" plan $demo/4ot.fasta --model model_1_ptm
    said "4OT" "model_1_ptm" "59 residues, 508 clusters, 5120 extra sequences, 4 templates" "parameters" "chunks" \
        "templates" "extra-MSA stack" "Evoformer" "structure module" "heads"
}

@test "JSON with the same numbers" {
    run_code 0 "$FASTFOLD" plan $demo/4ot.fasta --model model_1_ptm --json
    [ "$(value n_res)" = 59 ]
    [ "$(value total_bytes)" -eq $(($(value weight_bytes) + $(value arena_bytes) + $(value workspace_bytes))) ]
    [ "$(value weight_bytes)" -gt 370000000 ]
}

@test "a longer chain needs more" {
    run_code 0 "$FASTFOLD" plan $demo/4ot.fasta --config $config --json
    small=$(value arena_bytes)
    run_code 0 "$FASTFOLD" plan $demo/6kwc.fasta --config $config --json
    [ "$(value arena_bytes)" -gt "$small" ]
}

@test "less memory gives smaller chunks, and too little a refusal with what would fit" {
    run_code 0 "$FASTFOLD" plan $demo/6kwc.fasta --model model_1_ptm --json --memory-limit 64GiB
    most=$(value total_bytes)
    chunk=$(value chunk_bytes)
    run_code 0 "$FASTFOLD" plan $demo/6kwc.fasta --model model_1_ptm --json --memory-limit $((most - 1000000))
    [ "$(value total_bytes)" -lt "$most" ]
    [ "$(value chunk_bytes)" -lt "$chunk" ]
    run_code 7 "$FASTFOLD" plan $demo/6kwc.fasta --model model_1_ptm --memory-limit 500MiB
    said "6KWC_1" "191 residues" "residues fit"
    run_code 7 "$FASTFOLD" plan $demo/6kwc.fasta --model model_1_ptm --memory-limit 1MiB
}

@test "little memory of a GPU: weights on the host, unless that is not allowed" {
    gpu="$demo/6kwc.fasta --model model_5_ptm --device cuda --precision fp32 --json"
    run_code 0 "$FASTFOLD" plan $gpu
    [ "$(value host_bytes)" = 0 ]
    run_code 0 "$FASTFOLD" plan $gpu --memory-limit 1400MiB
    limit=$(($(value weight_bytes) + $(value workspace_bytes) + 90000000))
    run_code 0 "$FASTFOLD" plan $gpu --memory-limit $limit
    [ "$(value host_bytes)" -gt 300000000 ]
    [ "$(value total_bytes)" -le $limit ]
    limit=$((limit - 80000000))
    run_code 7 "$FASTFOLD" plan $gpu --memory-limit $limit --offload never
    said "residues fit"
}

@test "long chains on one GPU, with templates: the pair and pieces of the extra MSA take turns" {
    gpu="--model model_1_ptm --device cuda --precision bf16 --json"
    run_code 0 "$FASTFOLD" plan "$(fasta long "$(printf 'ACDEFGHIKL%.0s' {1..1600})")" $gpu --memory-limit 78GiB
    [ "$(value n_template)" = 4 ]
    [ "$(value waiting_bytes)" -ge $((16000 * 16000 * 256)) ]
    run_code 0 "$FASTFOLD" plan "$(fasta q "$(printf 'ACDEFGHIKL%.0s' {1..120})")" $gpu --memory-limit 1800MiB
    said '"msa_in_pieces": true'
}

@test "what is planned is what a run takes" {
    run_code 0 "$FASTFOLD" plan --features $demo/golden_4ot.npz --config $config --json
    total=$(value total_bytes)
    run_code 0 "$FASTFOLD" predict --features $demo/golden_4ot.npz --config $config -o "$out"
    output=$(cat "$out/golden_4ot/run.json")
    said "\"peak_backend_bytes\": $total"
}

@test "the alignment counts: none, one's own" {
    run_code 0 "$FASTFOLD" plan $demo/4ot.fasta --model model_1_ptm --no-msa --json
    [ "$(value n_seq)" = 1 ]
    [ "$(value n_extra)" = 0 ]
    printf '>q\nPIAQIHILEGRSDEQKETLIREVSEAISRSLDAPLTSVRVIITEMAKGHFGIGGELASK\n' >"$tmp/m.a3m"
    run_code 0 "$FASTFOLD" plan $demo/4ot.fasta --model model_1_ptm --msa "$tmp/m.a3m" --json
    [ "$(value n_seq)" = 1 ]
}

@test "a GPU need not be there" {
    run_code 0 "$FASTFOLD" plan $demo/4ot.fasta --model model_1_ptm --device cuda --precision bf16
    said "cuda"
}

@test "bad input" {
    run_code 4 "$FASTFOLD" plan "$tmp/none.fasta"
    run_code 2 "$FASTFOLD" plan
    run_code 2 "$FASTFOLD" plan $demo/4ot.fasta --model model_9
    run_code 3 "$FASTFOLD" plan "$(fasta q AC1)"
}

@test "ranks: memory falls, bytes are counted, and the group of auto is told" {
    run_code 0 "$FASTFOLD" plan $demo/6kwc.fasta --config $config --ranks 4 --bandwidth 100 --threads 1
    said "on ranks, predicted with 100 GB/s" "MB sent, block" "auto"
    run_code 0 "$FASTFOLD" plan $demo/6kwc.fasta --model model_5_ptm --ranks 2 --json --threads 1
    [ "$(value ranks_of_auto)" = 2 ]
    mapfile -t memory < <(sed -n 's/^ *"rank_bytes": \([0-9]*\),*$/\1/p' <<<"$output")
    [ "${#memory[@]}" -eq 2 ]
    [ "${memory[1]}" -lt "${memory[0]}" ]
    run_code 2 "$FASTFOLD" plan $demo/6kwc.fasta --config $config --ranks none
}

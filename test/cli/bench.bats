#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2154
# `fastfold bench`: at sizes that take no time.

load stages

small=(--device cpu --length 12 --msa 5 --extra 4)

@test "every operation with its time, rate and part of the roof" {
    run_code 0 "$FASTFOLD" bench "${small[@]}" --model model_1_ptm
    said "model_1_ptm, 12 residues, 5 sequences, 4 extra, 4 templates, on cpu" "this machine: matrix product" "GFLOP/s"
    for op in copy fill scale_add layer_norm linear pair_bias attention global_attention transition triangle_project \
        triangle_contract triangle_output outer_product_mean outer_sum relative_position distance_embed \
        extra_msa_embed template_pair_embed template_attention point_attention rigid_update atoms_from_angles \
        pseudo_beta symmetric_linear aligned_error distance_change; do
        said " $op "
    done
    not_said "one pass" "one Evoformer block"
    said "clock of the host, caches left as they are; roof by what this machine reached before and after"
    [[ ${lines[-1]} =~ ^"this machine: matrix product "[0-9.]+" ("[0-9.]+" to "[0-9.]+") GFLOP/s, copy " ]]
}

@test "JSON: each operation with what the machine reached beside it; no extra sequences" {
    run_code 0 "$FASTFOLD" bench --device cpu --length 8 --json --model model_3 --msa 3 --extra 0
    said '"product_flops_per_second": ' '"of_roof": '
    not_said template_attention global_attention null
    if command -v python3 >/dev/null; then
        python3 - "$output" <<'END'
import json, sys
d = json.loads(sys.argv[1])
rates = "product_flops_per_second", "copy_bytes_per_second", "functions_per_second"
assert all(d[r] > 0 for r in rates)
for o in d["operations"]:
    product, copy, functions = (o[r] for r in rates)
    assert o["seconds"] > 0 and copy > 0, o
    assert (product > 0) == (o["flops"] > 0) and (functions > 0) == (o["functions"] > 0), o
    arithmetic = (o["flops"] / product if product else 0) + (o["functions"] / functions if functions else 0)
    least = max(o["bytes"] / copy, arithmetic)
    assert 0 < o["of_roof"] <= 4 * least / o["best_seconds"] + 1e-3, o
END
    fi
}

@test "sizes from the model's settings" {
    run_code 0 "$FASTFOLD" bench --device cpu --length 8 --json --model model_3 --set msa.max_clusters=7 \
        --set msa.max_extra=3 --no-ops --block 2x5
    said '"n_res": 8' '"n_seq": 7' '"n_extra": 3' '"n_template": 0'
}

@test "sizes that are none" {
    run_code 2 "$FASTFOLD" bench --length 3
    said "--length 3: expected a whole number from 4 to 100000"
    run_code 2 "$FASTFOLD" bench --msa many
    said "--msa many: expected a whole number from 1"
    run_code 2 "$FASTFOLD" bench --extra -1
    said "--extra -1: expected a whole number from 0"
    run_code 2 "$FASTFOLD" bench x.fasta
    said "'x.fasta' was not expected"
    run_code 2 "$FASTFOLD" bench --pass --model model_1_multimer_v3 "${small[@]}"
    said "for complexes"
}

@test "a whole pass: its time, and where it went" {
    run_code 0 "$FASTFOLD" bench "${small[@]}" --pass --no-ops --set model.evoformer.num_block=1 \
        --set model.extra_msa_stack.num_block=1 --model model_3
    said "one pass: " "under the profile" "atoms_from_angles" "extra-MSA stack" "structure module"
    not_said "bound by"
}

@test "single blocks of the Evoformer" {
    run_code 0 "$FASTFOLD" bench "${small[@]}" --no-ops --block 3x8,2x5 --json --model model_3
    said '"evoformer_block": ' '"n_seq": 3' '"n_res": 5' '"best_seconds": '
    not_said '"operations": ' null
    run_code 2 "$FASTFOLD" bench --block 128
    said "expected an 'x' between sequences and residues"
    run_code 2 "$FASTFOLD" bench --block 128x256+3x4
    said "expected a comma between sizes"
    run_code 2 "$FASTFOLD" bench --block 0x256
    said "--block: '0x256': expected SEQUENCESxRESIDUES"
    run_code 2 "$FASTFOLD" bench --no-ops
    said "--no-ops leaves nothing to do"
}

@test "runs of several lengths, and their picture" {
    DEVICE=cpu run_code 0 "test/bench/lengths.sh" "$FASTFOLD" "$tmp/runs" 12:fp32::1 16:fp32:1GiB:1
    said "12:fp32::1" "16:fp32:1GiB:1"
    not_said failed
    run_code 0 "test/bench/plot.sh" "$tmp"/runs/*/run.json
    said "<svg" "fastfold fp32, 12 residues: " "fastfold fp32, 16 residues: " "FastFold bf16: 10,000 residues" "</svg>"
    [ "$(grep -c '<title>fastfold' <<<"$output")" -eq 2 ] # memory alone: one block is no pass
}

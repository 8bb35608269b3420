#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2154
# Complexes, and several networks and seeds: input forms, searches, order of chains, ranking, resuming, bad input. The
# network is a small one with made-up parameters; its numbers are looked at in test/golden.

load stages

a=ACDEFGHIKLMN
b=PQRSTVWYAC
small="--params synthetic --recycles 0 --set model.evoformer.num_block=1 --set model.extra_msa_stack.num_block=1"
small+=" --set model.templates.stack.num_block=1 --set model.structure.num_layer=1"
v3="--model model_1_multimer_v3 $small"

# predict FILE...: without searches.
predict() {
    "$FASTFOLD" predict --no-msa --output-dir "$out" "$@"
}

# Chains of a PDB file with their numbers of residues, as "A12 B10".
chains_of() {
    grep '^ATOM.* CA ' "$1" | cut -c 22 | uniq -c | awk '{printf "%s%s%d", n++ ? " " : "", $2, $1}'
}

@test "records with --complex, ':' in a record and a table are the same complex" {
    printf '>x one\n%s\n>x two\n%s\n>x\n%s\n' $a $b $a >"$tmp/aba.fasta"
    run_code 0 predict "$tmp/aba.fasta" --complex $v3
    mkdir "$tmp/second" "$tmp/third"
    printf '>aba\n%s:%s:%s\n' $a $b $a >"$tmp/second/r.fasta"
    printf 'id,sequence\naba,%s:%s:%s\n' $a $b $a >"$tmp/third/r.csv"
    run_code 0 predict "$tmp/second/r.fasta" $v3 -o "$tmp/second"
    run_code 0 predict "$tmp/third/r.csv" $v3 -o "$tmp/third"
    cmp "$out/aba/ranked_0.pdb" "$tmp/second/aba/ranked_0.pdb"
    cmp "$out/aba/ranked_0.pdb" "$tmp/third/aba/ranked_0.pdb"
    [ "$(chains_of "$out/aba/ranked_0.pdb")" = "A12 B10 C12" ]
    expected='\{"chain_ids":\["A","B","C"\],"chain_lengths":\[12,10,12\],"chain_starts":\[1,13,23\],"ptm":[0-9.]+,'
    grep -qE "^$expected" "$out/aba/summary_model_1_multimer_v3_pred_0.json"
    grep -q '"iptm+ptm"' "$out/aba/ranking_debug.json"
    # The published order: copies follow each other, and the first chain is B.
    run_code 0 predict "$tmp/aba.fasta" --complex $v3 --set output.chain_ids=alphafold -o "$tmp/published"
    [ "$(chains_of "$tmp/published/aba/ranked_0.pdb")" = "B12 C12 D10" ]
    grep -q '"chain_ids":\["B","C","D"\]' "$tmp/published/aba/summary_model_1_multimer_v3_pred_0.json"
    for end in 'B' 'C'; do # the same structures, under other names: columns behind the chain's letter
        diff <(grep "^ATOM.\{17\}$end" "$tmp/published/aba/ranked_0.pdb" | cut -c 23-) \
            <(grep "^ATOM.\{17\}$([ $end = B ] && echo A || echo C)" "$out/aba/ranked_0.pdb" | cut -c 23-)
    done
}

@test "the PAE of a long complex, written by rows, stands in the order of the input" {
    fasta aba $a:$b:$a >/dev/null
    run_code 0 predict "$tmp/aba.fasta" $v3
    run_code 0 predict "$tmp/aba.fasta" $v3 -o "$tmp/long" --set output.arrays_max_residues=10
    grep -qa predicted_aligned_error/eighths.npy "$tmp"/long/aba/result_*.npz
    paste <(grep -oE '[0-9.]+' "$out"/aba/pae_*.json) <(grep -oE '[0-9.]+' "$tmp"/long/aba/pae_*.json) |
        awk '{ d = $1 - $2 } d > 0.1001 || d < -0.1001 { bad++ } END { exit bad > 0 || NR != 34 * 34 + 1 }'
}

@test "features of a complex start a prediction again" {
    complex=$(fasta ab $a:$b)
    run_code 0 predict "$complex" $v3
    run_code 0 "$FASTFOLD" features "$complex" --model model_1_multimer_v3 --no-msa -o "$tmp/f"
    cmp "$out/ab/features.npz" "$tmp/f/ab/features.npz"
    run_code 0 "$FASTFOLD" predict --features "$tmp/f/ab/features.npz" $v3 -o "$tmp/again"
    cmp "$out/ab/ranked_0.pdb" "$tmp/again/ab/ranked_0.pdb"
    run_code 0 "$FASTFOLD" plan --features "$tmp/f/ab/features.npz"
    said "model_1_multimer_v3" "22 residues" "predictions  5"
    run_code 3 "$FASTFOLD" predict --features "$tmp/f/ab/features.npz" --model model_1_ptm $small -o "$tmp/no"
    said "features of a complex" "single chains"
    run_code 0 "$FASTFOLD" features "$(fasta q $a)" --config $config --no-msa -o "$tmp/f"
    run_code 3 "$FASTFOLD" predict --features "$tmp/f/q/features.npz" $v3 -o "$tmp/no"
    said "features of a single chain" "complexes"
}

@test "several networks and seeds are ranked, each with its own seed" {
    run_code 0 predict "$(fasta ab $a:$b)" $small --models model_1_multimer_v3,model_5_multimer_v3 --num-seeds 2 \
        --seed 3
    for model in 1 5; do
        for i in 0 1; do
            [ -e "$out/ab/unrelaxed_model_${model}_multimer_v3_pred_$i.pdb" ]
            grep -q "\"process_features_model_${model}_multimer_v3_pred_$i\"" "$out/ab/timings.json"
        done
    done
    [ "$(grep -c '_pred_[01]": [0-9.]*' "$out/ab/ranking_debug.json")" -eq 4 ]
    seeds=$(sed -n '/"predictions"/,$s/^ *"seed": \([0-9]*\),/\1/p' "$out/ab/run.json" | head -4 | tr '\n' ' ')
    [ "$seeds" = "12 13 14 15 " ]
    best=$(awk -F '"' '/"order"/ {getline; print $2}' "$out/ab/ranking_debug.json")
    cmp "$out/ab/ranked_0.pdb" "$out/ab/unrelaxed_$best.pdb"
    [ -e "$out/ab/ranked_3.pdb" ] && [ ! -e "$out/ab/ranked_4.pdb" ]
    # Networks of different sizes for one chain; the order of the file does not matter for the score.
    run_code 0 predict "$(fasta q $a)" $small --models model_1,model_3
    said "model_1_pred_0" "model_3_pred_0"
    grep -q '"plddts"' "$out/q/ranking_debug.json"
}

@test "without a model, complexes are predicted by the five networks of version 3" {
    run_code 0 "$FASTFOLD" plan "$(fasta ab $a:$b)" --no-msa --set model.evoformer.num_block=1
    said "predictions  5" "22 residues"
    run_code 2 predict "$(fasta ab $a:$b)" --models multimer,monomer --params synthetic
    said "do not go together"
    run_code 2 predict "$(fasta ab $a:$b)" --models model_1_multimer_v3,model_1_multimer_v3 --params synthetic
    said "named twice"
    run_code 2 predict "$(fasta ab $a:$b)" --models model_1_multimer_v3, --params synthetic
    said "commas"
    run_code 2 predict "$(fasta ab $a:$b)" --models model_1_multimer_v4 --params synthetic
    said "model_1_multimer_v3"
    run_code 2 predict "$(fasta ab $a:$b)" --models multimer --model model_1_ptm --params synthetic
    said "exclude each other"
    # One file is not the parameters of five networks.
    "$FASTFOLD" params synth --model model_1_multimer_v3 --set model.evoformer.num_block=1 \
        --set model.extra_msa_stack.num_block=1 --out "$tmp/p.npz"
    run_code 2 predict "$(fasta ab $a:$b)" --params "$tmp/p.npz" --set model.evoformer.num_block=1 \
        --set model.extra_msa_stack.num_block=1
    said "p.npz" "model_1_multimer_v3" "model_2_multimer_v3"
}

@test "a run that was stopped goes on at the next network and seed" {
    models="--models model_1_multimer_v3,model_2_multimer_v3 --num-seeds 2"
    complex=$(fasta ab $a:$b)
    run_code 0 predict "$complex" $small $models
    cp -r "$out" "$tmp/before"
    # As after a kill behind the second prediction: its record, without what came later.
    awk '/"stage": "predict"/ {sub("predict", "features")} {print}' "$tmp/before/ab/run.json" >"$out/ab/run.json"
    rm "$out"/ab/ranked_* "$out"/ab/ranking_debug.json "$out"/ab/*model_2*
    touch -d '2001-01-01' "$out"/ab/*model_1_*
    run_code 0 predict "$complex" $small $models
    said "model_1_multimer_v3_pred_0: finished before" "model_1_multimer_v3_pred_1: finished before" \
        "prediction 3 of 4: model_2_multimer_v3_pred_0, seed 2"
    [ -z "$(find "$out/ab" -name '*model_1_*' -newermt 2002-01-01)" ]
    cmp "$out/ab/ranking_debug.json" "$tmp/before/ab/ranking_debug.json"
    cmp "$out/ab/ranked_3.pdb" "$tmp/before/ab/ranked_3.pdb"
    run_code 0 predict "$complex" $small $models
    said "nothing to do"
}

@test "each sequence is searched once, and different ones are paired by species" {
    printf '>tr|A0A000AAA1|A0A000AAA1_YEAST a\n%s\n' CDEFGHIKLMNPQRSTVWYACDEFGHIKLMNA >"$tmp/db.fasta"
    printf '>tr|A0A000AAA2|A0A000AAA2_YEAST b\n%s\n' MKTAYIAKQRQISFVKSHFSRQLEERLGLA >>"$tmp/db.fasta"
    {
        printf '>first\nCDEFGHIKLMNPQRSTVWYACDEFGHIKLMNP\n>second\nMKTAYIAKQRQISFVKSHFSRQLEERLGLI\n'
        printf '>third\nCDEFGHIKLMNPQRSTVWYACDEFGHIKLMNP\n'
    } >"$tmp/aba.fasta"
    dbs="--set databases.preset=reduced_dbs --set databases.uniref90=$tmp/db.fasta"
    dbs+=" --set databases.uniprot=$tmp/db.fasta"
    run_code 0 "$FASTFOLD" search "$tmp/aba.fasta" --complex $dbs -o "$out"
    [ "$(cd "$out/aba/msas" && ls)" = "$(printf 'A\nB\nchain_id_map.json')" ]
    for id in A B; do
        [ -e "$out/aba/msas/$id/uniref90_hits.sto" ] && [ -e "$out/aba/msas/$id/uniprot_hits.sto" ]
    done
    grep -q '"file": "B/uniprot_hits.sto"' "$out/aba/run.json"
    grep -qE '^    "C": \{$' "$out/aba/msas/chain_id_map.json"
    grep -qE '^        "description": "third",$' "$out/aba/msas/chain_id_map.json"
    # One row pairs the two sequences; none is left of either, so the alignment has it and the query.
    run_code 0 "$FASTFOLD" predict "$tmp/aba.fasta" --complex $dbs $v3 -o "$out"
    said "used again" "94 residues, 2 different sequences"
    # Equal chains alone need no pairing.
    run_code 0 "$FASTFOLD" search "$(fasta aa $a$a:$a$a)" $dbs -o "$out"
    [ "$(cd "$out/aa/msas" && ls)" = "$(printf 'A\nchain_id_map.json')" ]
    [ ! -e "$out/aa/msas/A/uniprot_hits.sto" ]
}

@test "a ColabFold alignment of a complex keeps its pairs" {
    printf '#12,10\t2,1\n>101\t102\n%s%s\n>r\ts\n%s%s\n>t\nACDEFGHIKLM-----------\n' $a $b \
        ACDEFGHIKLMA PQRSTVWYAA >"$tmp/c.a3m"
    run_code 0 "$FASTFOLD" predict "$(fasta aba $a:$b:$a)" $v3 --msa "$tmp/c.a3m" -o "$out"
    said "34 residues, 3 different sequences"
    run_code 3 "$FASTFOLD" predict "$(fasta ab $a:$b)" $v3 --msa "$tmp/c.a3m" -o "$out"
    said "c.a3m:1" "copies"
    printf '>101\n%s\n' $a >"$tmp/plain.a3m"
    run_code 3 "$FASTFOLD" predict "$(fasta ab $a:$b)" $v3 --msa "$tmp/plain.a3m" -o "$out"
    said "ColabFold"
    run_code 0 "$FASTFOLD" predict "$(fasta aa $a:$a)" $v3 --msa "$tmp/plain.a3m" -o "$out"
}

@test "30 equal chains, and 63 that PDB has no letters for" {
    thirty=$(printf ':ACDE%.0s' $(seq 30))
    run_code 0 predict "$(fasta many ${thirty#:})" $v3
    [ "$(chains_of "$out/many/ranked_0.pdb" | wc -w)" -eq 30 ]
    chains_of "$out/many/ranked_0.pdb" | grep -q 'Z4 a4 b4 c4 d4$'
    more=$(printf ':AC%.0s' $(seq 63))
    run_code 0 predict "$(fasta more ${more#:})" $v3
    said "62 chains" "mmCIF" "ranked_0.cif"
    [ ! -e "$out/more/ranked_0.pdb" ]
    grep -q '"AA","BA"' "$out/more/summary_model_1_multimer_v3_pred_0.json"
}

@test "bad input of complexes: each a clear message" {
    run_code 3 predict "$(fasta q $a:)" $v3
    said "chain 2 is empty"
    run_code 3 predict "$(fasta q $a:G)" $v3
    said "chain 2" "1 residue"
    run_code 3 predict "$(fasta q $a:G1C)" $v3
    said "'1'"
    run_code 0 predict "$(fasta x $a:GXBC)" $v3
    said "predicted as unknown (X)"
    run_code 2 predict "$(fasta q $a:$b)" --model model_1_ptm $small
    said "'q' is a complex" "model_1_ptm" "--models multimer"
    printf '>a\n%s:%s\n>b\n%s\n' $a $b $a >"$tmp/mixed.fasta"
    run_code 2 predict "$tmp/mixed.fasta" $small
    said "a is a complex" "b a single chain"
    # No database at all is told as for single chains; without one for pairing the queries alone are paired.
    run_code 2 "$FASTFOLD" predict "$(fasta q $a:$b)" $v3 -o "$out"
    said "no sequence database" "--no-msa"
    run_code 0 "$FASTFOLD" search "$(fasta q $a:$b)" --set databases.preset=reduced_dbs \
        --set databases.uniref90=$demo/proteins.fasta -o "$out"
    said "search uniprot: no database"
    run_code 2 predict "$(fasta q $a:$b)" $v3 --template $demo/reference/4ot.pdb
    said "--template" "2 different"
    [ ! -e "$out/q/features.npz" ]
}

@test "the demo complex runs as documented" {
    run_code 0 "$FASTFOLD" predict $demo/complex.fasta --complex --config configs/demo_complex.yaml -o "$out" \
        --recycles 0 --set msa.max_clusters=8 --set msa.max_extra=16
    said "the structure means nothing" "ipTM"
    [ "$(chains_of "$out/complex/ranked_0.pdb")" = "A59 B191 C59" ]
}

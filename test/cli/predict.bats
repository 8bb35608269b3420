#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2154
# `fastfold predict`: result files, names, resuming, batches. Structures are looked at in demo.bats and test/golden.

load stages

crambin=TTCCPSIVARSNFNVCRLPGTPEAICATYTGCIIIPGATCPGDYAN

@test "the result files have the published names and formats" {
    run_code 0 quick predict "$(fasta crn $crambin)"
    said "mean pLDDT" "peak memory" "$out/crn/ranked_0.pdb"
    expected=$(printf '%s\n' confidence_demo_pred_0.json features.npz pae_demo_pred_0.json ranked_0.pdb \
        ranking_debug.json result_demo_pred_0.npz run.json timings.json unrelaxed_demo_pred_0.pdb)
    [ "$(files_in "$out/crn")" = "$expected" ] || { files_in "$out/crn"; false; }
    cmp "$out/crn/ranked_0.pdb" "$out/crn/unrelaxed_demo_pred_0.pdb"
    nothing_half_written "$out"

    # ranking_debug and timings are indented by four; a number has as many digits as it needs.
    grep -qE '^    "plddts": \{$' "$out/crn/ranking_debug.json"
    grep -qE '^        "demo_pred_0": [0-9]+\.[0-9]+$' "$out/crn/ranking_debug.json"
    grep -qE '^    "process_features_demo_pred_0": [0-9.e-]+,$' "$out/crn/timings.json"
    grep -qE '^    "predict_and_compile_demo_pred_0": [0-9.e-]+$' "$out/crn/timings.json"
    # confidence and pae have no white space at all.
    re='^\{"residueNumber":\[1,2,.*,46\],"confidenceScore":\[[0-9.,]+\],'
    re+='"confidenceCategory":\["[DLMH]"(,"[DLMH]")*\]\}$'
    grep -qE "$re" "$out/crn/confidence_demo_pred_0.json"
    re='^\[\{"predicted_aligned_error":\[\[[0-9]+\.[0-9],.*\]\],"max_predicted_aligned_error":31\.75\}\]$'
    grep -qE "$re" "$out/crn/pae_demo_pred_0.json"
}

@test "the PDB file has pLDDT as B factor and tells where the parameters come from" {
    run_code 0 quick predict "$(fasta crn $crambin)"
    pdb=$out/crn/ranked_0.pdb
    grep -q '^REMARK.*demo parameters' "$pdb"
    [ "$(grep -c '^ATOM .* CA ' "$pdb")" -eq 46 ]
    [ "$(awk '{print length($0)}' "$pdb" | sort -u)" = 80 ]
    score=$(sed -E 's/.*"confidenceScore":\[([0-9.]+),.*/\1/' "$out/crn/confidence_demo_pred_0.json")
    b_factor=$(grep -m 1 '^ATOM' "$pdb" | cut -c 61-66 | tr -d ' ')
    [ "$(printf '%.2f' "$score")" = "$b_factor" ]
}

@test "results of long targets: no logits, the PAE in eighths, the same pae file to a tenth" {
    run_code 0 "$FASTFOLD" predict --features $demo/golden_4ot.npz --config $config --recycles 0 -o "$tmp/a"
    run_code 0 "$FASTFOLD" predict --features $demo/golden_4ot.npz --config $config --recycles 0 -o "$tmp/b" \
        --set output.arrays_max_residues=50
    said "eighths of an angstrom" "output.arrays_max_residues is 50"
    a=$tmp/a/golden_4ot b=$tmp/b/golden_4ot
    for name in [^_]predicted_aligned_error distogram/logits predicted_aligned_error/logits masked_msa/logits; do
        grep -qa "$name.npy" "$a/result_demo_pred_0.npz"
        if grep -qa "$name.npy" "$b/result_demo_pred_0.npz"; then false; fi
    done
    grep -qa predicted_aligned_error/eighths.npy "$b/result_demo_pred_0.npz"
    cmp "$a/ranked_0.pdb" "$b/ranked_0.pdb"
    paste <(grep -oE '[0-9.]+' "$a/pae_demo_pred_0.json") <(grep -oE '[0-9.]+' "$b/pae_demo_pred_0.json") |
        awk '{ d = $1 - $2 } d > 0.1001 || d < -0.1001 { bad++ } END { exit bad > 0 || NR != 59 * 59 + 1 }'
}

@test "parameters without the PAE head give no pae file" {
    run_code 0 "$FASTFOLD" predict "$(fasta crn $crambin)" --config $config --no-msa --recycles 0 --output-dir "$out" \
        --params synthetic --set model.heads.predicted_aligned_error=false
    [ ! -e "$out/crn/pae_demo_pred_0.json" ]
    [ -e "$out/crn/ranked_0.pdb" ]
}

@test "representations are saved when asked for" {
    run_code 0 quick predict "$(fasta crn $crambin)"
    without=$(stat -c %s "$out/crn/result_demo_pred_0.npz")
    run_code 0 quick predict "$(fasta crn $crambin)" --save-representations --overwrite
    [ "$(stat -c %s "$out/crn/result_demo_pred_0.npz")" -gt $((without + 46 * 46 * 64 * 4)) ]
    grep -qa 'representations/pair.npy' "$out/crn/result_demo_pred_0.npz"
}

@test "run.json tells how the result was made" {
    run_code 0 quick predict "$(fasta crn $crambin)" --seed 7 --threads 1
    run_json=$out/crn/run.json
    for text in '"command": "fastfold predict ' '"stage": "predict"' '"seed": 7' '"precision": "fp32"' \
        '"backend": "cpu"' '"threads": 1' '"num_recycle": 0' '"mean_plddt": ' '"peak_host_bytes": ' \
        '"role": "parameters"' \
        "\"sequence_sha256\": \"$(printf %s $crambin | sha256sum | cut -d ' ' -f 1)\""; do
        grep -qF -- "$text" "$run_json" || { echo "$text"; cat "$run_json"; false; }
    done
}

@test "a finished target is skipped, and made again with --overwrite" {
    run_code 0 quick predict "$(fasta crn $crambin)"
    cp -r "$out" "$tmp/before"
    run_code 0 quick predict "$(fasta crn $crambin)"
    said "nothing to do" "mean pLDDT"
    diff -r "$out" "$tmp/before"
    # Threads change no result.
    run_code 0 quick predict "$(fasta crn $crambin)" --threads 1
    said "nothing to do"
    run_code 0 quick predict "$(fasta crn $crambin)" --overwrite
    not_said "nothing to do"
    cmp "$out/crn/ranked_0.pdb" "$tmp/before/crn/ranked_0.pdb"
}

@test "results of other settings or inputs are not touched without --overwrite" {
    run_code 0 quick predict "$(fasta crn $crambin)"
    cp -r "$out" "$tmp/before"
    run_code 2 quick predict "$(fasta crn $crambin)" --seed 1
    said "other inputs or settings" "--overwrite"
    run_code 2 quick predict "$(fasta crn ${crambin}A)"
    run_code 2 quick predict "$(fasta crn $crambin)" --params synthetic
    diff -r "$out" "$tmp/before"
    run_code 0 quick predict "$(fasta crn $crambin)" --seed 1 --overwrite
    grep -q '"seed": 1' "$out/crn/run.json"
}

@test "results of another program are not touched without --overwrite" {
    mkdir -p "$out/crn"
    echo mine >"$out/crn/ranked_0.pdb"
    run_code 2 quick predict "$(fasta crn $crambin)"
    said "ranked_0.pdb"
    [ "$(cat "$out/crn/ranked_0.pdb")" = mine ]
    run_code 0 quick predict "$(fasta crn $crambin)" --overwrite
}

@test "a result file that is gone or cut is made again" {
    run_code 0 quick predict "$(fasta crn $crambin)"
    cp "$out/crn/ranked_0.pdb" "$tmp/before.pdb"
    rm "$out/crn/ranked_0.pdb"
    run_code 0 quick predict "$(fasta crn $crambin)"
    cmp "$out/crn/ranked_0.pdb" "$tmp/before.pdb"
    head -c 100 "$tmp/before.pdb" >"$out/crn/ranked_0.pdb"
    run_code 0 quick predict "$(fasta crn $crambin)"
    cmp "$out/crn/ranked_0.pdb" "$tmp/before.pdb"
}

@test "the same seed gives the same bytes on one thread and on two, another seed others" {
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/a" --threads 1
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/b" --threads 1
    cmp "$tmp/a/4OT/result_demo_pred_0.npz" "$tmp/b/4OT/result_demo_pred_0.npz"
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/c" --threads 2
    cmp "$tmp/a/4OT/features.npz" "$tmp/c/4OT/features.npz"
    run_code 0 "$FASTFOLD" compare "$tmp/a/4OT/ranked_0.pdb" "$tmp/c/4OT/ranked_0.pdb"
    said "CA-RMSD   0.000 A"
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/d" --threads 1 --seed 1
    if cmp -s "$tmp/a/4OT/result_demo_pred_0.npz" "$tmp/d/4OT/result_demo_pred_0.npz"; then false; fi
}

@test "an alignment of one's own, in Stockholm and A3M, plain and compressed" {
    run_code 0 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$tmp/s"
    sto=$tmp/s/4OT/msas/uniref90_hits.sto
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/a" --msa "$sto"
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/b"
    cmp "$tmp/a/4OT/features.npz" "$tmp/b/4OT/features.npz"
    [ ! -e "$tmp/a/4OT/msas" ]
    {
        printf '>q\nPIAQIHILEGRSDEQKETLIREVSEAISRSLDAPLTSVRVIITEMAKGHFGIGGELASK\n'
        printf '>h x\nPIAQIHaaILEGRSDEQKETLIREVSEAISRSLDAPLTSVRVIITEMAKGHFGI-----SK\n'
    } >"$tmp/m.a3m"
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/c" --msa "$tmp/m.a3m"
    said "2 different sequences"
    gzip "$tmp/m.a3m"
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/d" --msa "$tmp/m.a3m.gz"
    cmp "$tmp/c/4OT/features.npz" "$tmp/d/4OT/features.npz"
}

@test "starting from features equals the whole path" {
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 1 -o "$tmp/a" --threads 1
    run_code 0 "$FASTFOLD" features $demo/4ot.fasta --config $config -o "$tmp/b"
    said "$tmp/b/4OT/features.npz"
    cmp "$tmp/a/4OT/features.npz" "$tmp/b/4OT/features.npz"
    run_code 0 "$FASTFOLD" predict --features "$tmp/b/4OT/features.npz" --config $config --recycles 1 -o "$tmp/c" \
        --threads 1
    cmp "$tmp/a/4OT/ranked_0.pdb" "$tmp/c/4OT/ranked_0.pdb"
    # In the folder of its own features the prediction belongs to them.
    run_code 0 "$FASTFOLD" predict --features "$tmp/b/4OT/features.npz" --config $config --recycles 1 -o "$tmp/b" \
        --threads 1
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 1 -o "$tmp/b"
    said "nothing to do"
}

@test "the features command stops before the network and resumes" {
    run_code 0 "$FASTFOLD" features $demo/4ot.fasta --config $config -o "$out" --params "$tmp/none.npz"
    [ "$(files_in "$out/4OT")" = "$(printf 'features.npz\nmsas/searches.json\nmsas/uniref90_hits.sto\nrun.json')" ]
    run_code 0 "$FASTFOLD" features $demo/4ot.fasta --config $config -o "$out"
    said "nothing to do"
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$out" \
        --set tools.jackhmmer=no-such-program
    said "used again"
    [ -e "$out/4OT/ranked_0.pdb" ]
}

@test "several records are predicted one after the other" {
    printf '>a\n%s\n>b x y\nACDEFGHIKL\n>c/d\nMNPQRSTVWY\n' $crambin >"$tmp/many.fasta"
    run_code 0 quick predict "$tmp/many.fasta"
    for name in a b c_d; do [ -e "$out/$name/ranked_0.pdb" ]; done
    grep -q '"description": "b x y"' "$out/b/run.json"
}

@test "a target that fails does not stop the others: status 9" {
    long=$(printf 'ACDEFGHIKLMNPQRSTVWY%.0s' $(seq 60))
    printf '>small\nACDEFGHIKL\n>large\n%s\n>other\nMNPQRSTVWY\n' "$long" >"$tmp/many.fasta"
    run_code 9 quick predict "$tmp/many.fasta" --memory-limit 30MiB
    said "1 of 3 targets failed" "1200 residues"
    [ -e "$out/small/ranked_0.pdb" ]
    [ -e "$out/other/ranked_0.pdb" ]
    [ ! -e "$out/large" ]
}

@test "Ctrl-C in the network leaves nothing half-written, and the next run goes on" {
    long=$(printf 'ACDEFGHIKLMNPQRSTVWY%.0s' $(seq 30))
    fasta long "$long"
    env --default-signal=INT "$FASTFOLD" predict "$tmp/long.fasta" --config $config --no-msa -o "$out" \
        --set output.arrays_max_residues=500 2>"$tmp/log" &
    pid=$!
    for _ in $(seq 100); do grep -q 'pass 1' "$tmp/log" && break; sleep 0.1; done
    ls "$out"/long/.result_*.tmp # begun, as the rows of its PAE go there
    kill -INT $pid
    code=0
    wait $pid || code=$?
    [ "$code" -eq 130 ] || { cat "$tmp/log"; false; }
    nothing_half_written "$out"
    [ "$(files_in "$out/long")" = "$(printf 'features.npz\nrun.json')" ]
    run_code 0 "$FASTFOLD" features "$tmp/long.fasta" --config $config --no-msa -o "$out"
    said "nothing to do"
}

@test "a long record name is cut, an empty one becomes a number" {
    name=$(printf 'n%.0s' $(seq 300))
    printf '>%s\nACDEFGHIKL\n' "$name" >"$tmp/long.fasta"
    run_code 0 quick predict "$tmp/long.fasta"
    [ -e "$out/${name:0:100}/ranked_0.pdb" ]
    printf '>\nACDEFGHIKL\n' >"$tmp/my query.fasta"
    run_code 0 quick predict "$tmp/my query.fasta"
    [ -e "$out/sequence_1/ranked_0.pdb" ]
}

@test "unknown residues have no side chain and no atoms, and that is told" {
    run_code 0 quick predict "$(fasta x ACDEFXGHIKLU)"
    said "unknown" "X6" "U12"
    [ "$(grep -c '^ATOM .* CA ' "$out/x/ranked_0.pdb")" -eq 10 ]
}

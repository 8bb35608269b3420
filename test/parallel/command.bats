#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2154
# The commands under mpirun, on the CPU: results are those of one rank, the queue, ranks that fail.

load ranks
load ../cli/stages

crambin=TTCCPSIVARSNFNVCRLPGTPEAICATYTGCIIIPGATCPGDYAN

# Before every test of stages.bash's.
ready() {
    command -v mpirun >/dev/null || skip "no mpirun"
    "$FASTFOLD" version | grep -q . || return 1
    small="--config $config --no-msa --recycles 1"
}

# An alignment of 1 + $1 rows for crambin: each row has one residue that differs.
alignment() {
    local i
    printf '>query\n%s\n' $crambin
    for ((i = 1; i <= $1; i++)); do
        printf '>row%d\n%sA%s\n' "$i" "${crambin:0:i}" "${crambin:i+1}"
    done
}

# same NAME FOLDER...: the result of a target in each folder is that in the first.
same() {
    local name=$1 first=$2 folder
    shift 2
    for folder in "$@"; do
        run "$build/same_results" "$first"/$name/result_*.npz "$folder"/$name/result_*.npz
        [ "$status" -eq 0 ] || { echo "$folder: $output"; return 1; }
        diff <(files_in "$first/$name") <(files_in "$folder/$name")
    done
}

@test "a target on two, three and four ranks gives the results of one rank" {
    ready
    alignment 7 >"$tmp/crn.a3m"
    options="--config $config --msa $tmp/crn.a3m --recycles 1 --save-representations"
    run_code 0 "$FASTFOLD" predict "$(fasta crn $crambin)" $options -o "$tmp/1" --threads 1
    for n in 2 3 4; do
        run_code 0 ranks $n "$FASTFOLD" predict "$tmp/crn.fasta" $options -o "$tmp/$n" --dap $n
        said "mean pLDDT" "$tmp/$n/crn/ranked_0.pdb"
        [ "$(grep -c '^crn$' <<<"$output")" -eq 1 ]
    done
    same crn "$tmp/1" "$tmp/2" "$tmp/3" "$tmp/4"
}

@test "fewer rows than ranks: the query alone on four ranks" {
    ready
    run_code 0 "$FASTFOLD" predict "$(fasta short ${crambin:0:21})" $small -o "$tmp/1" --threads 1
    run_code 0 ranks 4 "$FASTFOLD" predict "$tmp/short.fasta" $small -o "$tmp/4" --dap 4
    same short "$tmp/1" "$tmp/4"
}

@test "a complex on two and three ranks gives the results of one rank" {
    ready
    # The sizes of the published network, but for the number of blocks.
    options="--model model_1_multimer_v3 --params synthetic --set model.evoformer.num_block=2 --no-msa --recycles 0"
    options+=" --set model.extra_msa_stack.num_block=1"
    fasta dimer "${crambin:0:17}:${crambin:5:20}" >/dev/null
    run_code 0 "$FASTFOLD" predict "$tmp/dimer.fasta" $options -o "$tmp/1" --threads 1
    for n in 2 3; do
        run_code 0 ranks $n "$FASTFOLD" predict "$tmp/dimer.fasta" $options -o "$tmp/$n"
        said "on 1 group of $n ranks"
    done
    same dimer "$tmp/1" "$tmp/2" "$tmp/3"
}

@test "a PAE that goes to its file by rows, in the order of the input, on three ranks" {
    ready
    options="--model model_1_multimer_v3 --params synthetic --set model.evoformer.num_block=1 --no-msa --recycles 0"
    options+=" --set model.extra_msa_stack.num_block=1 --set output.arrays_max_residues=20"
    fasta aba "${crambin:0:9}:${crambin:5:11}:${crambin:0:9}" >/dev/null
    run_code 0 "$FASTFOLD" predict "$tmp/aba.fasta" $options -o "$tmp/1" --threads 1
    run_code 0 ranks 3 "$FASTFOLD" predict "$tmp/aba.fasta" $options -o "$tmp/3"
    same aba "$tmp/1" "$tmp/3"
    grep -qa predicted_aligned_error/eighths.npy "$tmp"/3/aba/result_*.npz
}

@test "the program's golden files on two ranks" {
    ready
    [ -x "${FF_TEST_BUILD:-build}/test/golden/test_command" ] || skip "test_command is not built"
    cat >"$tmp/two_ranks" <<END
#!/bin/bash
. test/parallel/ranks.bash
ranks 2 $FASTFOLD "\$@"
END
    chmod +x "$tmp/two_ranks"
    for filter in test_monomer_notemplate_small test_multimer_v3_small; do
        FASTFOLD=$tmp/two_ranks CMOCKA_TEST_FILTER=$filter run "${FF_TEST_BUILD:-build}/test/golden/test_command"
        echo "$output"
        [ "$status" -eq 0 ]
        [[ $output == *"1 test(s) run"* ]]
    done
}

@test "a batch: groups of one rank take targets from one queue, and a second run finds them done" {
    ready
    for n in 14 24 19 29; do
        printf '>t%d\n%s\n' $n "${crambin:0:n}"
    done >"$tmp/batch.fasta"
    run_code 0 "$FASTFOLD" predict "$tmp/batch.fasta" $small -o "$tmp/1" --threads 1
    run_code 0 ranks 2 "$FASTFOLD" predict "$tmp/batch.fasta" $small -o "$tmp/2" --dap 1
    said "4 targets on 2 groups of 1 rank" "4 of 4 targets are done" "by rank 1"
    for n in 14 19 24 29; do
        same t$n "$tmp/1" "$tmp/2"
    done
    [ "$(grep -c '"status": "done"' "$tmp/2/summary.json")" -eq 4 ]
    diff <(grep -v 'seconds"\|command"\|result"' "$tmp/1/summary.json") \
        <(grep -v 'seconds"\|command"\|result"' "$tmp/2/summary.json")
    run_code 0 ranks 3 "$FASTFOLD" predict "$tmp/batch.fasta" $small -o "$tmp/2"
    [ "$(grep -c '"status": "done before"' "$tmp/2/summary.json")" -eq 4 ]
    not_said "pass 1"
}

@test "targets that fail, before and while it runs, are told once, and the others are finished: status 9" {
    ready
    long=$(printf 'ACDEFGHIKLMNPQRSTVWY%.0s' $(seq 60))
    printf '>good\n%s\n>bad\n%s\n>long\n%s\n' ${crambin:0:20} $crambin "$long" >"$tmp/three.fasta"
    cat >"$tmp/jackhmmer" <<'END'
#!/bin/bash
[ "$1" != -h ] || { echo '# HMMER 3.3.2 (Nov 2020)'; exit 0; }
for word; do
    case $word in
        *.fasta) grep -q GTPEAICATY "$word" && { echo "out of luck" >&2; exit 1; } ;;
    esac
done
exec /usr/bin/env jackhmmer "$@"
END
    chmod +x "$tmp/jackhmmer"
    command -v jackhmmer >/dev/null || skip "no jackhmmer"
    run_code 9 ranks 2 "$FASTFOLD" predict "$tmp/three.fasta" --config $config --recycles 0 -o "$out" --dap 2 \
        --set tools.jackhmmer="$tmp/jackhmmer" --memory-limit 30MiB
    said "2 of 3 targets failed" "out of luck"
    [ -e "$out/good/ranked_0.pdb" ]
    grep -q '"exit_code": 5' "$out/summary.json"
    grep -q '"exit_code": 7' "$out/summary.json"
    [ "$(grep -c '^error: bad:' <<<"$output")" -eq 1 ]
    [ "$(grep -c '^error: long:' <<<"$output")" -eq 1 ]
}

@test "one rank of a machine searches, and ranks that share a target get what it found" {
    ready
    command -v jackhmmer >/dev/null || skip "no jackhmmer"
    run_code 0 "$FASTFOLD" features $demo/4ot.fasta --config $config -o "$tmp/1"
    run_code 0 ranks 2 "$FASTFOLD" predict $demo/4ot.fasta --config $config --recycles 0 -o "$tmp/2" --dap 2
    said "used again"
    [ "$(grep -c 'search uniref90: done' <<<"$output")" -eq 1 ]
    cmp "$tmp/1/4OT/features.npz" "$tmp/2/4OT/features.npz"
    cmp "$tmp/1/4OT/msas/uniref90_hits.sto" "$tmp/2/4OT/msas/uniref90_hits.sto"
    run_code 0 ranks 2 "$FASTFOLD" features $demo/4ot.fasta --config $config -o "$tmp/3"
    cmp "$tmp/1/4OT/features.npz" "$tmp/3/4OT/features.npz"
}

@test "a killed rank ends the job, finished results are whole, and the next run goes on" {
    ready
    printf '>a\n%s\n>b\n%s\n' ${crambin:0:30} ${crambin:0:20} >"$tmp/two.fasta"
    FF_TEST_FAULT=kill:1:2 run ranks 2 "$FASTFOLD" predict "$tmp/two.fasta" $small -o "$out" --dap 2
    [ "$status" -ne 0 ]
    said "rank 1" "signal 9"
    [ -e "$out/a/ranked_0.pdb" ]
    [ ! -e "$out/b/ranked_0.pdb" ]
    [ ! -e "$out/summary.json" ]
    nothing_half_written "$out"
    run_code 0 ranks 2 "$FASTFOLD" predict "$tmp/two.fasta" $small -o "$out" --dap 2
    [ "$(grep -c '"status": "done before"' "$out/summary.json")" -eq 1 ]
    [ -e "$out/b/ranked_0.pdb" ]
}

@test "a rank that hangs ends the job after the time limit, and is named" {
    ready
    printf '>a\n%s\n>b\n%s\n' ${crambin:0:30} ${crambin:0:20} >"$tmp/two.fasta"
    FF_TEST_FAULT=hang:2:2 run ranks 3 "$FASTFOLD" predict "$tmp/two.fasta" $small -o "$out" --dap 3 \
        --set parallel.timeout=3
    [ "$status" -ne 0 ]
    [ "$status" -ne 124 ]
    said "rank 2 on $(hostname) has not come to a collective" "rank 0 on $(hostname), rank 1 on $(hostname) waits"
    [ -e "$out/a/ranked_0.pdb" ]
    [ ! -e "$out/b/ranked_0.pdb" ]
    nothing_half_written "$out"
}

@test "mistakes are told once, by one rank" {
    ready
    run_code 2 ranks 2 "$FASTFOLD" predict "$(fasta crn $crambin)" $small -o "$out" --dap 3
    said "parallel.dap is 3, but fastfold runs on 2 ranks" "mpirun -np 3"
    [ "$(grep -c '^error' <<<"$output")" -eq 1 ]
    run_code 4 ranks 2 "$FASTFOLD" predict "$tmp/none.fasta" $small -o "$out"
    [ "$(grep -c 'error: ' <<<"$output")" -eq 1 ]
    run_code 2 ranks 2 "$FASTFOLD" predict "$tmp/crn.fasta" $small -o "$out" --dump "$tmp/d.npz"
    said "--dump writes the operations of one process"
    run_code 2 "$FASTFOLD" predict "$tmp/crn.fasta" $small -o "$out" --dap 2
    said "runs on 1 rank"
}

@test "other commands run on the first rank alone" {
    ready
    run_code 0 ranks 3 "$FASTFOLD" version
    [ "$(grep -c '^fastfold' <<<"$output")" -eq 1 ]
    run_code 0 ranks 2 "$FASTFOLD" predict --help
    [ "$(grep -c '^usage' <<<"$output")" -eq 1 ]
}

@test "bench on ranks: a pass with its collectives" {
    ready
    options="bench --json --config $config --device cpu --length 40 --msa 8 --extra 8"
    run_code 0 "$FASTFOLD" $options --scaling --no-ops --threads 1
    said '"ranks": 1' '"collectives": []'
    run_code 0 ranks 2 "$FASTFOLD" $options
    said '"ranks": 2' '"name": "all_to_all"' '"bus_bytes_per_second"'
}

@test "bench_scaling.sh compares numbers of ranks" {
    ready
    FASTFOLD=$FASTFOLD run_code 0 scripts/bench_scaling.sh --device cpu --ranks "1 2" --lengths 40 --model demo \
        --msa 8 --extra 8 --out "$tmp/scaling" -- --config $config
    said "| 40 | fp32 | 1 |" "| 40 | fp32 | 2 |"
    not_said "TOO LARGE"
    [ "$(grep -c '"ranks":' "$tmp/scaling/scaling.json")" -eq 2 ]
    run_code 2 scripts/bench_scaling.sh --length 40
    run_code 2 scripts/bench_scaling.sh --lengths "40 4O"
    said "--lengths: found '4O'"
    run_code 2 scripts/bench_scaling.sh --precisions "fp32 fp16"
    said "--precisions: found 'fp16'"
}

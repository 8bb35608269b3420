#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whole predictions of generated targets with 512 clusters and 1,024 extra sequences, parameters made up, one pass:
# seconds and memory, as planned, as the driver tells, and as nvidia-smi shows it while they run.
#   usage: lengths.sh path/to/fastfold FOLDER CASE...
# CASE: RESIDUES:PRECISION[:LIMIT[:BLOCKS]], such as 1200:fp32:3GiB or 10000:bf16::2. LIMIT: --memory-limit; BLOCKS of
# the Evoformer: fewer show the memory of a long target in less time. FOLDER gets a folder of results for every case,
# which plot.sh reads. $DEVICE (cuda) is where to compute, $RECYCLES (0) the passes after the first, $SECONDS_MOST (600)
# what one case may take, $FLAGS more of predict's options. Seconds of a pass are those of the fastest, without making
# its features.
set -euo pipefail
export LC_ALL=C
fastfold=$(realpath "${1:?usage: lengths.sh path/to/fastfold FOLDER CASE...}")
folder=${2:?usage: lengths.sh path/to/fastfold FOLDER CASE...}
shift 2
mkdir -p "$folder"

# make_alignment RESIDUES: an A3M of 1,540 rows of random letters, the same ones every time. Some kinds of awk ignore the
# argument of srand, so the numbers are our own.
make_alignment() {
    awk -v n="$1" 'function random() { return (state = state * 16807 % 2147483647) / 2147483647 }
    BEGIN {
        state = 1
        letters = "ARNDCQEGHILKMFPSTWYV"
        for (p = 0; p < 500; p++)
            for (i = 0; i < 64; i++)
                pool[p] = pool[p] substr(letters, int(random() * 20) + 1, 1)
        for (row = 0; row < 1540; row++) {
            print ">row" row
            for (k = 0; k < n; k += 64)
                printf "%s", substr(pool[int(random() * 500)], 1, n - k < 64 ? n - k : 64)
            print ""
        }
    }'
}

# used: MiB of the first GPU in use by all processes.
used() {
    nvidia-smi --id=0 --query-gpu=memory.used --format=csv,noheader,nounits 2>/dev/null || echo 0
}

# pass_seconds FILE
pass_seconds() {
    awk '/"features_seconds"/ { features = $2 + 0 }
        /"seconds":/ { n++; if (n == 1 || $2 + 0 < least) least = $2 + 0 }
        /"memory"/ { exit }
        END { print least - features / n }' "$1"
}

# value FILE KEY: the first number of that key.
value() {
    sed -n "s/^ *\"$2\": *\([0-9.e+-]*\),*$/\1/p" "$1" | head -n 1
}

printf '%-24s %9s %9s %9s %9s %9s %9s %9s\n' case 'pass, s' 'all, s' planned driver smi chunk host
for case in "$@"; do
    IFS=: read -r n precision limit blocks <<<"$case"
    name=${case//:/_}
    make_alignment "$n" >"$folder/$name.a3m"
    head -n 2 "$folder/$name.a3m" | sed "s/^>.*/>$name/" >"$folder/$name.fasta"
    flags=(--msa "$folder/$name.a3m" --model model_5_ptm --params synthetic --recycles "${RECYCLES:-0}"
        --device "${DEVICE:-cuda}" --precision "$precision" --output-dir "$folder" --overwrite)
    [ -z "${limit:-}" ] || flags+=(--memory-limit "$limit")
    [ -z "${blocks:-}" ] || flags+=(--set "model.evoformer.num_block=$blocks")
    read -ra more <<<"${FLAGS:-}"
    flags+=("${more[@]}")
    before=$(used)
    start=$(date +%s.%N)
    timeout "${SECONDS_MOST:-600}" "$fastfold" predict "$folder/$name.fasta" "${flags[@]}" \
        >"$folder/$name.log" 2>&1 &
    pid=$!
    most=0
    while kill -0 $pid 2>/dev/null; do
        now=$(used)
        [ "$now" -le "$most" ] || most=$now
        sleep 0.2
    done
    if ! wait $pid; then
        why=$(grep -m 1 -E 'error|internal' "$folder/$name.log" || tail -n 1 "$folder/$name.log")
        printf '%-24s failed: %s\n' "$case" "$why"
        continue
    fi
    awk -v name="$case" -v pass="$(pass_seconds "$folder/$name/run.json")" \
        -v all="$(awk -v a="$start" -v b="$(date +%s.%N)" 'BEGIN { print b - a }')" \
        -v planned="$(value "$folder/$name/run.json" peak_backend_bytes)" \
        -v driver="$(value "$folder/$name/run.json" device_bytes)" -v smi=$((most - before)) \
        -v chunk="$(value "$folder/$name/run.json" chunk_bytes)" \
        -v host="$(value "$folder/$name/run.json" peak_host_bytes)" 'BEGIN {
            m = 1048576
            printf "%-24s %9.2f %9.1f %9.0f %9.0f %9.0f %9.1f %9.0f\n", name, pass, all, planned / m, driver / m, smi,
                chunk / m, host / m
        }'
    rm -f "$folder/$name.a3m"
done

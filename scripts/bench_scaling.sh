#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Times one pass of the network on 1, 2, 4, ... ranks of this node, checks that all give the result of the fewest ranks,
# and writes scaling.json and scaling.md.
#   usage: bench_scaling.sh [--ranks "1 2 4"] [--lengths "1024 2048 4096"] [--precisions "bf16 fp32"] [--device cuda]
#                           [--model model_5_ptm] [--msa 512] [--extra 1024] [--out DIR] [-- options of fastfold bench]
# Without --ranks: powers of two up to the GPUs of the node (with --device cpu: up to 4). The CPU knows fp32 alone, and
# each of its ranks has one thread. Environment: FASTFOLD (build/fastfold), MPIRUN (mpirun, with options for Open MPI).
# Ends with status 1 when a result differs or a run fails for another reason than memory.
set -euo pipefail

ranks='' lengths='1024 2048 4096' precisions='' device=cuda model=model_5_ptm msa=512 extra=1024 out=scaling
while [ $# -gt 0 ]; do
    case $1 in
        -h | --help) sed -n 's/^# \{0,1\}//; 3,10p' "$0"; exit 0 ;;
        --) shift; break ;;
        --ranks | --lengths | --precisions | --device | --model | --msa | --extra | --out)
            [ $# -ge 2 ] || { echo "bench_scaling.sh: $1 needs a value" >&2; exit 2; }
            declare "${1#--}=$2"
            shift 2 ;;
        *) echo "bench_scaling.sh: unexpected '$1'; --help lists the options" >&2; exit 2 ;;
    esac
done
# numbers OPTION WORD...: all above 0.
numbers() {
    local option=$1 word
    shift
    for word in "$@"; do
        [[ $word =~ ^[1-9][0-9]*$ ]] ||
            { echo "bench_scaling.sh: $option: found '$word'; give numbers above 0" >&2; exit 2; }
    done
}
read -ra words <<<"$ranks"
numbers --ranks "${words[@]}"
read -ra words <<<"$lengths"
numbers --lengths "${words[@]}"
numbers --msa "$msa"
numbers --extra "$extra"
for word in $precisions; do
    [[ $word =~ ^(fp32|tf32|bf16)$ ]] ||
        { echo "bench_scaling.sh: --precisions: found '$word'; there are fp32, tf32 and bf16" >&2; exit 2; }
done
fastfold=${FASTFOLD:-build/fastfold}
[ -x "$fastfold" ] || { echo "bench_scaling.sh: $fastfold was not found; build it, or set FASTFOLD" >&2; exit 4; }
options=("$@")
if [ "$device" = cpu ]; then
    precisions=${precisions:-fp32}
    most=4
    options+=(--threads 1)
else
    precisions=${precisions:-bf16 fp32}
    most=$(nvidia-smi -L 2>/dev/null | grep -c '^GPU' || true)
    [ "$most" -gt 0 ] || { echo "bench_scaling.sh: nvidia-smi lists no GPU; give --device cpu" >&2; exit 6; }
fi
if [ -z "$ranks" ]; then
    for ((n = 1; n <= most; n *= 2)); do ranks+=" $n"; done
fi
read -ra mpirun <<<"${MPIRUN:-mpirun}"
if [ -z "${MPIRUN:-}" ] && mpirun --version 2>/dev/null | grep -q 'Open MPI'; then
    mpirun+=(--bind-to none)
    [ "$device" != cpu ] || mpirun+=(--oversubscribe --mca mpi_yield_when_idle 1)
    [ "$(id -u)" -ne 0 ] || mpirun+=(--allow-run-as-root)
fi

mkdir -p "$out"
log=$out/scaling.log json=$out/scaling.json md=$out/scaling.md
: >"$log"
echo '[' >"$json"
{
    echo "One pass of $model, $msa clusters and $extra extra sequences, random features, synthetic parameters."
    echo "GB sent and bus GB/s are those of a rank: all_gather / all_to_all. Not hidden: share of the time"
    echo "that computation waited for other ranks. Difference: from the first row of the group, in pLDDT, positions and"
    echo "distogram."
    echo
    echo -n '| residues | precision | ranks | seconds | speed-up | efficiency | GiB a rank '
    echo '| GB sent | bus GB/s | not hidden | difference |'
    echo '| ---: | --- | ---: | ---: | ---: | ---: | ---: | --- | --- | ---: | --- |'
} >"$md"

# value KEY: the number of one run, in $result.
value() { sed -n "s/^ *\"$1\": \([-+0-9.e]*\),\{0,1\}$/\1/p" <<<"$result" | head -n 1; }
# each KEY SCALE FORMAT: of every collective.
each() {
    sed -n "s/^ *\"$1\": \([-+0-9.e]*\),\{0,1\}$/\1/p" <<<"$result" |
        awk -v s="$2" -v f="$3" '{ printf "%s", (NR > 1 ? " / " : ""); printf f, $1 * s }'
}
# relative A B: their difference.
relative() {
    awk -v a="$1" -v b="$2" 'BEGIN { d = a - b; d = d < 0 ? -d : d; print (b == 0 ? d : d / (b < 0 ? -b : b)) }'
}

failed=0 first=1
for precision in $precisions; do
    # Of sums over arrays, which agree better than their elements.
    allowed=1e-5
    [ "$precision" = fp32 ] || allowed=5e-3
    for length in $lengths; do
        base_ranks='' base_seconds='' base_plddt='' base_positions='' base_distogram=''
        for n in $ranks; do
            run=("$fastfold" bench --scaling --json --model "$model" --device "$device" --precision "$precision"
                --length "$length" --msa "$msa" --extra "$extra" "${options[@]}")
            [ "$n" -eq 1 ] || run=("${mpirun[@]}" -np "$n" "${run[@]}")
            echo "bench_scaling.sh: $length residues, $precision, $n ranks" >&2
            echo "+ ${run[*]}" >>"$log"
            code=0
            result=$("${run[@]}" 2>>"$log") || code=$?
            if [ "$code" -eq 7 ]; then
                echo "| $length | $precision | $n | does not fit |" >>"$md"
                continue
            elif [ "$code" -ne 0 ]; then
                echo "bench_scaling.sh: status $code; $log tells more" >&2
                echo "| $length | $precision | $n | failed ($code) |" >>"$md"
                failed=1
                continue
            fi
            [ "$first" -eq 1 ] || echo ',' >>"$json"
            first=0
            printf '%s\n' "$result" >>"$json"
            seconds=$(value seconds) plddt=$(value mean_plddt) positions=$(value positions_rms)
            distogram=$(value distogram_rms)
            if [ -z "$base_ranks" ]; then
                base_ranks=$n base_seconds=$seconds base_plddt=$plddt base_positions=$positions
                base_distogram=$distogram
            fi
            difference=$({
                relative "$plddt" "$base_plddt"
                relative "$positions" "$base_positions"
                relative "$distogram" "$base_distogram"
            } | sort -g | tail -n 1)
            verdict=''
            if awk -v d="$difference" -v a="$allowed" 'BEGIN { exit !(d > a) }'; then
                verdict=' TOO LARGE'
                failed=1
            fi
            awk -v l="$length" -v p="$precision" -v n="$n" -v s="$seconds" -v b="$base_seconds" -v bn="$base_ranks" \
                -v mem="$(value peak_bytes)" -v sent="$(each sent_bytes 1e-9 %.3f)" \
                -v bus="$(each bus_bytes_per_second 1e-9 %.1f)" -v wait="$(value not_hidden_seconds)" \
                -v d="$difference$verdict" 'BEGIN {
                if (sent == "") sent = bus = "-"
                printf "| %d | %s | %d | %.3f | %.2f | %.0f%% | %.2f ", l, p, n, s, b / s, 100 * b * bn / (s * n),
                    mem / 2^30
                printf "| %s | %s | %.1f%% | %s |\n", sent, bus, 100 * wait / s, d
            }' >>"$md"
        done
    done
done
echo ']' >>"$json"
cat "$md"
exit "$failed"

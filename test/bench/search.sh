#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Searches as the published pipeline runs them (one program after the other, 8 threads each, chain after chain) against
# fastfold search, on the same generated databases, in one run; and whether a database in parts gives the same hits.
# Prints seconds and ratios.
#   usage: search.sh path/to/fastfold [megabytes of all databases together: 400] [parts: half of the processors]
# The databases are mutated copies of data/demo/proteins.fasta; they are kept in ${TMPDIR:-/tmp}/fastfold-bench-MB.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "$0")/../.." && pwd)
fastfold=$(realpath "${1:?usage: search.sh path/to/fastfold [megabytes] [parts]}")
megabytes=${2:-400}
processors=$(nproc)
parts=${3:-$(((processors + 1) / 2))}
databases=${TMPDIR:-/tmp}/fastfold-bench-$megabytes
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# make_database FILE SHARE SEED: random sequences, one in fifty of them a mutated real one.
make_database() {
    [ -s "$1" ] && return
    awk -v bytes=$((megabytes * 10000 * $2)) -v seed="$3" '
    BEGIN { srand(seed); letters = "ARNDCQEGHILKMFPSTWYVLAGEKSDV" }
    /^>/ { next }
    { real[n++] = $0 }
    END {
        for (i = 0; i < 4000; i++) pool = pool substr(letters, int(rand() * 28) + 1, 1)
        while (written < bytes) {
            if (rand() < 0.02) {
                s = real[int(rand() * n)]
                for (k = int(rand() * 12); k > 0; k--) {
                    at = int(rand() * length(s)) + 1
                    s = substr(s, 1, at - 1) substr(letters, int(rand() * 28) + 1, 1) substr(s, at + 1)
                }
            } else {
                s = ""
                for (k = int(rand() * 8) + 2; k > 0; k--) s = s substr(pool, int(rand() * 3950) + 1, 40)
            }
            printf ">%s%09d generated\n%s\n", "s" seed "_", ++count, s
            written += length(s) + 24
        }
    }' "$root/data/demo/proteins.fasta" >"$1.part"
    mv "$1.part" "$1"
}
mkdir -p "$databases"
make_database "$databases/uniref90.fasta" 35 1
make_database "$databases/mgnify.fasta" 50 2
make_database "$databases/small_bfd.fasta" 15 3
mkdir -p "$work/counts/00"
touch "$work/counts/00/none"
cat "$databases"/*.fasta >/dev/null # into the page cache, for both
chains=("$root"/data/demo/6kwc.fasta "$root"/data/demo/1aki.fasta "$root"/data/demo/4ot.fasta)
awk 'NR == 1 { print ">copy"; next } { print }' "$root/data/demo/6kwc.fasta" | rev |
    sed 's/ypoc>/>copy/' >"$work/copy.fasta"
chains+=("$work/copy.fasta")

now() { date +%s.%N; }
published() {
    local chain db
    for chain in "$@"; do
        for db in uniref90 mgnify small_bfd; do
            jackhmmer -o /dev/null -A "$work/$db.sto" --noali --F1 0.0005 --F2 5e-05 --F3 5e-07 --incE 0.0001 \
                -E 0.0001 --cpu 8 -N 1 "$chain" "$databases/$db.fasta"
        done
    done
}
ours() {
    local out=$1 shards=$2
    shift 2
    "$fastfold" search "$@" --quiet --output-dir "$out" --cache-dir "$work/counts" --search-shards "$shards" \
        --db-preset reduced_dbs --no-templates --set databases.uniref90="$databases/uniref90.fasta" \
        --set databases.mgnify="$databases/mgnify.fasta" --set databases.small_bfd="$databases/small_bfd.fasta" \
        --set databases.uniref90_max_hits=0 --set databases.mgnify_max_hits=0 --set search.ahead=4 >/dev/null
}

# Empties the cache but for the numbers of sequences, which are counted once.
forget() {
    local f
    for f in "$work"/counts/*/*; do
        grep -q '"value"' "$f" || rm -f "$f"
    done
}

echo "$processors processors, $(du -csm "$databases"/*.fasta | tail -n 1 | cut -f1) MB in 3 databases, $parts parts"
printf '%-8s %14s %14s %8s %14s %8s\n' chains published/s whole/s ratio parts/s ratio
for n in 1 2 4; do
    t0=$(now)
    published "${chains[@]:0:n}"
    t1=$(now)
    ours "$work/whole$n" 1 "${chains[@]:0:n}"
    t2=$(now)
    forget
    ours "$work/parts$n" "$parts" "${chains[@]:0:n}"
    t3=$(now)
    forget
    awk -v n=$n -v a="$t0" -v b="$t1" -v c="$t2" -v d="$t3" 'BEGIN {
        printf "%-8d %14.1f %14.1f %8.2f %14.1f %8.2f\n", n, b - a, c - b, (b - a) / (c - b), d - c, (b - a) / (d - c) }'
done
for f in "$work"/whole4/*/msas/*.sto; do
    cmp "$f" "${f/whole4/parts4}" || { echo "the parts found something else: $f"; exit 1; }
done
# The text of the command line's own file has a description of the query besides.
cmp <(grep -v '^#=GF' "$work/whole4/6KWC_1/msas/small_bfd_hits.sto") \
    <(jackhmmer -o /dev/null -A /dev/stdout --noali --F1 0.0005 --F2 5e-05 --F3 5e-07 --incE 0.0001 -E 0.0001 --cpu 1 \
        -N 1 "${chains[0]}" "$databases/small_bfd.fasta" | grep -v '^#=G[FS] *6KWC_1 \|^#=GF')
echo "whole, parts and jackhmmer itself: the same alignments"

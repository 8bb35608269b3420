#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Searches as the published pipeline runs them (one program after the other, 8 threads each, chain after chain) against
# fastfold search, on the same generated databases, in one run; and whether all find the same.
# Prints seconds and ratios. whole: each database by one jackhmmer; parts: as fastfold does by itself.
#   usage: search.sh path/to/fastfold [megabytes of all databases together: 400]
# The databases are random sequences, and mutated copies of those of data/demo/proteins.fasta; they are kept in
# ${TMPDIR:-/tmp}/fastfold-bench-MB.
set -euo pipefail
export LC_ALL=C
root=$(cd "$(dirname "$0")/../.." && pwd)
fastfold=$(realpath "${1:?usage: search.sh path/to/fastfold [megabytes]}")
megabytes=${2:-400}
databases=${TMPDIR:-/tmp}/fastfold-bench-$megabytes
names="uniref90 mgnify small_bfd"
published_flags=(--noali --F1 0.0005 --F2 5e-05 --F3 5e-07 --incE 0.0001 -E 0.0001 -N 1)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# make_database FILE SHARE SEED: random sequences, one in five hundred of them a mutated real one. Some kinds of awk
# ignore the argument of srand, so the numbers are our own.
make_database() {
    [ -s "$1" ] && return
    awk -v bytes=$((megabytes * 10000 * $2)) -v seed="$3" '
    function random() { return (state = state * 16807 % 2147483647) / 2147483647 }
    BEGIN { state = seed; letters = "AAAAAAAARRRRRNNNNDDDDDCCQQQQEEEEEEEGGGGGGGHHIIIIIILLLLLLLLLLKKKKKKMM" \
                                   "FFFFPPPPPSSSSSSSTTTTTWYYYVVVVVVV" }
    /^>/ { next }
    { real[n++] = $0 }
    END {
        for (p = 0; p < 1000; p++)
            for (i = 0; i < 400; i++) pool[p] = pool[p] substr(letters, int(random() * 100) + 1, 1)
        while (written < bytes) {
            if (random() < 0.002) {
                s = real[int(random() * n)]
                for (k = int(random() * 12); k > 0; k--) {
                    at = int(random() * length(s)) + 1
                    s = substr(s, 1, at - 1) substr(letters, int(random() * 100) + 1, 1) substr(s, at + 1)
                }
            } else {
                s = ""
                for (k = int(random() * 14) + 3; k > 0; k--)
                    s = s substr(pool[int(random() * 1000)], int(random() * 370) + 1, 25)
            }
            printf ">%s%09d generated\n%s\n", "s" seed "_", ++count, s
            written += length(s) + 24
        }
    }' "$root/data/demo/proteins.fasta" >"$1.part"
    mv "$1.part" "$1"
}
mkdir -p "$databases"
make_database "$databases/uniref90.fasta" 35 1 &
make_database "$databases/mgnify.fasta" 50 2 &
make_database "$databases/small_bfd.fasta" 15 3 &
wait
cat "$databases"/*.fasta >/dev/null # into the page cache, for both

# Names alone, as fastfold calls its query, so that the alignments are the same to the byte.
chains=()
for name in 6kwc 1aki 4ot 6kwc_reversed; do
    awk -v name="$name" 'NR == 1 { print ">" name; next } { s = s $0 }
        END { if (name ~ /reversed/) for (i = length(s); i > 0; i--) t = t substr(s, i, 1); print t == "" ? s : t }' \
        "$root/data/demo/${name%_*}.fasta" >"$work/$name.fasta"
    chains+=("$work/$name.fasta")
done

now() { date +%s.%N; }
# published FASTA...: alignments in $work/published/NAME/
published() {
    local chain name out
    for chain in "$@"; do
        out=$work/published/$(basename "$chain" .fasta)
        mkdir -p "$out"
        for name in $names; do
            jackhmmer -o /dev/null -A "$out/$name.sto" "${published_flags[@]}" --cpu 8 "$chain" "$databases/$name.fasta"
        done
    done
}
# ours FOLDER FASTA... -- OPTION...
ours() {
    local out=$1 files=()
    shift
    while [ "$1" != -- ]; do
        files+=("$1")
        shift
    done
    shift
    "$fastfold" search "${files[@]}" --quiet --output-dir "$out" --db-preset reduced_dbs --no-templates \
        --set databases.uniref90="$databases/uniref90.fasta" --set databases.mgnify="$databases/mgnify.fasta" \
        --set databases.small_bfd="$databases/small_bfd.fasta" --set databases.uniref90_max_hits=0 \
        --set databases.mgnify_max_hits=0 --set search.ahead=4 "$@" >/dev/null
}

echo "$(nproc) processors, $(du -csm "$databases"/*.fasta | tail -n 1 | cut -f1) MB in 3 databases"
printf '%-8s %14s %14s %8s %14s %8s\n' chains published/s whole/s ratio parts/s ratio
for n in 1 2 4; do
    t0=$(now)
    published "${chains[@]:0:n}"
    t1=$(now)
    ours "$work/whole$n" "${chains[@]:0:n}" -- --search-shards 1
    t2=$(now)
    ours "$work/parts$n" "${chains[@]:0:n}" --
    t3=$(now)
    awk -v n=$n -v a="$t0" -v b="$t1" -v c="$t2" -v d="$t3" 'BEGIN {
        printf "%-8d %14.2f %14.2f %8.2f %14.2f %8.2f\n", n, b - a, c - b, (b - a) / (c - b), d - c, (b - a) / (d - c) }'
done

for f in "$work"/whole4/*/msas/*.sto; do
    cmp "$f" "${f/whole4/parts4}" || { echo "the parts found something else: $f"; exit 1; }
    name=$(basename "$f" _hits.sto) chain=$(basename "$(dirname "$(dirname "$f")")")
    cmp <(grep -v '^#=GF' "$f") <(grep -v '^#=GF' "$work/published/$chain/$name.sto") ||
        { echo "jackhmmer itself finds something else: $f"; exit 1; }
done
echo "whole, parts and jackhmmer itself: the same alignments, byte for byte"

# E-values are not in alignments: jackhmmer's table of the whole database, and of those that the parts found alone.
z=$(grep -c '^>' "$databases/small_bfd.fasta")
sed -n 's/^#=GS \([^/ ]*\)\/.*/\1/p' "$work"/parts4/6kwc/msas/small_bfd_hits.sto | sort -u >"$work/found"
awk 'NR == FNR { found[$1]; next } /^>/ { keep = substr($1, 2) in found } keep' "$work/found" \
    "$databases/small_bfd.fasta" >"$work/found.fasta"
for i in whole found; do
    db=$databases/small_bfd.fasta size=()
    [ $i = found ] && db=$work/found.fasta size=(-Z "$z")
    jackhmmer -o /dev/null --tblout "$work/$i.tbl" "${published_flags[@]}" --cpu 8 "${size[@]}" "${chains[0]}" "$db"
done
cmp <(grep -v '^#' "$work/whole.tbl") <(grep -v '^#' "$work/found.tbl")
echo "$(grep -vc '^#' "$work/whole.tbl") hits of $z sequences: the same names, scores and E-values"

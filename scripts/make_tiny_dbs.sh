#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Makes databases of a few megabytes in the published layout, from real sequences and structures, with the real programs
# of HH-suite: for tests, and to try a full run before the download of 2.6 TB.
#   usage: make_tiny_dbs.sh DIR [FOLDER of mmCIF files (.cif, .cif.gz)]
#   then:  fastfold search FILE.fasta --data-dir DIR
set -euo pipefail
export LC_ALL=C

die() {
    echo "make_tiny_dbs.sh: $*" >&2
    exit 1
}

case ${1:-} in
    '' | -h | --help) sed -n 's/^# \{0,1\}//; 3,6p' "$0"; exit 0 ;;
esac
root=$(cd "$(dirname "$0")/.." && pwd)
dir=$1
structures=${2:-$root/test/data/features/inputs/mmcifs}
sequences=$root/data/demo/proteins.fasta
[ -r "$sequences" ] || die "$sequences is missing"
[ -d "$structures" ] || die "$structures is not a folder"

# find_file NAME PLACE...: the first of the places that has it.
find_file() {
    local name=$1 place
    shift
    for place in "$@"; do [ -e "$place/$name" ] && { echo "$place/$name"; return; }; done
    die "$name of HH-suite was not found (Debian: apt-get install hhsuite)"
}
hhlib=${HHLIB:-/usr/lib/hhsuite}
# The Debian package starts the program for this processor through a script that looks for it in a wrong place.
variant=plain
grep -qw avx2 /proc/cpuinfo && variant=avx2
cstranslate=/usr/libexec/hhsuite/cstranslate-$variant
[ -x "$cstranslate" ] || cstranslate=$(command -v cstranslate || find_file cstranslate "$hhlib/bin")
context=$(find_file context_data.lib "$hhlib/data" /usr/share/hhsuite/data)
states=$(find_file cs219.lib "$hhlib/data" /usr/share/hhsuite/data)
for program in hhmake ffindex_build; do
    command -v "$program" >/dev/null || die "$program of HH-suite was not found (Debian: apt-get install hhsuite)"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# hhsuite_database FASTA PREFIX: each sequence becomes an alignment of its own.
hhsuite_database() {
    local fasta=$1 prefix=$2 part=$work/part name f
    rm -rf "$part"
    mkdir -p "$part/a3m" "$part/hhm" "$(dirname "$prefix")"
    awk -v dir="$part/a3m" '/^>/ { if (f) close(f); name = substr($1, 2); gsub(/[^A-Za-z0-9_.-]/, "_", name)
                                   f = dir "/" name } { print >f }' "$fasta"
    for f in "$part"/a3m/*; do
        name=$(basename "$f")
        hhmake -i "$f" -o "$part/hhm/$name" -v 0 >/dev/null 2>&1 || die "hhmake failed for $name"
    done
    rm -f "${prefix}"_{a3m,hhm,cs219}.ff{data,index}
    ffindex_build -s "${prefix}_a3m.ffdata" "${prefix}_a3m.ffindex" "$part/a3m" 2>/dev/null
    ffindex_build -s "${prefix}_hhm.ffdata" "${prefix}_hhm.ffindex" "$part/hhm" 2>/dev/null
    "$cstranslate" -A "$states" -D "$context" -x 0.3 -c 4 -f -b -I a3m -i "${prefix}_a3m" -o "${prefix}_cs219" \
        >/dev/null 2>&1 || die "cstranslate failed"
}

# chains ID: the protein chains of an mmCIF text on stdin in the form of pdb_seqres.txt.
chains() {
    awk -v id="$1" '
    BEGIN {
        n = split("ALA A ARG R ASN N ASP D CYS C GLN Q GLU E GLY G HIS H ILE I LEU L LYS K MET M PHE F PRO P " \
                  "SER S THR T TRP W TYR Y VAL V MSE M", w, " ")
        for (i = 1; i < n; i += 2) letter[w[i]] = w[i + 1]
    }
    /^_pdbx_poly_seq_scheme\./ { split($1, p, "."); column[p[2]] = ++columns; inside = 1; next }
    inside && /^#/ { inside = 0 }
    inside {
        chain = $column["pdb_strand_id"]; key = chain " " $column["seq_id"]
        if (key in seen) next
        seen[key] = 1
        if (!(chain in text)) order[++count] = chain
        mon = $column["mon_id"]
        text[chain] = text[chain] ((mon in letter) ? letter[mon] : "X")
        if (mon in letter) known[chain]++
    }
    END {
        for (i = 1; i <= count; i++) {
            c = order[i]
            type = known[c] * 2 > length(text[c]) ? "protein" : "na"
            printf ">%s_%s mol:%s length:%d  chain %s of %s\n", id, c, type, length(text[c]), c, toupper(id)
            print text[c]
        }
    }'
}

echo "sequences of $(basename "$sequences") ..."
mkdir -p "$dir"/{uniref90,mgnify,small_bfd,uniprot,pdb_seqres,pdb_mmcif/mmcif_files}
cp "$sequences" "$dir/uniref90/uniref90.fasta"
awk '/^>/ { n++ } n % 2 == 0' "$sequences" >"$dir/mgnify/mgy_clusters_2022_05.fa"
awk '/^>/ { n++ } n % 3 == 0' "$sequences" >"$dir/small_bfd/bfd-first_non_consensus_sequences.fasta"
awk '/^>/ { n++; printf ">tr|A%05d|A%05d_S%04d\n", n, n, n % 997; next } { print }' "$sequences" \
    >"$dir/uniprot/uniprot.fasta"

echo "profiles for hhblits ..."
# hhblits 3.3 crashes in databases of short sequences alone, so these have 80 residues or more.
awk '/^>/ { if (h) print h "\n" s; h = $0; s = ""; next } { s = s $0 } END { print h "\n" s }' "$sequences" |
    awk '/^>/ { h = $0; next } length($0) >= 80 { print h "\n" $0 }' >"$work/long.fasta"
awk '/^>/ { n++ } n % 160 == 1' "$work/long.fasta" >"$work/bfd.fasta"
awk '/^>/ { n++ } n % 160 == 81' "$work/long.fasta" >"$work/uniref30.fasta"
hhsuite_database "$work/bfd.fasta" "$dir/bfd/bfd_metaclust_clu_complete_id30_c90_final_seq.sorted_opt"
hhsuite_database "$work/uniref30.fasta" "$dir/uniref30/UniRef30_2021_03"

echo "templates from $structures ..."
: >"$dir/pdb_seqres/pdb_seqres.txt"
: >"$dir/pdb_mmcif/obsolete.dat"
found=no
for f in "$structures"/*.cif "$structures"/*.cif.gz; do
    [ -e "$f" ] || continue
    found=yes
    id=$(basename "${f%.gz}" .cif)
    gzip -cdf "$f" | chains "$id" >>"$dir/pdb_seqres/pdb_seqres.txt"
    cp "$f" "$dir/pdb_mmcif/mmcif_files/"
done
[ "$found" = yes ] || die "$structures holds no mmCIF file"
awk '/^>/ { keep = /mol:protein/; if (keep) { split(substr($1, 2), p, "_"); print ">" toupper(p[1]) "_" p[2]; next } }
     keep' "$dir/pdb_seqres/pdb_seqres.txt" >"$work/pdb70.fasta"
hhsuite_database "$work/pdb70.fasta" "$dir/pdb70/pdb70"
echo "done: $(du -sh "$dir" | cut -f1) in $dir"

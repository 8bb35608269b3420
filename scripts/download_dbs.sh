#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Fetches the databases of the published pipeline into DIR, in its layout: fastfold search FILE.fasta --data-dir DIR.
# What is there already is left alone, an interrupted download goes on, and the room on the disk is looked at first.
#   usage: download_dbs.sh DIR [reduced_dbs|full_dbs] [--multimer] [--only NAME,...] [--keep-archives] [--list]
#     reduced_dbs   uniref90 mgnify small_bfd pdb70 pdb_mmcif               (about 0.5 TB on disk)
#     full_dbs      uniref90 mgnify bfd uniref30 pdb70 pdb_mmcif            (about 2.5 TB on disk)
#     --multimer    pdb_seqres and uniprot too, for complexes
#     --only        these alone; --list prints names, sizes and sources
# Parameters: scripts/download_params.sh DIR. FASTFOLD_DB_MIRROR names a folder or address that holds the archives
# under their own names, in place of the sources below; FASTFOLD_PDB_RSYNC another mirror of the PDB.
set -euo pipefail

alphafold=https://storage.googleapis.com/alphafold-databases
# name, GB to fetch, GB on disk, way to unpack, file that shows that it is complete, source
ebi=https://ftp.ebi.ac.uk/pub/databases/uniprot
hhsuite=https://wwwuser.gwdg.de/~compbiol/data/hhsuite/databases/hhsuite_dbs/old-releases
small_bfd='bfd-first_non_consensus_sequences.fasta'
bfd=bfd_metaclust_clu_complete_id30_c90_final_seq.sorted_opt
databases=(
    "uniref90 34 67 gunzip uniref90/uniref90.fasta $ebi/uniref/uniref90/uniref90.fasta.gz"
    "mgnify 64 120 gunzip mgnify/mgy_clusters_2022_05.fa $alphafold/v2.3/mgy_clusters_2022_05.fa.gz"
    "small_bfd 10 17 gunzip small_bfd/$small_bfd $alphafold/reduced_dbs/$small_bfd.gz"
    "bfd 272 1800 untar bfd/${bfd}_cs219.ffindex $alphafold/casp14_versions/$bfd.tar.gz"
    "uniref30 53 206 untar uniref30/UniRef30_2021_03_cs219.ffindex $alphafold/v2.3/UniRef30_2021_03.tar.gz"
    "pdb70 20 56 untar pdb70/pdb70_cs219.ffindex $hhsuite/pdb70_from_mmcif_200401.tar.gz"
    "pdb_mmcif 44 238 rsync pdb_mmcif/obsolete.dat -"
    "pdb_seqres 1 1 seqres pdb_seqres/pdb_seqres.txt https://files.rcsb.org/pub/pdb/derived_data/pdb_seqres.txt"
    "uniprot 55 105 uniprot uniprot/uniprot.fasta $ebi/current_release/knowledgebase/complete"
)
pdb_rsync=${FASTFOLD_PDB_RSYNC:-rsync.rcsb.org::ftp_data/structures/divided/mmCIF/}
obsolete=https://files.wwpdb.org/pub/pdb/data/status/obsolete.dat

die() {
    echo "download_dbs.sh: $*" >&2
    exit 1
}
row() {
    local r
    for r in "${databases[@]}"; do [ "${r%% *}" = "$1" ] && { echo "$r"; return; }; done
    die "unknown database '$1'; expected one of: $(printf '%s ' "${databases[@]%% *}")"
}

dir='' preset=reduced_dbs multimer=no only='' keep=no
while [ $# -gt 0 ]; do
    case $1 in
        reduced_dbs | full_dbs) preset=$1 ;;
        --multimer) multimer=yes ;;
        --only) [ $# -gt 1 ] || die "--only: expected names"; only=${2//,/ }; shift ;;
        --keep-archives) keep=yes ;;
        --list)
            printf '%-12s %9s %9s  %s\n' name 'fetch/GB' 'disk/GB' source
            for r in "${databases[@]}"; do
                read -r name fetch disk _ _ url <<<"$r"
                [ "$url" != - ] || url=rsync://${pdb_rsync/::/\/}
                printf '%-12s %9s %9s  %s\n' "$name" "$fetch" "$disk" "$url"
            done
            exit 0 ;;
        -h | --help) sed -n 's/^# \{0,1\}//; 3,11p' "$0"; exit 0 ;;
        -*) die "unknown option $1" ;;
        *) [ -z "$dir" ] || die "found '$1'; expected one folder"; dir=$1 ;;
    esac
    shift
done
[ -n "$dir" ] || die "expected a folder: download_dbs.sh DIR [reduced_dbs|full_dbs]"

names="uniref90 mgnify"
if [ "$preset" = full_dbs ]; then names+=" bfd uniref30"; else names+=" small_bfd"; fi
names+=" pdb70 pdb_mmcif"
[ "$multimer" = no ] || names+=" pdb_seqres uniprot"
names=${only:-$names}

# --- what is missing, programs, room ---
todo='' need=0
for name in $names; do
    r=$(row "$name") || exit 1
    read -r _ fetch disk way shows _ <<<"$r"
    if [ -s "$dir/$shows" ]; then
        echo "$name: is there"
        continue
    fi
    [ "$way" != rsync ] || command -v rsync >/dev/null || die "rsync is missing (Debian: apt-get install rsync)"
    todo+=" $name"
    need=$((need + disk + fetch))
done
[ -n "$todo" ] || { echo "nothing to fetch: everything is in $dir"; exit 0; }
command -v aria2c >/dev/null || command -v curl >/dev/null || command -v wget >/dev/null ||
    die "none of aria2c, curl and wget is there (Debian: apt-get install aria2)"
mkdir -p "$dir"
free=$(df -Pk "$dir" | awk 'NR == 2 { printf "%.0f", $4 * 1024 / 1e9 }')
echo "to fetch:$todo; up to $need GB are needed in $dir, $free GB are free"
if [ "$free" -lt "$need" ] && [ -z "${FASTFOLD_DB_MIRROR:-}" ]; then
    die "not enough room; fetch some of them with --only, or take another disk"
fi

# fetch ADDRESS FILE: goes on where it stopped; the file has its name only when it is complete.
fetch() {
    local url=$1 file=$2
    [ ! -s "$file" ] || return 0
    [ -z "${FASTFOLD_DB_MIRROR:-}" ] || url=${FASTFOLD_DB_MIRROR%/}/$(basename "$url")
    case $url in /*) url=file://$url ;; esac
    echo "fetching $url"
    if command -v aria2c >/dev/null && [ "${url#file:}" = "$url" ]; then
        aria2c --continue --max-connection-per-server=8 --summary-interval=60 --dir="$(dirname "$file")" \
            --out="$(basename "$file").part" "$url"
    elif command -v curl >/dev/null; then
        curl --fail --location --retry 5 --continue-at - --output "$file.part" "$url"
    else
        wget --continue --tries=5 --output-document="$file.part" "$url"
    fi || die "$url could not be fetched; run this again to go on"
    mv "$file.part" "$file"
}
done_with() { [ "$keep" = yes ] || rm -f "$@"; }

# The parts of an hh-suite database are checked, as an archive may lack one.
check_hhsuite() {
    local prefix=${1%_cs219.ffindex} part
    for part in a3m hhm cs219; do
        if [ ! -s "${prefix}_$part.ffdata" ] || [ ! -s "${prefix}_$part.ffindex" ]; then
            die "${prefix}_$part is incomplete"
        fi
    done
}

for name in $todo; do
    read -r _ _ _ way shows url <<<"$(row "$name")"
    folder=$dir/$(dirname "$shows")
    mkdir -p "$folder"
    archive=$folder/$(basename "$url")
    case $way in
        gunzip)
            fetch "$url" "$archive"
            gzip -dc "$archive" >"$dir/$shows.part" || die "$archive is damaged; remove it and run this again"
            mv "$dir/$shows.part" "$dir/$shows"
            done_with "$archive" ;;
        untar)
            fetch "$url" "$archive"
            mkdir -p "$folder/.unpacked"
            tar -xzf "$archive" -C "$folder/.unpacked" --no-same-owner ||
                die "$archive is damaged; remove it and run this again"
            check_hhsuite "$folder/.unpacked/$(basename "$shows")"
            # The file that shows that the database is complete comes last.
            find "$folder/.unpacked" -type f ! -name '*_cs219.ffindex' -exec mv -t "$folder" {} +
            mv "$folder/.unpacked"/*_cs219.ffindex "$folder/"
            rm -r "$folder/.unpacked"
            done_with "$archive" ;;
        seqres)
            fetch "$url" "$folder/all.txt"
            # Proteins alone, as the published script keeps them.
            awk '/^>/ { keep = /mol:protein/ } keep' "$folder/all.txt" >"$dir/$shows.part"
            mv "$dir/$shows.part" "$dir/$shows"
            done_with "$folder/all.txt" ;;
        uniprot)
            fetch "$url/uniprot_trembl.fasta.gz" "$folder/uniprot_trembl.fasta.gz"
            fetch "$url/uniprot_sprot.fasta.gz" "$folder/uniprot_sprot.fasta.gz"
            gzip -dc "$folder/uniprot_trembl.fasta.gz" "$folder/uniprot_sprot.fasta.gz" >"$dir/$shows.part" ||
                die "an archive in $folder is damaged; remove it and run this again"
            mv "$dir/$shows.part" "$dir/$shows"
            done_with "$folder"/uniprot_{trembl,sprot}.fasta.gz ;;
        rsync)
            # Compressed files in folders of two letters are read as they are.
            mkdir -p "$folder/mmcif_files"
            rsync --recursive --links --perms --times --info=progress2 --delete --port=33444 "$pdb_rsync" \
                "$folder/mmcif_files" || die "the PDB could not be fetched; run this again to go on"
            fetch "$obsolete" "$dir/$shows" ;;
    esac
    echo "$name: done"
done
echo "done: fastfold search FILE.fasta --data-dir $dir --db-preset $preset"

#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2086,SC2154
# The whole data pipeline with the real programs on small databases in the published layout: presets, templates, parts
# of a database, the cache, batches, and what happens when a program hangs.

load stages

setup_file() {
    export DATABASES=$BATS_FILE_TMPDIR/databases
    scripts/make_tiny_dbs.sh "$DATABASES" >"$BATS_FILE_TMPDIR/log" 2>&1 || { cat "$BATS_FILE_TMPDIR/log"; return 1; }
}

query=test/data/features/inputs/2q2k_A/query.fasta

# with_data COMMAND ...: with all databases and a network that takes templates.
with_data() {
    "$FASTFOLD" "$@" --model model_1_ptm --data-dir "$DATABASES" --output-dir "$out"
}

@test "full_dbs: all searches of a monomer, and templates in its features" {
    run_code 0 with_data features "$query"
    said "search pdb70: done" "templates: " "hits used"
    [ "$(cd "$out"/*/msas && echo *)" = \
        "bfd_uniref_hits.a3m mgnify_hits.sto pdb_hits.hhr searches.json uniref90_hits.sto" ]
    run_code 0 "$FASTFOLD" plan --model model_1_ptm --features "$out"/*/features.npz
    grep -q '"command": ".*hhsearch -i .*query.a3m -o .*output.hhr -maxseq 1000000 -cpu [0-9]* -d .*pdb70/pdb70"' \
        "$out"/*/run.json
    nothing_half_written "$out"
}

@test "reduced_dbs: the small BFD by jackhmmer" {
    run_code 0 with_data search "$query" --db-preset reduced_dbs --no-templates
    [ "$(cd "$out"/*/msas && echo *)" = "mgnify_hits.sto searches.json small_bfd_hits.sto uniref90_hits.sto" ]
}

@test "complexes look for templates with hmmsearch" {
    run_code 0 "$FASTFOLD" search "$query" --model model_1_multimer_v3 --data-dir "$DATABASES" -o "$out" \
        --db-preset reduced_dbs
    said "search pdb_seqres: done"
    [ -s "$out"/*/msas/A/pdb_hits.sto ]
    grep -q 'hmmbuild --hand --amino .*; .*hmmsearch --noali --cpu [0-9]* --F1 0.1 --F2 0.1 --F3 0.1' "$out"/*/run.json
}

@test "only what this run needs is checked, before anything runs" {
    cp -r "$DATABASES" "$tmp/data"
    rm "$tmp/data/pdb70/pdb70_hhm.ffindex"
    run_code 4 "$FASTFOLD" search "$query" --model model_1 --data-dir "$tmp/data" -o "$out"
    said "databases.pdb70" "pdb70_hhm.ffindex"
    [ -z "$(find "$out" -type f)" ]
    run_code 0 "$FASTFOLD" search "$query" --model model_3 --data-dir "$tmp/data" -o "$out" --db-preset reduced_dbs
    rm -r "$tmp/data/pdb_mmcif/mmcif_files"
    run_code 4 "$FASTFOLD" features "$query" --model model_2 --data-dir "$tmp/data" -o "$tmp/other" \
        --set databases.pdb70="$DATABASES/pdb70/pdb70"
    said "databases.template_mmcif_dir"
}

@test "the date of templates is looked at" {
    run_code 0 with_data features "$query" --db-preset reduced_dbs --max-template-date 1990-01-01
    said "templates: 0 of"
    run_code 2 with_data search "$query" --max-template-date yesterday
    said "databases.max_template_date" "yesterday"
}

@test "a structure that is missing or bad costs its hits alone" {
    cp -r "$DATABASES" "$tmp/data"
    for f in "$tmp"/data/pdb_mmcif/mmcif_files/*; do echo nonsense >"$f"; done
    run_code 0 "$FASTFOLD" features "$query" --model model_1 --data-dir "$tmp/data" -o "$out" --db-preset reduced_dbs
    said "warning: template hit 1" "templates: 0 of"
}

@test "a template of one's own needs no search" {
    run_code 0 "$FASTFOLD" features "$query" --model model_1 --no-msa -o "$out" \
        --template test/data/features/inputs/mmcifs/2q2k.cif.gz:A
    said "2q2k"
    run_code 3 "$FASTFOLD" features "$query" --model model_1 --no-msa -o "$tmp/other" \
        --template test/data/features/inputs/mmcifs/2q2k.cif.gz:Q
    said "Q"
}

@test "a database in parts gives the same bytes as the whole one" {
    run_code 0 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$tmp/whole"
    for n in 2 5; do
        run_code 0 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$tmp/parts$n" --search-shards $n
        cmp "$tmp/whole/4OT/msas/uniref90_hits.sto" "$tmp/parts$n/4OT/msas/uniref90_hits.sto"
    done
    # Cut while reading, in both ways.
    run_code 0 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$tmp/a" --set databases.uniref90_max_hits=50
    run_code 0 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$tmp/b" --set databases.uniref90_max_hits=50 \
        --search-shards 3
    grep -v '^#=GC' "$tmp/a/4OT/msas/uniref90_hits.sto" | tr -d '.-' >"$tmp/a.sto"
    grep -v '^#=GC' "$tmp/b/4OT/msas/uniref90_hits.sto" | tr -d '.-' >"$tmp/b.sto"
    [ "$(awk 'NF == 2 && !/^#/ { print $1 }' "$tmp/a.sto" | sort -u)" = \
        "$(awk 'NF == 2 && !/^#/ { print $1 }' "$tmp/b.sto" | sort -u)" ]
    # A sequence without any homologue.
    run_code 0 "$FASTFOLD" search $demo/1aki.fasta --config $config -o "$tmp/none" --search-shards 2
    said "(1 rows)"
    nothing_half_written "$tmp"
}

@test "compressed databases give the same bytes as plain ones" {
    mkdir -p "$tmp/packed/pdb_mmcif/mmcif_files"
    for file in uniref90/uniref90.fasta mgnify/mgy_clusters_2022_05.fa pdb_seqres/pdb_seqres.txt uniprot/uniprot.fasta \
        small_bfd/bfd-first_non_consensus_sequences.fasta; do
        mkdir -p "$tmp/packed/$(dirname $file)"
        gzip -c "$DATABASES/$file" >"$tmp/packed/$file.gz"
    done
    : >"$tmp/packed/pdb_mmcif/obsolete.dat"
    for from in "$DATABASES" "$tmp/packed"; do
        out=$tmp/$(basename "$from")
        run_code 0 "$FASTFOLD" search $demo/4ot.fasta --model model_1_multimer_v3 --data-dir "$from" \
            --db-preset reduced_dbs --set databases.mgnify_max_hits=50 --output-dir "$out"
    done
    [ "$(grep -vc '^[#/]' "$out/4OT/msas/A/uniref90_hits.sto")" -gt 100 ]
    for file in uniref90_hits.sto small_bfd_hits.sto pdb_hits.sto; do
        cmp "$tmp/databases/4OT/msas/A/$file" "$out/4OT/msas/A/$file"
    done
    # An archive that is cut.
    head -c 5000 "$tmp/packed/uniref90/uniref90.fasta.gz" >"$tmp/cut.gz"
    run_code 3 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$tmp/cut" \
        --set databases.uniref90="$tmp/cut.gz"
    said "$tmp/cut.gz: the gzip data are truncated"
    nothing_half_written "$tmp"
}

@test "a part that fails, fails the search and leaves nothing" {
    mkdir "$tmp/bin"
    printf '#!/bin/bash\n[ "$1" = -h ] && { echo "# HMMER 9"; exit 0; }\necho broken >&2; exit 3\n' >"$tmp/bin/phmmer"
    chmod +x "$tmp/bin/phmmer"
    run_code 5 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$out" --search-shards 3 \
        --set tools.phmmer="$tmp/bin/phmmer"
    said "exit code 3" "broken"
    # The profile that tells which records phmmer need not see.
    printf '#!/bin/bash\n[ "$1" = -h ] && { echo "# HMMER 9"; exit 0; }\necho nonsense >"${@: -2:1}"\n' \
        >"$tmp/bin/hmmbuild"
    chmod +x "$tmp/bin/hmmbuild"
    if grep -qw avx2 /proc/cpuinfo; then
        run_code 5 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$out" --search-shards 3 \
            --set tools.hmmbuild="$tmp/bin/hmmbuild"
        said "what hmmbuild wrote" "no profile"
    fi
    nothing_half_written "$out"
}

@test "results are shared through the cache, and damaged ones are not used" {
    run_code 0 with_data search "$query" --db-preset reduced_dbs --cache-dir "$tmp/cache"
    run_code 0 "$FASTFOLD" search "$query" --model model_1_ptm --data-dir "$DATABASES" -o "$tmp/second" \
        --db-preset reduced_dbs --cache-dir "$tmp/cache"
    said "search uniref90: taken from the cache" "search pdb70: taken from the cache"
    diff -r "$out" "$tmp/second" -x run.json -x searches.json
    for f in $(find "$tmp/cache" -type f ! -name '*.json'); do head -c 100 "$f" >"$tmp/cut"; cp "$tmp/cut" "$f"; done
    run_code 0 "$FASTFOLD" search "$query" --model model_1_ptm --data-dir "$DATABASES" -o "$tmp/third" \
        --db-preset reduced_dbs --cache-dir "$tmp/cache"
    said "is not the file that its record tells of" "search uniref90: done"
    # Another cap is another question.
    run_code 0 "$FASTFOLD" search "$query" --model model_1_ptm --data-dir "$DATABASES" -o "$tmp/fourth" \
        --db-preset reduced_dbs --cache-dir "$tmp/cache" --set databases.uniref90_max_hits=3
    said "search uniref90: done" "search mgnify: taken from the cache"
}

@test "a kept file that was changed, or template hits of another query, are not used again" {
    run_code 0 with_data search "$query" --db-preset reduced_dbs
    echo >>"$out"/*/msas/mgnify_hits.sto
    run_code 0 with_data search "$query" --db-preset reduced_dbs
    said "it was changed after it was made" "search uniref90: $out"
    rm "$out"/*/msas/searches.json
    cp test/data/features/inputs/fam_A/pdb_hits.hhr "$out"/*/msas/
    run_code 0 with_data search "$query" --db-preset reduced_dbs
    said "pdb_hits.hhr is not used again" "search pdb70: done"
}

@test "a program that hangs is ended by the time limit" {
    stub jackhmmer <<<'sleep 600'
    run_code 5 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$out" --set search.time_limit=1 \
        --set tools.jackhmmer="$tmp/bin/jackhmmer"
    said "search.time_limit" "took longer than 1 s"
    nothing_half_written "$out"
}

@test "one search that fails keeps what the others found" {
    stub jackhmmer <<<'case $database in *mgy*) echo no >&2; exit 1;; esac; exec /usr/bin/env jackhmmer -o /dev/null \
        -A /dev/stdout --noali -E 0.0001 --cpu 1 -N 1 "$query" "$database"'
    run_code 5 with_data search "$query" --db-preset reduced_dbs --no-templates \
        --set tools.jackhmmer="$tmp/bin/jackhmmer"
    said "search of mgnify"
    [ -s "$out"/*/msas/uniref90_hits.sto ] || skip "mgnify failed before uniref90 began"
    run_code 0 with_data search "$query" --db-preset reduced_dbs --no-templates
    said "uniref90_hits.sto used again"
}

@test "a batch: a folder, a table, shortest first, a summary, status 9" {
    mkdir "$tmp/in"
    cp $demo/6kwc.fasta $demo/4ot.fasta "$tmp/in/"
    printf 'id,sequence\ntiny,ACDEFGHIKLMNPQRSTVWY\n' >"$tmp/in/more.csv"
    stub jackhmmer <<<'if grep -q 6KWC "$query"; then echo no >&2; exit 1; fi
        exec /usr/bin/env jackhmmer -o /dev/null -A /dev/stdout --noali -E 0.0001 --cpu 1 \
            -N 1 "$query" "$database"'
    run_code 9 "$FASTFOLD" features "$tmp/in" --config $config -o "$out" --set tools.jackhmmer="$tmp/bin/jackhmmer"
    said "target 1 of 3: tiny" "target 2 of 3: 4OT" "target 3 of 3: 6KWC_1" "1 of 3 targets failed"
    [ -s "$out/4OT/features.npz" ] && [ -s "$out/tiny/features.npz" ]
    grep -A5 '"name": "6KWC_1"' "$out/summary.json" | grep -q '"exit_code": 5'
    grep -A5 '"name": "tiny"' "$out/summary.json" | grep -q '"exit_code": 0'
    # The same command goes on where it was.
    run_code 0 "$FASTFOLD" features "$tmp/in" --config $config -o "$out"
    said "4OT: finished before" "search uniref90: done"
    nothing_half_written "$out"
    mkdir "$tmp/empty"
    run_code 4 "$FASTFOLD" features "$tmp/empty" --config $config -o "$out"
    said "holds no sequence file"
}

@test "Ctrl-C in a batch ends all searches at once, and the same command goes on" {
    mkdir "$tmp/in"
    cp $demo/*.fasta "$tmp/in/"
    rm "$tmp/in"/proteins*.fasta
    stub jackhmmer <<<'echo $$ >>"'"$tmp"'/pids"; sleep 100'
    "$FASTFOLD" search "$tmp/in" --config $config -o "$out" --set tools.jackhmmer="$tmp/bin/jackhmmer" 2>"$tmp/log" &
    local pid=$! code=0 began=$SECONDS
    while [ ! -s "$tmp/pids" ] && [ $((SECONDS - began)) -lt 20 ]; do sleep 0.1; done
    kill -INT $pid
    began=$SECONDS
    wait $pid || code=$?
    [ "$code" -eq 130 ]
    [ $((SECONDS - began)) -lt 8 ]
    nothing_half_written "$out"
    run_code 0 "$FASTFOLD" search "$tmp/in" --config $config -o "$out"
    [ -s "$out/summary.json" ]
}

@test "what a killed run left is removed by the next one" {
    printf '#!/bin/sh\n[ "$1" = -h ] && exec jackhmmer -h\n: >"%s/started"\nexec sleep 20\n' "$tmp" >"$tmp/slow"
    chmod +x "$tmp/slow"
    "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$out" --set tools.jackhmmer="$tmp/slow" \
        >/dev/null 2>&1 3>&- &
    pid=$!
    for _ in $(seq 200); do [ -e "$tmp/started" ] && break; sleep 0.05; done
    kill -9 $pid
    wait $pid || true
    [ -n "$(echo "$out"/4OT/.search-*/uniref90)" ]
    run_code 0 "$FASTFOLD" search $demo/4ot.fasta --config $config -o "$out"
    said "rows)"
    nothing_half_written "$out"
}

@test "download_dbs.sh: layout, what is there already, an archive that is cut" {
    mkdir "$tmp/mirror"
    gzip -c "$DATABASES/uniref90/uniref90.fasta" >"$tmp/mirror/uniref90.fasta.gz"
    tar -czf "$tmp/mirror/pdb70_from_mmcif_200401.tar.gz" -C "$DATABASES/pdb70" .
    cp "$DATABASES/pdb_seqres/pdb_seqres.txt" "$tmp/mirror/"
    head -c 1000 "$DATABASES/mgnify/mgy_clusters_2022_05.fa" | gzip -c | head -c 200 \
        >"$tmp/mirror/mgy_clusters_2022_05.fa.gz"
    export FASTFOLD_DB_MIRROR=$tmp/mirror
    run_code 0 scripts/download_dbs.sh "$tmp/data" --only uniref90,pdb70,pdb_seqres
    cmp "$DATABASES/uniref90/uniref90.fasta" "$tmp/data/uniref90/uniref90.fasta"
    diff -r "$DATABASES/pdb70" "$tmp/data/pdb70"
    [ "$(grep -c '^>' "$tmp/data/pdb_seqres/pdb_seqres.txt")" -gt 0 ]
    ! grep -q mol:na "$tmp/data/pdb_seqres/pdb_seqres.txt"
    run_code 0 scripts/download_dbs.sh "$tmp/data" --only uniref90,pdb70
    said "nothing to fetch"
    run_code 1 scripts/download_dbs.sh "$tmp/data" --only mgnify
    said "is damaged"
    [ ! -e "$tmp/data/mgnify/mgy_clusters_2022_05.fa" ]
    run_code 1 scripts/download_dbs.sh "$tmp/data" --only nothing
    said "unknown database 'nothing'"
    run_code 0 scripts/download_dbs.sh --list
    said uniref90 1800
}

@test "run_slurm.sh prints a job for the searches and one for the predictions" {
    DRY_RUN=1 FASTFOLD=/opt/fastfold SEARCH_CPUS=4 run_code 0 scripts/run_slurm.sh $demo/4ot.fasta "$out" "$DATABASES" \
        --recycles 1
    said "cpus-per-task=4" "/opt/fastfold search $demo/4ot.fasta --data-dir $DATABASES" "gpu:1" "/opt/fastfold predict"
    run_code 4 env FASTFOLD=/opt/fastfold scripts/run_slurm.sh "$tmp/none.fasta" "$out" "$DATABASES"
}

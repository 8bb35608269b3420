#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2086,SC2154
# Searches by MMseqs2: the real program where its result is what counts, a stub for calls and faults.

load stages

small=CDEFGHIKLMNPQRSTVWYACDEFGHIKLMNP

# mm COMMAND FILE OPTION...
mm() {
    "$FASTFOLD" "$1" --config "$config" --output-dir "$out" --search-tool mmseqs2 "${@:2}"
}

with_stub() {
    mm search "$(fasta q $small)" --set tools.mmseqs="$tmp/bin/mmseqs" --cache-dir "$tmp/cache" "$@"
}

# stub_mmseqs [STEP TEXT]: MMseqs2 that writes empty databases, and one row at the end; STEP does TEXT instead.
stub_mmseqs() {
    mkdir -p "$tmp/bin"
    cat >"$tmp/bin/mmseqs" <<STUB
#!/bin/bash
if [ "\$1" = -h ]; then echo "MMseqs2 Version: 99 (stub)"; exit 0; fi
if [ "\$2" = -h ]; then echo " --gpu INT  Use GPU"; exit 0; fi
echo "\$*" >>"$tmp/calls"
make() { for s in "" .index .dbtype _h .index _h.index _h.dbtype; do printf '\\0\\0\\0\\0' >"\$1\$s"; done; }
case \$1 in
    "${1:-none}") ${2:-:} ;;
    createdb | makepaddedseqdb) make "\$3" ;;
    search) make "\$4" ;;
    filterresult) make "\$5" ;;
    expandaln) make "\$6" ;;
    align) make "\$5" ;;
    convertalis) printf '1\t32\t5\t36\t$small\t$small\ttr|A|A_HUMAN x\n' >"\$5" ;;
esac
STUB
    chmod +x "$tmp/bin/mmseqs"
}

# The names of the calls, in one line.
calls() { cut -d ' ' -f 1 "$tmp/calls" | tr '\n' ' '; }

@test "MMseqs2 finds the homologues of 4OT in a FASTA file, which is converted once" {
    run_code 0 mm search $demo/4ot.fasta --cache-dir "$tmp/cache"
    said "is converted for MMseqs2, once"
    local a3m=$out/4OT/msas/uniref90_hits.a3m
    [ "$(grep -c '^>' "$a3m")" -gt 1000 ]
    [ "$(sed -n 2p "$a3m")" = "$(sed -n 2p $demo/4ot.fasta)" ]
    grep -q '^>UniRef100_[A-Z0-9]*/1-59$' "$a3m"
    grep -q '"version": "MMseqs2 Version: ' "$out/4OT/run.json"
    [ "$(ls "$tmp/cache/mmseqs" | wc -l)" -eq 1 ]
    nothing_half_written "$out"
    # Features come from the kept file, without the program.
    run_code 0 mm features $demo/4ot.fasta --set tools.mmseqs=no-such-program
    said "used again"
}

@test "the calls: FASTA, a database of its own, one with clusters" {
    stub_mmseqs
    run_code 0 with_stub
    [ "$(calls)" = "createdb createdb search filterresult filterresult convertalis " ]
    grep -q '^search .*/query .*/db .*/found .*/tmp --num-iterations 3 -a -s 8 -e 0.1 --max-seqs 10000 ' "$tmp/calls"
    [ "$(sed -n 3p "$out/q/msas/uniref90_hits.a3m")" = ">tr|A|A_HUMAN/5-36" ]
    # Another query: the converted database is there already.
    : >"$tmp/calls"
    run_code 0 mm search "$(fasta r ${small}A)" --set tools.mmseqs="$tmp/bin/mmseqs" --cache-dir "$tmp/cache"
    [ "$(calls)" = "createdb search filterresult filterresult convertalis " ]
    # The same query in another folder: the cache.
    : >"$tmp/calls"
    run_code 0 with_stub -o "$tmp/other"
    said "taken from the cache"
    [ -z "$(calls)" ]
    "$tmp/bin/mmseqs" createdb x "$tmp/own"
    : >"$tmp/calls"
    run_code 0 with_stub -o "$tmp/own1" --set databases.uniref90="$tmp/own"
    [ "$(calls)" = "createdb search filterresult filterresult convertalis " ]
    "$tmp/bin/mmseqs" createdb x "$tmp/own_seq"
    "$tmp/bin/mmseqs" createdb x "$tmp/own_aln"
    : >"$tmp/calls"
    run_code 0 with_stub -o "$tmp/own2" --cache-dir "$tmp/cache2" --set databases.uniref90="$tmp/own"
    [ "$(calls)" = "createdb search mvdb lndb expandaln align filterresult filterresult convertalis " ]
    grep -q "^expandaln [^ ]*/query $tmp/own_seq [^ ]*/found $tmp/own_aln [^ ]*/expanded " "$tmp/calls"
    grep -q "^convertalis [^ ]*/query $tmp/own_seq " "$tmp/calls"
}

@test "on a GPU the converted database is padded" {
    stub_mmseqs
    run_code 0 with_stub --set search.gpu=yes
    [ "$(calls)" = "createdb makepaddedseqdb createdb search filterresult filterresult convertalis " ]
    not_said error
    "$tmp/bin/mmseqs" createdb x "$tmp/own"
    run_code 3 with_stub -o "$tmp/other" --set search.gpu=yes --set databases.uniref90="$tmp/own"
    said "mmseqs makepaddedseqdb"
    printf '\0\0\10\0' >"$tmp/own.dbtype"
    run_code 0 with_stub -o "$tmp/other" --set search.gpu=yes --set databases.uniref90="$tmp/own"
    grep -q "^search [^ ]* $tmp/own .* --gpu 1" "$tmp/calls"
    sed -i 's/--gpu INT/--cpu INT/' "$tmp/bin/mmseqs"
    run_code 4 with_stub -o "$tmp/third" --set search.gpu=yes
    said "search.gpu is yes" "99 (stub)"
}

@test "faults of every step: a message, nothing half-written, and the next run goes on" {
    local step
    for step in createdb search filterresult convertalis; do
        stub_mmseqs $step 'echo broken >&2; exit 3'
        run_code 5 with_stub
        said "mmseqs $step" "exit code 3" "broken"
        nothing_half_written "$out"
        [ ! -e "$tmp/cache/mmseqs" ] || [ "$(ls -A "$tmp/cache/mmseqs" | grep -c '^\.')" -eq 0 ]
    done
    stub_mmseqs search 'kill -9 $$'
    run_code 5 with_stub
    said "SIGKILL"
    stub_mmseqs convertalis 'echo garbage >"$5"'
    run_code 5 with_stub
    said "line 1 is no alignment"
    stub_mmseqs convertalis 'printf "1\t32\t5\t36\tCDE" >"$5"'
    run_code 5 with_stub
    said "without its end"
    stub_mmseqs convertalis ':'
    run_code 5 with_stub
    said "wrote nothing"
    stub_mmseqs search 'sleep 100'
    run_code 5 with_stub --set search.time_limit=1
    said "search.time_limit"
    nothing_half_written "$out"
    stub_mmseqs
    run_code 0 with_stub
    said "search uniref90: done"
}

@test "what is missing or no database is told before anything runs" {
    stub_mmseqs
    run_code 4 with_stub --set tools.mmseqs=no-such-program
    said "tools.mmseqs" "apt-get install mmseqs2"
    "$tmp/bin/mmseqs" createdb x "$tmp/own"
    : >"$tmp/calls"
    rm "$tmp/own_h.index"
    run_code 4 with_stub --set databases.uniref90="$tmp/own"
    said "own_h.index cannot be found"
    printf '\1\0\0\0' >"$tmp/own.dbtype"
    run_code 3 with_stub --set databases.uniref90="$tmp/own"
    said "type 1"
    echo nonsense >"$tmp/text"
    run_code 3 with_stub --set databases.uniref90="$tmp/text"
    said "does not begin with '>'"
    [ -z "$(calls)" ]
}

@test "templates and pairing start from what MMseqs2 found" {
    scripts/make_tiny_dbs.sh "$tmp/databases" >/dev/null
    stub_mmseqs
    local two=$tmp/two.fasta
    printf '>a\n%s\n>b\n%sA\n' $small $small >"$two"
    # The stub's row is of the first 32 residues, whatever the query.
    run_code 0 "$FASTFOLD" features "$two" --complex --model model_1_multimer_v3 --db-preset reduced_dbs -o "$out" \
        --data-dir "$tmp/databases" --search-tool mmseqs2 --set tools.mmseqs="$tmp/bin/mmseqs"
    [ -s "$out/two/msas/A/uniprot_hits.a3m" ]
    said "search pdb_seqres: done"
    # Similar rows stay where each may have a partner.
    grep -q '"command": ".*convertalis' "$out/two/run.json"
}

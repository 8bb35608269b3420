#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2016,SC2086,SC2154
# Searches: the real jackhmmer on the demo database, and stub programs for everything that can go wrong with a tool.

load stages

small=CDEFGHIKLMNPQRSTVWYACDEFGHIKLMNP

search() {
    "$FASTFOLD" search "$@" --config "$config" --output-dir "$out"
}

with_stub() {
    search "$@" --set tools.jackhmmer="$tmp/bin/jackhmmer"
}

# A Stockholm file of the query and one more row.
good_alignment='{
    printf "# STOCKHOLM 1.0\n\n"
    printf "q CDEFGHIKLMNPQRSTVWYACDEFGHIKLMNP\nhit/1-32 CDEFGHIKLMNPQRSTVWYACDEFGHIKLMNA\n//\n"
} >"$sto"'

@test "jackhmmer is called as the published pipeline calls it" {
    stub jackhmmer <<<"$good_alignment"
    sed -i '2i echo "$*" >>"'"$tmp"'/calls"' "$tmp/bin/jackhmmer"
    run_code 0 with_stub "$(fasta q $small)" --search-cpus 1
    run tail -n 1 "$tmp/calls"
    local expected="-o /dev/null -A /dev/stdout --noali --F1 0.0005 --F2 5e-05 --F3 5e-07"
    expected+=" --incE 0.0001 -E 0.0001 --cpu 1 -N 1 $out/q/.search-XXX/uniref90/query.fasta $PWD/$demo/proteins.fasta"
    output=$(sed -E 's|\.search-[^/]+|.search-XXX|g; s|[^ ]*/configs/\.\./|'"$PWD"'/|' <<<"$output")
    [ "$output" = "$expected" ] || { echo "$output"; echo "$expected"; false; }
}

@test "the real search finds the homologues of 4OT and keeps them" {
    run_code 0 search $demo/4ot.fasta
    [ "$(files_in "$out/4OT")" = "$(printf 'msas/searches.json\nmsas/uniref90_hits.sto\nrun.json')" ]
    [ "$(tail -n 1 "$out/4OT/msas/uniref90_hits.sto")" = // ]
    rows=$(grep -v '^[#/]' "$out/4OT/msas/uniref90_hits.sto" | awk 'NF {print $1}' | sort -u | wc -l)
    [ "$rows" -gt 3000 ] && [ "$rows" -lt 4000 ]
    grep -q '"version": "HMMER 3' "$out/4OT/run.json"
    grep -q '"command": ".*jackhmmer -o /dev/null -A ' "$out/4OT/run.json"
    nothing_half_written "$out"
}

@test "the cap keeps the first rows, query included" {
    run_code 0 search $demo/4ot.fasta --set databases.uniref90_max_hits=10
    rows=$(grep -v '^[#/]' "$out/4OT/msas/uniref90_hits.sto" | awk 'NF {print $1}' | sort -u | wc -l)
    [ "$rows" -eq 10 ]
    # A larger cap needs another search, a smaller one does not.
    run_code 0 search $demo/4ot.fasta --set databases.uniref90_max_hits=20
    said "cut at 10 rows"
    run_code 0 search $demo/4ot.fasta --set databases.uniref90_max_hits=5 --set tools.jackhmmer=no-such-program
    said "used again (5 rows)"
}

@test "a kept alignment is used again without tool or database" {
    run_code 0 search $demo/4ot.fasta
    run_code 0 search $demo/4ot.fasta --set tools.jackhmmer=no-such-program --set databases.uniref90=null
    said "used again"
}

@test "an alignment of another program is used after a look at its query" {
    mkdir -p "$out/q/msas"
    printf '# STOCKHOLM 1.0\n\nq %s\nx %s\n//\n' $small $small >"$out/q/msas/uniref90_hits.sto"
    run_code 0 search "$(fasta q $small)" --set tools.jackhmmer=no-such-program
    said "used again (2 rows)"
    printf '# STOCKHOLM 1.0\n\nq %sA\nx %sA\n//\n' $small $small >"$out/q/msas/uniref90_hits.sto"
    run_code 0 search "$(fasta q $small)"
    said "is not used again"
}

@test "a truncated alignment is searched again" {
    run_code 0 search $demo/4ot.fasta
    cp "$out/4OT/msas/uniref90_hits.sto" "$tmp/whole"
    head -c 100000 "$tmp/whole" >"$out/4OT/msas/uniref90_hits.sto"
    run_code 0 search $demo/4ot.fasta
    said "is not used again" "3452 rows"
    cmp "$tmp/whole" "$out/4OT/msas/uniref90_hits.sto"
}

@test "an alignment from another database is searched again" {
    run_code 0 search $demo/4ot.fasta
    head -n 200 $demo/proteins.fasta >"$tmp/proteins.fasta"
    run_code 0 search $demo/4ot.fasta --set databases.uniref90="$tmp/proteins.fasta"
    said "another database"
}

@test "a missing tool is found before anything runs" {
    run_code 4 search $demo/4ot.fasta --set tools.jackhmmer=no-such-program
    said "no-such-program" "tools.jackhmmer" "apt-get install hmmer"
    [ ! -e "$out/4OT" ]
}

@test "a tool that does not start is found before anything runs" {
    printf '#!/bin/sh\necho "cannot load libfoo" >&2\nexit 127\n' >"$tmp/broken"
    chmod +x "$tmp/broken"
    run_code 5 search $demo/4ot.fasta --set tools.jackhmmer="$tmp/broken"
    said "127" "cannot load libfoo"
    [ ! -e "$out/4OT" ]
}

@test "a missing, empty, foreign or unreadable database is found before anything runs" {
    run_code 4 search $demo/4ot.fasta --set databases.uniref90="$tmp/none.fasta"
    said "databases.uniref90" "none.fasta"
    : >"$tmp/empty.fasta"
    run_code 4 search $demo/4ot.fasta --set databases.uniref90="$tmp/empty.fasta"
    said "is empty"
    run_code 3 search $demo/4ot.fasta --set databases.uniref90="$demo/README.md"
    said "does not begin with '>'"
    run_code 4 search $demo/4ot.fasta --set databases.uniref90="$tmp"
    said "is not a file"
    [ ! -e "$out/4OT" ]
}

@test "an hh-suite database needs all six of its files" {
    for f in a3m.ffdata a3m.ffindex hhm.ffdata hhm.ffindex cs219.ffdata; do echo x >"$tmp/db_$f"; done
    run_code 4 search $demo/4ot.fasta --set databases.preset=full_dbs --set databases.bfd="$tmp/db"
    said "databases.bfd" "db_cs219.ffindex"
}

@test "hhblits searches BFD and UniRef30 in one call, as the published pipeline does" {
    for db in bfd uniref30; do
        for f in a3m.ffdata a3m.ffindex hhm.ffdata hhm.ffindex cs219.ffdata cs219.ffindex; do
            echo x >"$tmp/${db}_$f"
        done
    done
    mkdir "$tmp/bin"
    cat >"$tmp/bin/hhblits" <<'END'
#!/bin/bash
if [ "$1" = -h ]; then echo "HHblits 3.3.0:"; exit 0; fi
echo "$*" >"$(dirname "$0")/../calls"
while [ $# -gt 0 ]; do [ "$1" = -oa3m ] && a3m=$2; shift; done
printf '>q\nCDEFGHIKLMNPQRSTVWYACDEFGHIKLMNP\n>h\nCDEFGHIKLMNPaaQRSTVWYACDEFGHIKL---\n' >"$a3m"
END
    chmod +x "$tmp/bin/hhblits"
    run_code 0 search "$(fasta q $small)" --search-cpus 1 --set databases.preset=full_dbs \
        --set databases.uniref90=null --set databases.bfd="$tmp/bfd" --set databases.uniref30="$tmp/uniref30" \
        --set tools.hhblits="$tmp/bin/hhblits"
    said "search bfd" "2 rows"
    output=$(sed -E 's|\.search-[^/]+|.search-XXX|g' "$tmp/calls")
    local expected="-i $out/q/.search-XXX/bfd/query.fasta -cpu 1 -oa3m $out/q/.search-XXX/bfd/output.a3m -o /dev/null"
    expected+=" -n 3 -e 0.001 -maxseq 1000000 -realign_max 100000 -maxfilt 100000 -min_prefilter_hits 1000"
    expected+=" -d $tmp/bfd -d $tmp/uniref30"
    [ "$output" = "$expected" ] || { echo "$output"; echo "$expected"; false; }
    [ "$(files_in "$out/q")" = "$(printf 'msas/bfd_uniref_hits.a3m\nmsas/searches.json\nrun.json')" ]
    grep -q '"version": "HHblits 3.3.0"' "$out/q/run.json"
    run_code 0 search "$(fasta q $small)" --set databases.preset=full_dbs --set databases.uniref90=null
    said "used again (2 rows)"
}

@test "no database at all is a question of configuration" {
    run_code 2 search $demo/4ot.fasta --set databases.uniref90=null
    said "--data-dir" "--msa" "--no-msa"
}

@test "a tool that fails: exit status and the end of its stderr are told" {
    stub jackhmmer <<<'echo "Error: something about the query" >&2; exit 3'
    run_code 5 with_stub $demo/4ot.fasta
    said "uniref90" "3" "something about the query"
    [ ! -e "$out/4OT/msas/uniref90_hits.sto" ]
    nothing_half_written "$out"
}

@test "a tool that is killed: the signal is named, and memory is mentioned" {
    stub jackhmmer <<<'kill -KILL $$'
    run_code 5 with_stub $demo/4ot.fasta
    said "SIGKILL" "memory"
    nothing_half_written "$out"
}

@test "a tool that writes nothing, garbage or half an alignment" {
    stub jackhmmer <<<'exit 0'
    run_code 5 with_stub $demo/4ot.fasta
    said "wrote no alignment"
    stub jackhmmer <<<'head -c 5000 /dev/urandom >"$sto"'
    run_code 5 with_stub $demo/4ot.fasta
    said "jackhmmer wrote an alignment"
    stub jackhmmer <<<'printf "# STOCKHOLM 1.0\n\n4OT PIAQIHILEGRSDEQKETLIREVSEAISRSL\n" >"$sto"'
    run_code 5 with_stub $demo/4ot.fasta
    said "//"
    [ ! -e "$out/4OT/msas/uniref90_hits.sto" ]
    nothing_half_written "$out"
}

@test "a tool that answers another query" {
    stub jackhmmer <<<"$good_alignment"
    run_code 5 with_stub $demo/4ot.fasta
    said "cannot be used"
    [ ! -e "$out/4OT/msas/uniref90_hits.sto" ]
}

@test "after a failed search the next run succeeds" {
    stub jackhmmer <<<'exit 1'
    run_code 5 with_stub $demo/4ot.fasta
    run_code 0 search $demo/4ot.fasta
    said "3452 rows"
}

# Whether a process does anything still; one that ended and waits for init to collect it does not.
runs() {
    [ -e "/proc/$1/stat" ] && [ "$(sed 's/.*) //; s/ .*//' "/proc/$1/stat" 2>/dev/null)" != Z ]
}

@test "Ctrl-C ends the tool and its children and leaves nothing half-written" {
    stub jackhmmer <<<'echo half >"$sto"; sleep 1000 & echo $! $$ >"'"$tmp"'/pids"; wait'
    for signal in INT:130 TERM:143; do
        rm -rf "$out" "$tmp/pids"
        # A shell starts background jobs with SIGINT ignored; env gives it back.
        env --default-signal=INT "$FASTFOLD" search $demo/4ot.fasta --config "$config" --output-dir "$out" \
            --set tools.jackhmmer="$tmp/bin/jackhmmer" 2>"$tmp/log" &
        pid=$!
        for _ in $(seq 100); do [ -s "$tmp/pids" ] && break; sleep 0.1; done
        [ -s "$tmp/pids" ]
        kill -"${signal%:*}" $pid
        code=0
        wait $pid || code=$?
        [ "$code" -eq "${signal#*:}" ] || { echo "status $code"; cat "$tmp/log"; false; }
        while read -r child tool; do
            if runs "$child" || runs "$tool"; then
                echo "$child or $tool still runs"
                false
            fi
        done <"$tmp/pids"
        [ -z "$(find "$out" -type f)" ] || { find "$out"; false; }
        nothing_half_written "$out"
    done
}

@test "the folder for temporary files can be chosen" {
    mkdir "$tmp/scratch"
    stub jackhmmer <<<'echo "$query" >"'"$tmp"'/where"; '"$good_alignment"
    run_code 0 with_stub "$(fasta q $small)" --tmp-dir "$tmp/scratch"
    [[ $(cat "$tmp/where") == "$tmp"/scratch/* ]]
    [ -z "$(ls -A "$tmp/scratch")" ]
}

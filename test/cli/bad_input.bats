#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2154
# Everything that can be wrong with the input of `predict` is found before the first search, with the documented status.

load stages

# bad CODE FILE-TEXT WORD...: predict must refuse a FASTA file of this text and say the words; nothing is written.
bad() {
    local code=$1 text=$2
    shift 2
    # shellcheck disable=SC2059
    printf "$text" >"$tmp/bad.fasta"
    run_code "$code" quick predict "$tmp/bad.fasta"
    said "bad.fasta" "$@"
    [ -z "$(files_in "$out" 2>/dev/null)" ]
}

# good FILE-TEXT WORD...: it is accepted and the words are said.
good() {
    local text=$1
    shift
    # shellcheck disable=SC2059
    printf "$text" >"$tmp/good.fasta"
    run_code 0 quick predict "$tmp/good.fasta" --overwrite
    said "$@"
}

@test "lower case is folded with a note" {
    good '>q\nacdefGHIKL\n' "note:" "lower-case"
}

@test "a final * is left out with a warning" {
    good '>q\nACDEFGHIKL*\n' "warning:" "'*'"
}

@test "CRLF, CR, byte order mark, blanks, a missing last newline and gzip are accepted" {
    good '>q\r\nACDEF\r\nGHIKL\r\n'
    good '>q\rACDEF\rGHIKL\r'
    good '\xef\xbb\xbf>q\nACDEFGHIKL\n'
    good '>q\nACDEF GHIKL\t\n\n\n'
    good '>q\nACDEFGHIKL'
    printf '>q\nACDEFGHIKL\n' | gzip >"$tmp/q.fasta.gz"
    run_code 0 quick predict "$tmp/q.fasta.gz" --overwrite
}

@test "gaps, dots, digits and other characters are refused with record, position and character" {
    bad 3 '>q\nACD-EF\n' ":2:" "'q'" "4" "'-'"
    bad 3 '>q\nACD.EF\n' ":2:" "'.'"
    bad 3 '>q\nACDEF\nG1HI\n' ":3:" "residue 7" "'1'"
    bad 3 '>q\nAC*DEF\n' "'*'"
    bad 3 '>q\nAC@DEF\n' "'@'"
    bad 3 '>q\nAC\x01DEF\n' "0x01"
    bad 3 '>ok\nACDEF\n>q\nAC#DEF\n' ":4:" "'q'" "'#'"
}

@test "files that hold no records are refused" {
    bad 3 '' "no sequence"
    bad 3 '\n\n  \n' "no sequence"
    bad 3 'ACDEF\n>q\nACDEF\n' ":1:"
    bad 3 '>q\n>r\nACDEF\n' ":1:" "'q'" "no sequence"
    bad 3 '>q\nACDEF\n>r\n' ":3:" "'r'" "no sequence"
}

@test "a chain of one residue is refused" {
    bad 3 '>q\nA\n' "'q'"
}

@test "duplicate names are refused, also after they were made safe" {
    bad 3 '>q\nACDEF\n>q\nGHIKL\n' "'q'" ":3:"
    bad 3 '>a/b\nACDEF\n>a|b\nGHIKL\n' "a_b"
    fasta one ACDEF >/dev/null
    mkdir "$tmp/two"
    printf '>one\nGHIKL\n' >"$tmp/two/x.fasta"
    run_code 3 quick predict "$tmp/one.fasta" "$tmp/two/x.fasta"
    said "one" "name of its own"
}

@test "unsafe names cannot leave the output folder" {
    good '>../../etc/passwd\nACDEFGHIKL\n'
    [ -z "$(find "$tmp" -name passwd)" ]
    good '>..\nACDEFGHIKL\n'
    good '>.hidden\nACDEFGHIKL\n'
    [ -z "$(find "$tmp" -maxdepth 1 -name 'ranked*')" ]
}

@test "chains joined by ':' need a multimer model" {
    bad 2 '>q\nACDEF:GHIKL\n' "':'" "multimer" "'q'" "demo"
}

@test "a missing file, a folder, and no file at all" {
    run_code 4 quick predict "$tmp/none.fasta"
    said "none.fasta"
    mkdir "$tmp/folder"
    run quick predict "$tmp/folder"
    [ "$status" -eq 3 ] || [ "$status" -eq 8 ] || [ "$status" -eq 4 ]
    said "folder"
    run_code 2 quick predict
    said "FILE.fasta"
}

@test "alignments that do not belong to the query are refused" {
    q=$(fasta q ACDEFGHIKLMNPQRSTVWY)
    printf '>q\nACDEFGHIKLMNPQRSTVWA\n' >"$tmp/m.a3m"
    run_code 3 "$FASTFOLD" predict "$q" --config $config -o "$out" --msa "$tmp/m.a3m"
    said "m.a3m" "20"
    printf '>q\nACDEFGHIKLMNPQRSTVW\n' >"$tmp/m.a3m"
    run_code 3 "$FASTFOLD" predict "$q" --config $config -o "$out" --msa "$tmp/m.a3m"
    said "m.a3m" "19"
    printf '>q\nACDEFGHIKLMNPQRSTVWY\n>r\nACDE\n' >"$tmp/m.a3m"
    run_code 3 "$FASTFOLD" predict "$q" --config $config -o "$out" --msa "$tmp/m.a3m"
    said "m.a3m" "'r'"
    printf '>q\nACDEFGHIKLMNPQRSTVWY\n>r\nACDE1GHIKLMNPQRSTVWY\n' >"$tmp/m.a3m"
    run_code 3 "$FASTFOLD" predict "$q" --config $config -o "$out" --msa "$tmp/m.a3m"
    said "'1'"
    printf '# STOCKHOLM 1.0\n\nq ACDEFGHIKLMNPQRSTVWY\n' >"$tmp/m.sto"
    run_code 3 "$FASTFOLD" predict "$q" --config $config -o "$out" --msa "$tmp/m.sto"
    said "m.sto" "//"
    : >"$tmp/m.a3m"
    run_code 3 "$FASTFOLD" predict "$q" --config $config -o "$out" --msa "$tmp/m.a3m"
    run_code 4 "$FASTFOLD" predict "$q" --config $config -o "$out" --msa "$tmp/none.a3m"
    [ ! -e "$out/q" ]
}

@test "--msa is for one sequence, and features take the place of everything" {
    printf '>a\nACDEF\n>b\nGHIKL\n' >"$tmp/two.fasta"
    printf '>a\nACDEF\n' >"$tmp/m.a3m"
    run_code 2 "$FASTFOLD" predict "$tmp/two.fasta" --config $config -o "$out" --msa "$tmp/m.a3m"
    said "one by one"
    run_code 2 "$FASTFOLD" predict "$tmp/two.fasta" --config $config -o "$out" --features $demo/golden_4ot.npz
    run_code 2 "$FASTFOLD" predict --config $config -o "$out" --features $demo/golden_4ot.npz --msa "$tmp/m.a3m"
    said "--features and --msa" "hold an alignment"
    run_code 2 "$FASTFOLD" predict --config $config -o "$out" --features $demo/golden_4ot.npz --template x.cif
    said "--features and --template" "hold their templates"
    run_code 2 "$FASTFOLD" predict --config $config -o "$out" --features $demo/golden_4ot.npz --no-msa
    said "--features and --no-msa" "hold an alignment"
    run_code 2 "$FASTFOLD" plan --config $config --features $demo/golden_4ot.npz --complex
    said "--features and --complex" "which chains there are"
}

@test "an alignment and --no-msa exclude each other" {
    printf '>a\nACDEF\n>b\nACDEY\n' >"$tmp/m.a3m"
    for command in predict features plan; do
        run_code 2 "$FASTFOLD" $command "$(fasta a ACDEF)" --config $config --no-msa --msa "$tmp/m.a3m"
        said "--msa and --no-msa" "leave one"
        run_code 2 "$FASTFOLD" $command --msa="$tmp/m.a3m" "$tmp/a.fasta" --config $config --no-msa
    done
    [ ! -e "$out" ]
    # A site where nothing is searched as a rule.
    run_code 0 "$FASTFOLD" features "$tmp/a.fasta" --config $config --set search.enabled=false --msa "$tmp/m.a3m" \
        -o "$out"
}

@test "a gene in place of a protein is told" {
    good ">q\nATGGCTACGTTAGCATCCGATTGA\n" "warning:" "DNA or RNA"
    good ">q\nATGGCTACGTTAGCATCCGA\n>r\nACGT\n" "'q'"
    not_said "'r'"
}

@test "parameters: missing, truncated, foreign, of another model" {
    q=$(fasta q ACDEFGHIKL)
    run_code 4 quick predict "$q" --params "$tmp/none.npz"
    said "none.npz"
    head -c 100000 $demo/params_demo.npz >"$tmp/cut.npz"
    run_code 3 quick predict "$q" --params "$tmp/cut.npz"
    said "cut.npz" "truncated"
    run_code 3 quick predict "$q" --params $demo/README.md
    said "README.md"
    run_code 3 quick predict "$q" --params $demo/golden_4ot.npz
    said "golden_4ot.npz" "missing"
    run_code 3 "$FASTFOLD" predict "$q" --model model_1_ptm --params $demo/params_demo.npz --no-msa -o "$out"
    said "missing: " "template_embedding"
    run_code 3 quick predict "$q" --set model.msa_channel=48
    said "[64" "[48"
    mkdir "$tmp/folder"
    run_code 4 quick predict "$q" --params "$tmp/folder"
    run_code 2 "$FASTFOLD" predict "$q" --no-msa -o "$out"
    said "--params"
    [ ! -e "$out/q" ]
}

@test "damaged values inside the parameters are found by their checksum" {
    q=$(fasta q ACDEFGHIKL)
    cp $demo/params_demo.npz "$tmp/bad.npz"
    chmod +w "$tmp/bad.npz"
    printf 'XXXXXXXX' | dd of="$tmp/bad.npz" bs=1 seek=3000000 conv=notrunc status=none
    run_code 3 quick predict "$q" --params "$tmp/bad.npz"
    said "bad.npz" "CRC"
    [ ! -e "$out/q/ranked_0.pdb" ]
}

@test "features files that are none" {
    run_code 4 "$FASTFOLD" predict --features "$tmp/none.npz" --config $config -o "$out"
    run_code 3 "$FASTFOLD" predict --features $demo/README.md --config $config -o "$out"
    run_code 3 "$FASTFOLD" predict --features $demo/params_demo.npz --config $config -o "$out"
    head -c 50000 $demo/golden_4ot.npz >"$tmp/cut.npz"
    run_code 3 "$FASTFOLD" predict --features "$tmp/cut.npz" --config $config -o "$out"
    run_code 2 "$FASTFOLD" predict --features $demo/golden_4ot.npz --config $config -o "$out" --recycles 9
    said "3 recycles are possible"
}

@test "a folder that cannot be written is found before anything runs" {
    q=$(fasta q ACDEFGHIKL)
    : >"$tmp/file"
    run_code 8 "$FASTFOLD" predict "$q" --config $config --no-msa -o "$tmp/file/x"
    said "$tmp/file"
    run_code 8 "$FASTFOLD" predict "$q" --config $config --no-msa -o "/proc/fastfold"
    if [ "$(id -u)" -ne 0 ]; then
        mkdir "$tmp/locked"
        chmod a-w "$tmp/locked"
        run_code 8 "$FASTFOLD" predict "$q" --config $config --no-msa -o "$tmp/locked"
    fi
    mkdir -p "$out"
    : >"$out/q"
    run_code 8 "$FASTFOLD" predict "$q" --config $config --no-msa -o "$out"
}

@test "a prediction that cannot fit is refused with the numbers" {
    long=$(printf 'ACDEFGHIKLMNPQRSTVWY%.0s' $(seq 100))
    run_code 7 quick predict "$(fasta long $long)" --memory-limit 40MiB
    said "2000 residues" "GiB"
    [ ! -e "$out/long" ]
}

@test "a multimer model predicts a single chain, with a note" {
    run_code 0 "$FASTFOLD" predict "$(fasta q ACDEFGHIKL)" --model model_1_multimer_v3 --params synthetic --no-msa \
        -o "$out" --recycles 0 --set model.evoformer.num_block=1 --set model.extra_msa_stack.num_block=1
    said "ipTM is 0" "ipTM         0.000"
}

@test "a full disk is told, and nothing half-written stays" {
    [ -w /dev/full ] || skip "no /dev/full"
    q=$(fasta q ACDEFGHIKL)
    run bash -c "\"$FASTFOLD\" predict \"$q\" --config $config --no-msa --recycles 0 -o \"$out\" >/dev/full"
    [ "$status" -eq 8 ]
    nothing_half_written "$out"
}

@test "a template that is not what its name says, and a day that is none" {
    printf '>q\nACDEFGHIKL\n' >"$tmp/q.fasta"
    echo hello >"$tmp/t.cif"
    run_code 3 quick predict "$tmp/q.fasta" --template "$tmp/t.cif"
    said "t.cif" "not mmCIF" "data_"
    # Also where no template is looked for.
    for day in yesterday 2020-02-30; do
        run_code 2 quick predict "$tmp/q.fasta" --max-template-date $day
        said "--max-template-date" "databases.max_template_date" "$day" "a day such as"
    done
}

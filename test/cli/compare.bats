#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2154
# `fastfold compare`.

load stages

@test "a structure and itself, and itself moved" {
    run_code 0 "$FASTFOLD" compare $demo/reference/1ubi.pdb $demo/reference/1ubi.pdb
    said "76 paired, of 76 and 76; 100.0 % identical" "CA-RMSD   0.000 A" "lDDT-CA   100.00"
    # x, y, z -> z + 10, x, y: a rotation and a shift.
    awk '/^ATOM/ {printf "%s%8.3f%8.3f%8.3f%s\n", substr($0, 1, 30), substr($0, 47, 8) + 10, substr($0, 31, 8),
                  substr($0, 39, 8), substr($0, 55)}' $demo/reference/1ubi.pdb >"$tmp/moved.pdb"
    run_code 0 "$FASTFOLD" compare "$tmp/moved.pdb" $demo/reference/1ubi.pdb
    said "CA-RMSD   0.000 A" "lDDT-CA   100.00"
}

@test "a mirror image is another structure" {
    awk '/^ATOM/ {printf "%s%8.3f%s\n", substr($0, 1, 30), -substr($0, 31, 8), substr($0, 39)}' \
        $demo/reference/1ubi.pdb >"$tmp/mirror.pdb"
    run_code 0 "$FASTFOLD" compare --json "$tmp/mirror.pdb" $demo/reference/1ubi.pdb
    rmsd=$(sed -n 's/.*"ca_rmsd": \([0-9.]*\).*/\1/p' <<<"$output")
    awk -v r="$rmsd" 'BEGIN {exit !(r > 5)}'
    said '"lddt_ca": 100.0'
}

@test "residues are paired by sequence, whatever their numbers" {
    # Residues 10 to 60, numbered from 1001.
    awk '/^ATOM/ {n = substr($0, 23, 4) + 0; if (n >= 10 && n <= 60)
                  printf "%s%4d%s\n", substr($0, 1, 22), n + 991, substr($0, 27)}' $demo/reference/1ubi.pdb \
        >"$tmp/part.pdb"
    run_code 0 "$FASTFOLD" compare "$tmp/part.pdb" $demo/reference/1ubi.pdb
    said "51 paired, of 51 and 76; 100.0 % identical" "CA-RMSD   0.000 A"
}

@test "one atom moved by a known distance" {
    awk '/^ATOM/ && substr($0, 13, 4) == " CA " {n++; if (n == 38) {printf "%s%8.3f%s\n", substr($0, 1, 30),
         substr($0, 31, 8) + 1, substr($0, 39); next}} /^ATOM/' $demo/reference/1ubi.pdb >"$tmp/one.pdb"
    run_code 0 "$FASTFOLD" compare --json "$tmp/one.pdb" $demo/reference/1ubi.pdb
    # Without superposition sqrt(1/76) = 0.1147; superposing can only lower it, and a little only.
    rmsd=$(sed -n 's/.*"ca_rmsd": \([0-9.]*\).*/\1/p' <<<"$output")
    awk -v r="$rmsd" 'BEGIN {exit !(r > 0.11 && r <= 0.11471)}'
}

@test "gzip is read; other structures get a warning about how little they share" {
    gzip -c $demo/reference/1ubi.pdb >"$tmp/1ubi.pdb.gz"
    run_code 0 "$FASTFOLD" compare "$tmp/1ubi.pdb.gz" $demo/reference/1ubi.pdb
    run_code 0 "$FASTFOLD" compare $demo/reference/1crn.pdb $demo/reference/4ot.pdb
    said "warning: only"
}

@test "files that are no structures, missing ones, and too few" {
    run_code 3 "$FASTFOLD" compare $demo/README.md $demo/reference/1ubi.pdb
    said "README.md"
    run_code 4 "$FASTFOLD" compare $demo/reference/1ubi.pdb "$tmp/none.pdb"
    said "none.pdb"
    run_code 2 "$FASTFOLD" compare $demo/reference/1ubi.pdb
    run_code 2 "$FASTFOLD" compare a b c
    head -n 20 $demo/reference/1ubi.pdb | grep ^ATOM | head -n 9 >"$tmp/two.pdb"
    run_code 3 "$FASTFOLD" compare "$tmp/two.pdb" $demo/reference/1ubi.pdb
    said "expected at least 3"
}

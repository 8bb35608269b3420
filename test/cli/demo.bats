#!/usr/bin/env bats
# SPDX-License-Identifier: Apache-2.0
# shellcheck disable=SC2086,SC2154
# From sequence to structure with the real search and the demo parameters: a protein that they know, for several seeds,
# and one that they do not.

load stages

# score NAME: the mean pLDDT that run.json tells.
score() {
    sed -n 's/^    "mean_plddt": \([0-9.]*\),$/\1/p' "$out/$1/run.json"
}

# holds EXPRESSION: of awk.
holds() {
    awk "BEGIN {exit !($1)}" || { echo "not true: $1"; return 1; }
}

known_protein() {
    run_code 0 "$FASTFOLD" predict $demo/4ot.fasta --config $config -o "$out" --seed "$1"
    run_code 0 "$FASTFOLD" compare --json "$out/4OT/ranked_0.pdb" $demo/reference/4ot.pdb
    rmsd=$(sed -n 's/.*"ca_rmsd": \([0-9.]*\),$/\1/p' <<<"$output")
    said '"paired_residues": 59'
    holds "$rmsd < 1.0"
    holds "$(score 4OT) > 90"
}

@test "4OT is within 1 A of the known structure and sure of it: seed 0" { known_protein 0; }

@test "4OT: seed 1" { known_protein 1; }

@test "4OT: seed 2" { known_protein 2; }

@test "hen lysozyme is unknown to the demo parameters, and the pLDDT says so" {
    run_code 0 "$FASTFOLD" predict $demo/1aki.fasta --config $config -o "$out"
    holds "$(score 1AKI) < 60"
}

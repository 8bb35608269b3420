#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The demo: 4-oxalocrotonate tautomerase from its sequence to a structure, with the demo parameters and database, and
# how near the result is to the known structure.  usage: demo.sh path/to/fastfold
set -eu
fastfold=$1
out=build/demo

"$fastfold" predict data/demo/4ot.fasta --config configs/demo.yaml --output-dir "$out" --overwrite
echo
echo "structure:   $out/4OT/ranked_0.pdb"
# ranking_debug.json holds the mean pLDDT of each prediction as "name": value.
awk -F ': ' '/"demo_pred_0": / { printf "mean pLDDT:  %.2f\n", $2 }' "$out/4OT/ranking_debug.json"
echo "against the known structure, data/demo/reference/4ot.pdb:"
"$fastfold" compare "$out/4OT/ranked_0.pdb" data/demo/reference/4ot.pdb

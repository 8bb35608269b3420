#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# A picture (SVG) of memory and of seconds for one pass against length, from the run.json files of predictions, beside
# published figures of AlphaFold and FastFold.
#   usage: plot.sh run.json... >picture.svg          (lengths.sh makes such files)
# Memory is what the GPU's driver told, or the plan's where there is none; runs of fewer than 48 blocks of the Evoformer
# are left out of the times. Published: AlphaFold 2 on an A100 (README: one model, 3 recycles; a quarter of that is
# shown) and "16 GB hold 1,300 residues" (paper); FastFold: 5 GB for 1,200 residues in fp32, 61 GB for 10,000 in bf16.
set -euo pipefail
export LC_ALL=C
[ $# -gt 0 ] || { echo "usage: plot.sh run.json..." >&2; exit 2; }

# One line for each prediction: length, precision, GiB, seconds of a pass (0: not a whole pass).
for file in "$@"; do
    awk '
    { key = $1; gsub(/[":]/, "", key); value = $2; gsub(/[",]/, "", value) }
    key == "n_res" && !n { n = value }
    key == "precision" && precision == "" { precision = value }
    key == "features_seconds" { features = value + 0 }
    key == "seconds" && !memory { passes++; if (passes == 1 || value + 0 < least) least = value + 0 }
    key == "memory" { memory = 1 }
    key == "peak_backend_bytes" { planned = value + 0 }
    key == "device_bytes" { driver = value + 0 }
    key == "evoformer" { evoformer = 1 }
    key == "num_block" && evoformer { blocks = value + 0; evoformer = 0 }
    END {
        if (n && passes)
            printf "%d %s %.4f %.4f\n", n, precision, (driver > 0 ? driver : planned) / 1073741824,
                blocks < 48 ? 0 : least - features / passes
    }' "$file"
done | sort -k 2,2 -k 1,1n | awk '
function log10(x) { return log(x) / log(10) }
function px(n) { return left + (log10(n) - log10(50)) / (log10(20000) - log10(50)) * width }
function py(v) { return top + height - (log10(v) - log10(low)) / (log10(high) - log10(low)) * height }
function mark(n, v, colour, title) {
    if (v > 0)
        printf "<circle cx=\"%.1f\" cy=\"%.1f\" r=\"4\" fill=\"%s\"><title>%s</title></circle>\n", px(n), py(v), colour,
            title
}
function line(points, colour) {
    if (points != "")
        printf "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"1.5\"/>\n", points, colour
}
function text(x, y, s, anchor) {
    printf "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\">%s</text>\n", x, y, anchor, s
}
# Axes of one panel and its grid, powers of ten (memory also of two).
function axes(title, unit,    i, v, m) {
    printf "<rect x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\" fill=\"none\" stroke=\"#444\"/>\n", left, top, width,
        height
    text(left + width / 2, top - 10, title, "middle")
    text(left + width / 2, top + height + 34, "residues", "middle")
    m = split("100 200 500 1000 2000 5000 10000 16000", lengths, " ")
    for (i = 1; i <= m; i++) {
        printf "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"%d\" y2=\"%d\" stroke=\"#ddd\"/>\n", px(lengths[i]), px(lengths[i]),
            top, top + height
        text(px(lengths[i]), top + height + 16, lengths[i] < 10000 ? lengths[i] : lengths[i] / 1000 "k", "middle")
    }
    for (v = low; v <= high * 1.001; v *= unit == "GiB" ? 2 : 10) {
        printf "<line x1=\"%d\" x2=\"%d\" y1=\"%.1f\" y2=\"%.1f\" stroke=\"#ddd\"/>\n", left, left + width, py(v), py(v)
        text(left - 6, py(v) + 4, v " " unit, "end")
    }
}
function series(values, scale,    i, points, last) {
    for (i = 1; i <= n; i++) {
        if (precision[i] != last) {
            line(points, colours[last])
            points = ""
            last = precision[i]
        }
        if (values[i] <= 0)
            continue
        points = points sprintf("%.1f,%.1f ", px(length_of[i]), py(values[i] * scale))
        mark(length_of[i], values[i] * scale, colours[last],
             sprintf("fastfold %s, %d residues: %.2f", last, length_of[i], values[i] * scale))
    }
    line(points, colours[last])
}
{ n++; length_of[n] = $1; precision[n] = $2; seen[$2] = 1; memory[n] = $3; seconds[n] = $4 }
END {
    colours["fp32"] = "#1f6fb4"; colours["tf32"] = "#2f9e8f"; colours["bf16"] = "#d2501e"
    alphafold = "#777"; fastfold_1 = "#111"
    width = 380; height = 340; top = 50
    print "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 980 450\" font-family=\"sans-serif\" " \
        "font-size=\"12\">"
    print "<!-- SPDX-License-Identifier: Apache-2.0 -->"
    print "<rect width=\"980\" height=\"450\" fill=\"white\"/>"

    left = 70; low = 0.5; high = 128
    axes("memory of the GPU", "GiB")
    series(memory, 1)
    gb = 1e9 / 1073741824
    mark(1300, 16 * gb, alphafold, "AlphaFold: a 16 GB V100 holds about 1,300 residues")
    mark(1200, 5 * gb, fastfold_1, "FastFold fp32: 1,200 residues in 5 GB")
    mark(10000, 61 * gb, fastfold_1, "FastFold bf16: 10,000 residues in 61 GB")

    left = 570; low = 0.01; high = 10000
    axes("one pass", "s")
    series(seconds, 1)
    m = split("100 4.9 200 7.7 300 13 400 18 500 29 600 36 700 53 800 60 900 91 1000 96 1100 140 1500 280 2000 450 " \
              "2500 969 3000 1240 3500 2465 4000 5660 4500 12475 5000 18824", a, " ")
    for (i = 1; i < m; i += 2) {
        points = points sprintf("%.1f,%.1f ", px(a[i]), py(a[i + 1] / 4))
        mark(a[i], a[i + 1] / 4, alphafold, "AlphaFold 2, A100: " a[i + 1] " s for four passes")
    }
    line(points, alphafold)

    x = 80
    split("fp32 tf32 bf16", kinds, " ")
    for (i = 1; i <= 3; i++) {
        if (!(kinds[i] in seen))
            continue;
        printf "<circle cx=\"%d\" cy=\"440\" r=\"4\" fill=\"%s\"/>\n", x, colours[kinds[i]]
        text(x + 8, 444, "fastfold " kinds[i], "start")
        x += 110
    }
    printf "<circle cx=\"%d\" cy=\"440\" r=\"4\" fill=\"%s\"/>\n", x, alphafold
    text(x + 8, 444, "AlphaFold 2 (published: A100; memory: V100)", "start")
    printf "<circle cx=\"%d\" cy=\"440\" r=\"4\" fill=\"%s\"/>\n", x + 310, fastfold_1
    text(x + 318, 444, "FastFold (published: A100)", "start")
    print "</svg>"
}'

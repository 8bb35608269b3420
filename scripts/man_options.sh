#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Writes the lists of options between the "begin options" and "end options" marks of the manual pages, from what the
# program itself knows (fastfold config --list). A test compares, so run this when options change.
#   usage: man_options.sh path/to/fastfold [folder of the pages: man]
set -eu
fastfold=$1
dir=${2:-man}
list=$(mktemp)
trap 'rm -f "$list"' EXIT
"$fastfold" config --list >"$list"

# fill PAGE FORMAT: replaces what stands between the marks.
fill() {
    awk -F '\t' -v format="$2" -v list="$list" '
    function text(s) { gsub(/\\/, "\\e", s); sub(/^[.\047]/, "\\\\&&", s); return s }
    # A text line, broken at blanks: mdoc joins the pieces.
    function say(s,    n, i, w, line) {
        n = split(s, w, " ")
        for (i = 1; i <= n; i++) {
            if (line != "" && length(line) + length(w[i]) > 98) { print line; line = "" }
            line = line (line == "" ? "" : " ") w[i]
        }
        print line
    }
    function capital(s) { return toupper(substr(s, 1, 1)) substr(s, 2) }
    # "-o, --output-dir DIR" as mdoc: Fl o , Fl Fl output-dir Ar DIR
    function flags(s,    n, i, w, out) {
        n = split(s, w, " ")
        for (i = 1; i <= n; i++) {
            comma = sub(/,$/, "", w[i]) ? " ," : ""
            if (sub(/^--/, "", w[i])) out = out " Fl Fl " w[i] comma
            else if (sub(/^-/, "", w[i])) out = out " Fl " w[i] comma
            else out = out " Ar " w[i]
        }
        return out
    }
    function entries(    line, f, n) {
        while ((getline line < list) > 0) {
            split(line, f, "\t")
            if (format == "flags") {
                if (f[2] == "") continue
                print ".It" flags(f[2])
                say(text(capital(f[5])) ".")
                if (f[1] == "") print ".Pq " text(f[3])
                else print ".Pq " (f[3] ~ /^one of/ ? f[3] "; " : "") "key " f[1] "; default: " text(f[4])
            } else if (f[1] != "") {
                print ".It Cm " f[1]
                say(text(capital(f[5])) ".")
                say("Takes " text(f[3]) "; default: " text(f[4]) ".")
                if (f[2] != "") print ".Pq" flags(f[2])
            }
        }
    }
    /^\.\\" end options/ { inside = 0 }
    !inside { print }
    /^\.\\" begin options/ { inside = 1; entries() }' "$1" >"$1.new"
    mv "$1.new" "$1"
}
fill "$dir/fastfold.1" flags
fill "$dir/fastfold-config.5" keys

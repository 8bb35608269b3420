# SPDX-License-Identifier: Apache-2.0
# What the command line tests share. FASTFOLD names the program; tests run from the root of the repository.
FASTFOLD=$(realpath "${FASTFOLD:-build/fastfold}")

# fails CODE COMMAND...: runs it and expects that exit status, exactly one line on stderr beginning with "error", and
# nothing on stdout. What it printed is in $output.
fails() {
    local code=$1
    shift
    run --separate-stderr "$@"
    if [ "$status" -ne "$code" ]; then
        echo "expected status $code, got $status: $stderr"
        return 1
    fi
    [ -z "$output" ] || { echo "on stdout: $output"; return 1; }
    output=$stderr
}

# has TEXT: $output contains it.
has() {
    [[ "$output" == *"$1"* ]] || { echo "expected '$1' in: $output"; return 1; }
}

#!/bin/sh
# The engine's and the journal's benchmarks beside those of another checkout, in turns in one run, so that whatever else
# the machine does meanwhile does it to both. Prints the median of each figure, old and new, and their ratio.
#
#     crates/engine/benches/beside.sh PATH [RUNS] [WORD]
#
# PATH is a checkout of the old code; RUNS is 3 by default; WORD chooses among the engine's benchmarks.
# VISITLOG_BENCH_SESSIONS and VISITLOG_BENCH_DIR are as for the benchmarks.
set -eu
new=$(cd "$(dirname "$0")/../../.." && pwd)
old=$(cd "${1:?the path of a checkout of the old code}" && pwd)
runs=${2:-3}
word=${3:-}
figures=$(mktemp)
trap 'rm -f "$figures"' EXIT

# The programs of a checkout's benchmarks.
programs() {
    (cd "$1" && cargo bench -p visitlog-engine --bench engine --bench journal --no-run 2>&1) |
        sed -n "s|.*Executable benches/\\([a-z]*\\)\\.rs (\\(.*\\))|\\1 $1/\\2|p"
}

programs "$old" > "$figures.old"
programs "$new" > "$figures.new"
trap 'rm -f "$figures" "$figures.old" "$figures.new"' EXIT
for run in $(seq "$runs"); do
    for side in old new; do
        while read -r name program; do
            [ -z "$word" ] || [ "$name" = engine ] || continue
            # "what it is: NUMBER unit", perhaps with all runs behind it.
            "$program" $word | sed "s/ (of .*//" |
                sed -n "s/^\\([a-z].*\\): \\([0-9.][0-9.]*\\)\\(.*\\)\$/$side\\t\\1:\\3\\t\\2/p" >> "$figures"
        done < "$figures.$side"
        echo "run $run of $runs, $side: done" >&2
    done
done
awk -F '\t' '
    { key = $1 "\t" $2; count[key]++; value[key, count[key]] = $3; if ($1 == "new" && !($2 in seen)) { seen[$2] = 1; order[++n] = $2 } }
    function median(key,   i, j, k, t, v) {
        k = count[key]
        for (i = 1; i <= k; i++) v[i] = value[key, i]
        for (i = 2; i <= k; i++) for (j = i; j > 1 && v[j - 1] + 0 > v[j] + 0; j--) { t = v[j]; v[j] = v[j - 1]; v[j - 1] = t }
        return v[int((k + 1) / 2)]
    }
    END {
        printf "%12s %12s %6s\n", "old", "new", "ratio"
        for (i = 1; i <= n; i++) {
            old = median("old\t" order[i]); new = median("new\t" order[i])
            if (old > 0) printf "%12.0f %12.0f %6.2f  %s\n", old, new, new / old, order[i]
        }
    }
' "$figures"

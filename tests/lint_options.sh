#!/bin/sh
# lint_options.sh [TRAINER] — every option of every table is read by code: no key is accepted, documented and then
# forgotten. With a program: docs/options.md is what it prints, and each verb's --help names its flags.
set -u
cd "$(dirname "$0")/.." || exit 1
bad=0
tables=$(grep -lE 'OPT_(I64|COUNT|F64|BOOL|STR|ENUM|LIST|WORDS)\(' $(find trainer schedules optim data -name '*.c') | grep -v trainer/base/)
keys=$(sed -nE 's/^ *OPT_(I64|COUNT|F64|BOOL|STR|ENUM|LIST|WORDS)\([A-Za-z]+, *([a-z_0-9]+),.*/\2/p' $tables | sort -u)
[ -n "$keys" ] || { echo "no option found"; exit 1; }
# The config's own files count only where that is what the option is for.
readers=$(find trainer schedules optim data -name '*.c' | grep -vE 'trainer/run/(config|run_opts)')
for k in $keys; do
    case "$k" in
    gradient_accumulation_steps) grep -qE "[>.]$k\b" trainer/run/config_check.c && continue ;;
    finetuning_type) grep -qE "[>.]$k\b" trainer/run/config_methods.c && continue ;;
    report_to) grep -q 'config_reports_to(' $readers && continue ;;
    esac
    grep -qE "(->|\.)$k\b" $readers || { echo "option $k is read by nothing"; bad=1; }
done
if [ $# -gt 0 ]; then
    "$1" schema --markdown | diff docs/options.md - >/dev/null ||
        { echo "docs/options.md is old: trainer schema --markdown >docs/options.md"; bad=1; }
    for file in trainer/verb_*.c; do
        verb=${file#trainer/verb_}
        flags=$(grep -oE '\.name = "--[a-z-]+"' "$file" | grep -oE -- '--[a-z-]+')
        [ "$verb" != setup.c ] || continue
        help=$("$1" "${verb%.c}" --help) || { echo "${verb%.c} --help fails"; bad=1; }
        for flag in $flags; do
            case "$help " in *"$flag"[]\ ]*) ;; *) echo "${verb%.c} --help does not name $flag"; bad=1 ;; esac
        done
    done
fi
exit $bad

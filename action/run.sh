#!/usr/bin/env bash
# Runs a suite and judges it, or judges a finished run, and tells GitHub what came out. Never fails for a verdict: the last step of the
# action does, when everything is uploaded.
#
#   AM_EVAL    the program
#   SUITE      a suite to run, or
#   RUN        a finished run to judge
#   BASELINE   a baseline, or empty
#   RULES      a file of rules, or empty
#   OUT        folder that receives runs
#   LINK_BASE  address where the runs' folder can be looked at, or empty
#   ARGUMENTS  more arguments of `am-eval run`, words parted by spaces
set -euo pipefail

: "${AM_EVAL:?set it to the program}" "${OUT:=reports}" "${GITHUB_OUTPUT:=/dev/null}"
mkdir -p "$OUT"
# A cache may have brought those of an earlier job, which say nothing of this one.
rm -f "$OUT/comment.md" "$OUT/gate.sarif" "$OUT/gate.txt"
code=0
if [ -n "${RUN:-}" ]; then
    run=$RUN
else
    : "${SUITE:?name a suite, or a finished run}"
    read -r -a more <<<"${ARGUMENTS:-}"
    log=$(mktemp)
    "$AM_EVAL" run "$SUITE" --no-progress --out "$OUT" ${BASELINE:+--baseline "$BASELINE"} ${more[@]+"${more[@]}"} \
        | tee "$log" || code=$?
    # `report: FOLDER/report.html`, with a remark behind it where nothing was left to do.
    run=$(sed -n 's/^report: \(.*\)\/report\.html.*$/\1/p' "$log" | tail -n 1)
    rm -f "$log"
fi

# What the run's own verdict does not write: comment and SARIF; and the verdict itself for a run that was finished before.
if [ -n "$run" ] && { [ -n "${RUN:-}" ] || [ "$code" = 0 ] || [ "$code" = 100 ] || [ "$code" = 3 ] || [ "$code" = 4 ]; }; then
    links=${LINK_BASE:+${LINK_BASE%/}/$(basename "$run")}
    judged=0
    # The run has added its summary to the job's already.
    [ -n "${RUN:-}" ] || unset GITHUB_STEP_SUMMARY
    "$AM_EVAL" gate "$run" ${BASELINE:+--baseline "$BASELINE"} ${RULES:+--rules "$RULES"} ${SUITE:+--suite "$SUITE"} \
        ${links:+--link-base "$links"} --comment "$OUT/comment.md" --sarif "$OUT/gate.sarif" >"$OUT/gate.txt" || judged=$?
    if [ -n "${RUN:-}" ] || [ -n "${RULES:-}" ]; then
        cat "$OUT/gate.txt"
        code=$judged
    fi
fi

case $code in
    0) verdict=passed ;;
    100) verdict=failed ;;
    3) verdict=not-comparable ;;
    4) verdict=nothing-selected ;;
    5) verdict=incomplete ;;
    *) verdict=error ;;
esac
{
    echo "verdict=$verdict"
    echo "code=$code"
    echo "run=$run"
    echo "report=${run:+$run/report.html}"
    for file in comment.md gate.sarif; do
        if [ -f "$OUT/$file" ]; then echo "${file%.*}=$OUT/$file"; else echo "${file%.*}="; fi
    done
} >>"$GITHUB_OUTPUT"
echo "am-eval: $verdict"

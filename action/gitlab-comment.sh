#!/usr/bin/env bash
# Puts FILE under a merge request of GitLab as a note, or in the place of the note with the same first line. Needs curl and jq.
#
#   action/gitlab-comment.sh FILE
#
#   GITLAB_TOKEN                            a project token with the scope `api`; without one nothing is done
#   CI_API_V4_URL, CI_PROJECT_ID, CI_MERGE_REQUEST_IID   are set by GitLab in merge request pipelines
set -euo pipefail

file=${1:?name the file that `am-eval gate --comment` wrote}
if [ -z "${CI_MERGE_REQUEST_IID:-}" ] || [ -z "${GITLAB_TOKEN:-}" ]; then
    echo "no merge request, or no GITLAB_TOKEN, to comment with"
    exit 0
fi
: "${CI_API_V4_URL:?}" "${CI_PROJECT_ID:?}"
IFS= read -r marker <"$file" || true
case $marker in
    '<!-- am-eval gate of '*' -->') ;;
    *)
        echo "$file has no marker on its first line; make it with \`am-eval gate RUN --comment FILE\`" >&2
        exit 2
        ;;
esac
notes="$CI_API_V4_URL/projects/$CI_PROJECT_ID/merge_requests/$CI_MERGE_REQUEST_IID/notes"
# The token comes from a file, so that no list of processes shows it.
header=$(mktemp)
trap 'rm -f "$header"' EXIT
printf 'PRIVATE-TOKEN: %s\n' "$GITLAB_TOKEN" >"$header"
ask() { curl --silent --show-error --fail --header "@$header" "$@"; }
found=""
page=1
while [ -z "$found" ]; do
    answer=$(ask "$notes?per_page=100&page=$page")
    found=$(jq -r --arg marker "$marker" '[.[] | select(.body | startswith($marker)) | .id][0] // empty' <<<"$answer")
    [ "$(jq length <<<"$answer")" = 100 ] || break
    page=$((page + 1))
done
if [ -n "$found" ]; then
    ask --request PUT --data-urlencode "body@$file" "$notes/$found" >/dev/null
    echo "updated note $found"
else
    ask --request POST --data-urlencode "body@$file" "$notes" >/dev/null
    echo "made a note"
fi

#!/usr/bin/env bash
# Puts FILE under a pull request of GitHub as a comment, or in the place of the comment with the same first line.
#
#   action/comment.sh FILE
#
#   GITHUB_REPOSITORY  owner/name
#   PULL_REQUEST       the pull request's number; empty: there is none, and nothing is done
#   GH_TOKEN           a token with `pull-requests: write`, which `gh` reads
set -euo pipefail

file=${1:?name the file that `am-eval gate --comment` wrote}
if [ -z "${PULL_REQUEST:-}" ]; then
    echo "no pull request to comment on"
    exit 0
fi
: "${GITHUB_REPOSITORY:?}"
IFS= read -r MARKER <"$file" || true
case $MARKER in
    '<!-- am-eval gate of '*' -->') export MARKER ;;
    *)
        echo "$file has no marker on its first line; make it with \`am-eval gate RUN --comment FILE\`" >&2
        exit 2
        ;;
esac
comments="repos/$GITHUB_REPOSITORY/issues/$PULL_REQUEST/comments"
found=$(gh api --paginate "$comments?per_page=100" --jq '.[] | select(.body | startswith(env.MARKER)) | .id')
found=${found%%$'\n'*}
if [ -n "$found" ]; then
    gh api --method PATCH "repos/$GITHUB_REPOSITORY/issues/comments/$found" -F "body=@$file" >/dev/null
    echo "updated comment $found"
else
    gh api --method POST "$comments" -F "body=@$file" >/dev/null
    echo "made a comment"
fi

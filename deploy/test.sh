#!/usr/bin/env bash
# The whole story in real containers: three sites, a shoot, the studio lost with its drives, and every byte back from
# the phrase and one vault. Needs a Docker engine with Compose and the image that build.sh made.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")"

readonly project="safelight-test-$$"
readonly patience=${SAFELIGHT_TEST_SECONDS:-600}
deadline=$((SECONDS + patience))
work=$(mktemp -d)

if docker compose version >/dev/null 2>&1; then
  readonly tool=(docker compose)
else
  readonly tool=(docker-compose)
fi
compose() { "${tool[@]}" --project-name "$project" --file compose.yaml "$@"; }
say() { printf -- '- %s\n' "$*"; }

# What this run made, and only that: everything carries the project's name.
cleanup() {
  local status=$?
  trap - EXIT
  if ((status)); then
    compose logs --no-color --tail 30 || true
  fi
  compose --profile recover down --volumes --remove-orphans --timeout 5 >/dev/null 2>&1 || true
  docker ps --all --quiet --filter "name=^${project}" | xargs --no-run-if-empty docker rm --force --volumes >/dev/null
  docker volume ls --quiet --filter "name=^${project}" | xargs --no-run-if-empty docker volume rm --force >/dev/null
  docker network ls --quiet --filter "name=^${project}" | xargs --no-run-if-empty docker network rm >/dev/null
  rm -rf "$work"
  if ((status)); then echo "deploy/test.sh: FAILED" >&2; fi
  exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

# container SERVICE: its container's id.
container() { compose ps --quiet "$1"; }
# at SERVICE WORD...: a command on a running node.
at() {
  local service=$1
  shift
  timeout 120 docker exec "$(container "$service")" safelight "$@"
}
# once SERVICE WORD...: a command before the node runs, in a container that is gone afterwards.
once() { timeout "$patience" "${tool[@]}" --project-name "$project" --file compose.yaml run --rm -T "$@"; }

# await WHAT COMMAND...: repeats a command until it succeeds or the time is up.
await() {
  local what=$1
  shift
  until "$@"; do
    if ((SECONDS >= deadline)); then
      echo "deploy/test.sh: not within $patience s: $what" >&2
      return 1
    fi
    sleep 1
  done
}
healthy() { [[ $(docker inspect --format '{{.State.Health.Status}}' "$(container "$1")") == healthy ]]; }
# Compose starts the health check every 30 s; asking the node itself is quicker.
answers() { at "$1" --timeout 5s nodes --json >/dev/null 2>&1; }
# field NAME: the first string of that name in a JSON document; the image has no tool for it, nor may this machine.
field() { grep -oE "\"$1\": *\"[^\"]*\"" | head -n 1 | sed -E 's/.*: *"(.*)"/\1/'; }
safe() { at studio status "Container wedding" --json 2>/dev/null >"$work/status" && grep -qE '"verdict": *"safe"' "$work/status"; }

say "a shoot of 60 MB, as a camera leaves it"
card=$work/card/DCIM/100CANON
mkdir -p "$card"
for number in 1 2 3 4 5 6; do
  head -c 8000000 /dev/urandom >"$card/IMG_000$number.CR3"
  head -c $((1500000 + number * 77777)) /dev/urandom >"$card/IMG_000$number.JPG"
  printf '<x:xmpmeta xmlns:x="adobe:ns:meta/"/>\n' >"$card/IMG_000$number.xmp"
done
: >"$card/IMG_0007.CR3"

say "found the library at the studio"
once studio init --name studio --site studio --volume /volumes/ssd,media=ssd --volume /volumes/hdd,media=hdd \
  --phrase-out /photos/phrase.txt --json </dev/null >/dev/null
compose up --detach --no-deps studio >/dev/null 2>&1
await "the studio answers" answers studio
docker cp "$(container studio):/photos/phrase.txt" "$work/phrase.txt"

for site in friend:nas cloud:cloud; do
  name=${site%:*}
  say "let $name in, as a vault"
  code=$(at studio invite --json | field code)
  once "$name" join "$code" --name "$name" --site "$name" --volume "/volumes/${site#*:},media=${site#*:}" --json </dev/null >/dev/null
  compose up --detach --no-deps "$name" >/dev/null 2>&1
  await "$name answers" answers "$name"
done

known() { at studio volumes --json 2>/dev/null | grep -qE '"media": *"cloud"'; }
await "the studio knows every drive" known

say "take the photos in at the studio"
docker cp "$work/card" "$(container studio):/photos/card"
at studio ingest /photos/card --shoot "Container wedding" --json >"$work/ingest"
await "the shoot is safe" safe
await "the containers are healthy" healthy studio

say "lose the studio: its container and its drives"
friend=$(at friend nodes --json | tr -d '\n' | tr '{' '\n' | grep -E '"name": *"friend"' | grep -oE '/p2p/[A-Za-z0-9]+' | head -n 1)
compose rm --stop --force -v studio >/dev/null 2>&1
docker volume rm "${project}_studio-home" "${project}_studio-drives" "${project}_studio-photos" >/dev/null

say "recover in a new container, from the phrase and one vault"
recovery="$project-recovery"
timeout "$patience" "${tool[@]}" --project-name "$project" --file compose.yaml run --name "$recovery" -T new-studio \
  recover --phrase-file - --peer "/dns4/friend/tcp/3210$friend" --name studio-2 --site "new studio" \
  --volume /volumes/ssd,media=ssd --to /photos/back --json <"$work/phrase.txt" >"$work/recover"

say "compare every byte"
docker cp "$recovery:/photos/back" "$work/back"
docker rm --force "$recovery" >/dev/null
diff --recursive "$work/card" "$work/back/Container wedding"

say "the new studio runs, and sees the library"
compose up --detach --no-deps new-studio >/dev/null 2>&1
await "the new studio answers" answers new-studio
at new-studio shoots --json | grep -q 'Container wedding'

echo "deploy/test.sh: PASSED in $SECONDS s"

#!/bin/sh
# moat-init: the first program in every box.
#
# It waits at the gate: descriptor 3 leads to the supervisor, which says "go" once the proxy
# listens. If the supervisor dies before that, the read ends without a word and nothing runs.
# Then it puts staged files in place (/moat/NAME-init becomes ~/.NAME) and becomes the command.

echo ready >&3 || exit 125
# Bubblewrap must not die of a Ctrl-C, so it ignores it; the command is its own master. Whether
# that can be said is found out while the box is being finished.
masters='env --default-signal=INT,QUIT --'
$masters true 2>/dev/null || masters=
read -r word <&3 || exit 125
[ "$word" = go ] || exit 125
exec 3<&-

for staged in /moat/*-init; do
    [ -d "$staged" ] || continue
    name=${staged#/moat/}
    target=$HOME/.${name%-init}
    mkdir -p -m 700 "$target" && cp -pR "$staged/." "$target/" || {
        echo "moat-init: $staged could not be put in place" >&2
        exit 125
    }
done

# The rest of the environment, and the command as our arguments.
. /moat/start
case $1 in
*/*) ;;
*)
    command -v "$1" >/dev/null 2>&1 || {
        echo "moat: there is no program $1 in the box; it sees those of /usr and of the workspace" >&2
        exit 127
    }
    ;;
esac
exec $masters "$@"

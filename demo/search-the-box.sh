#!/bin/sh
# Looks for API keys everywhere a program in the box can look, and prints each it finds as
# PLACE<tab>KEY. It is not told what the real key is: it finds whatever looks like one, and
# whoever knows the real one compares.
key='sk-[A-Za-z0-9_-]{16,}'

show() { # PLACE, keys on standard input
    sort -u | while IFS= read -r found; do printf '%s\t%s\n' "$1" "$found"; done
}

for process in /proc/[0-9]*; do
    tr '\0' '\n' <"$process/environ" 2>/dev/null | grep -aoE "$key" | show "environment of $process"
    tr '\0' '\n' <"$process/cmdline" 2>/dev/null | grep -aoE "$key" | show "arguments of $process"
done

# /usr is the host's own, read-only and older than the key.
for place in /etc /home /moat /opt /run /tmp /var /workspace /dev/shm; do
    grep -raoshE "$key" "$place" 2>/dev/null | show "files below $place"
done

for process in /proc/[0-9]*; do
    [ "$process" = "/proc/$$" ] && continue
    readable=0
    {
        while read -r range permissions _; do
            case $permissions in rw*) ;; *) continue ;; esac
            start=$((0x${range%-*} / 4096)) end=$((0x${range#*-} / 4096))
            [ $((end - start)) -gt 262144 ] && continue # a reservation, not memory
            dd if="$process/mem" bs=4096 skip="$start" count=$((end - start)) 2>/dev/null
        done <"$process/maps"
    } 2>/dev/null | grep -aoE "$key" | show "memory of $process"
    head -c 1 "$process/maps" >/dev/null 2>&1 && readable=1
    name=$(tr '\0' ' ' <"$process/cmdline" 2>/dev/null | cut -c1-60)
    [ "$readable" = 1 ] || echo "closed: memory of $process ($name)" >&2
    [ "$readable" = 0 ] || echo "searched: memory of $process ($name)" >&2
done

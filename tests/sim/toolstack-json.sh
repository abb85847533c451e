#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# xl-vchan attach --json, apply --json and list --json: what is printed is accepted again, whatever
# a command contains.
. "$(dirname "$0")/../lib/sim-lib.bash"

snapshot() { xenstore-ls -fp | sort; }
# unchanged BEFORE WHEN
unchanged() { same_text "$2 xenstore" "$1" "$(snapshot)"; }
# channel_of NAME: prints the part of list --json that attach --json accepts.
channel_of() {
    xl-vchan list --json web | perl -MJSON::PP -0ne '
        BEGIN { $name = shift }
        my ($found) = grep { $_->{name} eq $name } @{decode_json($_)};
        print JSON::PP->new->canonical->encode($found->{channel})' "$1"
}
json() { echo "$1" > "$work/bad.json"; }
# refuses TEXT COMMAND...: it fails, reports exactly this, and changes nothing.
refuses() {
    local text=$1 before
    before=$(snapshot)
    shift
    run 1 "$@"
    complains "xl-vchan: $text"
    unchanged "$before" "after $*"
}

backend_start
backend_ready
domain web "name=db, connection=echo"
before=$(snapshot)

part "what list has is what attach takes"
cat > "$work/tap.json" << 'EOF'
{"name": "tap", "connection": "exec", "user": "root", "reconnect": true, "read-ring": 4096, "write-ring": "1M",
 "devid": 8, "backend": null, "command": "cat > /dev/null; : UNIX-LISTEN:/run/x,user=web, mode=0660 # \"it's\" \\"}
EOF
run 0 xl-vchan attach --json web "$work/tap.json"
# xenstore-read doubles a backslash.
command=$(xenstore-read "/local/domain/0/backend/vchan/$(xl domid web)/8/private/command")
[ "$command" = "cat > /dev/null; : UNIX-LISTEN:/run/x,user=web, mode=0660 # \"it's\" \\\\" ] || fail "command: $command"
first=$(channel_of tap)
[[ $first == *'"reconnect":true'*'"write-ring":1048576'* ]] || fail "list --json has: $first"
nodes=$(snapshot)
run 0 xl-vchan detach web tap
unchanged "$before" "after attach and detach"
run 0 xl-vchan attach web --json - < <(echo "$first")
unchanged "$nodes" "after attach of what list has"
[ "$(channel_of tap)" = "$first" ] || fail "the second time list --json has: $(channel_of tap)"

part "apply: what the domain has is what it is to have"
echo "[$(channel_of db), $first]" > "$work/all.json"
run 0 xl-vchan apply --json "$work/all.json" web
says ""
unchanged "$nodes" "after apply of what there is"
echo "[$(channel_of db)]" > "$work/all.json"
run 0 xl-vchan apply --json --dry-run - web < "$work/all.json"
[[ $out == "- name=tap,"* ]] || fail "apply --dry-run: $out"
run 0 xl-vchan apply --json "$work/all.json" web
unchanged "$before" "after apply without it"
refuses "apply $work/all.json: the file has no name= (give a DOMAIN)" xl-vchan apply --json "$work/all.json"

part "mistakes are told by file, entry and key"
bad="$work/bad.json: vchan entry 1: key"
json '{"name": "x", "colour": 1}'
run 1 xl-vchan attach --json web "$work/bad.json"
[[ $err == "xl-vchan: attach web: $bad \"colour\": unknown (the keys are name, "* ]] || fail "complained: $err"
json '{"name": "x", "path": "/a,b", "connection": "pty"}'
refuses "attach web: $bad \"path\": contains a comma (only command may contain one)" \
    xl-vchan attach --json web "$work/bad.json"
json '{"name": "x", "path": " /a", "connection": "pty"}'
refuses "attach web: $bad \"path\": begins or ends with white space" xl-vchan attach --json web "$work/bad.json"
json '{"name": "x", "connection": "exec", "user": "root", "command": "a\nb"}'
refuses "attach web: $bad \"command\": contains a control character (a line break?)" \
    xl-vchan attach --json web "$work/bad.json"
json '{"name": ["x"]}'
refuses "attach web: $bad \"name\": is not a string or number" xl-vchan attach --json web "$work/bad.json"
json '{"name": "x", "devid": true}'
refuses "attach web: $bad \"devid\": is not a string or number" xl-vchan attach --json web "$work/bad.json"
json '{"name": "x", "connection": "tcp", "address": "a:1", "reconnect": [1]}'
refuses "attach web: $bad \"reconnect\": is not a string or number, nor true or false" \
    xl-vchan attach --json web "$work/bad.json"
json '[{"name": "x"}, {"name": "y"}]'
refuses "attach web: expected one channel, not 2 (see xl-vchan help apply)" \
    xl-vchan attach --json web "$work/bad.json"
json '[{"name": "x"}, {"name": "x"}]'
refuses "$work/bad.json: vchan entry 2: key \"name\": \"x\" is already the name of entry 1" \
    xl-vchan apply --json "$work/bad.json" web
for text in '' '{"name": "x"' '{"name": "x"} x' 'nonsense' $'{"name": "\xff"}'; do
    json "$text"
    run 1 xl-vchan attach --json web "$work/bad.json"
    [[ $err == "xl-vchan: attach web: $work/bad.json: is not JSON: "* ]] || fail "$text: complained: $err"
done
json '[7]'
refuses "attach web: $work/bad.json: vchan entry 1: is not an object (write {\"name\": \"NAME\", ...})" \
    xl-vchan attach --json web "$work/bad.json"
refuses "attach web: $work/none: No such file or directory" xl-vchan attach --json web "$work/none"
run 2 xl-vchan attach --json web

part "what makes no channel here has none in JSON, and does no harm to the others"
libxl=/libxl/$(xl domid web)/device/vchan/0
for kind in carrier-pigeon "$(printf 'long%.0s' {1..10})" ""; do
    xenstore-write "$libxl/connection" "$kind"
    [ "$(channel_of db)" = null ] || fail "kind \"$kind\": $(channel_of db)"
    run 0 xl-vchan apply --json --dry-run - web <<< '[]'
    says ""
done
xenstore-write "$libxl/connection" echo
guest driver
# another backend claims it
xenstore-write "/local/domain/$domid/backend/vchan/$(xl domid web)/0/state" 2
xl-vchan list --json web | perl -MJSON::PP -0ne '
    exit(grep { defined $_->{channel} && $_->{backend} eq "driver" } @{decode_json($_)})' ||
    fail "a domain's word: $(xl-vchan list --json web)"
xenstore-rm "/local/domain/$domid/backend/vchan"
run 0 xl destroy driver

run 0 xl-vchan detach web db
run 0 xl destroy web
backend_stop
finish

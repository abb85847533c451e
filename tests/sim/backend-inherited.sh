#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# What a command can do to the service and to others, and what it inherits: no terminal, no signals,
# a known environment; a standard error through which it cannot forge other lines; a log that nobody
# reads.
set -u
. "${srcdir:-.}/tests/lib/sim-lib.bash" || exit 1

# Writes lines as packets, of which a reader with too small a buffer loses the rest (O_DIRECT is
# 040000 on x86, 0200000 on arm64).
cat > "$work/forge" <<'PERL'
use Fcntl; use strict;
my $direct = `uname -m` =~ /aarch64|arm/ ? 0200000 : 040000;
fcntl(STDERR, F_SETFL, fcntl(STDERR, F_GETFL, 0) | $direct) or die "no O_DIRECT: $!";
syswrite(STDERR, "a$_\n") for 1 .. 12;
syswrite(STDERR, "FORGED\n") for 1 .. 12;
PERL
chmod 755 "$work" && chmod 644 "$work/forge"

# least N OPTION: N, or the hard limit that ulimit prints, if that is lower.
least() {
    local hard
    hard=$(ulimit -H "$2")
    if [ "$hard" = unlimited ] || [ "$1" -lt "$hard" ]; then echo "$1"; else echo "$hard"; fi
}

part "what is ignored where the service is started, is not ignored in it"
exec {log}< <(trap '' CHLD HUP; umask 077; cd "$work"; ulimit -Sn 500; ulimit -Sc hard; ulimit -Ss 4096
    ulimit -Sf 100000; ulimit -St 5000; exec env SECRET=1 vchan-backend -v 2>&1)
backend=$!
backend_ready
[ "$(readlink "/proc/$backend/cwd")" = / ] || fail "the service is in $(readlink "/proc/$backend/cwd")"
grep -q "^Umask:	0022$" "/proc/$backend/status" || fail "the service has $(grep Umask "/proc/$backend/status")"
domain guest "name=three, connection=exec, user=root, command=exit 3" \
    "name=own, connection=exec, user=nobody, command=umask; pwd; set -- \$(cat /proc/\$\$/stat); echo session \$((\$6 == \$\$)); grep SigIgn /proc/self/status; echo limits \$(ulimit -n) \$(ulimit -c) \$(ulimit -s) \$(ulimit -f) \$(ulimit -t); env" \
    "name=forge, connection=exec, user=nobody, command=perl $work/forge; echo up; exec sleep 60" \
    "name=plain, connection=exec, user=nobody, command=echo mine >&2; cat" \
    "name=paths, connection=exec, user=nobody, command=cat /dev/stdin > /dev/stdout; echo by its path > /dev/stderr"
in_domain guest vchan cat three < /dev/null
[ $? = 5 ] || fail "a command that exits with 3: vchan cat does not exit with 5"
in_domain guest vchan cat own < /dev/null > "$work/own"
for line in 0022 / "limits $(least 1024 -n) 0 $(least 8192 -s) $(ulimit -Hf) $(ulimit -Ht)" "session 1" "SigIgn:	0000000000000000" USER=nobody SHELL=/bin/sh; do
    grep -qxF "$line" "$work/own" || fail "not \"$line\" but: $(cat "$work/own")"
done
strangers=$(grep -E '^[A-Z_]+=' "$work/own" | cut -d= -f1 |
    grep -vxE 'PATH|TZ|LANG|LC_ALL|LC_CTYPE|LC_MESSAGES|USER|LOGNAME|HOME|SHELL|PWD|OLDPWD|_|SHLVL' |
    grep -vxE 'VCHAN_(NAME|DOMID|DOMAIN|UUID)')
[ -z "$strangers" ] || fail "a command has in its environment: $strangers"

part "a command is told whose it is, in words that are clean"
guest=$(xl domid guest)
# told DOMAIN: the environment has that as the guest's name ("": none), and the rest as it is.
told_domain() {
    in_domain "$guest" vchan cat own < /dev/null | grep -a '^VCHAN_' | sort > "$work/told"
    printf '%s\n' ${1:+"VCHAN_DOMAIN=$1"} "VCHAN_DOMID=$guest" VCHAN_NAME=own \
        "VCHAN_UUID=$(basename "$(xenstore-read "/local/domain/$guest/vm")")" > "$work/expected"
    diff "$work/expected" "$work/told" || fail "with the name \"$1\" a command is told that"
}
told_domain guest
for name in 'two words; $(id) `id` "' $'line\nbreak' $'\e[31mred' $'\xff\xc2\x9bx' 'Grüße'; do
    xenstore-write "/local/domain/$guest/name" "$name"
    told_domain "$(printf %s "$name" | LC_ALL=C sed -z 's/[\x01-\x1f\xff]/?/g; s/\xc2\x9b/??/g')"
done
xenstore-rm "/local/domain/$guest/name"
told_domain ""
xenstore-write "/local/domain/$guest/name" guest

part "a command that is not root's opens its standard descriptors by their paths"
out=$(in_domain guest vchan cat paths <<< "there and back")
[ "$out" = "there and back" ] || fail "through /dev/stdin and /dev/stdout came: \"$out\""
await "paths: command: " 30
[[ $line == *"paths: command: by its path" ]] || fail "on /dev/stderr it wrote: $line"

part "packets on standard error stay with the command that wrote them"
in_domain guest vchan cat forge < <(exec tail -f /dev/null) > /dev/null 2>&1 &
forger=$!
for i in {1..12}; do await "forge: command: FORGED" 30; done
for i in {1..5}; do
    in_domain guest vchan cat plain < /dev/null
    await "plain: command: " 30
    [[ $line == *"plain: command: mine" ]] || fail "another guest's line: $line"
done
kill "$forger"

detach_all guest
run 0 xl destroy guest
backend_stop

part "packets of no bytes on standard error: each line is logged, and as its own command's"
preload=$LD_PRELOAD:$PWD/tests/programs/.libs/empty-packets.so
exec {log}< <(LD_PRELOAD=$preload exec vchan-backend -v 2>&1)
backend=$!
backend_ready
domain guest "name=one, connection=exec, user=nobody, command=echo from one >&2; cat" \
    "name=two, connection=exec, user=nobody, command=echo from two >&2; cat"
for name in one two one two; do
    in_domain guest vchan cat $name < /dev/null
    await "$name: command: " 30
    [[ $line == *"$name: command: from $name" ]] || fail "another command's line: $line"
done
detach_all guest
run 0 xl destroy guest
backend_stop

part "a log that nobody reads holds up nobody"
mkfifo "$work/unread"
exec {unread}<> "$work/unread"
head -c 65536 /dev/zero >&"$unread"
vchan-backend -v 2> "$work/unread" &
backend=$!
backend_ready
domain second "name=echo, connection=echo"
for i in 1 2 3; do
    out=$(echo "$i" | timeout 60 xensim exec second vchan cat echo)
    [ "$out" = "$i" ] || fail "the service waits for its log: \"$out\""
done
head -c 65536 <&"$unread" > /dev/null
echo 4 | timeout 60 xensim exec second vchan cat echo > /dev/null
while read -rt 30 -u "$unread" line; do [[ $line != *" log lines dropped: standard error was full" ]] || break; done
[[ $line == *" log lines dropped: "* ]] || fail "nothing says that lines are lost: $line"
run 0 xl-vchan detach second echo
kill "$backend"
wait "$backend" || fail "vchan-backend: exit code $?"
run 0 xl destroy second
finish

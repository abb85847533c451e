#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# tests/run: its exit code and its last line, for what its suites say. It runs in a tree of its own,
# where make, lab/run and the like only say what a case gives them to say.
set -euo pipefail
failures=0

fail() {
    echo "FAIL: $title: $*"
    failures=$((failures + 1))
}

tree=$(mktemp -d)
trap 'rm -rf "$tree"' EXIT
mkdir -p "$tree/tests/lib" "$tree/lab" "$tree/bin"
cp "${srcdir:?}/tests/run" "$tree/tests/run"
cp "$srcdir/tests/lib/pause.bash" "$tree/tests/lib/"

# stub PROGRAM: makes it of standard input. There "say WHAT" prints what the case has for WHAT, or
# nothing, and succeeds unless the case has it fail.
stub() {
    { echo '#!/bin/bash' && cat; } > "$tree/$1"
    chmod +x "$tree/$1"
}
stub bin/say << 'END'
[ ! -e "says/$*" ] || cat "says/$*"
[ ! -e "says/$* fails" ] || exit 3
END
stub bin/make << 'END'
while [ $# != 0 ]; do
    case $1 in
        -C) dir=$2 && shift ;;
        -*) ;;
        *) words+=" $1" ;;
    esac
    shift
done
exec say "$dir$words"
END
stub quickstart <<< 'exec say "quickstart $1"'
stub lab/run <<< 'exec say lab'
stub bin/apt-cache <<< 'printf "  Candidate: 1\n  Candidate: 1\n"'
stub bin/sleep <<< "exec $(command -v sleep) 0.2"
stub bin/df <<< 'echo && echo "disk 0 0 $((8 << 20)) 0% /"'
stub bin/awk << END
[[ \$1 != *MemAvailable* ]] || exec cat says/memory
exec $(command -v awk) "\$@"
END

# begin TITLE: all pass, unless the case says something else.
begin() {
    title=$1
    rm -rf "$tree/says" "$tree/build"
    mkdir -p "$tree/says"
    says memory 8
    says "build check" "PASS: tests/unit/ring (1 s)" "PASS: tests/sim/echo.sh (2 s)"
    says "build check-valgrind" "PASS: tests/unit/ring (3 s)"
    says "build check-searches" "PASS: tests/model/steps-close (9 s)"
    says "build-asan check" "PASS: tests/unit/ring (2 s)"
    says "build check-static" "ok    clang (4 s)"
    says lab "lab: boots Xen" "ok    apply (5 s)"
}
says() { printf '%s\n' "${@:2}" > "$tree/says/$1"; }
fails() { : > "$tree/says/$1 fails"; }

# log FILE TEXT: a test left that in its log.
log() {
    mkdir -p "$tree/${1%/*}"
    echo "$2" > "$tree/$1"
}

# ends CODE LAST [WORD…]: tests/run exits with CODE, and its last line is LAST. WORDs are arguments,
# or VARIABLE=VALUE before all of them.
ends() {
    local code=0 variables=()
    while [[ ${3:-} == *=* ]]; do
        variables+=("$3")
        set -- "$1" "$2" "${@:4}"
    done
    out=$(env -u PVCHAN_LAB "${variables[@]}" PVCHAN_LAB_CACHE="$tree" PATH="$tree/bin:$PATH" \
        timeout 300 "$tree/tests/run" "${@:3}" 2>&1 < /dev/null) || code=$?
    [ "$code" = "$1" ] || fail "exit code $code, not $1: $out"
    [ "${out##*$'\n'}" = "$2" ] || fail "the last line is not \"$2\": $out"
}
# shown LINE…: it printed these.
shown() {
    local line
    for line; do
        grep -qxF -- "$line" <<< "$out" || fail "no line \"$line\" in: $out"
    done
}

begin "all pass"
ends 0 "7 passed, 0 failed"
shown "build: PASS: tests/sim/echo.sh (2 s)" "lab: boots Xen" "lab: ok    apply (5 s)"

begin "only those on real Xen"
ends 0 "1 passed, 0 failed" lab

begin "tests are skipped"
says "build check" "PASS: tests/unit/ring (1 s)" "SKIP: tests/sim/echo.sh (0 s)"
says lab "skip  apply (0 s): no time"
ends 1 "5 passed, 0 failed, 2 skipped"
shown "left out: build:SKIP: tests/sim/echo.sh (0 s)" "left out: lab:skip  apply (0 s): no time"

begin "real Xen cannot run here"
says memory 1
ends 1 "6 passed, 0 failed, 1 skipped"
shown "left out: real Xen: less than 4 GiB of memory are free"

begin "real Xen may be left out"
ends 0 "6 passed, 0 failed, 1 skipped" PVCHAN_LAB=no
shown "left out: real Xen: PVCHAN_LAB=no"

begin "real Xen may be left out, and nothing else"
says "build check" "SKIP: tests/sim/echo.sh (0 s)"
ends 1 "4 passed, 0 failed, 2 skipped" PVCHAN_LAB=no

begin "tests fail"
says "build check" "PASS: tests/unit/ring (1 s)" "FAIL: tests/sim/echo.sh (2 s)" \
    "ERROR: tests/sim/run.sh (0 s)" "XPASS: tests/sim/demo.sh (0 s)"
says "build-asan check" "FAIL: tests/unit/ring (2 s)"
says "build check-static" "FAIL  clang (4 s)"
says lab "FAIL  apply (5 s)"
for suite in "build check" "build-asan check" "build check-static" lab; do fails "$suite"; done
log build/tests/sim/echo.log "why echo failed"
log build-asan/tests/unit/ring.log "why ring failed"
log build/static/results/clang.log "why clang failed"
log build/lab/results/apply.log "why apply failed"
ends 1 "3 passed, 6 failed"
shown "== FAILED: build: tests/sim/echo" "why echo failed" \
    "== FAILED: build-asan: tests/unit/ring" "why ring failed" \
    "== FAILED: static: clang" "why clang failed" "== FAILED: lab: apply" "why apply failed"

begin "suites end early, though no test failed"
fails "build check"
says lab "no disk image"
fails lab
ends 1 "6 passed, 2 failed"
shown "== FAILED: build: ended early" "== FAILED: lab: ended early" "no disk image"

begin "a build fails"
says "quickstart build" "no compiler"
fails "quickstart build"
ends 1 "0 passed, 1 failed"
shown "no compiler"
[ $failures = 0 ]

#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# A static function's name occurs once in the product's code: in a backtrace, in perf's output, or
# in a search it identifies its file.
set -euo pipefail
cd "${srcdir:-.}"

# names FOLDER…: prints "NAME FILE" for each static function.
names() {
    find "$@" -name '*.c' -exec awk '
        /^static [^=;]*[A-Za-z_0-9]+\(/ && !/;$/ {
            sub(/\(.*/, "")
            sub(/.*[ *]/, "")
            print $0, FILENAME
        }' {} + | sort -u
}

# twice: prints the names from names() that occur in several files, with these.
twice() {
    awk '{ files[$1] = files[$1] " " $2; count[$1]++ }
        END { for (name in count) if (count[name] > 1) print name "():" files[name] }' | sort
}

found=$(names state vchan libpvchan service frontend backend toolstack cli)
[ "$(wc -l <<< "$found")" -gt 1000 ] || { echo "few static functions: $found"; exit 1; }
same=$(twice <<< "$found")
[ -z "$same" ] || { printf 'the same name in several files:\n%s\n' "$same"; exit 1; }

seeded=$(mktemp -d)
trap 'rm -rf "$seeded"' EXIT
printf '%s\n' 'static const char *seeded(void)' '{' > "$seeded/one.c"
printf '%s\n' 'static int seeded(void);' 'static const int other = 1;' > "$seeded/two.c"
[ -z "$(names "$seeded" | twice)" ] || { echo "a declaration is taken for a second function"; exit 1; }
printf '%s\n' 'static void seeded(int first,' '    int second)' '{' >> "$seeded/two.c"
[ "$(names "$seeded" | twice)" = "seeded(): $seeded/one.c $seeded/two.c" ] ||
    { echo "the same name in two files is not found"; exit 1; }
echo "$(wc -l <<< "$found") static functions, each with a name of its own"

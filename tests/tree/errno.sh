#!/bin/bash
# SPDX-License-Identifier: LGPL-2.1-or-later
# No code reads errno right after it has printed something: printing may fail, too, and what is
# returned then is how that failed.
set -euo pipefail
cd "${srcdir:-.}"

# stale FOLDER…: prints "FILE:LINE" for each such statement: one after a call that prints, which
# reads errno before any other call has ended, which may have set it again.
stale() {
    find "$@" -name '*.c' -exec awk '
        function reads_errno(text) {
            if (!match(text, /[^A-Za-z_]errno([^A-Za-z_]|$)/))
                return 0
            if (substr(text, RSTART + 6) ~ /^ *=[^=]/)
                return 0
            return substr(text, 1, RSTART) !~ /[A-Za-z_0-9]\([^()]*\)/
        }
        function prints(text) {
            return text ~ /(^|[^a-z_])(v?f?printf|v?dprintf|f?put[cs]|perror)\(/ ||
                text ~ /(complain|explain|_say|log_[a-z]+)\(/
        }
        FNR == 1 { statement = ""; printed = comment = 0 }
        {
            gsub(/"([^"\\]|\\.)*"/, "\"\"")
            code = ""
            while ($0 != "") {
                edge = index($0, comment ? "*/" : "/*")
                if (!comment)
                    code = code (edge ? substr($0, 1, edge - 1) " " : $0)
                $0 = edge ? substr($0, edge + 2) : ""
                comment = edge ? !comment : comment
            }
            sub(/\/\/.*/, "", code)
            count = split(code, part, ";")
            for (i = 1; i < count; i++) {
                statement = statement " " part[i]
                if (printed && reads_errno(statement))
                    print FILENAME ":" FNR
                printed = prints(statement)
                statement = ""
            }
            statement = statement " " part[count]
        }' {} + | sort
}

found=$(stale state vchan libpvchan cli service frontend backend toolstack sim)
[ -z "$found" ] || { printf 'errno is read after printing:\n%s\n' "$found"; exit 1; }

seeded=$(mktemp -d)
trap 'rm -rf "$seeded"' EXIT
cat > "$seeded/right.c" << 'END'
    rc = -errno;
    tool_complain(tool, "cannot watch %s: %s; errno", path, strerror(errno));
    return rc;
    if (rc < 0)
        fprintf(stderr, "%s\n", strerror(-rc));
    return dup2(1, 2) < 0 ? -errno : rc;
    puts(""); /* errno */
    errno = error;
END
[ -z "$(stale "$seeded")" ] || { echo "found where there is none: $(stale "$seeded")"; exit 1; }
cat > "$seeded/wrong.c" << 'END'
    tool_complain(tool, "cannot watch %s: %s", path,
                  strerror(errno));
    return -errno;
    fprintf(stderr, "%s\n", strerror(errno));
    _exit(errno == ENOENT ? 127 : 126);
    log_line(LOG_ERRORS, "first");
    complain("second: %s", strerror(errno));
END
[ "$(stale "$seeded")" = "$(printf "$seeded/wrong.c:%s\n" 3 5 7)" ] ||
    { echo "faults are not found, but: $(stale "$seeded")"; exit 1; }

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* xl-vchan diff: prints what xl-vchan apply would do. */
#include <stdio.h>
#include <stdlib.h>

#include "toolstack/command.h"
#include "toolstack/difference.h"

static int diff_read(struct tool *tool, const char *file, const char *domain, bool json)
{
    struct differences differences;
    int code = EXIT_FAILURE;

    if (differences_read(tool, file, false, domain, &differences) == 0) {
        code = differences.count ? EXIT_NOT_SO : EXIT_SUCCESS;
        if (json)
            differences_print_json(&differences);
        else
            differences_print(&differences);
    }
    differences_free(&differences);
    return code;
}

static int diff_parsed(const char *file, const char *domain, bool json)
{
    struct tool tool;
    int code = EXIT_FAILURE;

    if (tool_open(&tool, "diff", file) == 0)
        code = diff_read(&tool, file, domain, json);
    tool_close(&tool);
    return command_flush("diff") == EXIT_SUCCESS ? code : EXIT_FAILURE;
}

static int run_diff(const struct command *command, int argc, char **argv)
{
    bool json;
    int code = command_take_json(command, argc, argv, &json);

    if (code)
        return code;
    if (argc - optind < 1 || argc - optind > 2)
        return command_usage(command, "expected CONFIG and at most one DOMAIN");
    return diff_parsed(argv[optind], argc - optind == 2 ? argv[optind + 1] : NULL, json);
}

const struct command command_diff = {"diff", "[--json] CONFIG [DOMAIN]",
                                     "Compare a domain with a config file",
                                     "Prints what apply would do: + attach, - detach, ~ replace. "
                                     "Exit code 3: they differ.\n"
                                     "  -j, --json  as a JSON array, described in xl-vchan(8)\n",
                                     run_diff};

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "state/path.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *path_absolute(const char *name)
{
    char *dir, *path = NULL;

    if (name[0] == '/')
        return strdup(name);
    dir = getcwd(NULL, 0);
    if (dir && asprintf(&path, "%s/%s", dir, name) < 0)
        path = NULL;
    free(dir);
    return path;
}

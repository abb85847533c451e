/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Prints how many pages this domain has granted through /dev/xen/gntalloc. Linux does not report
 * the number, but refuses another page at the module's limit. So this moves the limit for a moment
 * until exactly one page fits.
 */
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <xen/gntalloc.h>

#define LIMIT "/sys/module/xen_gntalloc/parameters/limit"
#define LIMIT_MAX 65536

static void die(const char *what)
{
    perror(what);
    exit(1);
}

static int limit_get(void)
{
    FILE *file = fopen(LIMIT, "r");
    char line[32];

    if (!file || !fgets(line, sizeof(line), file))
        die(LIMIT);
    fclose(file);
    return (int)strtol(line, NULL, 10);
}

static void limit_set(int limit)
{
    FILE *file = fopen(LIMIT, "w");

    if (!file || fprintf(file, "%d\n", limit) < 0 || fclose(file) != 0)
        die(LIMIT);
}

/* Whether one more page fits below the limit. */
static bool page_fits(int fd, int limit)
{
    struct ioctl_gntalloc_alloc_gref page = {.count = 1};
    struct ioctl_gntalloc_dealloc_gref back = {.count = 1};

    limit_set(limit);
    if (ioctl(fd, IOCTL_GNTALLOC_ALLOC_GREF, &page) < 0)
        return false;
    back.index = page.index;
    if (ioctl(fd, IOCTL_GNTALLOC_DEALLOC_GREF, &back) < 0)
        die("gntalloc");
    return true;
}

int main(void)
{
    int fd = open("/dev/xen/gntalloc", O_RDWR | O_CLOEXEC);
    int before = limit_get();
    int full = 0, fits = LIMIT_MAX; /* no page fits below full + 1; one does below fits */

    if (fd < 0)
        die("/dev/xen/gntalloc");
    while (fits - full > 1) {
        int middle = full + (fits - full) / 2;

        if (page_fits(fd, middle))
            fits = middle;
        else
            full = middle;
    }
    limit_set(before);
    printf("%d\n", fits - 1);
    return 0;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "service/handover/inheritance.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "state/store.h"

/* The first descriptor that the manager passes. */
#define FIRST_FD 3
#define FDS_MAX  65536u

/* The variable with the number of a descriptor of a list: "FD STORED NAME" in each line. */
#define HANDED_OVER "PVCHAN_KEPT"

#define ARGUMENTS_MAX 64

static uint32_t number_in(const char *variable)
{
    const char *text = getenv(variable);
    uint32_t number = 0;

    return text && parse_number(text, INT32_MAX, &number) == 0 ? number : 0;
}

static int inherit(struct inheritance *inheritance, int fd, bool stored, const char *name)
{
    struct inherited *all = inheritance->all;

    if (inheritance->count == inheritance->room) {
        inheritance->room = inheritance->room ? 2 * inheritance->room : 64;
        all = reallocarray(all, inheritance->room, sizeof(*all));
        if (!all)
            return -ENOMEM;
        inheritance->all = all;
    }
    all[inheritance->count] = (struct inherited){.fd = fd, .stored = stored};
    snprintf(all[inheritance->count++].name, sizeof(all->name), "%s", name);
    return 0;
}

/* From the manager. Colons separate the names; a descriptor without a name has "". */
static int inherit_stored(struct inheritance *inheritance)
{
    const char *text = getenv("LISTEN_FDNAMES");
    uint32_t count = number_in("LISTEN_FDS");
    char *copy = strdup(text ? text : ""), *names = copy;
    int rc = copy ? 0 : -ENOMEM;

    if (number_in("LISTEN_PID") != (uint32_t)getpid() || count > FDS_MAX)
        count = 0;
    for (uint32_t i = 0; i < count && rc == 0; i++)
        rc = inherit(inheritance, FIRST_FD + (int)i, true, names ? strsep(&names, ":") : "");
    free(copy);
    return rc;
}

static int inherit_line(struct inheritance *inheritance, char *line)
{
    const char *fd_text = strsep(&line, " "), *stored_text = strsep(&line, " ");
    uint32_t fd, stored;

    if (!line || parse_number(fd_text, INT32_MAX, &fd) < 0 ||
        parse_number(stored_text, 1, &stored) < 0)
        return -EINVAL;
    line[strcspn(line, "\n")] = '\0';
    return inherit(inheritance, (int)fd, stored, line);
}

/* From the process that this one replaced. */
static int inherit_directly(struct inheritance *inheritance)
{
    uint32_t fd = number_in(HANDED_OVER);
    FILE *file = fd > 0 ? fdopen((int)fd, "re") : NULL;
    char line[128];
    int rc = 0;

    if (!file)
        return 0;
    inheritance->direct = true;
    while (rc == 0 && fgets(line, sizeof(line), file))
        rc = inherit_line(inheritance, line);
    fclose(file);
    return rc;
}

static void clear_environment(void)
{
    unsetenv("LISTEN_PID");
    unsetenv("LISTEN_FDS");
    unsetenv("LISTEN_FDNAMES");
    unsetenv(HANDED_OVER);
}

int inheritance_read(struct inheritance *inheritance)
{
    int rc;

    *inheritance = (struct inheritance){.all = NULL};
    rc = inherit_directly(inheritance);
    if (rc == 0)
        rc = inherit_stored(inheritance);
    clear_environment();
    return rc;
}

void inheritance_free(struct inheritance *inheritance)
{
    free(inheritance->all);
    *inheritance = (struct inheritance){.all = NULL};
}

const struct inherited *inheritance_find(const struct inheritance *inheritance, const char *name)
{
    for (uint32_t i = 0; i < inheritance->count; i++)
        if (strcmp(inheritance->all[i].name, name) == 0)
            return &inheritance->all[i];
    return NULL;
}

/* ---- passing on ---- */

void inheritance_find_program(char program[PATH_MAX])
{
    ssize_t length = readlink("/proc/self/exe", program, PATH_MAX - 1);

    program[length < 0 ? 0 : length] = '\0';
}

/* Returns a descriptor that the new process inherits, or a negative errno. */
static int list_inherited(const struct inherited *inherited)
{
    int fd = memfd_create("vchan-kept", 0);

    if (fd < 0)
        return -errno;
    if (dprintf(fd, "%d %d %s\n", inherited->fd, inherited->stored, inherited->name) < 0) {
        close(fd);
        return -ENOMEM;
    }
    lseek(fd, 0, SEEK_SET);
    return fd;
}

static int set_list(int fd)
{
    char text[16];

    snprintf(text, sizeof(text), "%d", fd);
    return setenv(HANDED_OVER, text, 1) < 0 ? -errno : 0;
}

/* Reads the arguments that the process was started with: text holds them one after the other. */
static int read_arguments(char *text, size_t size, char *arguments[ARGUMENTS_MAX + 1])
{
    int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
    ssize_t length = fd < 0 ? -1 : read(fd, text, size - 1);
    int count = 0;

    if (fd < 0 || length <= 0)
        return -EIO;
    close(fd);
    text[length] = '\0';
    for (char *at = text; at < text + length && count < ARGUMENTS_MAX; at += strlen(at) + 1)
        arguments[count++] = at;
    arguments[count] = NULL;
    return 0;
}

static int exec_program(const char *program)
{
    char text[4096], *arguments[ARGUMENTS_MAX + 1];
    int rc = read_arguments(text, sizeof(text), arguments);

    if (rc < 0)
        return rc;
    execv(program, arguments);
    return -errno;
}

int inheritance_pass_on(const struct inherited *inherited, const char *program)
{
    int list = list_inherited(inherited);
    int rc = list < 0 ? list : set_list(list);

    if (rc == 0)
        rc = exec_program(program);
    unsetenv(HANDED_OVER);
    if (list >= 0)
        close(list);
    return rc;
}

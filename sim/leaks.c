/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "sim/leaks.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include <xenstore.h>

#include "sim/client.h"

#define BASELINE  SIM_DIR "/baseline"
#define PATH_SIZE 3072
#define LOOK_MS   20
#define LOOKS     50

struct tree {
    struct xs_handle *store;
    bool all;
    char **known; /* sorted paths */
    size_t count;
    struct sim_info domains[SIM_DOMAINS];
    int ndomains;
    FILE *out;
    bool fresh; /* collect instead of comparing */
};

static int strings_compare(const void *left, const void *right)
{
    return strcmp(*(char *const *)left, *(char *const *)right);
}

static bool node_known(const struct tree *tree, const char *path)
{
    return bsearch(&path, tree->known, tree->count, sizeof(*tree->known), strings_compare);
}

static bool domain_lives(const struct tree *tree, const char *domid)
{
    char *end;
    unsigned long number = strtoul(domid, &end, 10);

    for (int i = 0; i < tree->ndomains; i++)
        if (tree->domains[i].domid == number && !(tree->domains[i].flags & SIM_INFO_DYING))
            return *end == '\0' && end != domid;
    return false;
}

static bool uuid_lives(const struct tree *tree, const char *uuid)
{
    for (int i = 0; i < tree->ndomains; i++) {
        const uint8_t *u = tree->domains[i].uuid;
        char text[37];

        snprintf(text, sizeof(text),
                 "%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1],
                 u[2], u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14],
                 u[15]);
        if (strcmp(text, uuid) == 0)
            return true;
    }
    return false;
}

/* Whose a node is. */
enum verdict {
    NODE_OTHER,
    NODE_LIVE,    /* of a live domain */
    NODE_DEAD,    /* of a dead domain */
    NODE_BACKEND, /* a directory of backends: look at its children */
};

static enum verdict lives(bool yes)
{
    return yes ? NODE_LIVE : NODE_DEAD;
}

static enum verdict node_judge(const struct tree *tree, const char *path)
{
    char first[32], kind[64], third[32], rest;
    int parts;

    if (sscanf(path, "/libxl/%31[^/]%c", first, &rest) == 1)
        return lives(domain_lives(tree, first));
    if (sscanf(path, "/vm/%63[^/]%c", kind, &rest) == 1)
        return lives(uuid_lives(tree, kind));
    if (sscanf(path, "/local/domain/%31[^/]%c", first, &rest) == 1)
        return lives(domain_lives(tree, first));
    parts =
        sscanf(path, "/local/domain/%31[^/]/backend/%63[^/]/%31[^/]%c", first, kind, third, &rest);
    if (parts == 3)
        return lives(domain_lives(tree, third));
    if (parts == 2 || (parts == 1 && strcmp(strrchr(path, '/'), "/backend") == 0))
        return NODE_BACKEND;
    return NODE_OTHER;
}

static int node_visit(struct tree *tree, const char *path);

/*
 * Visits the children; if only is set, just the one of that name. Returns how many belong to live
 * domains.
 */
static int children_visit(struct tree *tree, const char *path, const char *only)
{
    unsigned int count = 0;
    char **names = xs_directory(tree->store, XBT_NULL, path, &count);
    int used = 0;

    for (unsigned int i = 0; names && i < count; i++) {
        char child[PATH_SIZE];

        if (only && strcmp(names[i], only) != 0)
            continue;
        snprintf(child, sizeof(child), "%s/%s", strcmp(path, "/") ? path : "", names[i]);
        used += node_visit(tree, child);
    }
    free(names);
    return used;
}

static int node_visit(struct tree *tree, const char *path)
{
    enum verdict verdict;
    int used = 0;

    if (tree->fresh) {
        fprintf(tree->out, "%s\n", path);
        return children_visit(tree, path, NULL);
    }
    if (node_known(tree, path))
        return children_visit(tree, path, NULL);
    verdict = node_judge(tree, path);
    if (verdict == NODE_LIVE) {
        children_visit(tree, path, "backend");
        return 1;
    }
    if (verdict == NODE_BACKEND)
        used = children_visit(tree, path, NULL);
    if (verdict == NODE_DEAD ||
        (tree->all && used == 0 && (verdict == NODE_OTHER || verdict == NODE_BACKEND)))
        fprintf(tree->out, "xenstore node %s\n", path);
    return used;
}

static int tree_open(struct tree *tree)
{
    tree->ndomains = sim_list(0, tree->domains, SIM_DOMAINS);
    if (tree->ndomains < 0)
        return tree->ndomains;
    tree->store = xs_open(0);
    return tree->store ? 0 : -errno;
}

static int known_read(struct tree *tree)
{
    FILE *file = fopen(BASELINE, "re");
    char *line = NULL;
    size_t size = 0;
    ssize_t length;

    if (!file)
        return -errno;
    while ((length = getline(&line, &size, file)) > 0) {
        char **more = realloc(tree->known, (tree->count + 1) * sizeof(*more));

        if (!more)
            break;
        tree->known = more;
        line[length - 1] = '\0';
        tree->known[tree->count++] = strdup(line);
    }
    free(line);
    fclose(file);
    qsort(tree->known, tree->count, sizeof(*tree->known), strings_compare);
    return 0;
}

static void tree_close(struct tree *tree)
{
    if (tree->store)
        xs_close(tree->store);
    for (size_t i = 0; i < tree->count; i++)
        free(tree->known[i]);
    free(tree->known);
}

int leaks_baseline(void)
{
    struct tree tree = {.fresh = true};
    int error = tree_open(&tree);

    if (!error) {
        tree.out = fopen(BASELINE, "we");
        error = tree.out ? 0 : -errno;
    }
    if (!error) {
        children_visit(&tree, "/", NULL);
        error = fclose(tree.out) ? -errno : 0;
    }
    tree_close(&tree);
    return error ? error : sim_call_once(&(struct sim_message){.op = SIM_READY});
}

static int nodes_report(FILE *out, bool all)
{
    struct tree tree = {.all = all, .out = out};
    int error = tree_open(&tree);

    if (!error)
        error = known_read(&tree);
    if (!error)
        children_visit(&tree, "/", NULL);
    tree_close(&tree);
    return error;
}

static int hypervisor_report(FILE *out, bool all)
{
    static char text[SIM_PAYLOAD];
    struct sim_message message = {.op = SIM_LEAKS, .arg = {all}};
    int conn = sim_connect();
    int error = conn < 0 ? conn : sim_send(conn, &message, NULL, NULL, 0);

    if (!error)
        error = sim_receive(conn, &message, text, sizeof(text), NULL, NULL);
    if (conn >= 0)
        close(conn);
    if (error || message.result)
        return error ? error : message.result;
    fwrite(text, message.length, 1, out);
    return 0;
}

/* Looks at everything once. The caller frees *text. */
static int look(bool all, char **text)
{
    size_t size;
    FILE *out = open_memstream(text, &size);
    int error;

    if (!out)
        return -errno;
    error = hypervisor_report(out, all);
    if (!error)
        error = nodes_report(out, all);
    if (fclose(out) && !error)
        error = -ENOMEM;
    return error;
}

static int lines_print(char *text)
{
    char *save, *line;
    int count = 0;

    for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save), count++)
        fprintf(stderr, "xensim: leak: %s\n", line);
    return count;
}

int leaks_report(bool all)
{
    const struct timespec pause = {.tv_nsec = LOOK_MS * 1000000L};

    for (int i = 1;; i++) {
        char *text = NULL;
        int result = look(all, &text);

        if (!result && *text && i < LOOKS) {
            free(text);
            nanosleep(&pause, NULL);
            continue;
        }
        if (!result)
            result = lines_print(text);
        free(text);
        return result;
    }
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Runs tests/model/fuzz-page.c without libFuzzer. `fuzz-page FILE…` plays these scripts; without
 * arguments it plays those in tests/model/corpus/page, then FUZZ_SCRIPTS random ones from a fixed
 * seed. They run in a child; a script that kills it is saved.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/model/fuzz-page.h"

#define SCRIPT_MAX      65536u
#define RANDOM_MAX      400u
#define SCRIPTS_DEFAULT 20000u
#define KEPT            "fuzz-page.broken"

/* The current script, in memory that the parent shares. */
static struct current {
    size_t size;
    unsigned long played;
    char name[PATH_MAX];
    uint8_t bytes[SCRIPT_MAX];
} * current;

static void fail(const char *what)
{
    fprintf(stderr, "fuzz-page: %s: %s\n", what, strerror(errno));
    exit(2);
}

static void play_current(void)
{
    /* an exact size, so that ASan sees its end */
    uint8_t *exact = malloc(current->size ? current->size : 1);

    if (!exact)
        fail("memory");
    memcpy(exact, current->bytes, current->size);
    LLVMFuzzerTestOneInput(exact, current->size);
    free(exact);
    current->played++;
}

static void play_file(const char *path)
{
    FILE *file = fopen(path, "re");

    if (!file)
        fail(path);
    snprintf(current->name, sizeof(current->name), "%s", path);
    current->size = fread(current->bytes, 1, SCRIPT_MAX, file);
    fclose(file);
    play_current();
}

static void play_folder(const char *path)
{
    DIR *folder = opendir(path);
    struct dirent *entry;

    if (!folder)
        fail(path);
    while ((entry = readdir(folder))) {
        char file[PATH_MAX];

        if (entry->d_name[0] == '.')
            continue;
        if (snprintf(file, sizeof(file), "%s/%s", path, entry->d_name) >= (int)sizeof(file)) {
            errno = ENAMETOOLONG;
            fail(path);
        }
        play_file(file);
    }
    closedir(folder);
}

static uint32_t next_random(uint32_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    *state ^= *state << 5;
    return *state >> 8;
}

static void play_random(unsigned long scripts)
{
    uint32_t state = 2463534242u;

    for (unsigned long i = 0; i < scripts; i++) {
        snprintf(current->name, sizeof(current->name), "random script %lu", i);
        current->size = next_random(&state) % RANDOM_MAX;
        for (size_t at = 0; at < current->size; at++)
            current->bytes[at] = (uint8_t)next_random(&state);
        play_current();
    }
}

static void play_tree(void)
{
    const char *srcdir = getenv("srcdir"), *scripts = getenv("FUZZ_SCRIPTS");
    char corpus[PATH_MAX];

    snprintf(corpus, sizeof(corpus), "%s/tests/model/corpus/page", srcdir ? srcdir : ".");
    play_folder(corpus);
    play_random(scripts ? strtoul(scripts, NULL, 10) : SCRIPTS_DEFAULT);
}

static int report(int status)
{
    FILE *kept;

    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        printf("fuzz-page: %lu scripts, every rule held\n", current->played);
        return 0;
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == 2)
        return 2;
    fprintf(stderr, "fuzz-page: failed (status %#x) at %s, kept as " KEPT "\n", status,
            current->name);
    kept = fopen(KEPT, "we");
    if (!kept || fwrite(current->bytes, 1, current->size, kept) != current->size ||
        fclose(kept) != 0)
        fail(KEPT);
    return 1;
}

int main(int argc, char **argv)
{
    int status;
    pid_t child;

    current =
        mmap(NULL, sizeof(*current), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (current == MAP_FAILED)
        fail("memory");
    child = fork();
    if (child < 0)
        fail("fork");
    if (child == 0) {
        for (int i = 1; i < argc; i++)
            play_file(argv[i]);
        if (argc == 1)
            play_tree();
        exit(0);
    }
    if (waitpid(child, &status, 0) < 0)
        fail("wait");
    return report(status);
}

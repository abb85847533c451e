/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Many channels in one process, in one group (tests/sim/api-lots.sh). A program at the other end
 * echoes.
 *
 * lots COUNT BYTES server DOMID PREFIX     plain vchans at PREFIX0, PREFIX1, …
 * lots COUNT BYTES client DOMID PREFIX
 * lots COUNT BYTES named PREFIX            channels of these names
 *
 * It opens all and prints "begun"; sends BYTES over each, and checks each byte that comes back;
 * then plays with 16 of them, and checks that each gets its turn; then closes them, some while they
 * are queued. It ends with "well", or with a line on standard error.
 */
#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libpvchan/pvchan.h"

/* The limit of every wait: one that takes longer will never end. */
#define PATIENCE_MS 60000

#define ACTIVE 16
#define ROUNDS 300u
#define BALL   64u

struct line {
    struct pvchan *channel;
    unsigned int index;
    uint32_t sent, got;
    unsigned int rounds;
};

static struct pvchan_group *group;
static struct line *lines;
static unsigned int count, bytes;
static uint8_t buffer[65536];

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("lots: ", stderr);
    vfprintf(stderr, format, args);
    fputc('\n', stderr);
    va_end(args);
    exit(1);
}

static void check(const char *what, long rc)
{
    if (rc < 0)
        die("%s: %s", what, strerror((int)-rc));
}

/* The byte of a channel at a position; the period is 251 * 256. */
static uint8_t pattern(const struct line *line, uint32_t n)
{
    return (uint8_t)(n % 251 + n / 251 + line->index * 7);
}

/* The next channel reported. */
static struct line *next_line(void)
{
    struct pvchan_event event;
    int rc = pvchan_group_wait(group, &event, 1, PATIENCE_MS);

    check("pvchan_group_wait", rc);
    if (rc == 0)
        die("nothing happens any more");
    return pvchan_user_data(event.handle);
}

/* ---- opening ---- */

static int open_one(char **words, unsigned int index, struct pvchan **channel)
{
    unsigned int domid = (unsigned int)strtoul(words[1], NULL, 10);
    char path[256];

    if (strcmp(words[0], "named") == 0) {
        snprintf(path, sizeof(path), "%s%u", words[1], index);
        return pvchan_group_add_channel(group, path, PATIENCE_MS, 0, channel);
    }
    snprintf(path, sizeof(path), "%s%u", words[2], index);
    if (strcmp(words[0], "server") == 0)
        return pvchan_group_add_server(group, domid, path, 1, 1, 0, channel);
    return pvchan_group_add_client(group, domid, path, PATIENCE_MS, 0, channel);
}

static void open_all(char **words)
{
    unsigned int opened = 0;

    for (unsigned int i = 0; i < count; i++) {
        lines[i].index = i;
        check("open", open_one(words, i, &lines[i].channel));
        pvchan_set_user_data(lines[i].channel, &lines[i]);
    }
    puts("begun");
    fflush(stdout);
    while (opened < count) {
        struct line *line = next_line();

        check("opened", pvchan_error(line->channel));
        opened += line->rounds++ == 0; /* count a channel once: it may be reported again */
    }
}

/* ---- all at once ---- */

/* Writes what fits, up to total. */
static void give(struct line *line, uint32_t total)
{
    while (line->sent < total) {
        uint32_t part = 1 + (line->sent * 7 + line->index) % 1500;
        ssize_t rc;

        part = part < total - line->sent ? part : total - line->sent;
        for (uint32_t i = 0; i < part; i++)
            buffer[i] = pattern(line, line->sent + i);
        rc = pvchan_write(line->channel, buffer, part);
        if (rc == -EAGAIN)
            return;
        check("write", rc);
        line->sent += (uint32_t)rc;
    }
}

/* Reads what is there. */
static void take(struct line *line)
{
    ssize_t rc;

    while ((rc = pvchan_read(line->channel, buffer, sizeof(buffer))) > 0)
        for (ssize_t i = 0; i < rc; i++)
            if (buffer[i] != pattern(line, line->got++))
                die("channel %u: byte %u is not what was sent", line->index, line->got - 1);
    if (rc != -EAGAIN)
        die("channel %u: %s", line->index, rc == 0 ? "an end" : strerror((int)-rc));
}

static void send_all(void)
{
    unsigned int ready = 0;

    for (unsigned int i = 0; i < count; i++)
        give(&lines[i], bytes);
    for (unsigned int i = 0; i < count; i++) {
        take(&lines[i]);
        ready += lines[i].got == bytes;
    }
    while (ready < count) {
        struct line *line = next_line();
        bool before = line->got == bytes;

        take(line);
        give(line, bytes);
        ready += !before && line->got == bytes;
    }
}

/* ---- some of them ---- */

/* When one has finished all its rounds, the others must have finished half of them. */
static void check_turns(void)
{
    for (unsigned int i = 0; i < count; i += count / ACTIVE)
        if (lines[i].rounds < ROUNDS / 2)
            die("channel %u had %u turns while another had %u", i, lines[i].rounds, ROUNDS);
}

/*
 * What the others have sent comes back before anything is closed: an echo that cannot give back
 * what it has taken ends with an error, and rightly.
 */
static void catch_all(void)
{
    for (unsigned int i = 0; i < count; i += count / ACTIVE)
        take(&lines[i]);
    for (unsigned int i = 0; i < count; i += count / ACTIVE)
        while (lines[i].got != lines[i].sent)
            take(next_line());
}

static void play(void)
{
    unsigned int others = 0;

    for (unsigned int i = 0; i < count; i += count / ACTIVE) {
        lines[i].rounds = 0;
        give(&lines[i], lines[i].sent + BALL);
    }
    for (;;) {
        struct line *line = next_line();

        others += line->index % (count / ACTIVE) != 0;
        take(line);
        if (line->got != line->sent)
            continue;
        if (++line->rounds == ROUNDS)
            break;
        give(line, line->sent + BALL);
    }
    check_turns();
    catch_all();
    if (others > 4 * count) /* events left over from sending, no more */
        die("%u times a channel was given that nothing happened to", others);
}

/* ---- closing ---- */

static void line_close(struct line *line, unsigned int *open)
{
    *open -= line->channel != NULL;
    pvchan_close(line->channel);
    line->channel = NULL;
}

/* Each closes its neighbour, too, which may be next in the queue. */
static void close_all(void)
{
    unsigned int open = count;

    for (unsigned int i = 0; i < count; i++) {
        if (lines[i].got != lines[i].sent)
            die("channel %u would be closed with bytes under way", i);
        pvchan_requeue(lines[i].channel);
    }
    while (open > count / 4) {
        struct line *line = next_line();

        line_close(line, &open);
        line_close(&lines[(line->index + 1) % count], &open);
    }
    pvchan_group_close(group); /* closes the others */
}

static unsigned int descriptors(void)
{
    DIR *dir = opendir("/proc/self/fd");
    unsigned int found = 0;

    while (dir && readdir(dir))
        found++;
    closedir(dir);
    return found;
}

int main(int argc, char **argv)
{
    unsigned int before = descriptors(), with;

    count = argc > 4 ? (unsigned int)strtoul(argv[1], NULL, 10) : 0;
    bytes = argc > 4 ? (unsigned int)strtoul(argv[2], NULL, 10) : 0;
    lines = calloc(count, sizeof(*lines));
    if (count < ACTIVE || !lines)
        die("COUNT BYTES and channels are needed");
    check("pvchan_group_open", pvchan_group_open(0, &group));
    open_all(argv + 3);
    with = descriptors() - before;
    send_all();
    play();
    close_all();
    free(lines);
    if (descriptors() != before)
        die("%u descriptors were left open", descriptors() - before);
    printf("well: %u channels, %u bytes each, %u descriptors\n", count, bytes, with);
    return 0;
}

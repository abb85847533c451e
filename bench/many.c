/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Measures what open channels cost: some of them active, in a group that has more and more.
 *
 * many [--json] [--seconds SECS] [--rounds COUNT] DOMAIN DOMID
 *
 * Runs in domain 0 of a simulated host (`make bench-many`). For each count of 1, 16, 64, 1024 and
 * 4096, a process offers that many channels, whose rings lie in the shared page, to the domain, and
 * starts `vchan echo` there. Then the processes take turns in rounds: 16 channels of the process
 * (or its only one) send 64 bytes there and back as fast as possible, in one thread. Prints a line
 * for each count, with medians:
 *
 * open                  open channels
 * messages_per_second   there and back, all active channels together
 * cpu_us_per_message    of this process
 * idle_cpu              seconds of CPU in a second without traffic
 * private_bytes         memory for each channel: private, and in the pages that it shares
 * shared_bytes
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libpvchan/pvchan.h"

#define PATIENCE_MS 120000
#define ACTIVE_MAX  16u
#define MESSAGE     64

/* Events requested at a time: no channel is closed before all of them are handled. */
#define EVENTS_MAX 64

#define ROUNDS_MAX  99u

/* A xenstore path for one run: its maximum length, including the number. */
#define PATH_BYTES 48

static struct pvchan_group *group;
static double seconds = 0.5;
static bool json;

static void __attribute__((noreturn, format(printf, 1, 2))) die(const char *format, ...)
{
    va_list args;

    va_start(args, format);
    fputs("many: ", stderr);
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

/* ---- measures ---- */

static double now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static double cpu(void)
{
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* Reads a line of /proc/self/status, in bytes. */
static long memory(const char *key)
{
    FILE *status = fopen("/proc/self/status", "r");
    size_t length = strlen(key);
    char line[128];
    long kib = 0;

    while (status && fgets(line, sizeof(line), status))
        if (strncmp(line, key, length) == 0 && line[length] == ':')
            kib = strtol(line + length + 1, NULL, 10);
    if (status)
        fclose(status);
    return kib * 1024;
}

/* ---- channels ---- */

/* The next channel with events until that time, or NULL. */
static struct pvchan *next(double until)
{
    static struct pvchan_event events[EVENTS_MAX];
    static int given, count;
    double left = until - now();

    if (given == count) {
        given = 0;
        count = pvchan_group_wait(group, events, EVENTS_MAX, left > 0 ? (int)(left * 1000) : 0);
        check("pvchan_group_wait", count);
    }
    return given < count ? events[given++].handle : NULL;
}

static void path_of(char path[PATH_BYTES], unsigned int run, unsigned int number)
{
    snprintf(path, PATH_BYTES, "/local/domain/0/data/many/%u/%u", run, number);
}

static pid_t start_echo(const char *domain, unsigned int run, unsigned int count)
{
    const char *fixed[] = {"xensim", "exec", domain, "vchan", "echo", "--client", "0"};
    const size_t words = sizeof(fixed) / sizeof(fixed[0]);
    char **argv = calloc(words + count + 1, sizeof(*argv));
    char(*paths)[PATH_BYTES] = calloc(count, PATH_BYTES);
    pid_t pid;

    if (!argv || !paths)
        die("no memory");
    memcpy(argv, fixed, sizeof(fixed));
    for (unsigned int i = 0; i < count; i++) {
        path_of(paths[i], run, i);
        argv[words + i] = paths[i];
    }
    pid = fork();
    if (pid == 0) {
        execvp(argv[0], argv);
        _exit(127);
    }
    free(argv);
    free(paths);
    return pid;
}

static void open_all(const char *domain, unsigned int domid, unsigned int count,
                     struct pvchan **channels, pid_t *echo)
{
    double until = now() + PATIENCE_MS / 1000;
    unsigned int connected = 0;
    char path[PATH_BYTES];

    for (unsigned int i = 0; i < count; i++) {
        path_of(path, count, i);
        check(path, pvchan_group_add_server(group, domid, path, 1, 1, 0, &channels[i]));
    }
    *echo = start_echo(domain, count, count);
    while (connected < count) {
        struct pvchan *channel = next(until);

        if (!channel)
            die("%u of %u channels were not connected", count - connected, count);
        if (pvchan_state(channel) == PVCHAN_STATE_CONNECTED && !pvchan_user_data(channel)) {
            pvchan_set_user_data(channel, &connected);
            connected++;
        }
    }
}

/* ---- one process ---- */

/* The cost of opening, and of being idle afterwards. */
struct opened {
    double idle_cpu;
    long private_bytes, shared_bytes;
};

/* One round. */
struct played {
    double messages_per_second, cpu_us_per_message;
};

static double idle(void)
{
    double before;

    while (next(now() + 0.2)) /* finish what opening left to do */
        ;
    before = cpu();
    while (next(now() + seconds))
        ;
    return (cpu() - before) / seconds;
}

/* Takes one message that came back. Returns false if none is there yet. */
static bool took(struct pvchan *channel)
{
    uint8_t message[MESSAGE];
    ssize_t rc = pvchan_recv(channel, message, MESSAGE);

    if (rc != -EAGAIN)
        check("pvchan_recv", rc);
    return rc > 0;
}

static void give(struct pvchan *channel)
{
    static const uint8_t message[MESSAGE];

    check("pvchan_send", pvchan_send(channel, message, MESSAGE));
    /* read until -EAGAIN, but later: otherwise one channel would play alone */
    pvchan_requeue(channel);
}

static unsigned int active(unsigned int open)
{
    return open < ACTIVE_MAX ? open : ACTIVE_MAX;
}

static struct played play(struct pvchan **channels, unsigned int open)
{
    double start = now(), until = start + seconds, before = cpu(), took_seconds, took_cpu;
    unsigned int count = 0, away = 0;
    struct pvchan *channel;

    for (; away < active(open); away++)
        give(channels[away * (open / active(open))]);
    while (now() < until && (channel = next(until)) != NULL) {
        if (!took(channel))
            continue;
        give(channel);
        count++;
    }
    took_seconds = now() - start;
    took_cpu = cpu() - before;
    while (away > 0 && (channel = next(start + PATIENCE_MS / 1000)) != NULL)
        away -= took(channel);
    return (struct played){.messages_per_second = count / took_seconds,
                           .cpu_us_per_message = took_cpu / (count ? count : 1) * 1e6};
}

static void say(int fd, const void *data, size_t size)
{
    if (write(fd, data, size) != (ssize_t)size)
        die("cannot tell: %s", strerror(errno));
}

/* The process of one count: opens, reports that, and plays one round whenever it is asked. */
static void serve(const char *domain, unsigned int domid, unsigned int count, int turns,
                  int results)
{
    struct pvchan **channels = calloc(count, sizeof(struct pvchan *));
    long all = memory("VmRSS"), shared = memory("RssShmem");
    struct opened opened = {0};
    int status;
    pid_t echo;
    char turn;

    if (!channels)
        die("no memory");
    check("pvchan_group_open", pvchan_group_open(0, &group));
    open_all(domain, domid, count, channels, &echo);
    opened.shared_bytes = (memory("RssShmem") - shared) / (long)count;
    opened.private_bytes = (memory("VmRSS") - all) / (long)count - opened.shared_bytes;
    opened.idle_cpu = idle();
    say(results, &opened, sizeof(opened));
    while (read(turns, &turn, 1) == 1) {
        struct played played = play(channels, count);

        say(results, &played, sizeof(played));
    }
    pvchan_group_close(group);
    free(channels);
    if (waitpid(echo, &status, 0) != echo || status != 0)
        die("vchan echo ended with status %d", status);
}

/* ---- all of them ---- */

struct player {
    unsigned int open;
    pid_t pid;
    int turns, results;
    struct opened opened;
    double rates[ROUNDS_MAX], costs[ROUNDS_MAX];
};

static void hear(const struct player *player, void *data, size_t size)
{
    if (read(player->results, data, size) != (ssize_t)size)
        die("the process with %u channels ended", player->open);
}

static void start(struct player *player, const char *domain, unsigned int domid)
{
    int turns[2], results[2];

    if (pipe2(turns, O_CLOEXEC) < 0 || pipe2(results, O_CLOEXEC) < 0)
        die("no pipe: %s", strerror(errno));
    player->pid = fork();
    if (player->pid < 0)
        die("cannot fork: %s", strerror(errno));
    if (player->pid == 0) {
        close(turns[1]);
        close(results[0]);
        serve(domain, domid, player->open, turns[0], results[1]);
        exit(0);
    }
    close(turns[0]);
    close(results[1]);
    player->turns = turns[1];
    player->results = results[0];
    hear(player, &player->opened, sizeof(player->opened));
}

static void take_turn(struct player *player, unsigned int round)
{
    struct played played;

    say(player->turns, "", 1);
    hear(player, &played, sizeof(played));
    player->rates[round] = played.messages_per_second;
    player->costs[round] = played.cpu_us_per_message;
}

static void stop(struct player *player)
{
    int status;

    close(player->turns);
    if (waitpid(player->pid, &status, 0) != player->pid || status != 0)
        die("the process with %u channels ended with status %d", player->open, status);
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;

    return (x > y) - (x < y);
}

static double median(double *values, unsigned int count)
{
    qsort(values, count, sizeof(*values), compare);
    return values[count / 2];
}

static void print(struct player *player, unsigned int rounds)
{
    printf(json ? "{\"open\": %u, \"active\": %u, \"messages_per_second\": %.0f, "
                  "\"cpu_us_per_message\": %.2f, \"idle_cpu\": %.4f, \"private_bytes\": %ld, "
                  "\"shared_bytes\": %ld}\n"
                : "%6u open, %u active: %8.0f messages/s, %6.2f us of CPU a message; idle: %.4f s "
                  "of CPU a second; memory a channel: %ld + %ld bytes\n",
           player->open, active(player->open), median(player->rates, rounds),
           median(player->costs, rounds), player->opened.idle_cpu, player->opened.private_bytes,
           player->opened.shared_bytes);
}

static void __attribute__((noreturn)) usage(void)
{
    die("many [--json] [--seconds SECS] [--rounds COUNT] DOMAIN DOMID");
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"json", no_argument, NULL, 'j'},
                                            {"seconds", required_argument, NULL, 's'},
                                            {"rounds", required_argument, NULL, 'r'},
                                            {0}};
    static struct player players[] = {
        {.open = 1}, {.open = 16}, {.open = 64}, {.open = 1024}, {.open = 4096}};
    const size_t count = sizeof(players) / sizeof(players[0]);
    unsigned int rounds = 9;
    int option;

    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == '?')
            usage();
        json |= option == 'j';
        seconds = option == 's' ? strtod(optarg, NULL) : seconds;
        rounds = option == 'r' ? (unsigned int)strtoul(optarg, NULL, 10) : rounds;
    }
    if (argc - optind != 2 || seconds <= 0 || rounds == 0 || rounds > ROUNDS_MAX)
        usage();
    for (size_t i = 0; i < count; i++)
        start(&players[i], argv[optind], (unsigned int)strtoul(argv[optind + 1], NULL, 10));
    for (unsigned int round = 0; round < rounds; round++)
        for (size_t i = 0; i < count; i++)
            take_turn(&players[i], round);
    for (size_t i = count; i-- > 0;) /* later processes hold copies of the earlier ones' pipes */
        stop(&players[i]);
    for (size_t i = 0; i < count; i++)
        print(&players[i], rounds);
    return 0;
}

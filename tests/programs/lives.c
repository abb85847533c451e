/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A frontend program that is killed again and again, and the server at the other end. The bytes
 * show their sender: units of 8 bytes, the first with its high bit set, make up a number of the
 * sender (20 bits: a life of the program, or a connection of the server) and the unit's position
 * (29 bits). Both record their progress in a file that they map, so that a kill loses none of it.
 *
 *   lives server PATH FILE                       listens and serves until the last life has ended
 *   lives frontend NAME FILE KILLS MILLISECONDS  runs that many lives, each killed at a random
 *                                                moment within that time, and one that ends cleanly
 *   lives report FILE                            prints the results in one line
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "libpvchan/pvchan.h"

#define UNIT       8u
#define INDEX_BITS 29
#define BLOCK      (64u << 10)
#define LIVES_MAX  65536u

/* The server pauses after each block, so that there are bytes in the ring when a program dies. */
#define SLOW_NS 5000000

/* The minimum that the last life and its connection send. */
#define ENOUGH (1u << 20)

struct life {
    uint64_t trying;   /* bytes given to pvchan_write() */
    uint64_t written;  /* bytes that it took */
    uint64_t received; /* bytes that the server got */
    uint64_t read;     /* bytes that the program read */
    uint32_t wrong;    /* unexpected bytes */
    uint32_t servings; /* connections with bytes of this life: at most 1 */
    int32_t error;     /* it ended by itself without being asked to */
};

struct record {
    uint32_t lives; /* killed ones */
    uint32_t last;  /* 1: the life that is not killed has begun */
    uint32_t over;
    uint32_t torn; /* connections that do not show whose bytes they had */
    struct life life[LIVES_MAX];
};

static void die(const char *what)
{
    fprintf(stderr, "lives: %s: %s\n", what, strerror(errno));
    exit(1);
}

static struct record *record_open(const char *path)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct record *record;

    if (fd < 0 || ftruncate(fd, sizeof(*record)) < 0)
        die(path);
    record = mmap(NULL, sizeof(*record), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (record == MAP_FAILED)
        die(path);
    close(fd);
    return record;
}

static uint32_t load(const uint32_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

/* ---- bytes ---- */

static uint8_t byte_at(uint64_t who, uint64_t position)
{
    unsigned int index = position % UNIT;
    uint64_t unit = who << INDEX_BITS | position / UNIT;
    uint8_t digit = unit >> (7 * (UNIT - 1 - index)) & 0x7f;

    return index == 0 ? digit | 0x80 : digit;
}

/* Fills a block of varying size that begins with a whole unit. */
static size_t next_block(uint8_t block[BLOCK], uint64_t who, uint64_t position)
{
    static const size_t sizes[] = {65, BLOCK, 13, 4096, 1, BLOCK / 2, 511, 8};
    size_t size = sizes[position / 7 % (sizeof(sizes) / sizeof(sizes[0]))];

    for (size_t i = 0; i < size; i++)
        block[i] = byte_at(who, position + i);
    return size;
}

/* A stream being read. */
struct reading {
    uint64_t position, first; /* the first unit, which identifies the sender */
    uint32_t wrong;
};

static uint64_t reading_who(const struct reading *reading)
{
    return reading->first >> INDEX_BITS;
}

static void check(struct reading *reading, const uint8_t *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint64_t position = reading->position++;

        if (position < UNIT)
            reading->first = reading->first << 7 | (bytes[i] & 0x7f);
        if (position >= UNIT && bytes[i] != byte_at(reading_who(reading), position))
            reading->wrong++;
        if (position == UNIT - 1 && reading->first % (UINT64_C(1) << INDEX_BITS) != 0)
            reading->wrong++; /* that is not the beginning of a stream */
    }
}

/* ---- the program ---- */

static uint8_t block[BLOCK];

/* Returns whether bytes moved. */
static bool life_write(struct life *life, struct pvchan *channel, uint32_t who)
{
    size_t size = next_block(block, who, life->written);
    ssize_t written;

    __atomic_store_n(&life->trying, life->written + size, __ATOMIC_RELEASE);
    written = pvchan_write(channel, block, size);
    if (written > 0)
        __atomic_store_n(&life->written, life->written + (uint64_t)written, __ATOMIC_RELEASE);
    else if (written != -EAGAIN)
        life->error = (int32_t)written;
    return written > 0;
}

static bool life_read(struct life *life, struct pvchan *channel, struct reading *reading, bool *end)
{
    ssize_t got = pvchan_read(channel, block, sizeof(block));

    if (got == 0)
        *end = true;
    else if (got > 0)
        check(reading, block, (size_t)got);
    else if (got != -EAGAIN)
        life->error = (int32_t)got;
    life->wrong = reading->wrong;
    life->read = reading->position;
    return got > 0;
}

/* Until it is killed; in the last life, until both have sent enough. */
static void life_move(struct life *life, struct pvchan *channel, uint32_t who, bool last)
{
    struct reading reading = {0};
    struct pollfd poll_fd = {.fd = pvchan_fd(channel), .events = POLLIN};
    bool end = false, shut = false;

    while (!life->error && !(end && shut)) {
        bool moved = !shut && life_write(life, channel, who);

        moved |= !end && life_read(life, channel, &reading, &end);
        if (last && !shut && life->written >= ENOUGH) {
            shut = true;
            life->error = pvchan_shutdown(channel);
        }
        if (end && !last)
            life->error = -ENODATA;
        if (!moved && !life->error && !(end && shut) && poll(&poll_fd, 1, -1) > 0)
            life->error = pvchan_dispatch(channel);
    }
}

static int life_live(struct record *record, const char *name, uint32_t who, bool last)
{
    struct life *life = &record->life[who];
    struct pvchan *channel;
    int rc = pvchan_open(name, -1, PVCHAN_NONBLOCK, &channel);

    if (rc < 0) {
        life->error = rc;
        return 1;
    }
    life_move(life, channel, who, last);
    pvchan_close(channel);
    return life->error ? 1 : 0;
}

static pid_t life_start(struct record *record, const char *name, uint32_t who, bool last)
{
    pid_t pid = fork();

    if (pid < 0)
        die("cannot fork");
    if (pid == 0)
        _exit(life_live(record, name, who, last));
    return pid;
}

static void sleep_below(long milliseconds)
{
    long microseconds = random() % (milliseconds * 1000 + 1);
    struct timespec time = {.tv_sec = microseconds / 1000000,
                            .tv_nsec = microseconds % 1000000 * 1000};

    nanosleep(&time, NULL);
}

static int frontend(const char *name, struct record *record, uint32_t kills, long milliseconds)
{
    int status;
    pid_t pid;

    srandom((unsigned int)time(NULL) ^ (unsigned int)getpid());
    for (uint32_t who = 0; who < kills; who++) {
        pid = life_start(record, name, who, false);
        sleep_below(milliseconds);
        kill(pid, SIGKILL);
        waitpid(pid, &status, 0);
        __atomic_store_n(&record->lives, who + 1, __ATOMIC_RELEASE);
    }
    __atomic_store_n(&record->last, 1, __ATOMIC_RELEASE);
    pid = life_start(record, name, kills, true);
    waitpid(pid, &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/* ---- the server ---- */

static void account(struct record *record, const struct reading *reading)
{
    struct life *life = &record->life[reading_who(reading) % LIVES_MAX];

    if (reading->position == 0)
        return;
    if (reading->position < UNIT) {
        record->torn++;
        return;
    }
    life->received += reading->position;
    life->wrong += reading->wrong;
    life->servings++;
    if (load(&record->last) && reading_who(reading) == record->lives)
        record->over = 1;
}

/* Returns false at the end. */
static bool serve_read(int fd, struct reading *reading)
{
    ssize_t got = recv(fd, block, sizeof(block), MSG_DONTWAIT);

    if (got > 0)
        check(reading, block, (size_t)got);
    nanosleep(&(struct timespec){.tv_nsec = SLOW_NS}, NULL);
    return got > 0 || (got < 0 && errno == EAGAIN);
}

/* Returns false when nothing more is needed. */
static bool serve_write(int fd, uint32_t who, uint64_t *sent)
{
    ssize_t written =
        send(fd, block, next_block(block, who, *sent), MSG_DONTWAIT | MSG_NOSIGNAL);

    if (written > 0)
        *sent += (uint64_t)written;
    return written > 0 || (written < 0 && errno == EAGAIN);
}

static void serve(struct record *record, int fd, uint32_t who)
{
    struct reading reading = {0};
    bool writing = true;
    uint64_t sent = 0;

    do {
        struct pollfd fds = {.fd = fd, .events = writing ? POLLIN | POLLOUT : POLLIN};

        poll(&fds, 1, -1);
        if (writing && fds.revents & POLLOUT)
            writing = serve_write(fd, who, &sent) && !(load(&record->last) && sent >= ENOUGH);
        if (!writing)
            shutdown(fd, SHUT_WR);
        if (fds.revents & ~POLLOUT && !serve_read(fd, &reading))
            break;
    } while (true);
    account(record, &reading);
    close(fd);
}

static int server(const char *path, struct record *record)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), fd;

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (listener < 0 || bind(listener, (struct sockaddr *)&address, sizeof(address)) < 0 ||
        listen(listener, 128) < 0)
        die(path);
    for (uint32_t who = 1; !record->over; who++) {
        fd = accept(listener, NULL, NULL);
        if (fd < 0)
            die("cannot accept");
        serve(record, fd, who);
    }
    return 0;
}

/* ---- results ---- */

struct sums {
    uint64_t written, received, lost, invented, read, wrong;
    unsigned int served, short_ones, again, refused, failed;
};

static void add(struct sums *sums, const struct life *life, uint32_t who)
{
    uint64_t lost = life->written > life->received ? life->written - life->received : 0;

    sums->written += life->written;
    sums->received += life->received;
    sums->read += life->read;
    sums->wrong += life->wrong;
    sums->lost += lost;
    sums->short_ones += lost > 0;
    sums->invented += life->received > life->trying ? life->received - life->trying : 0;
    sums->served += life->servings > 0;
    sums->again += life->servings > 1;
    sums->refused += life->error == -ECONNREFUSED;
    sums->failed += life->error && life->error != -ECONNREFUSED;
    if (life->error)
        fprintf(stderr, "life %u ended: %s\n", who, strerror(-life->error));
    if (lost)
        fprintf(stderr, "life %u wrote %llu, of which %llu arrived\n", who,
                (unsigned long long)life->written, (unsigned long long)life->received);
}

static int report(const struct record *record)
{
    struct sums sums = {0};

    for (uint32_t who = 0; who <= record->lives && who < LIVES_MAX; who++)
        add(&sums, &record->life[who], who);
    printf("deaths=%u lives_with_bytes=%u written=%llu received=%llu lost=%llu in=%u read=%llu "
           "wrong=%llu invented=%llu again=%u refused=%u failed=%u torn=%u\n",
           record->lives, sums.served, (unsigned long long)sums.written,
           (unsigned long long)sums.received, (unsigned long long)sums.lost, sums.short_ones,
           (unsigned long long)sums.read, (unsigned long long)sums.wrong,
           (unsigned long long)sums.invented, sums.again, sums.refused, sums.failed, record->torn);
    return 0;
}

static long number(const char *text, long most)
{
    char *end;
    long value = strtol(text, &end, 10);

    if (*end || value < 1 || value > most)
        exit(2);
    return value;
}

int main(int argc, char **argv)
{
    if (argc == 4 && strcmp(argv[1], "server") == 0)
        return server(argv[2], record_open(argv[3]));
    if (argc == 6 && strcmp(argv[1], "frontend") == 0)
        return frontend(argv[2], record_open(argv[3]), (uint32_t)number(argv[4], LIVES_MAX - 1),
                        number(argv[5], 60000));
    if (argc == 3 && strcmp(argv[1], "report") == 0)
        return report(record_open(argv[2]));
    return 2;
}

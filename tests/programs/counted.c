/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A stream in which each byte shows its position, so that lost and repeated bytes can be counted:
 * units of 8 bytes, the first with its high bit set, which make up the unit's number.
 *
 *   counted send STOP            writes to stdout until the file STOP exists; "sent N" on stderr
 *   counted check                reads stdin to its end; "received N lost N duplicated N" on stderr
 *   counted connect PATH STOP    both over a Unix socket
 *   counted listen PATH STOP     likewise, for the first client
 *   counted terminal PATH STOP ENOUGH
 *                                both on a terminal, which has no end: checks as many bytes as the
 *                                file ENOUGH says, once it exists
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define UNIT  8u
#define BLOCK (64u << 10)

static void die(const char *what)
{
    fprintf(stderr, "counted: %s: %s\n", what, strerror(errno));
    exit(1);
}

static uint8_t byte_at(uint64_t position)
{
    unsigned int index = position % UNIT;
    uint8_t digit = (position / UNIT) >> (7 * (UNIT - 1 - index)) & 0x7f;

    return index == 0 ? digit | 0x80 : digit;
}

/* ---- sending ---- */

/* Writes of every size, from 1 byte to a whole block. */
static size_t next_size(uint64_t position)
{
    static const size_t sizes[] = {BLOCK, 1, 4096, 13, 65, BLOCK / 2, 511, 8};

    return sizes[position / 7 % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void send_all(int fd, const char *stop)
{
    static uint8_t block[BLOCK];
    uint64_t position = 0;
    unsigned int count = 0;

    while (count++ % 64 != 0 || access(stop, F_OK) < 0) {
        size_t size = next_size(position);
        size_t done = 0;

        for (size_t i = 0; i < size; i++)
            block[i] = byte_at(position + i);
        while (done < size) {
            ssize_t written = write(fd, block + done, size - done);

            if (written < 0 && errno != EINTR)
                die("cannot write");
            done += written > 0 ? (size_t)written : 0;
        }
        position += size;
    }
    fprintf(stderr, "sent %llu\n", (unsigned long long)position);
}

/* ---- checking ---- */

struct check {
    uint64_t position; /* the next position expected */
    uint64_t received, lost, duplicated;
    unsigned int skipped; /* bytes since one was wrong; 0: in step */
    unsigned int digits;  /* how many of the last ones look like a unit's beginning */
    uint64_t unit;
};

static void resynchronize(struct check *check)
{
    uint64_t end = check->unit * UNIT + UNIT;
    int64_t jump = (int64_t)(end - check->skipped) - (int64_t)check->position;

    if (jump > 0)
        check->lost += (uint64_t)jump;
    else
        check->duplicated += (uint64_t)-jump;
    check->position = end;
    check->skipped = 0;
}

static void check_byte(struct check *check, uint8_t byte)
{
    if (check->skipped == 0 && byte == byte_at(check->position)) {
        check->position++;
        return;
    }
    if (check->skipped++ == 0)
        check->digits = 0;
    if (byte & 0x80)
        check->digits = 0, check->unit = 0;
    else if (check->digits == 0)
        return; /* not at a unit's beginning yet */
    check->unit = check->unit << 7 | (byte & 0x7f);
    if (++check->digits == UNIT)
        resynchronize(check);
}

/* Returns whether the end has not come yet. */
static int check_some(struct check *check, int fd)
{
    static uint8_t block[BLOCK];
    ssize_t got = read(fd, block, sizeof(block));

    if (got < 0 && errno != EINTR)
        die("cannot read");
    for (ssize_t i = 0; i < got; i++)
        check_byte(check, block[i]);
    check->received += got > 0 ? (uint64_t)got : 0;
    return got != 0;
}

static void check_report(const struct check *check)
{
    fprintf(stderr, "received %llu lost %llu duplicated %llu%s\n",
            (unsigned long long)check->received, (unsigned long long)check->lost,
            (unsigned long long)check->duplicated, check->skipped ? " and ends in nonsense" : "");
}

static void check_all(int fd)
{
    struct check check = {0};

    while (check_some(&check, fd))
        ;
    check_report(&check);
}

static int is_enough(const struct check *check, const char *path)
{
    FILE *file = fopen(path, "re");
    char line[32] = "";
    int enough;

    if (!file)
        return 0;
    enough = fgets(line, sizeof(line), file) && strchr(line, '\n') &&
             check->received >= strtoull(line, NULL, 10);
    fclose(file);
    return enough;
}

static void check_enough(int fd, const char *enough)
{
    struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
    struct check check = {0};

    while (!is_enough(&check, enough))
        if (poll(&poll_fd, 1, 20) > 0 && !check_some(&check, fd))
            break;
    check_report(&check);
}

/* ---- a socket ---- */

static void both(int fd, const char *stop)
{
    pid_t sender = fork();

    if (sender < 0)
        die("cannot fork");
    if (sender == 0) {
        send_all(fd, stop);
        shutdown(fd, SHUT_WR);
        exit(0);
    }
    check_all(fd);
    waitpid(sender, NULL, 0);
}

static void terminal(const char *path, const char *stop, const char *enough)
{
    int fd = open(path, O_RDWR | O_NOCTTY | O_CLOEXEC);
    pid_t sender = fd < 0 ? -1 : fork();

    if (sender < 0)
        die(path);
    if (sender == 0) {
        send_all(fd, stop);
        exit(0);
    }
    check_enough(fd, enough);
    waitpid(sender, NULL, 0);
}

static int open_socket(const char *path, int (*how)(int, const struct sockaddr *, socklen_t))
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    if (how == bind)
        unlink(path);
    if (fd < 0 || how(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
        die(path);
    return fd;
}

static void serve(const char *path, const char *stop)
{
    int listener = open_socket(path, bind), fd;

    if (listen(listener, 1) < 0)
        die(path);
    fprintf(stderr, "listens\n");
    fd = accept(listener, NULL, NULL);
    if (fd < 0)
        die(path);
    close(listener);
    both(fd, stop);
}

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "send") == 0)
        send_all(STDOUT_FILENO, argv[2]);
    else if (argc == 2 && strcmp(argv[1], "check") == 0)
        check_all(STDIN_FILENO);
    else if (argc == 4 && strcmp(argv[1], "connect") == 0)
        both(open_socket(argv[2], connect), argv[3]);
    else if (argc == 4 && strcmp(argv[1], "listen") == 0)
        serve(argv[2], argv[3]);
    else if (argc == 5 && strcmp(argv[1], "terminal") == 0)
        terminal(argv[2], argv[3], argv[4]);
    else
        return 2;
    return 0;
}

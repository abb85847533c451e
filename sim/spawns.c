/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Programs in domains. Their init starts them, signals them and waits for them. The upper bits of a
 * program's id are its domain's slot; the lower ones are 0 for the domain's own program.
 */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

#include "sim/client.h"
#include "sim/hypervisor.h"

int control_send(struct domain *domain, enum sim_op op, uint32_t id, uint32_t argument,
                 const int *fds, int nfds)
{
    struct sim_message message = {.op = op, .arg = {id, argument}};

    return domain->control ? sim_send(domain->control->fd, &message, NULL, fds, nfds) : -ESRCH;
}

void spawn_report(uint32_t spawn, uint32_t status)
{
    for (struct conn *conn = conns; conn && spawn; conn = conn->next) {
        struct sim_message message = {.op = SIM_SPAWN, .arg = {status}};

        if (conn->spawn != spawn)
            continue;
        conn->spawn = 0;
        sim_send(conn->source.fd, &message, NULL, NULL, 0);
    }
}

void spawns_end(struct domain *domain)
{
    for (struct conn *conn = conns; conn; conn = conn->next)
        if (conn->spawn && conn->spawn >> 20 == domain->slot)
            spawn_report(conn->spawn, SIGKILL);
}

static int console_open(const struct domain *domain)
{
    char path[sizeof(SIM_DIR) + SIM_NAME + 16];

    snprintf(path, sizeof(path), "%s/console-%s.log", SIM_DIR, domain->name);
    for (char *c = path + sizeof(SIM_DIR); *c; c++)
        if (*c == '/')
            *c = '_';
    return open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
}

int program_start(struct domain *domain)
{
    int fds[4] = {domain->program, -1, -1, -1};
    int error = 0;

    domain->started = true;
    if (domain->program < 0)
        return 0;
    fds[1] = open("/dev/null", O_RDONLY | O_CLOEXEC);
    fds[2] = fds[3] = console_open(domain);
    if (fds[1] >= 0 && fds[2] >= 0)
        error = control_send(domain, SIM_SPAWN, domain->slot << 20, domain->argc, fds, 4);
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    domain->program = -1;
    return error;
}

int domain_spawn(struct request *request)
{
    static uint32_t last;
    struct domain *domain = domain_meant(request, 0);
    uint32_t id;
    int error;

    if (!domain || domain->dying)
        return -ESRCH;
    if (domain->paused || domain->shutdown)
        return -EHOSTDOWN;
    if (request->nfds != 4 || request->conn->spawn)
        return -EINVAL;
    last = last % 0xfffff + 1;
    id = domain->slot << 20 | last;
    error = control_send(domain, SIM_SPAWN, id, request->message.arg[1], request->fds, 4);
    if (error)
        return error;
    request->conn->spawn = id;
    request->silent = true;
    return 0;
}

static void spawn_signal(struct conn *conn, uint32_t number)
{
    struct domain *domain = conn->spawn ? domain_in_slot(conn->spawn >> 20) : NULL;

    if (domain)
        control_send(domain, SIM_SIGNAL, conn->spawn, number, NULL, 0);
}

int domain_signal(struct request *request)
{
    request->silent = true;
    spawn_signal(request->conn, request->message.arg[0]);
    return 0;
}

void spawn_end(struct conn *conn)
{
    spawn_signal(conn, SIGKILL);
    conn->spawn = 0;
}

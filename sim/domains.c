/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The life of domains. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>
#include <xen/grant_table.h>
#include <xen/sched.h>
#include <xen/xen.h>

#include "sim/client.h"
#include "sim/hypervisor.h"
#include "sim/init.h"

#define GNTALLOC_PAGES 1024 /* Linux's default */
#define GRANTS         65536

static uint32_t next_domid;
static int boot_status = -1; /* the exit code of domain_boot()'s command once it has ended */

static void domain_path(char *path, size_t size, const struct domain *domain, const char *name)
{
    if (domain->domid == 0)
        snprintf(path, size, SIM_DIR "/%s", name);
    else
        snprintf(path, size, SIM_DIR "/%u/%s", domain->domid, name);
}

static int file_write(const struct domain *domain, const char *name, const char *text)
{
    char path[64];
    int fd;

    domain_path(path, sizeof(path), domain, name);
    fd = open(path, O_CREAT | O_WRONLY | O_TRUNC | O_CLOEXEC, 0666);
    if (fd < 0 || write(fd, text, strlen(text)) < 0)
        return -errno;
    close(fd);
    return 0;
}

/* Makes the files that stand for /dev/xen and /proc/xen (see files.c). */
static int files_make(const struct domain *domain)
{
    static const char *const devices[] = {"privcmd", "evtchn", "gntdev", "gntalloc"};
    char path[64], port[16], empty[SIM_PAGE + 1];
    int error = 0;

    domain_path(path, sizeof(path), domain, "");
    mkdir(path, 0755);
    domain_path(path, sizeof(path), domain, "dev");
    if (mkdir(path, 0755) < 0)
        return -errno;
    for (size_t i = 0; i < sizeof(devices) / sizeof(*devices) && !error; i++) {
        snprintf(path, sizeof(path), "dev/%s", devices[i]);
        error = file_write(domain, path, "");
    }
    if (!error)
        error = file_write(domain, "dev/capabilities", domain->domid == 0 ? "control_d\n" : "");
    if (error || domain->domid != 0)
        return error;
    memset(empty, ' ', SIM_PAGE);
    empty[SIM_PAGE] = '\0';
    snprintf(port, sizeof(port), "%u", domain->store_port);
    error = file_write(domain, "dev/xsd_port", port);
    return error ? error : file_write(domain, "dev/xsd_kva", empty);
}

static void files_remove(const struct domain *domain)
{
    static const char *const names[] = {
        "dev/privcmd",      "dev/evtchn", "dev/gntdev", "dev/gntalloc",
        "dev/capabilities", "dev",        "hypervisor",     ""};
    char path[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        domain_path(path, sizeof(path), domain, names[i]);
        remove(path);
    }
}

static int listener_open(struct domain *domain)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    domain_path(address.sun_path, sizeof(address.sun_path), domain, "hypervisor");
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, 128) == 0)
        domain->listener = source_add(fd, sizeof(struct domain_source), SOURCE_LISTENER);
    if (domain->listener) {
        ((struct domain_source *)domain->listener)->domain = domain;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    return -ENOMEM;
}

static void domain_power_off(struct domain *domain, uint32_t reason)
{
    if (domain->shutdown || domain->dying)
        return;
    domain->shutdown = true;
    domain->reason = reason;
    virq_raise(VIRQ_DOM_EXC);
}

static void control_close(struct domain *domain)
{
    source_remove(domain->control);
    domain->control = NULL;
    spawns_end(domain);
}

void control_ready(struct source *source)
{
    struct domain *domain = ((struct domain_source *)source)->domain;
    struct sim_message message;
    int error = sim_receive(source->fd, &message, NULL, 0, NULL, NULL);

    if (error == -EAGAIN)
        return;
    if (error) {
        control_close(domain);
        domain_power_off(domain, SHUTDOWN_crash);
        if (domain->domid == 0)
            boot_status = 1;
    } else if (message.op == SIM_SHUTDOWN) {
        domain_power_off(domain, message.arg[0]);
    } else if (message.arg[0] & 0xfffff) {
        spawn_report(message.arg[0], message.arg[1]);
    } else if (domain->domid == 0) {
        boot_status = WIFSIGNALED(message.arg[1]) ? 128 + WTERMSIG(message.arg[1])
                                                  : WEXITSTATUS(message.arg[1]);
    }
}

static int init_launch(struct domain *domain)
{
    int pair[2];

    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
        return -errno;
    domain->init = init_start(domain->domid, pair[1]);
    close(pair[1]);
    if (domain->init < 0) {
        close(pair[0]);
        return domain->init;
    }
    fcntl(pair[0], F_SETFL, O_NONBLOCK);
    domain->control = source_add(pair[0], sizeof(struct domain_source), SOURCE_CONTROL);
    if (!domain->control)
        return -ENOMEM;
    ((struct domain_source *)domain->control)->domain = domain;
    return 0;
}

static void domain_free(struct domain *domain)
{
    struct domain **link = &domains;

    while (*link && *link != domain)
        link = &(*link)->next;
    if (*link)
        *link = domain->next;
    if (domain->program >= 0)
        close(domain->program);
    if (domain->grants)
        grants_destroy(domain);
    free(domain->ports);
    free(domain);
}

static void init_kill(struct domain *domain)
{
    if (domain->init <= 0)
        return;
    kill(domain->init, SIGKILL);
    /* the kernel kills all processes of the domain with it */
    while (waitpid(domain->init, NULL, 0) < 0 && errno == EINTR)
        ;
    domain->init = -1;
}

/* Makes the domain do nothing from now on. It goes when no process maps its pages any more. */
static void domain_kill(struct domain *domain)
{
    struct conn *next;

    domain->dying = true;
    init_kill(domain);
    if (domain->control)
        control_close(domain);
    source_remove(domain->listener);
    for (struct conn *conn = conns; conn; conn = next) {
        next = conn->next;
        if (conn->domain == domain)
            conn_close(conn);
    }
    ports_destroy(domain);
    files_remove(domain);
    virq_raise(VIRQ_DOM_EXC);
}

void domains_reap(void)
{
    struct domain *next;

    for (struct domain *domain = domains; domain; domain = next) {
        next = domain->next;
        if (!domain->dying || domain->mapped > 0)
            continue;
        domain_free(domain);
        virq_raise(VIRQ_DOM_EXC);
    }
}

static int domain_build(struct domain *domain)
{
    int port, error;

    domain->ports = calloc(SIM_PORTS, sizeof(*domain->ports));
    domain->grants = calloc(GRANTS, sizeof(*domain->grants));
    if (!domain->ports || !domain->grants)
        return -ENOMEM;
    port = port_open(domain, 0, NULL);
    domain->store = share_new(domain, 0, 1, true, GNTTAB_RESERVED_XENSTORE);
    if (port < 0 || !domain->store)
        return -ENOMEM;
    domain->store_port = (uint32_t)port;
    error = files_make(domain);
    if (!error)
        error = listener_open(domain);
    return error ? error : init_launch(domain);
}

/* Makes a domain in the lowest free slot. Returns NULL with errno set if that fails. */
static struct domain *domain_new(uint32_t domid)
{
    struct domain *domain;
    uint32_t slot = 0;
    int error;

    while (domain_in_slot(slot))
        slot++;
    if (slot >= SIM_DOMAINS) {
        errno = ENOSPC;
        return NULL;
    }
    domain = calloc(1, sizeof(*domain));
    if (!domain)
        return NULL;
    *domain = (struct domain){.domid = domid,
                              .slot = slot,
                              .paused = true,
                              .program = -1,
                              .next_ref = 8,
                              .limit = GNTALLOC_PAGES};
    domain->next = domains;
    domains = domain;
    error = domain_build(domain);
    if (!error)
        return domain;
    init_kill(domain);
    source_remove(domain->listener);
    if (domain->ports && domain->grants) {
        ports_destroy(domain);
        files_remove(domain);
    }
    domain_free(domain);
    errno = -error;
    return NULL;
}

int domain_boot(char **argv)
{
    struct domain *domain = domain_new(0);
    extern char **environ;
    char directory[4096];
    uint32_t count;
    int fds[4] = {-1, 0, 1, 2};
    int error;

    if (!domain)
        return -errno;
    domain->paused = false;
    domain->started = true;
    domain->pages = 1 << 18;
    next_domid = 1;
    if (!getcwd(directory, sizeof(directory)))
        return -errno;
    fds[0] = sim_program_pack(directory, argv, environ, &count);
    if (fds[0] < 0)
        return fds[0];
    error = control_send(domain, SIM_SPAWN, 0, count, fds, 4);
    close(fds[0]);
    return error;
}

void domain_boot_signal(uint32_t number)
{
    control_send(domain_find(0), SIM_SIGNAL, 0, number, NULL, 0);
}

int domain_boot_status(void)
{
    return boot_status;
}

static int infos_compare(const void *left, const void *right)
{
    const struct sim_info *a = left, *b = right;

    return a->domid < b->domid ? -1 : a->domid > b->domid;
}

static void info_fill(struct sim_info *info, const struct domain *domain)
{
    info->domid = domain->domid;
    info->flags = (domain->paused ? SIM_INFO_PAUSED : 0) |
                  (domain->shutdown ? SIM_INFO_SHUTDOWN : 0) | (domain->dying ? SIM_INFO_DYING : 0);
    info->reason = domain->reason;
    info->pages = domain->pages;
    memcpy(info->uuid, domain->uuid, sizeof(info->uuid));
    memcpy(info->name, domain->name, sizeof(info->name));
}

int domain_list(struct request *request)
{
    struct sim_info *infos = calloc(SIM_DOMAINS, sizeof(*infos));
    uint32_t count = 0, max = request->message.arg[1];

    request->out = infos;
    if (!infos)
        return -ENOMEM;
    for (struct domain *domain = domains; domain; domain = domain->next)
        if (domain->domid >= request->message.arg[0])
            info_fill(&infos[count++], domain);
    qsort(infos, count, sizeof(*infos), infos_compare);
    request->reply.length = (count < max ? count : max) * (uint32_t)sizeof(*infos);
    return 0;
}

int domain_create(struct request *request)
{
    struct sim_create create;
    struct domain *domain;

    if (request->message.length != sizeof(create))
        return -EINVAL;
    memcpy(&create, request->payload, sizeof(create));
    while (domain_find(next_domid) || next_domid == 0 || next_domid >= DOMID_FIRST_RESERVED)
        next_domid = next_domid >= DOMID_FIRST_RESERVED ? 1 : next_domid + 1;
    domain = domain_new(next_domid);
    if (!domain)
        return -errno;
    next_domid++;
    domain->pages = create.pages;
    memcpy(domain->uuid, create.uuid, sizeof(domain->uuid));
    memcpy(domain->name, create.name, sizeof(domain->name));
    domain->name[sizeof(domain->name) - 1] = '\0';
    if (request->nfds > 0) {
        domain->program = request->fds[0];
        domain->argc = request->message.arg[0];
        request->fds[0] = -1;
    }
    request->reply.arg[0] = domain->domid;
    request->reply.arg[1] = domain->store_port;
    return 0;
}

/* Finds the guest that a request names; domain 0 is refused. */
static int guest_meant(struct request *request, struct domain **domain)
{
    *domain = domain_meant(request, 0);
    if (!*domain)
        return -ESRCH;
    return (*domain)->domid == 0 || (*domain)->dying ? -EINVAL : 0;
}

int domain_destroy(struct request *request)
{
    struct domain *domain;
    int error = guest_meant(request, &domain);

    if (error == -EINVAL && domain->dying)
        return 0; /* as in Xen, repeating it does no harm */
    if (!error)
        domain_kill(domain);
    return error;
}

int domain_pause(struct request *request)
{
    struct domain *domain;
    int error = guest_meant(request, &domain);

    if (error || domain->paused)
        return error;
    domain->paused = true;
    return control_send(domain, SIM_PAUSE, 0, 0, NULL, 0);
}

int domain_unpause(struct request *request)
{
    struct domain *domain;
    int error = guest_meant(request, &domain);

    if (error || !domain->paused)
        return error;
    domain->paused = false;
    error = control_send(domain, SIM_UNPAUSE, 0, 0, NULL, 0);
    return error || domain->started ? error : program_start(domain);
}

int domain_shutdown(struct request *request)
{
    struct domain *domain;
    int error = guest_meant(request, &domain);

    if (!error)
        domain_power_off(domain, request->message.arg[1]);
    return error;
}

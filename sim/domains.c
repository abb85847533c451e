/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Domains: their life, and running programs in them. */
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

#include "sim/broker.h"
#include "sim/client.h"
#include "sim/init.h"

#define GNTALLOC_PAGES 1024 /* Linux's default */
#define GRANTS         65536

struct domain *domains;

static uint32_t next_domid;
static struct domain *slots[SIM_DOMAINS];

/* A source that belongs to a domain. */
struct domain_source {
    struct source source;
    struct domain *domain;
};

struct domain *domain_find(uint32_t domid)
{
    struct domain *domain = domains;

    while (domain && domain->domid != domid)
        domain = domain->next;
    return domain;
}

struct domain *domain_meant(struct request *request, int argument)
{
    uint32_t domid = request->message.arg[argument];

    return domid == DOMID_SELF ? request->conn->domain : domain_find(domid);
}

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

/* The files behind /dev/xen and /proc/xen (see files.c). */
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
        "dev/capabilities", "dev",        "broker",     ""};
    char path[64];

    for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++) {
        domain_path(path, sizeof(path), domain, names[i]);
        remove(path);
    }
}

static void listener_ready(struct source *source)
{
    conn_accept(source, ((struct domain_source *)source)->domain);
}

static int listener_open(struct domain *domain)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    domain_path(address.sun_path, sizeof(address.sun_path), domain, "broker");
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
        listen(fd, 128) == 0)
        domain->listener = source_add(fd, sizeof(struct domain_source), listener_ready);
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

/* Something that a domain ran has ended. */
static void spawn_report(uint32_t spawn, uint32_t status)
{
    for (struct conn *conn = conns; conn && spawn; conn = conn->next) {
        struct sim_message message = {.op = SIM_SPAWN, .arg = {status}};

        if (conn->spawn != spawn)
            continue;
        conn->spawn = 0;
        sim_send(conn->source.fd, &message, NULL, NULL, 0);
    }
}

/* Nothing of the domain runs any more: whoever waits for a program in it learns that. */
static void spawns_end(struct domain *domain)
{
    for (struct conn *conn = conns; conn; conn = conn->next)
        if (conn->spawn && conn->spawn >> 20 == domain->slot)
            spawn_report(conn->spawn, SIGKILL);
}

static void control_close(struct domain *domain)
{
    source_remove(domain->control);
    domain->control = NULL;
    spawns_end(domain);
}

/* Word from a domain's init. */
static void control_ready(struct source *source)
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
            broker_stop(1);
    } else if (message.op == SIM_SHUTDOWN) {
        domain_power_off(domain, message.arg[0]);
    } else if (message.arg[0] & 0xfffff) {
        spawn_report(message.arg[0], message.arg[1]);
    } else if (domain->domid == 0) {
        broker_stop(WIFSIGNALED(message.arg[1]) ? 128 + WTERMSIG(message.arg[1])
                                                : WEXITSTATUS(message.arg[1]));
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
    domain->control = source_add(pair[0], sizeof(struct domain_source), control_ready);
    if (!domain->control)
        return -ENOMEM;
    ((struct domain_source *)domain->control)->domain = domain;
    return 0;
}

static int slot_take(struct domain *domain)
{
    uint32_t slot = 0;

    while (slot < SIM_DOMAINS && slots[slot])
        slot++;
    if (slot == SIM_DOMAINS)
        return -ENOSPC;
    domain->slot = slot;
    slots[slot] = domain;
    return 0;
}

static void domain_free(struct domain *domain)
{
    struct domain **link = &domains;

    while (*link && *link != domain)
        link = &(*link)->next;
    if (*link)
        *link = domain->next;
    if (slots[domain->slot] == domain)
        slots[domain->slot] = NULL;
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
    /* Takes all processes of the domain with it, which cannot refuse. */
    while (waitpid(domain->init, NULL, 0) < 0 && errno == EINTR)
        ;
    domain->init = -1;
}

/* From here on the domain does nothing; it goes when nobody maps its pages any more. */
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
    if (domain->mapped == 0)
        domain_unmapped(domain);
    virq_raise(VIRQ_DOM_EXC);
}

/* The last page of a domain that others mapped is unmapped. */
void domain_unmapped(struct domain *domain)
{
    if (!domain->dying || domain->mapped > 0)
        return;
    domain_free(domain);
    virq_raise(VIRQ_DOM_EXC);
}

static int domain_build(struct domain *domain)
{
    int error = slot_take(domain);
    int port;

    if (error)
        return error;
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

static struct domain *domain_new(uint32_t domid)
{
    struct domain *domain = calloc(1, sizeof(*domain));
    int error;

    if (!domain)
        return NULL;
    *domain = (struct domain){
        .domid = domid, .paused = true, .program = -1, .next_ref = 8, .limit = GNTALLOC_PAGES};
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

static int control_send(struct domain *domain, enum sim_op op, uint32_t id, uint32_t argument,
                        const int *fds, int nfds)
{
    struct sim_message message = {.op = op, .arg = {id, argument}};

    return domain->control ? sim_send(domain->control->fd, &message, NULL, fds, nfds) : -ESRCH;
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

/* A signal for what domain_boot() started. */
void domain_boot_signal(uint32_t number)
{
    control_send(domain_find(0), SIM_SIGNAL, 0, number, NULL, 0);
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

/* The guest that a request is about; domain 0 is not to be touched. */
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
        return 0; /* as for Xen: once more does no harm */
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

static int console_open(const struct domain *domain)
{
    char path[sizeof(SIM_DIR) + SIM_NAME + 16];

    snprintf(path, sizeof(path), "%s/console-%s.log", SIM_DIR, domain->name);
    for (char *c = path + sizeof(SIM_DIR); *c; c++)
        if (*c == '/')
            *c = '_';
    return open(path, O_CREAT | O_WRONLY | O_APPEND | O_CLOEXEC, 0644);
}

/* Starts what the domain is there for, if anything. */
static int program_start(struct domain *domain)
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
    struct domain *domain = conn->spawn ? slots[conn->spawn >> 20] : NULL;

    if (domain)
        control_send(domain, SIM_SIGNAL, conn->spawn, number, NULL, 0);
}

int domain_signal(struct request *request)
{
    request->silent = true;
    spawn_signal(request->conn, request->message.arg[0]);
    return 0;
}

/* Whoever asked for a program is gone: so is the program. */
void spawn_end(struct conn *conn)
{
    spawn_signal(conn, SIGKILL);
    conn->spawn = 0;
}

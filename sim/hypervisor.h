/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The hypervisor process plays Xen, and the kernels' drivers on the slow paths. It is one thread
 * around epoll and process 1 of the host: when it ends, everything ends. Functions return 0 or a
 * positive value, or a negative errno.
 */
#ifndef SIM_HYPERVISOR_H
#define SIM_HYPERVISOR_H

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "sim/control.h"
#include "sim/protocol.h"

struct domain;
struct share;
struct mapping;

enum source_kind { SOURCE_CONN, SOURCE_CONTROL, SOURCE_LISTENER, SOURCE_SIGNALS };

/* What epoll watches. A dead source is freed after the round of events in which it died. */
struct source {
    int fd;
    enum source_kind kind;
    bool dead;
    struct source *next;
};

/* A domain's listener, or the control socket to its init. */
struct domain_source {
    struct source source;
    struct domain *domain;
};

/* One connection: an open device file of a process in a domain. */
struct conn {
    struct source source;
    struct domain *domain;
    pid_t pid;
    bool host;        /* opened before the host was ready: never a leak */
    int handle;       /* event-channel handle, or -1 */
    uint32_t spawn;   /* the program that it runs in a domain, or 0 */
    uint32_t last_id; /* the last id given to a share or mapping */
    struct share *shares;
    struct mapping *mappings;
    struct conn *next, **link;
};

/*
 * A request being answered. Handlers read message and payload, and fill in reply, out (reply.length
 * bytes, freed after sending) and out_fds (which stay the hypervisor's).
 */
struct request {
    struct conn *conn;
    struct sim_message message;
    unsigned char payload[SIM_PAYLOAD];
    int fds[4];
    int nfds;
    struct sim_message reply;
    void *out;
    int out_fds[SIM_FDS];
    int nout;
    bool silent; /* send no reply, or a later one */
};

struct port {
    enum { PORT_CLOSED, PORT_UNBOUND, PORT_INTERDOMAIN, PORT_PIRQ, PORT_VIRQ } kind;
    uint32_t remote_domid;
    uint32_t remote_port; /* or the VIRQ */
    struct domain *remote;
    struct conn *conn; /* the connection whose handle receives the events, or NULL */
    uint32_t users;    /* the handle, the kernel, and unmap notifications */
};

struct grant {
    struct share *share;
    uint32_t page;
};

struct domain {
    uint32_t domid, slot, pages;
    uint8_t uuid[16];
    char name[SIM_NAME];
    bool paused, started, shutdown, dying;
    uint32_t reason;
    struct source *listener;
    struct source *control; /* the connection to its init */
    pid_t init;
    int program; /* the program to run after the first unpause, or -1 */
    uint32_t argc;
    struct port *ports;
    uint32_t last_port; /* the highest port ever used */
    struct grant *grants;
    uint32_t next_ref;
    uint32_t shared, limit; /* gntalloc pages: in use, and allowed */
    uint32_t mapped;        /* how many times its pages are mapped by other domains */
    struct share *store;
    uint32_t store_port;
    struct domain *next;
};

/*
 * sources.c: what the hypervisor waits for. source_add() makes an object of size bytes that begins
 * with a struct source; if that returns NULL, the descriptor stays the caller's. source_remove()
 * closes the descriptor. sources_free() frees what died in this round.
 */
struct source *source_add(int fd, size_t size, enum source_kind kind);
void source_remove(struct source *source);
int sources_wait(struct epoll_event *events, int size, int timeout);
void sources_free(void);

/* registry.c: the domains and connections that exist */
extern struct domain *domains;
extern struct conn *conns;
struct domain *domain_find(uint32_t domid);
struct domain *domain_in_slot(uint32_t slot);
/* The domain that an argument of a request names, or NULL. */
struct domain *domain_meant(struct request *request, int argument);

/* handles.c: event-channel handles, and the memory that they share with their programs */
int handles_init(void);
struct sim_control *control_memory(void);
int handle_eventfd(uint32_t index); /* returns -1 if it is not open */
void handle_free(uint32_t index);
int evtchn_open(struct request *request);

/* repair.c: completes notifications of handles that died in the middle of one */
void repair_handle(uint32_t dead);
int repair_timeout(void);
void repair_continue(void);

/* ports.c: event channels */
void handle_close(struct conn *conn);
int port_open(struct domain *domain, uint32_t remote_domid, struct conn *conn);
int port_hold(struct domain *domain, uint32_t port);
void port_drop(struct domain *domain, uint32_t port);
void port_notify(struct domain *domain, uint32_t port);
void ports_destroy(struct domain *domain);
void virq_raise(uint32_t virq);
int evtchn_bind_unbound(struct request *request);
int evtchn_bind_interdomain(struct request *request);
int evtchn_bind_virq(struct request *request);
int evtchn_unbind(struct request *request);
int evtchn_peer(struct request *request);
int evtchn_adopt(struct request *request);
int evtchn_status(struct request *request);

/* grants.c: grants, shared and mapped */
struct share {
    struct domain *owner;
    struct conn *conn; /* NULL once revoked, and for a domain's store page */
    uint32_t id, remote, pages, mapped;
    uint32_t first_ref;
    uint32_t *refs;
    bool writable, revoked;
    int memory, memory_ro;
    uint32_t notify_offset, notify_port;
    struct share *next;       /* of the connection */
    struct share *next_limbo; /* the next revoked one */
};

struct mapping {
    struct conn *conn;
    uint32_t id, count;
    struct grant *pages;
    uint32_t notify_offset, notify_port;
    struct mapping *next;
};

extern struct share *limbo;
struct share *share_new(struct domain *owner, uint32_t remote, uint32_t pages, bool writable,
                        uint32_t ref);
void grants_close(struct conn *conn);
void grants_destroy(struct domain *domain);
int grant_share(struct request *request);
int grant_unshare(struct request *request);
int grant_map(struct request *request);
int grant_unmap(struct request *request);
int grant_limit(struct request *request);

/*
 * spawns.c: programs in domains. control_send() sends to a domain's init; -ESRCH if that has gone
 */
int control_send(struct domain *domain, enum sim_op op, uint32_t id, uint32_t argument,
                 const int *fds, int nfds);
/* Starts the domain's own program, if it has one. */
int program_start(struct domain *domain);
/* A program has ended with this wait status: informs the connection that asked for it. */
void spawn_report(uint32_t spawn, uint32_t status);
/* The connection that asked for a program has gone: ends the program. */
void spawn_end(struct conn *conn);
/* Nothing runs in the domain any more: reports all its programs as ended. */
void spawns_end(struct domain *domain);
int domain_spawn(struct request *request);
int domain_signal(struct request *request);

/*
 * conns.c: conn_open() takes over the descriptor unless it fails. conn_close() releases everything
 * that the connection had.
 */
int conn_open(int fd, struct domain *domain);
void conn_close(struct conn *conn);

/*
 * domains.c: domain_boot() makes domain 0 and runs a command in it. The status is -1 until the
 * command has ended, then its exit code.
 */
int domain_boot(char **argv);
void domain_boot_signal(uint32_t number);
int domain_boot_status(void);
/* A domain's init has sent a message. */
void control_ready(struct source *source);
/* Frees dead domains whose pages nobody maps any more. */
void domains_reap(void);
int domain_list(struct request *request);
int domain_create(struct request *request);
int domain_destroy(struct request *request);
int domain_pause(struct request *request);
int domain_unpause(struct request *request);
int domain_shutdown(struct request *request);

/* report.c */
int report_leaks(struct request *request);

/* hypervisor.c: answers requests until the command has ended. Returns its exit code. */
int hypervisor_run(void);

#endif

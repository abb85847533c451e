/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * xl for simulated hosts: create builds a simulated domain where the real xl would load a kernel,
 * and stays to watch over it as the real one does. The real xl reads the configuration, and runs
 * all other commands.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <glob.h>
#include <libxl.h>
#include <libxl_event.h>
#include <libxl_utils.h>
#include <libxlutil.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <xen/sched.h>
#include <xenstore.h>
#include <xentoollog.h>

#include "sim/client.h"

#define STORE_FRAME 1u /* any frame: xenstored maps the store page by its grant */

extern char **environ;

/* A domain to create, and how. */
struct creation {
    bool paused, quiet, foreground, no_daemon;
    bool bootable; /* it names a kernel, which does not matter here */
    const char *file;
    char *extra;   /* KEY=VALUE lines from the command line */
    char *json;    /* the configuration as the real xl understands it */
    char *program; /* of the key xensim, or NULL */
    char directory[PATH_MAX];
    libxl_domain_config config;
    char uuid[37];
    uint32_t domid;
};

static libxl_ctx *ctx;
static xentoollog_logger *logger;

static int usage(void)
{
    fputs("Usage: xl create [-p] [-q] [-e] [-F] [-n] [-f] <ConfigFile> [key=value…]\n", stderr);
    return 2;
}

static int context_open(void)
{
    logger = (xentoollog_logger *)xtl_createlogger_stdiostream(stderr, XTL_PROGRESS, 0);
    if (!logger || libxl_ctx_alloc(&ctx, LIBXL_VERSION, 0, logger)) {
        fprintf(stderr, "cannot init xl context\n");
        return 1;
    }
    return 0;
}

static const char *xl_real(void)
{
    static glob_t found;

    if (!found.gl_pathv && glob("/usr/lib/xen-*/bin/xl", 0, NULL, &found) != 0)
        return NULL;
    return found.gl_pathv[0];
}

static int xl_exec(char **argv)
{
    const char *path = xl_real();

    if (path)
        execv(path, argv);
    fprintf(stderr, "xl: cannot run the real xl: %s (install xen-utils-4.17)\n",
            path ? strerror(errno) : "not found");
    return 1;
}

/* Configuration */

static char *stream_read(FILE *file)
{
    char *text = NULL, buffer[4096];
    size_t size, got;
    FILE *out = open_memstream(&text, &size);

    while (out && (got = fread(buffer, 1, sizeof(buffer), file)) > 0)
        fwrite(buffer, 1, got, out);
    if (out)
        fclose(out);
    return text;
}

/* Runs the real `xl create -n`, which prints the configuration as JSON. Returns its exit code. */
static int config_read(struct creation *creation)
{
    char *quiet = creation->quiet ? "-q" : "-n";
    char *kernel = creation->bootable ? NULL : "kernel=\"none\"";
    char *argv[] = {"xl", "create", "-n", quiet, (char *)creation->file, NULL, NULL, NULL};
    int out[2], status = 0;
    pid_t pid;
    FILE *file;

    argv[5] = creation->extra ? creation->extra : kernel;
    argv[6] = creation->extra ? kernel : NULL;
    if (pipe2(out, O_CLOEXEC) < 0)
        return 1;
    pid = fork();
    if (pid == 0) {
        dup2(out[1], 1);
        _exit(xl_exec(argv));
    }
    close(out[1]);
    file = fdopen(out[0], "r");
    creation->json = file ? stream_read(file) : NULL;
    if (file)
        fclose(file);
    if (pid < 0 || !creation->json || waitpid(pid, &status, 0) < 0)
        return 1;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

/*
 * The configuration as text, with the command line's settings. The caller frees it. NULL: out of
 * memory.
 */
static char *config_text(const struct creation *creation)
{
    FILE *file = fopen(creation->file, "re");
    char *text = file ? stream_read(file) : NULL, *whole = NULL;

    if (text && asprintf(&whole, "%s\n%s", text, creation->extra ? creation->extra : "") < 0)
        whole = NULL;
    free(text);
    if (file)
        fclose(file);
    return whole;
}

/* Reads only the keys that matter here. The real xl reports whatever is wrong. */
static void config_peek(struct creation *creation)
{
    FILE *nowhere = fopen("/dev/null", "we");
    XLU_Config *config = nowhere ? xlu_cfg_init(nowhere, creation->file) : NULL;
    char *text = config_text(creation);
    const char *value;

    if (config && text && xlu_cfg_readdata(config, text, (int)strlen(text)) == 0) {
        xlu_cfg_replace_string(config, "xensim", &creation->program, 1);
        creation->bootable = !xlu_cfg_get_string(config, "kernel", &value, 1) ||
                             !xlu_cfg_get_string(config, "bootloader", &value, 1);
    }
    free(text);
    if (config)
        xlu_cfg_destroy(config);
    if (nowhere)
        fclose(nowhere);
}

static bool action_known(libxl_action_on_shutdown action)
{
    return action != LIBXL_ACTION_ON_SHUTDOWN_RESTART_RENAME &&
           action != LIBXL_ACTION_ON_SHUTDOWN_SOFT_RESET;
}

static int config_check(const struct creation *creation)
{
    const libxl_domain_config *config = &creation->config;
    uint32_t domid;

    if (!action_known(config->on_poweroff) || !action_known(config->on_reboot) ||
        !action_known(config->on_crash)) {
        fprintf(stderr, "xl: on_…=\"rename-restart\" and \"soft-reset\" are not simulated\n");
        return 1;
    }
    if (strlen(config->c_info.name) >= SIM_NAME) {
        fprintf(stderr, "xl: domain name \"%s\" is too long to simulate (at most %d bytes)\n",
                config->c_info.name, SIM_NAME - 1);
        return 1;
    }
    if (libxl_name_to_domid(ctx, config->c_info.name, &domid) == 0) {
        fprintf(stderr, "libxl: error: Domain with name \"%s\" already exists.\n",
                config->c_info.name);
        return 3;
    }
    return 0;
}

static int config_load(struct creation *creation)
{
    int code;

    config_peek(creation);
    code = config_read(creation);
    if (code)
        return code;
    libxl_domain_config_init(&creation->config);
    if (libxl_domain_config_from_json(ctx, &creation->config, creation->json)) {
        fprintf(stderr, "xl: cannot understand the real xl's configuration\n");
        return 1;
    }
    snprintf(creation->uuid, sizeof(creation->uuid), LIBXL_UUID_FMT,
             LIBXL_UUID_BYTES(creation->config.c_info.uuid));
    return config_check(creation);
}

/* Nodes, as libxl makes them. */

struct nodes {
    struct xs_handle *store;
    xs_transaction_t transaction;
    uint32_t domid;
    bool failed;
};

enum owner { OF_TOOLSTACK, OF_TOOLSTACK_READABLE, OF_GUEST };

static void node_write(struct nodes *nodes, enum owner owner, const char *path, const char *value)
{
    struct xs_permissions perms[2] = {{owner == OF_GUEST ? nodes->domid : 0, XS_PERM_NONE},
                                      {nodes->domid, XS_PERM_READ}};

    if (!xs_write(nodes->store, nodes->transaction, path, value, (unsigned int)strlen(value)) ||
        !xs_set_permissions(nodes->store, nodes->transaction, path, perms,
                            owner == OF_TOOLSTACK_READABLE ? 2 : 1))
        nodes->failed = true;
}

static void node_of_domain(struct nodes *nodes, enum owner owner, const char *name,
                           const char *value)
{
    char path[128];

    snprintf(path, sizeof(path), "/local/domain/%u%s%s", nodes->domid, *name ? "/" : "", name);
    node_write(nodes, owner, path, value);
}

/* Writes a node that inherits its parent's permissions. */
static void node_plain(struct nodes *nodes, const char *path, const char *value)
{
    if (!xs_write(nodes->store, nodes->transaction, path, value, (unsigned int)strlen(value)))
        nodes->failed = true;
}

static void node_plain_of_domain(struct nodes *nodes, const char *name, const char *value)
{
    char path[128];

    snprintf(path, sizeof(path), "/local/domain/%u/%s", nodes->domid, name);
    node_plain(nodes, path, value);
}

static void nodes_frame(struct nodes *nodes, const struct creation *creation)
{
    const char *name = creation->config.c_info.name;
    char path[128], vm[64], start[32];
    struct timespec now;

    snprintf(vm, sizeof(vm), "/vm/%s", creation->uuid);
    node_of_domain(nodes, OF_TOOLSTACK_READABLE, "", "");
    node_write(nodes, OF_TOOLSTACK_READABLE, vm, "");
    snprintf(path, sizeof(path), "/libxl/%u", nodes->domid);
    node_write(nodes, OF_TOOLSTACK, path, "");
    snprintf(path, sizeof(path), "/libxl/%u/device", nodes->domid);
    node_write(nodes, OF_TOOLSTACK, path, "");
    snprintf(path, sizeof(path), "/libxl/%u/type", nodes->domid);
    node_plain(nodes, path, libxl_domain_type_to_string(creation->config.c_info.type));
    node_plain_of_domain(nodes, "vm", vm);
    node_plain_of_domain(nodes, "name", name);
    snprintf(path, sizeof(path), "%s/uuid", vm);
    node_plain(nodes, path, creation->uuid);
    snprintf(path, sizeof(path), "%s/name", vm);
    node_plain(nodes, path, name);
    snprintf(path, sizeof(path), "%s/start_time", vm);
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(start, sizeof(start), "%lld.%02ld", (long long)now.tv_sec, now.tv_nsec / 10000000);
    node_plain(nodes, path, start);
}

static void nodes_directories(struct nodes *nodes)
{
    static const char *const readable[] = {"cpu", "memory", "device", "control"};
    static const char *const own[] = {"device/suspend/event-channel",
                                      "control/shutdown",
                                      "control/feature-poweroff",
                                      "control/feature-reboot",
                                      "control/feature-suspend",
                                      "control/sysrq",
                                      "data",
                                      "drivers",
                                      "feature",
                                      "attr",
                                      "error"};

    for (size_t i = 0; i < sizeof(readable) / sizeof(*readable); i++)
        node_of_domain(nodes, OF_TOOLSTACK_READABLE, readable[i], "");
    for (size_t i = 0; i < sizeof(own) / sizeof(*own); i++)
        node_of_domain(nodes, OF_GUEST, own[i], "");
    node_plain_of_domain(nodes, "control/platform-feature-multiprocessor-suspend", "1");
    node_plain_of_domain(nodes, "control/platform-feature-xs_reset_watches", "1");
}

static void nodes_values(struct nodes *nodes, const libxl_domain_build_info *info, uint32_t port)
{
    char value[32];

    snprintf(value, sizeof(value), "%llu", (unsigned long long)info->max_memkb);
    node_plain_of_domain(nodes, "memory/static-max", value);
    snprintf(value, sizeof(value), "%llu", (unsigned long long)info->target_memkb);
    node_plain_of_domain(nodes, "memory/target", value);
    node_plain_of_domain(nodes, "memory/videoram", "0");
    snprintf(value, sizeof(value), "%u", nodes->domid);
    node_plain_of_domain(nodes, "domid", value);
    snprintf(value, sizeof(value), "%u", port);
    node_plain_of_domain(nodes, "store/port", value);
    snprintf(value, sizeof(value), "%u", STORE_FRAME);
    node_plain_of_domain(nodes, "store/ring-ref", value);
    for (int cpu = 0; cpu < info->max_vcpus && cpu < 128; cpu++) {
        char name[32];

        snprintf(name, sizeof(name), "cpu/%d/availability", cpu);
        node_plain_of_domain(nodes, name, "online");
    }
}

static int nodes_make(const struct creation *creation, uint32_t port)
{
    struct nodes nodes = {.store = xs_open(0), .domid = creation->domid};
    bool done = false;

    while (nodes.store && !done && !nodes.failed) {
        nodes.transaction = xs_transaction_start(nodes.store);
        nodes_frame(&nodes, creation);
        nodes_directories(&nodes);
        nodes_values(&nodes, &creation->config.b_info, port);
        done = xs_transaction_end(nodes.store, nodes.transaction, nodes.failed);
        if (!done && errno != EAGAIN)
            nodes.failed = true;
    }
    if (done && !nodes.failed)
        nodes.failed = !xs_introduce_domain(nodes.store, nodes.domid, STORE_FRAME, port);
    xs_close(nodes.store);
    return done && !nodes.failed ? 0 : -errno;
}

/* Creation */

static int domain_ask(struct creation *creation, struct sim_message *message)
{
    struct sim_create create = {
        .pages = (uint32_t)(creation->config.b_info.max_memkb / (SIM_PAGE / 1024))};
    char *argv[] = {"/bin/sh", "-c", creation->program, NULL};
    int conn = sim_connect();
    int program = -1;
    int error = conn < 0 ? conn : 0;

    memcpy(create.uuid, libxl_uuid_bytearray(&creation->config.c_info.uuid), sizeof(create.uuid));
    snprintf(create.name, sizeof(create.name), "%s", creation->config.c_info.name);
    *message = (struct sim_message){.op = SIM_CREATE, .length = sizeof(create)};
    if (creation->program) {
        program = sim_program_pack(creation->directory, argv, environ, &message->arg[0]);
        error = error ? error : program < 0 ? program : 0;
    }
    if (!error)
        error = sim_send(conn, message, &create, &program, program >= 0);
    if (!error)
        error = sim_receive(conn, message, NULL, 0, NULL, NULL);
    if (program >= 0)
        close(program);
    if (conn >= 0)
        close(conn);
    return error ? error : message->result;
}

/* Makes the domain, paused. Returns 0, or an exit code with no domain left. */
static int domain_make(struct creation *creation)
{
    struct sim_message message;
    int error = domain_ask(creation, &message);

    if (error) {
        fprintf(stderr, "libxl: error: domain creation fail: %s\n", strerror(-error));
        return 3;
    }
    creation->domid = message.arg[0];
    error = nodes_make(creation, message.arg[1]);
    if (!error)
        error =
            libxl_userdata_store(ctx, creation->domid, "libxl-json",
                                 (const uint8_t *)creation->json, (int)strlen(creation->json) + 1);
    if (!error)
        return 0;
    fprintf(stderr, "libxl: error: cannot make domain: %s\n", strerror(-error));
    libxl_domain_destroy(ctx, creation->domid, NULL);
    return 3;
}

/* Watching over it */

static libxl_action_on_shutdown action_for(const libxl_domain_config *config, int reason)
{
    switch (reason) {
    case SHUTDOWN_poweroff:
        return config->on_poweroff;
    case SHUTDOWN_reboot:
        return config->on_reboot;
    case SHUTDOWN_suspend:
        return LIBXL_ACTION_ON_SHUTDOWN_PRESERVE;
    case SHUTDOWN_watchdog:
        return config->on_watchdog;
    default:
        return config->on_crash;
    }
}

static bool action_restarts(libxl_action_on_shutdown action)
{
    return action == LIBXL_ACTION_ON_SHUTDOWN_RESTART ||
           action == LIBXL_ACTION_ON_SHUTDOWN_COREDUMP_RESTART;
}

/* Waits until the domain shuts down (returns the reason) or is gone (-1). */
static int domain_wait(uint32_t domid)
{
    libxl_evgen_domain_death *death = NULL;
    int reason = -2;

    if (libxl_evenable_domain_death(ctx, domid, 0, &death))
        return -1;
    while (reason == -2) {
        libxl_event *event;

        if (libxl_event_wait(ctx, &event, LIBXL_EVENTMASK_ALL, 0, 0))
            break;
        if (event->domid == domid && event->type == LIBXL_EVENT_TYPE_DOMAIN_SHUTDOWN)
            reason = event->u.domain_shutdown.shutdown_reason;
        else if (event->domid == domid && event->type == LIBXL_EVENT_TYPE_DOMAIN_DEATH)
            reason = -1;
        libxl_event_free(ctx, event);
    }
    libxl_evdisable_domain_death(ctx, death);
    return reason == -2 ? -1 : reason;
}

/* The domain may have been renamed; its successor gets the last name. */
static void name_keep(struct creation *creation)
{
    char *name = libxl_domid_to_name(ctx, creation->domid);

    if (!name)
        return;
    free(creation->config.c_info.name);
    creation->config.c_info.name = name;
}

static int domain_watch(struct creation *creation)
{
    for (;;) {
        libxl_action_on_shutdown action;
        int reason, code;

        fprintf(stderr, "Waiting for domain %s (domid %u) to die [pid %ld]\n",
                creation->config.c_info.name, creation->domid, (long)getpid());
        reason = domain_wait(creation->domid);
        if (reason < 0) {
            fprintf(stderr, "Domain %u has been destroyed.\n", creation->domid);
            return 0;
        }
        action = action_for(&creation->config, reason);
        fprintf(stderr, "Domain %u has shut down, reason code %d; action %s\n", creation->domid,
                reason, libxl_action_on_shutdown_to_string(action));
        if (action == LIBXL_ACTION_ON_SHUTDOWN_PRESERVE)
            return 0;
        name_keep(creation);
        libxl_domain_destroy(ctx, creation->domid, NULL);
        if (!action_restarts(action))
            return 0;
        code = domain_make(creation);
        if (code)
            return code;
        libxl_domain_unpause(ctx, creation->domid, NULL);
    }
}

/* Continues in the background, with a log like the real xl's. */
static int daemonize(const struct creation *creation)
{
    char path[PATH_MAX];
    int log, null;
    pid_t pid = fork();

    if (pid != 0)
        return pid > 0 ? 1 : -1;
    libxl_postfork_child_noexec(ctx);
    setsid();
    snprintf(path, sizeof(path), "/var/log/xen/xl-%s.log", creation->config.c_info.name);
    log = open(path, O_WRONLY | O_CREAT | O_APPEND, 0644);
    null = open("/dev/null", O_RDWR);
    dup2(null, 0);
    dup2(log >= 0 ? log : null, 1);
    dup2(log >= 0 ? log : null, 2);
    close(null);
    if (log >= 0)
        close(log);
    if (chdir("/") < 0)
        return -1;
    return context_open() ? -1 : 0;
}

static int create_run(struct creation *creation)
{
    int code = context_open();

    if (!code)
        code = config_load(creation);
    if (!code)
        code = domain_make(creation);
    if (code)
        return code;
    if (!creation->paused && libxl_domain_unpause(ctx, creation->domid, NULL)) {
        libxl_domain_destroy(ctx, creation->domid, NULL);
        return 3;
    }
    if (creation->no_daemon)
        return 0;
    if (!creation->foreground) {
        int parent = daemonize(creation);

        if (parent)
            return parent > 0 ? 0 : 1;
    }
    return domain_watch(creation);
}

static int extra_add(struct creation *creation, const char *setting)
{
    char *more;

    if (asprintf(&more, "%s%s\n", creation->extra ? creation->extra : "", setting) < 0)
        return 1;
    free(creation->extra);
    creation->extra = more;
    return 0;
}

static int option_take(struct creation *creation, int option)
{
    switch (option) {
    case 'p':
        creation->paused = true;
        return 0;
    case 'q':
        creation->quiet = true;
        return 0;
    case 'e':
        creation->no_daemon = true;
        return 0;
    case 'F':
        creation->foreground = true;
        return 0;
    case 'f':
        creation->file = optarg;
        return 0;
    default:
        return usage();
    }
}

/* whole is the command line as given, for the real xl. */
static int create(int argc, char **argv, char **whole)
{
    static const struct option longs[] = {{"defconfig", required_argument, NULL, 'f'},
                                          {"dryrun", no_argument, NULL, 'n'},
                                          {"quiet", no_argument, NULL, 'q'},
                                          {NULL, 0, NULL, 0}};
    struct creation creation = {0};
    int option, code = 0;

    optind = 1;
    while (!code && (option = getopt_long(argc, argv, "epqFnf:", longs, NULL)) != -1) {
        if (option == 'n')
            return xl_exec(whole);
        code = option_take(&creation, option);
    }
    for (; !code && optind < argc; optind++) {
        if (strchr(argv[optind], '='))
            code = extra_add(&creation, argv[optind]);
        else if (!creation.file)
            creation.file = argv[optind];
        else
            code = usage();
    }
    if (code)
        return code;
    if (!creation.file || !getcwd(creation.directory, sizeof(creation.directory)))
        return usage();
    return create_run(&creation);
}

int main(int argc, char **argv)
{
    int option;

    opterr = 0;
    while ((option = getopt(argc, argv, "+vftTN")) != -1)
        if (option == 'N' || option == '?')
            return xl_exec(argv);
    if (optind < argc && strcmp(argv[optind], "create") == 0)
        return create(argc - optind, argv + optind, argv);
    return xl_exec(argv);
}

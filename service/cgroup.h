/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A cgroup (v2) for each command, below the service's own where the service manager has delegated
 * that: SERVICE/guest-DOMID/NAME-N (man/vchan-backend.8.scd, "CGROUPS"). All of a command's
 * processes are in it, whatever session or process group they make for themselves.
 *
 * There is one tree for the process. Without one, cgroup_make() and cgroup_find() give NULL, which
 * every other function takes and does nothing with. Belongs to the loop's thread; files of a cgroup
 * do not block.
 */
#ifndef SERVICE_CGROUP_H
#define SERVICE_CGROUP_H

#include <stdbool.h>
#include <sys/types.h>

struct cgroup;
struct event_base;

/*
 * The options --command-memory-max and --command-tasks-max: what one command may have, in trees that
 * are opened after that. -1, or the exit code after a line on standard error, as usage_refuse().
 */
int cgroups_limit_memory(const char *size);
int cgroups_limit_tasks(const char *number);

/*
 * Opens the tree below this process's own cgroup, if that can be: otherwise the log says why not,
 * as a detail, or as an error if there are limits. The base outlives the tree.
 */
void cgroups_start(struct event_base *base);

/*
 * Opens the tree in that directory. alone: none of the service's processes is in it, so that it can
 * have limits. 0, or -ENOENT the kernel cannot kill a cgroup, or what the file system says.
 */
int cgroups_open(struct event_base *base, const char *dir, bool alone);

/* Forgets the tree. Cgroups that still have processes stay for the next process (cgroups_sweep). */
void cgroups_close(void);

/*
 * Ends what is left of an earlier process's commands, but those that were found by now: as
 * cgroup_terminate() does, with SIGTERM.
 */
void cgroups_sweep(void);

/*
 * Makes a cgroup for a command of a group ("guest-5") with a name. On success returns 0 and the
 * caller owns *cgroup (cgroup_leave). On failure, a negative errno, nothing is left.
 */
int cgroup_make(const char *group, const char *name, struct cgroup **cgroup);

/* In a new process: joins it. 0 or a negative errno. */
int cgroup_join(const struct cgroup *cgroup);

/*
 * The cgroup, of this group and name, that a process of an earlier service's command is in. The
 * caller owns it. NULL: there is none, or no memory.
 */
struct cgroup *cgroup_find(const char *group, const char *name, pid_t pid);

/*
 * Sends a signal to the processes in it, but not to those in one process group (0: to all). SIGKILL
 * is for all, and none escapes by forking meanwhile.
 */
void cgroup_signal(const struct cgroup *cgroup, int number, pid_t but);

/*
 * The command has ended, or was told to. Whatever of it is left in 5 seconds gets that signal, and
 * SIGKILL 5 seconds later. The cgroup is removed and freed when it is empty; until then the base has
 * events.
 */
void cgroup_terminate(struct cgroup *cgroup, int next_signal);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What outlives a domain: which channels it is to have when it comes again (after a reboot, a
 * restore, a rename it has the same uuid), one config file per uuid in the state directory; and the
 * locks that make changes of one domain's channels wait for each other.
 *
 * Functions that take a tool say on stderr why they fail, and return a negative errno.
 */
#ifndef TOOLSTACK_RECORD_H
#define TOOLSTACK_RECORD_H

#include "toolstack/config.h"
#include "toolstack/tool.h"

#define RECORD_STATE_DIR "/var/lib/pvchan"

/* Room for a uuid as text and its NUL. */
#define RECORD_UUID_MAX (SPEC_UUID_MAX + 1)

/* The format of records as written now. The first format identified backends by name only. */
#define RECORD_FORM 2

/* Days of the daemon's run time for which a record without its domain is kept: it may be saved. */
#define RECORD_DAYS 30

/* The name under which the daemon holds a lock as long as it runs. No domain has it. */
#define RECORD_DAEMON ""

/* The state directory: what was set, else $PVCHAN_STATE_DIR, else RECORD_STATE_DIR. */
const char *record_dir(void);
void record_set_dir(const char *dir);

/* --- locks --- */

/*
 * Opens the file that holds all locks (state/lock.h), a byte for each name and uuid, making the
 * directory first. Gives a descriptor, which the caller closes; that gives up its locks, as the end
 * of the process does. A process opens it once at a time.
 */
int record_open_locks(struct tool *tool);

/*
 * Takes the lock of a domain's name or uuid, if nobody else has it. 0, -EBUSY (says nothing), or
 * another. Who changes a record has both, the uuid's last: create has a name before there is a
 * uuid, and a domain may be renamed while somebody has its locks.
 */
int record_try_lock(struct tool *tool, int locks, const char *domain);

/* The same, waiting while somebody else has it. */
int record_wait_lock(struct tool *tool, int locks, const char *domain);

/* Gives one lock up. */
void record_unlock(int locks, const char *domain);

/*
 * Opens the file and takes the lock of a domain's name, waiting while somebody else has it: an
 * attach for as long as it writes, a create or apply as long as it takes. Gives a descriptor to
 * close.
 */
int record_lock(struct tool *tool, const char *domain);

/* --- records --- */

/*
 * Reads a record. 0, and the caller owns the config: config_free(). -ENOENT (says nothing): there
 * is none. -EBADMSG: it could not be understood, or is an older one that does not tell which
 * backend is meant; it is set aside under another name. On failure *config is empty.
 */
int record_read(struct tool *tool, const char *uuid, struct config *config);

/*
 * Writes a record to the disk, beside the one that is valid, so that a full disk is noticed before
 * anything is changed; and reads it back: -EINVAL if it is not the same. record_commit makes it the
 * valid one, record_abandon forgets it. The caller has the domain's locks all the time.
 */
int record_stage(struct tool *tool, const char *uuid, const struct config *config);
int record_commit(struct tool *tool, const char *uuid);
void record_abandon(const char *uuid);

/*
 * Returns the name of a record's domain, which the caller frees; or NULL if there is no name or no
 * record.
 */
char *record_name(const char *uuid);

/* Marks the record's domain as present. */
void record_touch(const char *uuid);

/*
 * Called when a day has passed: each record whose domain was not present since the last call
 * becomes a day older, and is removed at RECORD_DAYS. Uses no clock, which could be wrong.
 */
void record_pass_day(void);

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libpvchan: two-way byte streams between two Xen domains.
 *
 * A channel is declared in a domain's configuration (vchan = [ "name=..." ]) and opened by its
 * name, in either of its two domains, with pvchan_open(). Peers that know no devices (libxenvchan,
 * MirageOS, Qubes) meet at a xenstore path instead, by a plain vchan: pvchan_open_server() and
 * pvchan_open_client().
 *
 * Words. A channel is the device that xenstore shows, or a plain vchan. A handle (struct pvchan) is
 * one open end of a channel in this process. The peer is the other end, in the other domain. A ring
 * is the memory that holds the bytes under way in one direction.
 *
 * Results. A function that can fail returns 0 or a positive value, or a negative errno (-EAGAIN).
 * errno itself is not set. pvchan_reason() and pvchan_open_reason() give the cause in one line.
 *
 * Threads. A handle outside of a group, and a group with all its handles, may be used by one thread
 * at a time; any thread may be that one. Different handles and groups are independent. The library
 * makes no thread of its own (libxenstore makes one, for watches). No call is safe in a signal
 * handler. Handles and groups do not survive fork(): the child may neither use nor close them.
 *
 * Signals. The library installs no handler and raises no signal, not even SIGPIPE. A handler that
 * runs while a call waits ends the call with -EINTR, unless bytes were moved already: then the call
 * returns their number. A handler that was installed with SA_RESTART may let the call continue, as
 * with read().
 *
 * Descriptors. The library prints nothing, and never uses the numbers 0, 1 and 2, even if the
 * program has closed them.
 *
 * Blocking. Calls that read or write wait, unless PVCHAN_NONBLOCK is set or the handle is in a
 * group: then they return -EAGAIN. pvchan_set_timeout() bounds the wait; without it, a peer that
 * does nothing makes a call wait for ever, and a peer that signals without end can also keep
 * signal handlers from ending it. Each function's comment says whether it waits for the peer.
 * "Exchanges" are requests to xenstored, whose answers the call waits for: well under a millisecond
 * each if xenstored is idle, as long as xenstored takes otherwise.
 *
 * Spinning. A call that waits first polls for up to about 50 us, in case the peer is just
 * answering, then yields its CPU for as long. It does both less often if they find nothing.
 * PVCHAN_NOSPIN turns both off, for programs without CPU time to spare.
 *
 * Room for the peer. The peer can reuse the room of bytes that were read once this end publishes
 * it. A call publishes at once if it takes the last of the bytes known to be there, if it brings
 * the unpublished room to half a ring, or if the handle does not wait; every call publishes before
 * it waits. So a program may read all there is and then wait for something else. A program that
 * leaves bytes unread may keep the peer waiting, as with a socket, until it reads them or calls
 * pvchan_dispatch().
 *
 * Event loops. Read and write until -EAGAIN, also the first time; poll pvchan_fd() for reading;
 * call pvchan_dispatch(); repeat. For many channels see struct pvchan_group.
 */
#ifndef PVCHAN_H
#define PVCHAN_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#ifdef __cplusplus
extern "C" {
#endif

/*
 * The version that a program was compiled with. Before 1.0 any release may change the interface,
 * and then the library's soname; from 1.0 on only a new major version does.
 */
#define PVCHAN_VERSION_MAJOR 0
#define PVCHAN_VERSION_MINOR 1
#define PVCHAN_VERSION_PATCH 0

/*
 * The version of the library that the program runs with: "0.1.0". A constant. For any thread, also
 * in a signal handler.
 */
const char *pvchan_version(void);

/* A handle: one open end of a channel. */
struct pvchan;

/* How a handle behaves: for the calls that open one and pvchan_set_flags(). Others: -EINVAL. */
enum pvchan_flags {
    PVCHAN_NONBLOCK = 1 << 0, /* calls that read or write never wait: -EAGAIN */
    PVCHAN_NOSPIN = 1 << 1    /* calls that wait sleep at once */
};

/* A ring holds at most this many bytes. */
#define PVCHAN_RING_MAX (1u << 20)

/* ---- opening and closing ---- */

/*
 * Opens a channel by its name, and waits until both sides are Connected.
 *
 * name: "NAME", looked up among the devices of this domain, and among those with connection=app
 * whose backend this domain is; or "DOMID/NAME", where several peers have a channel of that name.
 * timeout_ms: how long to wait, in milliseconds; -1 for ever; 0 does only what is possible at once.
 * flags: of enum pvchan_flags; PVCHAN_NONBLOCK concerns the calls after this one.
 *
 * Returns 0, and the caller owns *handle, to be closed by pvchan_close(). On failure *handle is
 * NULL, the device is Closed and can be opened again, and pvchan_open_reason() says more:
 * -EINVAL        not a name; unknown flags; or the device has invalid nodes
 * -ENOENT        there is no such channel, or it was detached meanwhile
 * -ENOTUNIQ      several domains have a channel of that name
 * -EOPNOTSUPP    it is declared with streams, which this library or the peer cannot carry
 * -EBUSY         this or another process has it open, vchan-backend serves it, or its event channel
 *                is taken
 * -ELOOP         both ends are this domain
 * -ETIMEDOUT     the other side did not come
 * -ECONNREFUSED  the other side came, but refused or left before it was Connected
 * -ECONNRESET    the other side died while it connected
 * -EPROTO        the other side's shared page is invalid
 * -E2BIG         the other side's rings are larger than declared
 * -ESRCH         the other side's domain is gone
 * -ENOSPC        the kernel grants no more pages (raise xen_gntalloc's limit)
 * -EDQUOT        a xenstore quota of this domain is used up (pvchan(7), LIMITS)
 * -EUSERS        this domain has no event channel left (max_event_channels in its xl config)
 * -ENOLCK        no space in /run/pvchan
 * -EMEDIUMTYPE   the kernel's page size is not 4096 bytes
 * -ENODEV        no xenstored, or a driver is missing (xen-evtchn, xen-gntalloc, xen-gntdev)
 * -EACCES        this user may not open xenstore, a device in /dev/xen, or /run/pvchan (pvchan(3),
 *                PERMISSIONS)
 * -EIO           xenstored went away
 * -EMFILE, -ENFILE, -ENOMEM, -EINTR
 *
 * Waits for the peer for up to timeout_ms, and makes a few exchanges.
 */
int pvchan_open(const char *name, int timeout_ms, unsigned int flags, struct pvchan **handle);

/*
 * Offers a plain vchan to a domain at a xenstore path, as libxenvchan_server_init() does: writes
 * the keys path/ring-ref and path/event-channel, readable by that domain only. Bytes may be written
 * before a client comes.
 *
 * peer_domid: 0 to 32751, not this domain. path: absolute, or relative to this domain's directory;
 * missing directories are made. read_ring_min, write_ring_min: bytes that the rings shall hold at
 * least, 0 to PVCHAN_RING_MAX; rounded up to a power of two, see pvchan_read_ring_size().
 * flags: of enum pvchan_flags.
 *
 * Returns 0, and the caller owns *handle; closing it removes the keys if they still are its own,
 * and directories made for them if they are empty. On failure *handle is NULL, nothing is left in
 * xenstore, and pvchan_open_reason() says more: -EINVAL (a domain id, path or flag is invalid),
 * -ERANGE (a ring is too large), -ENAMETOOLONG, -ELOOP (peer_domid is this domain), -EACCES (also:
 * path is not ours to write), and of pvchan_open() -ENOSPC, -EDQUOT, -EUSERS, -EMEDIUMTYPE,
 * -ENODEV, -EIO, -EMFILE, -ENFILE, -ENOMEM.
 *
 * Does not wait for the peer; makes exchanges, in a transaction as pvchan_close() does.
 */
int pvchan_open_server(unsigned int peer_domid, const char *path, size_t read_ring_min,
                       size_t write_ring_min, unsigned int flags, struct pvchan **handle);

/*
 * Connects to a plain vchan that a domain offers at a xenstore path, and waits for it to appear.
 *
 * peer_domid: 0 to 32751, not this domain. path: absolute as a rule (/local/domain/DOMID/…).
 * timeout_ms: how long to wait for path/event-channel; -1 for ever, 0 not at all. flags: of enum
 * pvchan_flags.
 *
 * Returns 0, and the caller owns *handle. On failure *handle is NULL, and pvchan_open_reason() says
 * more: -ETIMEDOUT (nothing was offered, or not to this domain), -EBUSY (another client has it, or
 * the server is gone and left its keys), -EINVAL (a domain id, path or flag is invalid, a key is
 * not a number, or the page is not granted to this domain), -ENOENT or -EACCES (there is no
 * ring-ref, or this domain may not read it), -EPROTO (the page is invalid), -ESRCH (no such
 * domain), -ENAMETOOLONG, -ELOOP, and of pvchan_open() -EDQUOT, -EUSERS, -EMEDIUMTYPE, -ENODEV,
 * -EACCES, -EIO, -EMFILE, -ENFILE, -ENOMEM, -EINTR.
 *
 * Waits for the peer for up to timeout_ms, and makes a few exchanges.
 *
 * A client that is killed may have read up to half a ring that the server was not told of: the next
 * client of that server reads it again.
 */
int pvchan_open_client(unsigned int peer_domid, const char *path, int timeout_ms,
                       unsigned int flags, struct pvchan **handle);

/*
 * Why this thread's last call that failed to open (pvchan_open…(), pvchan_group_open(),
 * pvchan_group_add_…()) did: one line without a newline, for a person; "" if none has failed.
 * Never NULL. Owned by the library, valid until this thread's next such call. Does not wait.
 */
const char *pvchan_open_reason(void);

/*
 * Closes this end of the channel and frees the handle. What was written stays readable for the
 * peer, which then sees the end. The handle may be in a group. NULL is allowed.
 *
 * Does not wait for the peer. This end of a named channel goes to Closed in about ten exchanges; a
 * plain server's keys are removed in a transaction. Where others write to the same nodes all the
 * time, or the domain has all its transactions open, the call tries again for up to a second or so;
 * then it leaves the nodes as they are, and closes the rest all the same. A plain client makes no
 * exchange.
 */
void pvchan_close(struct pvchan *handle);

/* ---- reading and writing ---- */

/*
 * Reads what is there into data: at least 1 and at most size bytes. Waits until there is something.
 *
 * Returns the number of bytes, or 0: the end, the peer sends no more (or size is 0).
 * -EAGAIN      nothing is there, and the handle does not wait; or it is not open yet
 * -ETIMEDOUT   nothing came within pvchan_set_timeout()'s time
 * -EINTR       a signal handler ran, and nothing was moved
 * -ECONNRESET  the peer's process or domain died. (On a plain vchan the death of a process looks
 *              like a clean end, and the death of a domain goes unnoticed.)
 * -EPROTO      the peer corrupted the ring; nothing more can be read or written
 * -EIO         xenstored went away (named channels that wait); what is there can still be read, by
 *              the same call again
 * or, for a handle in a group that could not be opened, the error of the opening.
 * The end, -ECONNRESET and -EPROTO stay: each later call returns the same, and pvchan_error() too.
 * At the end of a named channel it makes a few exchanges.
 */
ssize_t pvchan_read(struct pvchan *handle, void *data, size_t size);

/*
 * Writes size bytes of data, and waits until all of them are in the ring (not: read by the peer).
 * A handle that does not wait writes what fits now, at least 1 byte.
 *
 * Returns the number of bytes: size, or fewer if it does not wait or an error came in between; such
 * an error is returned by the next call, if it lasts. 0 if size is 0.
 * -EPIPE       the peer takes no more, or pvchan_shutdown() was called
 * -EAGAIN, -ETIMEDOUT, -EINTR, -EPROTO, -EIO, and the error of a failed opening: as pvchan_read()
 */
ssize_t pvchan_write(struct pvchan *handle, const void *data, size_t size);

/*
 * All or nothing: reads exactly size bytes, and waits until all of them are there.
 *
 * Returns size, or 0 at the end (or size is 0). -EMSGSIZE: size is more than the ring holds.
 * -ENODATA: the end came after fewer bytes, which pvchan_read() still reads. Otherwise as
 * pvchan_read(); with any error nothing was read.
 */
ssize_t pvchan_recv(struct pvchan *handle, void *data, size_t size);

/*
 * All or nothing: writes exactly size bytes, which the peer sees at once. Waits until there is room
 * for all of them.
 *
 * Returns size. -EMSGSIZE: size is more than the ring holds. Otherwise as pvchan_write(); with any
 * error nothing was written.
 */
ssize_t pvchan_send(struct pvchan *handle, const void *data, size_t size);

/*
 * The same four with count pieces of memory, as readv() and writev(): pieces are filled, or sent,
 * one after the other, and what is written together is shown to the peer together, as far as there
 * is room. count: 0 or more; no limit such as IOV_MAX.
 *
 * -EINVAL: count is negative, or the lengths' sum is more than SSIZE_MAX. Otherwise each as the
 * call with one piece.
 */
ssize_t pvchan_readv(struct pvchan *handle, const struct iovec *pieces, int count);
ssize_t pvchan_writev(struct pvchan *handle, const struct iovec *pieces, int count);
ssize_t pvchan_recvv(struct pvchan *handle, const struct iovec *pieces, int count);
ssize_t pvchan_sendv(struct pvchan *handle, const struct iovec *pieces, int count);

/*
 * Ends writing: the peer reads what is in the ring, then the end. Reading continues. A second call
 * changes nothing.
 *
 * Returns 0. -EINPROGRESS: it is not open yet; the error of a failed opening; -ENOTSUP: a plain
 * vchan has no half-close (close it instead). Does not wait for the peer; makes a few exchanges.
 */
int pvchan_shutdown(struct pvchan *handle);

/* ---- without a copy ---- */

/*
 * Shows the bytes where they lie in the ring, as far as is known, at least enough of them; waits
 * until these are there. They stay in the ring until pvchan_consume().
 *
 * enough: 1 to pvchan_read_ring_size(). spans: one stretch of memory, or two where the ring's end
 * is between; spans[1] may be empty (length 0), and both are if the return is not positive.
 *
 * Returns the number of bytes; at the end that may be fewer than enough, and 0 if none is left.
 * -EINVAL: enough is 0; -EMSGSIZE: it is more than the ring holds; otherwise as pvchan_read().
 *
 * The memory is shared with the peer, which may change it at any time: copy what you check before
 * you use it, or check nothing and hand it on (writev() takes the spans as they are). Do not write
 * to it. How long it is there: see pvchan_commit().
 */
ssize_t pvchan_peek(struct pvchan *handle, size_t enough, struct iovec spans[2]);

/*
 * Takes the first of the peeked bytes out of the ring; the spans beyond them stay valid. Returns 0,
 * or -EINVAL: more than are known to be there. Does not wait.
 */
int pvchan_consume(struct pvchan *handle, size_t bytes);

/*
 * Shows where there is room now, as far as is known, at least enough bytes, in spans as
 * pvchan_peek() gives them; waits until there is that much. The peer is shown nothing of it before
 * pvchan_commit(), but a hostile peer sees, and may change, what is being filled in: do not read it
 * back.
 *
 * enough: 1 to pvchan_write_ring_size(). Returns the room in bytes. -EINVAL: enough is 0;
 * -EMSGSIZE: it is more than the ring holds; otherwise as pvchan_write().
 */
ssize_t pvchan_reserve(struct pvchan *handle, size_t enough, struct iovec spans[2]);

/*
 * Sends the first bytes of the room, which were filled in; what was reserved beyond them stays
 * reserved. To give a reservation back, do nothing.
 *
 * Returns 0. -EINVAL: there is less room; -EPIPE, -EPROTO, and the error of a failed opening: as
 * pvchan_write(). Does not wait.
 *
 * Lifetime of spans: those of pvchan_peek() are valid until the handle is read in another way
 * (read, readv, recv, recvv, or consumed beyond them), those of pvchan_reserve() until it is
 * written in another way (write, writev, send, sendv, shutdown). Both end with pvchan_close(), when
 * a call on the handle fails with anything but -EAGAIN, -ETIMEDOUT, -EINTR, -EINVAL or -EMSGSIZE,
 * and when events are handled: by pvchan_dispatch(), pvchan_wait(), pvchan_group_wait() with its
 * group, and a call on the handle that waits. After that the memory may be unmapped. A program may
 * peek and reserve at the same time if neither waits: peek, reserve (with PVCHAN_NONBLOCK), copy,
 * commit, consume is an echo without a buffer.
 */
int pvchan_commit(struct pvchan *handle, size_t bytes);

/*
 * ---- what is known of a handle ----
 *
 * None of these fails, waits, makes an exchange or changes the connection.
 */

/* The state of the connection. */
enum pvchan_state {
    PVCHAN_STATE_OPENING,   /* in a group: it is being opened */
    PVCHAN_STATE_FAILED,    /* in a group: it could not be opened, see pvchan_error() */
    PVCHAN_STATE_LISTENING, /* a plain server: no client has come (one of libxenvchan before Xen
                               4.14 never shows that it has) */
    PVCHAN_STATE_CONNECTED, /* the peer is there; it may have ended its own writing */
    PVCHAN_STATE_AWAITED,   /* the peer's process died; its next one is awaited, and will continue
                               without a byte lost */
    PVCHAN_STATE_ENDED      /* the peer has left, or the handle has failed; bytes of the peer may
                               still be there to read */
};

enum pvchan_state pvchan_state(const struct pvchan *handle);

/*
 * Returns 0; or, if opening failed or reading reached an end that was not a clean one, the negative
 * errno that pvchan_read() returns from then on.
 */
int pvchan_error(const struct pvchan *handle);

/*
 * Why pvchan_error() is not 0: one line without a newline, for a person; "" if it is 0. Never NULL.
 * It may quote what the peer wrote into xenstore, with what is not printable replaced. Owned by the
 * handle, valid until the next call on it that is not one of these.
 */
const char *pvchan_reason(const struct pvchan *handle);

/*
 * How many bytes can be read, and how much room there is to write, without waiting: as the peer's
 * indices are now. 0 as well before it is open, where its indices are invalid, and, to write, where
 * the peer has left or pvchan_shutdown() was called. The peer is not asked to signal: to wait, see
 * pvchan_wait().
 */
size_t pvchan_readable_bytes(const struct pvchan *handle);
size_t pvchan_writable_bytes(const struct pvchan *handle);

/*
 * What the rings hold, in bytes: the most that pvchan_recv() and pvchan_send() take. A power of
 * two. 0 before it is open.
 */
size_t pvchan_read_ring_size(const struct pvchan *handle);
size_t pvchan_write_ring_size(const struct pvchan *handle);

/* The id of the domain at the other end. */
unsigned int pvchan_peer_domid(const struct pvchan *handle);

/* The flags set last: of enum pvchan_flags. */
unsigned int pvchan_flags(const struct pvchan *handle);

/* The program's pointer, kept with the handle; initially NULL. The library does not use it. */
void pvchan_set_user_data(struct pvchan *handle, void *data);
void *pvchan_user_data(const struct pvchan *handle);

/* ---- how long calls wait ---- */

/*
 * Replaces the handle's flags: of enum pvchan_flags, all of them at once. Concerns the calls after
 * this one. In a group PVCHAN_NONBLOCK changes nothing: calls there never wait.
 * Returns 0, or -EINVAL: unknown flags. Does not wait.
 */
int pvchan_set_flags(struct pvchan *handle, unsigned int flags);

/*
 * Sets how long each later call that reads or writes may wait in total, in milliseconds: 0 or more;
 * -1, the default, is for ever. When the time is over, the call returns -ETIMEDOUT, or the number
 * of bytes if it has moved some, whatever the peer does. Returns 0, or -EINVAL: less than -1. Does
 * not wait.
 */
int pvchan_set_timeout(struct pvchan *handle, int timeout_ms);

/* ---- events ---- */

enum pvchan_events {
    PVCHAN_READABLE = 1 << 0, /* pvchan_read() would not wait: bytes, the end or an error */
    PVCHAN_WRITABLE = 1 << 1, /* pvchan_write() would not wait: room, or an error */
    PVCHAN_OPENED = 1 << 2,   /* groups: opening succeeded; reported once */
    PVCHAN_ENDED = 1 << 3,    /* no byte is left and none will come: pvchan_read() returns 0 or an
                                 error, see pvchan_error(); or it could not be opened */
    PVCHAN_STATE_CHANGED = 1 << 4 /* pvchan_state() has changed since this was last reported */
};

/*
 * Waits until one of the events holds, for a handle outside of a group. Also waits with
 * PVCHAN_NONBLOCK.
 *
 * events: any of enum pvchan_events but PVCHAN_OPENED, at least one. timeout_ms: -1 for ever, 0 not
 * at all; pvchan_set_timeout() has no effect on it.
 *
 * Returns those of the events that hold, or 0 when the time is over. -EINVAL: events are
 * invalid, or the handle is in a group; -EINTR; -EIO: xenstored went away. Waits for up to
 * timeout_ms whatever the peer does; it may make exchanges as pvchan_dispatch() does.
 */
int pvchan_wait(struct pvchan *handle, unsigned int events, int timeout_ms);

/*
 * A descriptor to poll for reading, the same for the handle's whole life. Owned by the handle: do
 * not read, change or close it. -EINVAL: the handle is in a group, see pvchan_group_fd(); -ENOMEM,
 * -ENOSPC: the kernel cannot watch it (epoll_ctl(2)). Does not wait.
 */
int pvchan_fd(const struct pvchan *handle);

/*
 * Handles what made pvchan_fd() readable, and publishes the room that was read free. Then read and
 * write until -EAGAIN. May be called at any time.
 *
 * Returns 0. -EINVAL: the handle is in a group, see pvchan_group_wait(); -EIO: xenstored went away;
 * or another negative errno if the event channel is gone.
 *
 * Never waits for the peer. Where something changed in xenstore it makes exchanges, and where this
 * side's state follows, transactions, as pvchan_close().
 */
int pvchan_dispatch(struct pvchan *handle);

/* ---- groups: any number of channels in one program ---- */

/*
 * A group has one connection to xenstored, one to the event channel driver and one descriptor to
 * poll, for thousands of handles. It uses few of xenstore's watches (a guest may have 128): two for
 * each domain that is the backend of some of its channels, four for each that is the frontend, and
 * one for each plain server that it waits for. Outside of a group a frontend's handle uses one.
 *
 *     while ((count = pvchan_group_wait(group, events, 64, -1)) >= 0)
 *         for (i = 0; i < count; i++)
 *             serve(events[i].handle, events[i].events);
 *
 * where serve() reads and writes until -EAGAIN, or stops earlier, to be fair, and calls
 * pvchan_requeue(). Calls on a handle in a group never wait.
 */
struct pvchan_group;

/* One report of pvchan_group_wait(). events: an OR of enum pvchan_events. */
struct pvchan_event {
    struct pvchan *handle;
    unsigned int events;
};

/*
 * Makes an empty group. flags: none so far, 0.
 *
 * Returns 0, and the caller owns *group, to be closed by pvchan_group_close(). On failure *group is
 * NULL, and pvchan_open_reason() says more: -EINVAL (a flag), and of pvchan_open() -ENODEV,
 * -EACCES, -EMEDIUMTYPE, -EMFILE, -ENFILE, -ENOMEM. Does not wait.
 */
int pvchan_group_open(unsigned int flags, struct pvchan_group **group);

/*
 * Closes all handles that are in the group, each as pvchan_close(), and frees it. NULL is allowed.
 */
void pvchan_group_close(struct pvchan_group *group);

/*
 * Like pvchan_open(), pvchan_open_server() and pvchan_open_client(), but in a group, and without
 * waiting: 0 means that opening has begun. pvchan_group_wait() reports the handle with
 * PVCHAN_OPENED once it is open, or with PVCHAN_ENDED if opening failed; then pvchan_error() is the
 * error that the call outside of a group would have returned, and the program calls pvchan_close().
 * Until then calls that read and write return -EAGAIN, and the handle may be closed.
 *
 * The parameters are the same. When timeout_ms is over, the error is -ETIMEDOUT. PVCHAN_NONBLOCK
 * and PVCHAN_NOSPIN have no effect on calls that never wait.
 *
 * Returns 0, and the caller owns *handle. Errors known at once are returned, with *handle NULL and
 * pvchan_open_reason() set: those of the arguments, of this domain's side, and all of a server.
 * Does not wait for the peer; makes a few exchanges.
 */
int pvchan_group_add_channel(struct pvchan_group *group, const char *name, int timeout_ms,
                             unsigned int flags, struct pvchan **handle);
int pvchan_group_add_server(struct pvchan_group *group, unsigned int peer_domid, const char *path,
                            size_t read_ring_min, size_t write_ring_min, unsigned int flags,
                            struct pvchan **handle);
int pvchan_group_add_client(struct pvchan_group *group, unsigned int peer_domid, const char *path,
                            int timeout_ms, unsigned int flags, struct pvchan **handle);

/*
 * Waits until handles of the group have events, and reports up to count of these handles, each
 * once, with all of enum pvchan_events that hold now. A handle is reported if, since its last
 * report, it was opened or opening failed, its state changed, bytes, the end or an error came,
 * there is room after a write returned -EAGAIN, or pvchan_requeue() was called. It is not reported
 * again for what was there before, so read and write until -EAGAIN. A peer can cause a report
 * without news.
 *
 * events: an array of count elements; count: 1 or more. timeout_ms: -1 for ever, 0 not at all.
 *
 * Handles are reported in the order in which something happened to them, each at most once before
 * all others that are queued, at a cost that does not depend on how many are open. Between two
 * calls handles may be closed and added. If you close a handle that stands further down in the
 * array of this call, skip its entry.
 *
 * Returns the number reported, or 0 when the time is over. -EINVAL: count is less than 1; -EINTR;
 * -EIO: xenstored went away, which is reported once, before anything else: call again, open handles
 * still work; or another negative errno if the event channels are gone. Waits for up to timeout_ms
 * whatever the peers do; with -1, a peer that signals without end can keep signal handlers from
 * ending it. It makes exchanges, and transactions, as pvchan_dispatch() does, for the handles that
 * it serves.
 */
int pvchan_group_wait(struct pvchan_group *group, struct pvchan_event *events, int count,
                      int timeout_ms);

/*
 * Makes pvchan_group_wait() report the handle once more, after all others that are queued, whatever
 * its events: for programs that stop before -EAGAIN. Does nothing for a handle outside of a group.
 * Does not wait.
 */
void pvchan_requeue(struct pvchan *handle);

/*
 * A descriptor to poll for reading in another event loop, the same for the group's whole life.
 * Owned by the group, as pvchan_fd(), with the same errors. Before each poll call
 * pvchan_group_wait() with timeout 0 until it returns 0: handles that were just opened or requeued
 * do not make it readable.
 */
int pvchan_group_fd(struct pvchan_group *group);

#ifdef __cplusplus
}
#endif

#endif

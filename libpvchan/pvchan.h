/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * libpvchan: two-way byte streams between two Xen domains.
 *
 * A channel is declared in a domain's configuration (vchan = [ "name=…" ]) and opened by its name,
 * in either of its two domains, with pvchan_open(). For peers that know no devices (libxenvchan,
 * MirageOS, Qubes) there is the plain rendezvous at a xenstore path: pvchan_server() and
 * pvchan_client().
 *
 * All functions return 0 or a positive value, or a negative errno. A handle belongs to one thread
 * at a time, and does not survive fork(). The library makes no thread of its own (libxenstore makes
 * one, for watches), installs no signal handler, raises no signal, and prints nothing. Where the
 * program has closed descriptor 0, 1 or 2, the library does not take its place.
 *
 * Blocking: a call that cannot go on waits, unless the handle was opened with PVCHAN_NONBLOCK, in
 * which case it returns -EAGAIN. A signal handler that runs while a call waits ends it with -EINTR,
 * if it has moved nothing yet; but one installed with SA_RESTART may let it go on, as with read().
 *
 * How long: pvchan_open(), pvchan_client() and pvchan_group_wait() for up to their timeout_ms,
 * whatever the peer does. Calls that read and write, and these with -1, for as long as the peer
 * likes: one that never answers keeps them waiting, and one that signals without end can also keep
 * a signal handler from ending them. A program that does not trust its peer gives a timeout, opens
 * with PVCHAN_NONBLOCK, and bounds its own poll(). No other call waits for the peer; each exchanges
 * a bounded number of messages with xenstored.
 *
 * Before it sleeps, a call that waits looks for up to some 50 us whether the peer is just
 * answering, and gives its CPU away for as long; each ever more seldom where that finds nothing.
 * With PVCHAN_NOSPIN it does neither: for programs that have no CPU time to spare, or a battery.
 *
 * Room for the peer. The peer can reuse the room of bytes that were read once it is told of it. It
 * is told at once by a call that takes the last of the bytes that were known to be there, by one
 * that brings the room it does not know of to half a ring, by each call of a handle that does not
 * wait, and before any call on the handle waits. So a program may read all there is and then wait
 * for something else, whatever the peer needs room for. One that leaves bytes unread is as a
 * socket's reader who does: the peer may wait until they are read, or pvchan_dispatch() is called.
 *
 * Programs with an event loop: read and write until -EAGAIN, also the first time (what came while
 * the channel was opened was taken note of then); wait until pvchan_fd() is readable, call
 * pvchan_dispatch(), and again. Programs with many channels: see struct pvchan_group.
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
 * The version that a program was compiled with. Before 1.0 any release may change the interface, and
 * then the library's soname; from 1.0 on only a new major version does.
 */
#define PVCHAN_VERSION_MAJOR 0
#define PVCHAN_VERSION_MINOR 1
#define PVCHAN_VERSION_PATCH 0

/* The version of the library that the program runs with: "0.1.0". */
const char *pvchan_version(void);

/* One side of an open channel. */
struct pvchan;

/* Any other bit is refused: -EINVAL. */
enum pvchan_flags {
    PVCHAN_NONBLOCK = 1 << 0, /* calls never wait: -EAGAIN */
    PVCHAN_NOSPIN = 1 << 1    /* calls that wait sleep at once, see above */
};

/* A channel's ring may hold at most this many bytes. */
#define PVCHAN_RING_MAX (1024u * 1024)

/*
 * Opens a channel by its name, and waits until both sides are Connected.
 *
 * In the frontend domain the name is looked up among the domain's devices; in the backend domain
 * among the devices it serves with connection=app. "DOMID/NAME" picks one where several frontends
 * have a channel of that name. Only one process can have a side open.
 *
 * timeout_ms: how long to wait, -1 for ever, 0 to try only what is possible at once.
 * PVCHAN_NONBLOCK concerns the calls after it, not this one.
 *
 * -EINVAL: not a name, or the device's nodes make no sense; -ENOENT: no channel of that name here,
 * or it was unplugged meanwhile; -ENOTUNIQ: several (say which); -EBUSY: this or another process
 * has it open, or vchan-backend serves it, or the other side's event channel is taken; -ELOOP: both
 * ends are this domain; -ETIMEDOUT: the other side did not come; -ECONNREFUSED: it came, but left
 * again before it was Connected (its node error says why, `vchan list` shows it); -ECONNRESET: it
 * died just when we were; -EPROTO: its page makes no sense; -E2BIG: its rings are larger than
 * those that were declared for it; -ESRCH: its domain is gone; -ENOSPC: the kernel grants no more
 * pages (raise xen_gntalloc's limit, or take smaller rings); -EDQUOT: a xenstore quota of this
 * domain is used up (pvchan(7), LIMITS); -EUSERS: this domain has no event channel left (raise
 * max_event_channels in its xl config); -ENOLCK: no space in /run/pvchan; -EMEDIUMTYPE: the
 * kernel's page size is not 4096 bytes; -ENODEV, -EACCES: xenstored or a Xen device (evtchn,
 * gntalloc, gntdev) is not there or not ours to open; -EIO: xenstored went away; -EINTR; -ENOMEM.
 * On failure *channel is NULL, and the device, if it was ours to open, is Closed, for the next to
 * open. On success the caller owns *channel.
 */
int pvchan_open(const char *name, int timeout_ms, unsigned int flags, struct pvchan **channel);

/*
 * Offers a plain vchan to domain peer at a xenstore path, as libxenvchan_server_init() does: the
 * keys path/ring-ref and path/event-channel are written, readable by the peer. It does not wait for
 * a client; bytes may be written before it comes. read_size and write_size (bytes, at most
 * PVCHAN_RING_MAX) are rounded up to what the wire has.
 *
 * -ERANGE: a size is too large; -EINVAL: peer is no domain's id, or path none of xenstore's;
 * -ENAMETOOLONG: path; -ELOOP: peer is this domain; -EACCES: path is not ours to write, or as
 * above; -ENOSPC, -EDQUOT, -EUSERS, -ENODEV, -EIO, -ENOMEM: as above. On success the caller owns
 * *channel; closing it removes the two keys if they still are its own.
 */
int pvchan_server(unsigned int peer, const char *path, size_t read_size, size_t write_size,
                  unsigned int flags, struct pvchan **channel);

/*
 * Connects to a plain vchan that domain peer offers at a xenstore path, and waits for it to appear
 * for up to timeout_ms (-1: for ever, 0: not at all).
 *
 * -ETIMEDOUT: nothing was offered, or not to us; -EBUSY: another client has it, or the server is
 * gone and left its keys; -EINVAL: peer is no domain's id, path none of xenstore's, the keys are no
 * numbers, or the page is not granted to us; -ENOENT, -EACCES: there is only event-channel, or we
 * may read only that; -EPROTO: the page makes no sense; -ESRCH: no such domain; -ENAMETOOLONG,
 * -ELOOP, -ENOSPC, -EDQUOT, -EUSERS, -ENODEV, -EACCES, -EIO, -ENOMEM: as above; -EINTR. On success
 * the caller owns *channel.
 *
 * A client that is killed may leave up to half a ring that it has read, but not said so: a second
 * client of the same server reads that again.
 */
int pvchan_client(unsigned int peer, const char *path, int timeout_ms, unsigned int flags,
                  struct pvchan **channel);

/*
 * Closes and frees. What was written stays readable for the peer, which then sees the end. Does not
 * wait for it. NULL is allowed.
 */
void pvchan_close(struct pvchan *channel);

/*
 * Reads what is there, at least 1 and at most size bytes. 0: the end, the peer sends no more (or
 * size is 0). -ECONNRESET: the peer's process or domain died (a plain vchan does not learn of a
 * process's death but as the end, 0, and of a domain's not at all); -EPROTO: the peer corrupted the
 * ring, nothing more can be had; -EAGAIN; -EINTR; -EIO: xenstored went away (a named channel; call
 * again, what is there can still be read). The end, -ECONNRESET and -EPROTO stay: every later call
 * returns the same.
 */
ssize_t pvchan_read(struct pvchan *channel, void *data, size_t size);

/*
 * Writes as libc's write(): waits until all is in the ring and returns size; with PVCHAN_NONBLOCK
 * what fits now, at least 1 byte. -EPIPE: the peer takes no more, or pvchan_shutdown() was called;
 * -EPROTO, -EAGAIN, -EINTR, -EIO: as pvchan_read(). If something was written before an error, that
 * number is returned, and the error, if it is one that stays, comes next time.
 */
ssize_t pvchan_write(struct pvchan *channel, const void *data, size_t size);

/*
 * All or nothing: reads exactly size bytes, and returns size, or 0 at the end. -EMSGSIZE: size is
 * larger than the ring, it could never be there; -ENODATA: the end came after fewer bytes (they can
 * still be read by pvchan_read()); otherwise as pvchan_read().
 */
ssize_t pvchan_recv(struct pvchan *channel, void *data, size_t size);

/* All or nothing: writes exactly size bytes at once. -EMSGSIZE; otherwise as pvchan_write(). */
ssize_t pvchan_send(struct pvchan *channel, const void *data, size_t size);

/*
 * The same with several pieces of memory, as readv() and writev(): they are filled, or sent, one
 * after the other, and what is written together is shown to the peer together, as far as there is
 * room. -EINVAL: a negative count, or lengths whose sum no ssize_t can hold; otherwise as the call
 * with one piece.
 */
ssize_t pvchan_readv(struct pvchan *channel, const struct iovec *pieces, int count);
ssize_t pvchan_writev(struct pvchan *channel, const struct iovec *pieces, int count);
ssize_t pvchan_recvv(struct pvchan *channel, const struct iovec *pieces, int count);
ssize_t pvchan_sendv(struct pvchan *channel, const struct iovec *pieces, int count);

/*
 * Reading without a copy: where the bytes lie that can be read now, as far as is known, at least
 * enough. They are one stretch of memory, or two where the ring's end is between: spans[1] may be
 * empty (length 0), and both are if the return is not positive. Returns their number. Fewer than
 * enough are there only at the end, 0 if nothing is left. -EINVAL: enough is 0; -EMSGSIZE: it is
 * more than the ring holds; otherwise as pvchan_read().
 *
 * The memory is shared with the peer, who may change it at any time: copy what you check before you
 * use it, or check nothing and hand it on (writev() takes the spans as they are). Do not write to
 * it.
 */
ssize_t pvchan_peek(struct pvchan *channel, size_t enough, struct iovec spans[2]);

/*
 * Takes the first bytes out of the ring; what was peeked beyond them stays where it is. -EINVAL: so
 * many are not there. Does not wait.
 */
int pvchan_consume(struct pvchan *channel, size_t bytes);

/*
 * Writing without a copy: where there is room now, as far as is known, at least enough, in spans as
 * pvchan_peek() gives them. Returns how much. The peer sees nothing of it before pvchan_commit(),
 * unless it is hostile: then it sees, and may change, what is being filled in, so do not read it
 * back. -EINVAL: enough is 0; -EMSGSIZE; otherwise as pvchan_write().
 */
ssize_t pvchan_reserve(struct pvchan *channel, size_t enough, struct iovec spans[2]);

/*
 * Sends the first bytes of the room, which were filled in; what was reserved beyond them stays
 * reserved. -EINVAL: so much room is not there; -EPIPE, -EPROTO: as pvchan_write(). Does not wait.
 * To give a reservation back, do nothing.
 *
 * How long spans live: those of pvchan_peek() until the channel is read otherwise (read, readv,
 * recv, recvv, or consumed beyond them), those of pvchan_reserve() until it is written otherwise
 * (write, writev, send, sendv, shutdown). Both die with pvchan_close(), when a call on the channel
 * fails with anything but -EAGAIN, -EINTR, -EINVAL or -EMSGSIZE, and when events are taken note of:
 * by pvchan_dispatch(), by pvchan_group_wait() with its group, and by a call on this channel that
 * waits. After that the memory may not be there any more. Peeking and reserving on one channel at
 * the same time is fine where neither waits: peek, reserve (with PVCHAN_NONBLOCK), copy, commit,
 * consume is an echo without a buffer.
 */
int pvchan_commit(struct pvchan *channel, size_t bytes);

/*
 * Says that nothing more will be written; reading goes on. The peer reads what is in the ring, then
 * the end. -EINPROGRESS: it is not open yet; -ENOTSUP: a plain vchan has no such thing, close it
 * instead. Does not wait. Again: 0.
 */
int pvchan_shutdown(struct pvchan *channel);

/*
 * Whether the peer is there: 1, or 0 if it did not come yet or has left. Bytes may still be there.
 * One whose process died, and whose next one is waited for, has not left (pvchan(3)).
 */
int pvchan_is_connected(const struct pvchan *channel);

/*
 * An fd to poll for reading, owned by the handle, the same for its whole life. -EINVAL: the channel
 * is in a group, see pvchan_group_fd().
 */
int pvchan_fd(const struct pvchan *channel);

/*
 * Takes note of what made pvchan_fd() readable, and tells the peer what was read; never waits. 0,
 * or a negative errno if the event channel or xenstore is gone. -EINVAL: the channel is in a group,
 * see pvchan_group_wait().
 */
int pvchan_dispatch(struct pvchan *channel);

/* The sizes of the rings, in bytes: the most that pvchan_recv() and pvchan_send() take. */
size_t pvchan_read_size(const struct pvchan *channel);
size_t pvchan_write_size(const struct pvchan *channel);

/* The domain at the other end. */
unsigned int pvchan_peer(const struct pvchan *channel);

/*
 * ---- groups: any number of channels in one program ----
 *
 * A group has one xenstore connection, one handle on the event channels and one fd to poll, for
 * thousands of channels. Of xenstore's watches (a guest may have 128 in all) it has two for each
 * domain that is the backend of some of its channels, four for each that is their frontend, and one
 * for each plain server that it waits for. A frontend's channel outside of a group has one.
 *
 *     while (pvchan_group_wait(group, -1, &channel) == 1)
 *         serve(channel);
 *
 * where serve() reads and writes until -EAGAIN, or for as long as is fair, and then calls
 * pvchan_again(). Calls on a channel in a group never wait, as with PVCHAN_NONBLOCK. A group
 * belongs, with its channels, to one thread at a time.
 */
struct pvchan_group;

/*
 * Makes an empty group. flags: none so far; any bit is refused, -EINVAL. -ENODEV, -EACCES, -EMEDIUMTYPE: as pvchan_open(); -EMFILE; -ENOMEM. On
 * success the caller owns *group; on failure it is NULL.
 */
int pvchan_group_open(unsigned int flags, struct pvchan_group **group);

/* Closes all channels that are in it, and frees. NULL is allowed. */
void pvchan_group_close(struct pvchan_group *group);

/*
 * As pvchan_open(), pvchan_server() and pvchan_client(), but into a group, and without waiting: 0
 * says that it began well, and pvchan_group_wait() gives the channel when it is open, or cannot be:
 * pvchan_opened() tells which. Until then it can be closed, and calls that read and write give
 * -EAGAIN.
 *
 * timeout_ms and flags: as there; the flags that there are change nothing for calls that never wait.
 * When the time is over, pvchan_opened() is -ETIMEDOUT. Errors that show at
 * once are returned, and then *channel is NULL: of pvchan_open_in() those that concern the name and
 * this domain's side, of the others those of their arguments, and of pvchan_server_in() all. On
 * success the caller owns *channel.
 */
int pvchan_open_in(struct pvchan_group *group, const char *name, int timeout_ms,
                   unsigned int flags, struct pvchan **channel);
int pvchan_server_in(struct pvchan_group *group, unsigned int peer, const char *path,
                     size_t read_size, size_t write_size, unsigned int flags,
                     struct pvchan **channel);
int pvchan_client_in(struct pvchan_group *group, unsigned int peer, const char *path,
                     int timeout_ms, unsigned int flags, struct pvchan **channel);

/*
 * Whether the channel is open: 0; -EINPROGRESS: not yet; or the error of pvchan_open() or
 * pvchan_client(), after which calls that read and write return that error, and all that is left to
 * do is pvchan_close().
 */
int pvchan_opened(const struct pvchan *channel);

/*
 * Waits, for up to timeout_ms (-1: for ever, 0: not at all), until there is something to do for one
 * of the channels, and gives it in *channel: it was opened, or could not be; its peer signalled,
 * came, or ended; its state changed; or pvchan_again() was called. Then try to read and write,
 * until -EAGAIN: it is not given again for what was there before. It may be given for nothing.
 *
 * Channels come in the order in which something happened to them, each at most once before all
 * others that wait for their turn, at a cost that does not depend on how many are open. Between two
 * calls any channel of the group may be closed, and others opened.
 *
 * Returns 1; 0 if the time was over, and *channel is NULL; -EINTR; -EIO: xenstored went away, which
 * is reported once, whatever else there is to do: call again, the channels that are open go on; or
 * another negative errno if the event channels are gone.
 */
int pvchan_group_wait(struct pvchan_group *group, int timeout_ms, struct pvchan **channel);

/*
 * Has pvchan_group_wait() give the channel once more, after all others whose turn it is: for who
 * stops before -EAGAIN, to be fair. Does nothing for a channel outside of a group.
 */
void pvchan_again(struct pvchan *channel);

/*
 * An fd to poll for reading in another event loop, owned by the group, the same for its whole life.
 * Before each poll, call pvchan_group_wait() with timeout 0 until it returns 0: what was opened
 * since, or cannot be, and pvchan_again() do not make it readable.
 */
int pvchan_group_fd(struct pvchan_group *group);

/*
 * Something of the program's, kept with the channel: NULL at first. The library does not look at
 * it.
 */
void pvchan_set_data(struct pvchan *channel, void *data);
void *pvchan_data(const struct pvchan *channel);

#ifdef __cplusplus
}
#endif

#endif

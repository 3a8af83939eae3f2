/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * The event loop that libvirt needs, in a thread of its own.  Implemented in events_loop.c.
 *
 * It replaces libvirt's own loop, which can neither be stopped nor used after a fork.  It waits with epoll: a remote
 * call changes the events of its socket twice, and with epoll that needs no switch to the thread of the loop.
 */

/*
 * Make sure that libvirt has a loop, before a connection is opened: this one, unless the program has registered
 * another.  Return 1 if libvirt uses this loop, 0 if it uses another, -1 with errno if there is no memory or thread for
 * it.
 */
int pv_loop_start(void);

/*
 * Do not register a loop: the program will.  Return 0, 1 if the program has registered one already, -1 if libvirt uses
 * this loop.
 */
int pv_loop_leave(void);

/* Return 1 if libvirt uses this loop, 0 if another, -1 if none is registered yet. */
int pv_loop_owner(void);

/*
 * Stop the thread of the loop.  If it does not stop within so many milliseconds, it stops after its current callback.
 * Return whether it has stopped.  pv_loop_resume undoes this.  Pairs of both calls may nest.
 */
int pv_loop_pause(int milliseconds);
void pv_loop_resume(void);

/*
 * Wait until the loop has finished its current callbacks and has freed removed watches, with the sockets of closed
 * connections.  Return after so many milliseconds in any case, and at once in the thread of the loop.
 */
void pv_loop_settle(int milliseconds);

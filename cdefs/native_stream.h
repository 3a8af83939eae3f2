/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Readiness of a non-blocking stream as a file descriptor.  Implemented in stream.c.
 *
 * The descriptor is an eventfd.  It is readable when the stream is ready for the events (virStreamEventType) of the
 * last call of pv_stream_watch_for().  The event loop must run.
 */

typedef struct pv_stream_watch pv_stream_watch;

/* NULL: errno is set if there is no memory or no file descriptor; it is 0 if libvirt failed. */
pv_stream_watch *pv_stream_watch_new(virStreamPtr stream);
int pv_stream_watch_fd(const pv_stream_watch *watch);

/* Clear the readiness so far and watch for `events`.  Return 0, or -1 if libvirt failed. */
int pv_stream_watch_for(pv_stream_watch *watch, int events);

/* Return the events that are ready since then. */
int pv_stream_watch_ready(pv_stream_watch *watch);

/* The watch holds a reference to the stream.  Its memory is freed when libvirt has released it as well. */
void pv_stream_watch_free(pv_stream_watch *watch);

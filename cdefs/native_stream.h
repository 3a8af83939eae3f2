/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Between a stream and a file descriptor, without Python.
 *
 * One thread pumps; any other may ask how far it is, or cancel it.
 */

typedef struct pv_pump pv_pump;

/* NULL when memory ran out.  The descriptor stays the caller's. */
pv_pump *pv_pump_new(int fd);
void pv_pump_free(pv_pump *pump);

/*
 * Everything that the stream holds into the file, or all of the file from its position on into the stream
 * (virStreamRecvAll, virStreamSendAll).  Sparse ones are told of holes, and leave them (virStreamSparseRecvAll,
 * virStreamSparseSendAll).  0, or -1: the file failed if pv_pump_errno() says so, else libvirt did.
 */
int pv_pump_receive(pv_pump *pump, virStreamPtr stream, int sparse);
int pv_pump_send(pv_pump *pump, virStreamPtr stream, int sparse);

/* Have it fail with ECANCELED at the next chunk. */
void pv_pump_cancel(pv_pump *pump);

/* Bytes so far, holes included. */
int64_t pv_pump_moved(const pv_pump *pump);

/* What the file failed with, 0 if it did not. */
int pv_pump_errno(const pv_pump *pump);

/*
 * Readiness of a non-blocking stream as a file descriptor: an eventfd that can be read when the stream is ready for
 * what pv_stream_watch_for() asked for last (virStreamEventType).  The event loop has to run.
 */
typedef struct pv_stream_watch pv_stream_watch;

/* NULL: errno if there is no memory or no file descriptor, 0 for libvirt's error. */
pv_stream_watch *pv_stream_watch_new(virStreamPtr stream);
int pv_stream_watch_fd(const pv_stream_watch *watch);

/* Forget what was ready and ask for `events`.  0, or -1 with libvirt's error. */
int pv_stream_watch_for(pv_stream_watch *watch, int events);

/* What is ready since then. */
int pv_stream_watch_ready(pv_stream_watch *watch);

/* It holds a reference to the stream, and is freed when libvirt has let go of it as well. */
void pv_stream_watch_free(pv_stream_watch *watch);

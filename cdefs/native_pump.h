/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Transfers between a stream and a file descriptor, without Python.  Implemented in pump.c.
 *
 * One thread transfers; any other thread may ask for the progress, or cancel.
 */

typedef struct pv_pump pv_pump;

/* NULL: out of memory.  The descriptor still belongs to the caller. */
pv_pump *pv_pump_new(int fd);
void pv_pump_free(pv_pump *pump);

/*
 * Write the whole stream to the file, or send the file from its current position to the end into the stream
 * (virStreamRecvAll, virStreamSendAll).  Sparse transfers keep holes (virStreamSparseRecvAll, virStreamSparseSendAll).
 * Return 0, or -1: the file failed if pv_pump_errno() is not 0, else libvirt failed.
 */
int pv_pump_receive(pv_pump *pump, virStreamPtr stream, int sparse);
int pv_pump_send(pv_pump *pump, virStreamPtr stream, int sparse);

/* Make the transfer fail with ECANCELED at its next chunk. */
void pv_pump_cancel(pv_pump *pump);

/* Return the number of bytes transferred so far, holes included. */
int64_t pv_pump_moved(const pv_pump *pump);

/* Return the errno of the file's failure, 0 if it has not failed. */
int pv_pump_errno(const pv_pump *pump);

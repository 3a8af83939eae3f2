/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Closing connections when the process ends.  Implemented in exit.c. */

/*
 * Deregister and free event sources, then close the connections.  `owners` holds, for each source, the place of its
 * connection in `connections`.  This waits for the daemon, but for at most so many milliseconds: a daemon that hangs,
 * or a network that is down, must not keep a program from ending.  The kernel closes the rest.
 */
void pv_close_within(virConnectPtr *connections, int n, pv_source **sources, const int *owners, int nsources,
    int milliseconds);

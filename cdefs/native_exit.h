/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Deregister sources of events and give them up, each with the connection at the place that `owners` says, and close
 * the connections, when the process is about to end.  The daemon is waited for, and one that hangs, or a network that
 * is gone, must not keep a program from ending: after so many milliseconds what is left is left to the kernel.
 */
void pv_close_within(virConnectPtr *connections, int n, pv_source **sources, const int *owners, int nsources,
    int milliseconds);

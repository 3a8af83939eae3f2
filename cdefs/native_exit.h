/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Close connections when the process is about to end.  virConnectClose waits for the daemon's answer, and a daemon that
 * hangs, or a network that is gone, must not keep a program from ending: after so many milliseconds what is left is
 * left to the kernel.
 */
void pv_close_within(virConnectPtr *connections, int n, int milliseconds);

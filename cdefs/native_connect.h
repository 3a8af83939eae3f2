/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Opening connections.  Implemented in connect.c. */

/*
 * virConnectOpenAuth, without the messages that libxml2 prints to stderr when the test driver does not find its file.
 */
virConnectPtr pv_connect_open(const char *name, virConnectAuthPtr auth, unsigned int flags);

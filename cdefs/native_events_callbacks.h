/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* The callbacks that libvirt calls with events.  Implemented in events_callbacks.c. */

/* Return the callback for a kind of event, or NULL if the kind is unknown.  Its opaque argument is the pv_source. */
void *pv_event_callback(int category, int id);

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Registering sources with libvirt.  Implemented in events_source_register.c. */

/*
 * vir…EventRegisterAny or virConnectRegisterCloseCallback.  `object` is the domain, network, … whose events are wanted;
 * NULL: all of them.  Return 0, or -1 if libvirt failed.
 */
int pv_source_register(pv_source *source, virConnectPtr conn, void *object);

/*
 * The same with functions of other libraries: `function` registers and `undo` deregisters.  They are
 * virConnectDomainQemuMonitorEventRegister (which takes `event` and `flags`) and
 * virConnectDomainQemuMonitorEventDeregister, or virAdmConnectRegisterCloseCallback and
 * virAdmConnectUnregisterCloseCallback.
 */
int pv_source_register_monitor(pv_source *source, virConnectPtr conn, virDomainPtr domain, const char *event,
    unsigned int flags, void *function, void *undo);
int pv_source_register_close(pv_source *source, void *conn, void *function, void *undo);

/*
 * Detach all queues and deregister the source from libvirt.  Calling it again has no effect.  Events that libvirt is
 * just delivering may still arrive, and are dropped.
 */
void pv_source_deregister(pv_source *source, void *conn);

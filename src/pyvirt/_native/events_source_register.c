/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <libvirt/libvirt.h>

#include "errors.h"
#include "events_source.h"
#include "native_events_callbacks.h"
#include "native_events_source_register.h"

/*
 * libvirt (9.0 at least) frees the opaque pointer of a close callback after calling it, but does not free it when the
 * callback is deregistered.  While it deregisters one, no call of it is running.  So both places release the reference,
 * and `held` makes sure that this happens once.
 */
static void release_held(void *opaque)
{
    pv_source *source = opaque;
    if (atomic_exchange_explicit(&source->held, false, memory_order_acq_rel))
        pv_source_unref(source);
}

static int register_with(pv_source *source, virConnectPtr conn, void *object)
{
    void *callback = pv_event_callback(source->category, source->id);
    switch (source->category) {
    case PV_DOMAIN:
        return virConnectDomainEventRegisterAny(conn, object, source->id, VIR_DOMAIN_EVENT_CALLBACK(callback), source,
                                                pv_source_unref);
    case PV_NETWORK:
        return virConnectNetworkEventRegisterAny(conn, object, source->id, VIR_NETWORK_EVENT_CALLBACK(callback), source,
                                                 pv_source_unref);
    case PV_STORAGE_POOL:
        return virConnectStoragePoolEventRegisterAny(
            conn, object, source->id, VIR_STORAGE_POOL_EVENT_CALLBACK(callback), source, pv_source_unref);
    case PV_NODE_DEVICE:
        return virConnectNodeDeviceEventRegisterAny(conn, object, source->id, VIR_NODE_DEVICE_EVENT_CALLBACK(callback),
                                                    source, pv_source_unref);
    case PV_SECRET:
        return virConnectSecretEventRegisterAny(conn, object, source->id, VIR_SECRET_EVENT_CALLBACK(callback), source,
                                                pv_source_unref);
    default:
        source->held = true;
        return virConnectRegisterCloseCallback(conn, (virConnectCloseFunc)callback, source, release_held);
    }
}

static int registered(pv_source *source, int callback_id)
{
    if (callback_id < 0)
        pv_source_unref(source);
    else
        atomic_store_explicit(&source->callback_id, callback_id, memory_order_release);
    return callback_id < 0 ? -1 : 0;
}

int pv_source_register(pv_source *source, virConnectPtr conn, void *object)
{
    if (pv_event_callback(source->category, source->id) == NULL) {
        pv_error_record_unsupported(NULL, "pyvirt does not know this kind of event");
        return -1;
    }
    pv_source_ref(source); /* libvirt releases it */
    return registered(source, register_with(source, conn, object));
}

int pv_source_register_monitor(pv_source *source, virConnectPtr conn, virDomainPtr domain, const char *event,
                               unsigned int flags, void *function, void *undo)
{
    int (*call)(virConnectPtr, virDomainPtr, const char *, void *, void *, virFreeCallback, unsigned int);
    *(void **)&call = function;
    source->undo = undo;
    pv_source_ref(source);
    void *callback = pv_event_callback(source->category, source->id);
    return registered(source, call(conn, domain, event, callback, source, pv_source_unref, flags));
}

int pv_source_register_close(pv_source *source, void *conn, void *function, void *undo)
{
    int (*call)(void *, void *, void *, virFreeCallback);
    *(void **)&call = function;
    source->undo = undo;
    pv_source_ref(source);
    source->held = true;
    return registered(source, call(conn, pv_event_callback(PV_CLOSE, 0), source, release_held));
}

static void deregister_close(pv_source *source, void *conn)
{
    void *callback = pv_event_callback(PV_CLOSE, 0);
    int (*call)(void *, void *);
    int result;
    *(void **)&call = source->undo;
    if (source->undo == NULL)
        result = virConnectUnregisterCloseCallback(conn, (virConnectCloseFunc)callback);
    else
        result = call(conn, callback);
    if (result == 0)
        release_held(source);
}

static void deregister(pv_source *source, void *conn, int callback_id)
{
    int (*call)(virConnectPtr, int);
    switch (source->category) {
    case PV_DOMAIN:
        virConnectDomainEventDeregisterAny(conn, callback_id);
        break;
    case PV_NETWORK:
        virConnectNetworkEventDeregisterAny(conn, callback_id);
        break;
    case PV_STORAGE_POOL:
        virConnectStoragePoolEventDeregisterAny(conn, callback_id);
        break;
    case PV_NODE_DEVICE:
        virConnectNodeDeviceEventDeregisterAny(conn, callback_id);
        break;
    case PV_SECRET:
        virConnectSecretEventDeregisterAny(conn, callback_id);
        break;
    case PV_QEMU_MONITOR:
        *(void **)&call = source->undo;
        call(conn, callback_id);
        break;
    default:
        deregister_close(source, conn);
    }
}

void pv_source_deregister(pv_source *source, void *conn)
{
    pv_source_clear(source);
    int callback_id = atomic_exchange_explicit(&source->callback_id, -1, memory_order_acq_rel);
    if (callback_id >= 0)
        deregister(source, conn, callback_id);
}

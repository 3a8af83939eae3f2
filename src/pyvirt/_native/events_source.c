/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/virterror.h>

#include "events.h"
#include "native_errors.h"

/*
 * Domains are suspended and resumed over and over, and each such event says the same.  They are kept by the domain's
 * name: nothing is cheaper to ask libvirt for, which formats the UUID for its log whenever it is asked for that.  A name
 * stands for the same domain, under the same id, until there is another event of its lifecycle; libvirt delivers these
 * in the order in which they happened.
 */
typedef struct known {
    struct known *next;
    pv_event *event;
    char name[];
} known;

enum { BUCKETS = 4096, MOST_KNOWN = 65536 };

typedef struct {
    pv_queue *queue;
    int64_t tag;
    size_t uses;
} target;

struct pv_source {
    pthread_mutex_t lock;
    unsigned refs;
    int category, id;
    int callback_id; /* -1: not registered */
    void *undo;      /* what deregisters it, if that is in another library */
    bool held;       /* by libvirt, as the close callback's opaque */
    target *targets;
    size_t ntargets, room;
    known **known; /* NULL until there is one */
    size_t nknown;
};

/* ---- sources ---- */

pv_source *pv_source_new(int category, int id)
{
    pv_source *source = calloc(1, sizeof(*source));
    if (source == NULL)
        return NULL;
    pthread_mutex_init(&source->lock, NULL);
    source->refs = 1;
    source->category = category;
    source->id = id;
    source->callback_id = -1;
    return source;
}

pv_event *pv_source_event(const pv_source *source, void *object, const int64_t *numbers, int nnumbers,
                          const char *const *strings, int nstrings, const virTypedParameter *params, int nparams)
{
    return pv_event_new(source->category, source->id, object, numbers, nnumbers, strings, nstrings, params, nparams);
}

/* Returns what was known, for the caller to free without the lock. */
static known *forget_all(pv_source *source)
{
    known *gone = NULL;
    for (size_t i = 0; source->known != NULL && i < BUCKETS; i++)
        while (source->known[i] != NULL) {
            known *one = source->known[i];
            source->known[i] = one->next;
            one->next = gone;
            gone = one;
        }
    free(source->known);
    source->known = NULL;
    source->nknown = 0;
    return gone;
}

static void free_known(known *gone)
{
    while (gone != NULL) {
        known *next = gone->next;
        pv_event_unref(gone->event);
        free(gone);
        gone = next;
    }
}

void pv_source_ref(void *opaque)
{
    pv_source *source = opaque;
    __atomic_fetch_add(&source->refs, 1, __ATOMIC_RELAXED);
}

void pv_source_unref(void *opaque)
{
    pv_source *source = opaque;
    if (__atomic_sub_fetch(&source->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    for (size_t i = 0; i < source->ntargets; i++)
        pv_queue_unref(source->targets[i].queue);
    free_known(forget_all(source));
    free(source->targets);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

void pv_source_free(pv_source *source)
{
    pv_source_unref(source);
}

static target *find_target(pv_source *source, const pv_queue *queue, int64_t tag)
{
    for (size_t i = 0; i < source->ntargets; i++)
        if (source->targets[i].queue == queue && source->targets[i].tag == tag)
            return &source->targets[i];
    return NULL;
}

int pv_source_attach(pv_source *source, pv_queue *queue, int64_t tag)
{
    int result = 0;
    pthread_mutex_lock(&source->lock);
    target *before = find_target(source, queue, tag);
    if (before != NULL) {
        before->uses++;
        pthread_mutex_unlock(&source->lock);
        return 0;
    }
    if (source->ntargets == source->room) {
        size_t room = source->room > 0 ? 2 * source->room : 1;
        target *targets = realloc(source->targets, room * sizeof(*targets));
        if (targets != NULL) {
            source->targets = targets;
            source->room = room;
        } else {
            result = -1;
        }
    }
    if (result == 0) {
        pv_queue_ref(queue);
        source->targets[source->ntargets++] = (target){queue, tag, 1};
    }
    pthread_mutex_unlock(&source->lock);
    return result;
}

/* Lock held. */
static void drop_target(pv_source *source, size_t i)
{
    pv_queue_unref(source->targets[i].queue);
    source->targets[i] = source->targets[--source->ntargets];
}

void pv_source_detach(pv_source *source, pv_queue *queue, int64_t tag)
{
    pthread_mutex_lock(&source->lock);
    target *found = find_target(source, queue, tag);
    if (found != NULL && --found->uses == 0)
        drop_target(source, (size_t)(found - source->targets));
    pthread_mutex_unlock(&source->lock);
}

bool pv_source_idle(pv_source *source)
{
    pthread_mutex_lock(&source->lock);
    bool idle = source->ntargets == 0;
    pthread_mutex_unlock(&source->lock);
    return idle;
}

/* Lock held. */
static void hand_out(pv_source *source, pv_event *event)
{
    for (size_t i = source->ntargets; i-- > 0;)
        if (!pv_queue_push(source->targets[i].queue, event, source->targets[i].tag))
            drop_target(source, i);
}

void pv_source_deliver(pv_source *source, pv_event *event)
{
    pthread_mutex_lock(&source->lock);
    hand_out(source, event);
    pthread_mutex_unlock(&source->lock);
    if (event != NULL)
        pv_event_unref(event);
}

static size_t bucket_of(const char *name)
{
    uint32_t hash = 2166136261u; /* FNV-1a */
    for (; *name != '\0'; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return (hash ^ hash >> 12) % BUCKETS;
}

static pv_event *recall(const known *at, const char *name, int event, int detail)
{
    for (; at != NULL; at = at->next)
        if (at->event->numbers[0] == event && at->event->numbers[1] == detail && strcmp(at->name, name) == 0)
            return at->event;
    return NULL;
}

static known *forget(pv_source *source, const char *name)
{
    known *gone = NULL;
    if (source->known == NULL)
        return NULL;
    for (known **link = &source->known[bucket_of(name)]; *link != NULL;) {
        known *one = *link;
        if (strcmp(one->name, name) != 0) {
            link = &one->next;
            continue;
        }
        *link = one->next;
        one->next = gone;
        gone = one;
        source->nknown--;
    }
    return gone;
}

/* Keep it, if there is memory for that. */
static void keep(pv_source *source, const char *name, pv_event *event)
{
    if (source->known == NULL)
        source->known = calloc(BUCKETS, sizeof(*source->known));
    known *one = source->known != NULL ? malloc(sizeof(*one) + strlen(name) + 1) : NULL;
    if (one == NULL)
        return;
    strcpy(one->name, name);
    one->event = event;
    event->interned = 1;
    pv_event_ref(event);
    known **bucket = &source->known[bucket_of(name)];
    one->next = *bucket;
    *bucket = one;
    source->nknown++;
}

static bool repeats(int event)
{
    return event == VIR_DOMAIN_EVENT_SUSPENDED || event == VIR_DOMAIN_EVENT_RESUMED;
}

void pv_source_lifecycle(pv_source *source, virDomainPtr domain, int event, int detail)
{
    const int64_t numbers[] = {event, detail};
    known *gone = NULL;
    pv_event *made = NULL;
    pthread_mutex_lock(&source->lock);
    const char *name = repeats(event) || source->nknown > 0 ? virDomainGetName(domain) : NULL;
    if (name != NULL && repeats(event) && source->known != NULL)
        made = recall(source->known[bucket_of(name)], name, event, detail);
    if (made != NULL) {
        hand_out(source, made);
        pthread_mutex_unlock(&source->lock);
        return;
    }
    if (source->nknown >= MOST_KNOWN)
        gone = forget_all(source);
    else if (name != NULL && !repeats(event))
        gone = forget(source, name);
    if (source->ntargets > 0) {
        pthread_mutex_unlock(&source->lock);
        made = pv_source_event(source, domain, numbers, 2, NULL, 0, NULL, 0);
        bool lasting = made != NULL && name != NULL && repeats(event) && virDomainGetID(domain) != (unsigned)-1;
        pthread_mutex_lock(&source->lock);
        if (lasting && source->ntargets > 0) /* it was not deregistered meanwhile, after which nothing forgets */
            keep(source, name, made);
        hand_out(source, made);
    }
    pthread_mutex_unlock(&source->lock);
    free_known(gone);
    if (made != NULL)
        pv_event_unref(made);
}

/* ---- registering ---- */

/*
 * libvirt (9.0 at least) frees the opaque of a close callback when it has called it, and forgets to when it is
 * unregistered.  While it unregisters none is under way.
 */
static void release_held(void *opaque)
{
    pv_source *source = opaque;
    if (__atomic_exchange_n(&source->held, false, __ATOMIC_ACQ_REL))
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
        __atomic_store_n(&source->callback_id, callback_id, __ATOMIC_RELEASE);
    return callback_id < 0 ? -1 : 0;
}

int pv_source_register(pv_source *source, virConnectPtr conn, void *object)
{
    if (pv_event_callback(source->category, source->id) == NULL) {
        pv_error_unsupported("An event of this kind", "a newer one", "none");
        return -1;
    }
    pv_source_ref(source); /* which libvirt gives back */
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
    pthread_mutex_lock(&source->lock);
    while (source->ntargets > 0)
        drop_target(source, source->ntargets - 1);
    known *gone = forget_all(source);
    pthread_mutex_unlock(&source->lock);
    free_known(gone);
    int callback_id = __atomic_exchange_n(&source->callback_id, -1, __ATOMIC_ACQ_REL);
    if (callback_id >= 0)
        deregister(source, conn, callback_id);
}

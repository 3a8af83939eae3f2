/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "events_source.h"
#include "native_common.h"

/*
 * Domains are suspended and resumed again and again, and these events are all alike.  So they are kept for reuse, by
 * the name of the domain: the name is the cheapest property to read, because for others libvirt formats the UUID for
 * its log.  A name stands for the same domain, with the same id, until another event of its lifecycle comes; libvirt
 * delivers these events in the order in which they happened.
 */
struct known {
    struct known *next;
    pv_event *event;
    char name[];
};

enum { BUCKETS = 4096, MAX_KNOWN = 65536 };

struct target {
    pv_queue *queue;
    int64_t tag;
    size_t uses;
};

pv_source *pv_source_new(int category, int id)
{
    pv_source *source = calloc(1, sizeof(*source));
    if (source == NULL)
        return NULL;
    pthread_mutex_init(&source->lock, NULL);
    atomic_init(&source->refs, 1);
    source->category = category;
    source->id = id;
    atomic_init(&source->callback_id, -1);
    return source;
}

pv_event *pv_source_event(const pv_source *source, void *object, const int64_t *numbers, int nnumbers,
                          const char *const *strings, int nstrings, const virTypedParameter *params, int nparams)
{
    return pv_event_new(source->category, source->id, object, numbers, nnumbers, strings, nstrings, params, nparams);
}

/* Lock held.  Remove all known events and return them; the caller frees them without the lock. */
static struct known *remove_all_known(pv_source *source)
{
    struct known *gone = NULL;
    for (size_t i = 0; source->known != NULL && i < BUCKETS; i++)
        while (source->known[i] != NULL) {
            struct known *one = source->known[i];
            source->known[i] = one->next;
            one->next = gone;
            gone = one;
        }
    free(source->known);
    source->known = NULL;
    source->nknown = 0;
    return gone;
}

static void free_known(struct known *gone)
{
    while (gone != NULL) {
        struct known *next = gone->next;
        pv_event_unref(gone->event);
        free(gone);
        gone = next;
    }
}

void pv_source_ref(void *opaque)
{
    pv_source *source = opaque;
    atomic_fetch_add_explicit(&source->refs, 1, memory_order_relaxed);
}

void pv_source_unref(void *opaque)
{
    pv_source *source = opaque;
    if (atomic_fetch_sub_explicit(&source->refs, 1, memory_order_acq_rel) > 1)
        return;
    for (size_t i = 0; i < source->ntargets; i++)
        pv_queue_unref(source->targets[i].queue);
    free_known(remove_all_known(source));
    free(source->targets);
    pthread_mutex_destroy(&source->lock);
    free(source);
}

void pv_source_free(pv_source *source)
{
    pv_source_unref(source);
}

static struct target *find_target(pv_source *source, const pv_queue *queue, int64_t tag)
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
    struct target *before = find_target(source, queue, tag);
    if (before != NULL) {
        before->uses++;
        pthread_mutex_unlock(&source->lock);
        return 0;
    }
    if (source->ntargets == source->room) {
        size_t room = source->room > 0 ? 2 * source->room : 1;
        struct target *targets = realloc(source->targets, room * sizeof(*targets));
        if (targets != NULL) {
            source->targets = targets;
            source->room = room;
        } else {
            result = PV_NO_MEMORY;
        }
    }
    if (result == 0) {
        pv_queue_ref(queue);
        source->targets[source->ntargets++] = (struct target){queue, tag, 1};
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
    struct target *found = find_target(source, queue, tag);
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
static void deliver_to_all(pv_source *source, pv_event *event)
{
    for (size_t i = source->ntargets; i-- > 0;)
        if (!pv_queue_push(source->targets[i].queue, event, source->targets[i].tag))
            drop_target(source, i);
}

void pv_source_deliver(pv_source *source, pv_event *event)
{
    pthread_mutex_lock(&source->lock);
    deliver_to_all(source, event);
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

/* Lock held. */
static pv_event *find_known(const struct known *at, const char *name, int event, int detail)
{
    for (; at != NULL; at = at->next)
        if (at->event->numbers[0] == event && at->event->numbers[1] == detail && strcmp(at->name, name) == 0)
            return at->event;
    return NULL;
}

/* Lock held.  Remove the known events of a domain and return them. */
static struct known *remove_known(pv_source *source, const char *name)
{
    struct known *gone = NULL;
    if (source->known == NULL)
        return NULL;
    for (struct known **link = &source->known[bucket_of(name)]; *link != NULL;) {
        struct known *one = *link;
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

/* Lock held.  Keep the event for reuse, if there is memory for that. */
static void add_known(pv_source *source, const char *name, pv_event *event)
{
    if (source->known == NULL)
        source->known = calloc(BUCKETS, sizeof(*source->known));
    struct known *one = source->known != NULL ? malloc(sizeof(*one) + strlen(name) + 1) : NULL;
    if (one == NULL)
        return;
    strcpy(one->name, name);
    one->event = event;
    event->interned = 1;
    pv_event_ref(event);
    struct known **bucket = &source->known[bucket_of(name)];
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
    struct known *gone = NULL;
    pv_event *made = NULL;
    pthread_mutex_lock(&source->lock);
    const char *name = repeats(event) || source->nknown > 0 ? virDomainGetName(domain) : NULL;
    if (name != NULL && repeats(event) && source->known != NULL)
        made = find_known(source->known[bucket_of(name)], name, event, detail);
    if (made != NULL) {
        deliver_to_all(source, made);
        pthread_mutex_unlock(&source->lock);
        return;
    }
    if (source->nknown >= MAX_KNOWN)
        gone = remove_all_known(source);
    else if (name != NULL && !repeats(event))
        gone = remove_known(source, name);
    if (source->ntargets > 0) {
        pthread_mutex_unlock(&source->lock);
        made = pv_source_event(source, domain, numbers, 2, NULL, 0, NULL, 0);
        bool reusable = made != NULL && name != NULL && repeats(event) && virDomainGetID(domain) != (unsigned)-1;
        pthread_mutex_lock(&source->lock);
        /* If the source was deregistered while the lock was free, nothing would remove the event again. */
        if (reusable && source->ntargets > 0)
            add_known(source, name, made);
        deliver_to_all(source, made);
    }
    pthread_mutex_unlock(&source->lock);
    free_known(gone);
    if (made != NULL)
        pv_event_unref(made);
}

void pv_source_clear(pv_source *source)
{
    pthread_mutex_lock(&source->lock);
    while (source->ntargets > 0)
        drop_target(source, source->ntargets - 1);
    struct known *gone = remove_all_known(source);
    pthread_mutex_unlock(&source->lock);
    free_known(gone);
}

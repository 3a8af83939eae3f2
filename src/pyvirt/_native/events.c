/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "native_release.h"

/* An event and its references.  Python sees the event alone: cffi does not know atomic types. */
struct counted {
    atomic_uint refs;
    pv_event event;
};

static struct counted *counted_of(const pv_event *event)
{
    return (struct counted *)((char *)event - offsetof(struct counted, event));
}

/* A switch on the category keeps function pointers out of every event. */
int pv_object_ref(int category, void *object)
{
    switch (category) {
    case PV_NETWORK:
        return virNetworkRef(object);
    case PV_STORAGE_POOL:
        return virStoragePoolRef(object);
    case PV_NODE_DEVICE:
        return virNodeDeviceRef(object);
    case PV_SECRET:
        return virSecretRef(object);
    default:
        return virDomainRef(object);
    }
}

void pv_object_release(int category, void *object)
{
    switch (category) {
    case PV_NETWORK:
        pv_release_network(object);
        break;
    case PV_STORAGE_POOL:
        pv_release_storage_pool(object);
        break;
    case PV_NODE_DEVICE:
        pv_release_node_device(object);
        break;
    case PV_SECRET:
        pv_release_secret(object);
        break;
    default:
        pv_release_domain(object);
    }
}

static size_t length(const char *text)
{
    return text != NULL ? strlen(text) + 1 : 0;
}

static const char *append_text(char **at, const char *text)
{
    size_t size = length(text);
    char *start = *at;
    if (text == NULL)
        return NULL;
    memcpy(start, text, size);
    *at += size;
    return start;
}

pv_event *pv_event_new(int category, int id, void *object, const int64_t *numbers, int nnumbers,
                       const char *const *strings, int nstrings, const virTypedParameter *params, int nparams)
{
    /* One block of memory: the event, parameters, pointers to the texts, the texts. */
    size_t size = sizeof(struct counted) + (size_t)nparams * sizeof(*params) + (size_t)nstrings * sizeof(*strings);
    for (int i = 0; i < nstrings; i++)
        size += length(strings[i]);
    for (int i = 0; i < nparams; i++)
        if (params[i].type == VIR_TYPED_PARAM_STRING)
            size += length(params[i].value.s);
    struct counted *counted = calloc(1, size);
    if (counted == NULL)
        return NULL;
    atomic_init(&counted->refs, 1);
    pv_event *event = &counted->event;
    virTypedParameterPtr copies = (virTypedParameterPtr)(counted + 1);
    const char **texts = (const char **)(copies + nparams);
    char *at = (char *)(texts + nstrings);
    *event = (pv_event){.category = category,
                        .id = id,
                        .size = size,
                        .nstrings = nstrings,
                        .nparams = nparams,
                        .strings = texts,
                        .params = copies};
    for (int i = 0; i < nnumbers; i++)
        event->numbers[i] = numbers[i];
    for (int i = 0; i < nstrings; i++)
        texts[i] = append_text(&at, strings[i]);
    for (int i = 0; i < nparams; i++) {
        copies[i] = params[i];
        if (params[i].type == VIR_TYPED_PARAM_STRING)
            copies[i].value.s = (char *)append_text(&at, params[i].value.s);
    }
    if (object != NULL && pv_object_ref(category, object) == 0)
        event->object = object;
    return event;
}

void pv_event_ref(pv_event *event)
{
    atomic_fetch_add_explicit(&counted_of(event)->refs, 1, memory_order_relaxed);
}

void pv_event_unref(pv_event *event)
{
    struct counted *counted = counted_of(event);
    if (atomic_fetch_sub_explicit(&counted->refs, 1, memory_order_acq_rel) > 1)
        return;
    if (event->object != NULL)
        pv_object_release(event->category, event->object);
    free(counted);
}

unsigned int pv_event_refs(const pv_event *event)
{
    return atomic_load_explicit(&counted_of(event)->refs, memory_order_acquire);
}

void *pv_event_take_object(pv_event *event)
{
    void *object = event->object;
    /* Hand over the event's own reference if possible: releasing one takes libvirt longer than everything else here. */
    if (pv_event_refs(event) == 1)
        event->object = NULL;
    else if (object != NULL && pv_object_ref(event->category, object) < 0)
        object = NULL;
    return object;
}

static bool is_plain_lifecycle(const pv_event *event)
{
    return event->category == PV_DOMAIN && event->id == VIR_DOMAIN_EVENT_ID_LIFECYCLE && !event->interned &&
           event->numbers[0] >= 0 && event->numbers[1] >= 0;
}

void pv_events_lifecycle(const uintptr_t *items, int n, int64_t *codes, virDomainPtr *domains)
{
    for (int i = 0; i < n; i++) {
        pv_event *event = (items[i] & 1) == 0 ? (pv_event *)items[i] : NULL;
        codes[i] = -1;
        domains[i] = NULL;
        if (event == NULL || !is_plain_lifecycle(event))
            continue;
        domains[i] = pv_event_take_object(event);
        if (domains[i] != NULL)
            codes[i] = event->numbers[0] << 32 | event->numbers[1];
    }
}

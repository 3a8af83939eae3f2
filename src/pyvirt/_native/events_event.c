/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "events.h"
#include "native_errors.h"

/* Asking the object's kind is one switch here and no function pointer in every event. */
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

static const char *place(char **at, const char *text)
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
    /* All in one piece: the event, parameters, pointers to the texts, the texts. */
    size_t size = sizeof(pv_event) + (size_t)nparams * sizeof(*params) + (size_t)nstrings * sizeof(*strings);
    for (int i = 0; i < nstrings; i++)
        size += length(strings[i]);
    for (int i = 0; i < nparams; i++)
        if (params[i].type == VIR_TYPED_PARAM_STRING)
            size += length(params[i].value.s);
    pv_event *event = calloc(1, size);
    if (event == NULL)
        return NULL;
    virTypedParameterPtr copies = (virTypedParameterPtr)(event + 1);
    const char **texts = (const char **)(copies + nparams);
    char *at = (char *)(texts + nstrings);
    *event = (pv_event){.category = category,
                        .id = id,
                        .refs = 1,
                        .size = size,
                        .nstrings = nstrings,
                        .nparams = nparams,
                        .strings = texts,
                        .params = copies};
    for (int i = 0; i < nnumbers; i++)
        event->numbers[i] = numbers[i];
    for (int i = 0; i < nstrings; i++)
        texts[i] = place(&at, strings[i]);
    for (int i = 0; i < nparams; i++) {
        copies[i] = params[i];
        if (params[i].type == VIR_TYPED_PARAM_STRING)
            copies[i].value.s = (char *)place(&at, params[i].value.s);
    }
    if (object != NULL && pv_object_ref(category, object) == 0)
        event->object = object;
    return event;
}

void pv_event_ref(pv_event *event)
{
    __atomic_fetch_add(&event->refs, 1, __ATOMIC_RELAXED);
}

void pv_event_unref(pv_event *event)
{
    if (__atomic_sub_fetch(&event->refs, 1, __ATOMIC_ACQ_REL) > 0)
        return;
    if (event->object != NULL)
        pv_object_release(event->category, event->object);
    free(event);
}

void *pv_event_take_object(pv_event *event)
{
    void *object = event->object;
    /* To drop a reference takes libvirt longer than all else here. */
    if (__atomic_load_n(&event->refs, __ATOMIC_ACQUIRE) == 1)
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

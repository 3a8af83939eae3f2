/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Events, the struct that all files of events use.  Implemented in events.c.
 *
 * The event loop runs libvirt's callbacks, each callback copies its arguments into an event, and a source puts the
 * event into the queues attached to it.  None of this runs Python, so keepalive messages are answered and events are
 * received while Python is busy.
 */

#define PV_DOMAIN 0
#define PV_NETWORK 1
#define PV_STORAGE_POOL 2
#define PV_NODE_DEVICE 3
#define PV_SECRET 4
#define PV_QEMU_MONITOR 5
#define PV_CLOSE 6

/* An immutable event, shared by all queues that hold it. */
typedef struct pv_event {
    int category;               /* PV_DOMAIN, … */
    int id;                     /* libvirt's number of the kind within the category */
    int interned;               /* the same event may come again, at the same address */
    void *object;               /* virDomainPtr, … with a reference, or NULL */
    int64_t numbers[4];         /* the integers, in the order of the callback's arguments */
    int nstrings;
    int nparams;
    const char **strings;       /* the strings, in the same order; NULL where libvirt passed NULL */
    virTypedParameterPtr params;
    size_t size;                /* bytes of memory of all this */
} pv_event;

void pv_event_ref(pv_event *event);
void pv_event_unref(pv_event *event);

/*
 * Return a reference to the event's object, which the caller releases.  It is the event's own reference if no other
 * queue holds the event.
 */
void *pv_event_take_object(pv_event *event);

/*
 * Handle many lifecycle events in one call.  `items` are those of pv_queue_take.  For each lifecycle event that is not
 * interned, `codes` gets the type of the event in the upper half and its detail in the lower half, and `domains` gets a
 * reference as from pv_event_take_object.  For all other items `codes` gets -1.
 */
void pv_events_lifecycle(const uintptr_t *items, int n, int64_t *codes, virDomainPtr *domains);

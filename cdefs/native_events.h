/* SPDX-License-Identifier: LGPL-2.1-or-later */

/*
 * Events: the loop that libvirt needs, and queues that its callbacks fill.  No Python runs in any of this, so keepalive
 * is answered and events are taken in whatever Python is busy with.
 *
 * The loop is our own, as libvirt's can neither be stopped nor used after a fork.  It waits with epoll: a remote call
 * changes what its socket is watched for twice, and that costs no switch to the thread of the loop.
 */

/*
 * Make sure that libvirt has a loop, before a connection is opened: ours, in a thread of its own, unless somebody else
 * has registered one.  Returns 1 if it is ours, 0 if it is somebody else's, -1 with errno if there is no memory or
 * thread for it.
 */
int pv_loop_start(void);

/* Register none: somebody else will.  0, 1 if somebody has already; -1 if it is ours. */
int pv_loop_leave(void);

/* Whether the loop is ours: 1; somebody else's: 0; nobody's yet: -1. */
int pv_loop_owner(void);

/*
 * Stop the thread of the loop, or after so many milliseconds leave it to stop when what it is at comes to an end.
 * Returns whether it has stopped.  pv_loop_resume undoes it.  Pairs of both may nest.
 */
int pv_loop_pause(int milliseconds);
void pv_loop_resume(void);

/*
 * Let the loop finish what it is at, and what others have left it to free: the socket of a connection that was closed.
 * After so many milliseconds, or in its own thread, it is left to itself.
 */
void pv_loop_settle(int milliseconds);

/* An event, immutable, shared by all queues that it is in. */
typedef struct pv_event {
    int category;               /* PV_DOMAIN, … */
    int id;                     /* libvirt's number of the kind within the category */
    int interned;               /* the same event may come again, at the same address */
    unsigned int refs;
    void *object;               /* virDomainPtr, … with a reference, or NULL */
    int64_t numbers[4];         /* what there is of integers, in the order of the callback's arguments */
    int nstrings;
    int nparams;
    const char **strings;       /* likewise; NULL where libvirt gave none */
    virTypedParameterPtr params;
    size_t size;                /* bytes of all this */
} pv_event;

#define PV_DOMAIN 0
#define PV_NETWORK 1
#define PV_STORAGE_POOL 2
#define PV_NODE_DEVICE 3
#define PV_SECRET 4
#define PV_QEMU_MONITOR 5
#define PV_CLOSE 6

void pv_event_ref(pv_event *event);
void pv_event_unref(pv_event *event);

/* A reference to the event's object, for the caller to release: the event's own, if nobody else will want it. */
void *pv_event_take_object(pv_event *event);

/*
 * Of items as pv_queue_take returns them, the lifecycle events that come only once: what happened in the upper half of
 * a code and why in the lower, and a reference to the domain, as from pv_event_take_object.  -1 for all others.  Makes
 * no difference but that of many calls in one.
 */
void pv_events_lifecycle(const uintptr_t *items, int n, int64_t *codes, virDomainPtr *domains);

/* A queue of events for one reader, of bounded size. */
typedef struct pv_queue pv_queue;

/* Room for `limit` events.  NULL with errno if there is no memory or no file descriptor. */
pv_queue *pv_queue_new(size_t limit);

/* Drop what is in it and let nothing in any more: its descriptor is readable from here on. */
void pv_queue_end(pv_queue *queue);

/* End it and give up the caller's reference. */
void pv_queue_free(pv_queue *queue);

/* In the child of a fork: close the descriptor and touch nothing else, who knows who holds the lock. */
void pv_queue_abandon(pv_queue *queue);

/* What is readable when there are events, or when it has ended. */
int pv_queue_fd(pv_queue *queue);

/*
 * Take up to `n` events, oldest first.  An item is the address of a pv_event; an odd one is 2 * count + 1 and stands for
 * that many events which were lost at this place as there was no room.  `tags`, which may be NULL, gets what their
 * sources were attached with, -1 for lost ones.  Returns how many; -1 if there are none and the queue has ended.
 * The items go to pv_events_release when they are done with.
 */
int pv_queue_take(pv_queue *queue, uintptr_t *items, int64_t *tags, int n);
void pv_events_release(const uintptr_t *items, int n);

/* One registration with libvirt, and the queues that its events go to. */
typedef struct pv_source pv_source;

pv_source *pv_source_new(int category, int id);

/*
 * A queue gets each event once per tag, however often it is attached with that; and then has to be detached as often.
 * 0; -1: no memory.
 */
int pv_source_attach(pv_source *source, pv_queue *queue, int64_t tag);
void pv_source_detach(pv_source *source, pv_queue *queue, int64_t tag);

/*
 * vir…EventRegisterAny or virConnectRegisterCloseCallback.  `object`, which may be NULL, narrows it to one domain,
 * network, ….  Returns -1 and libvirt's error if it fails.
 */
int pv_source_register(pv_source *source, virConnectPtr conn, void *object);

/*
 * The same by functions that other libraries have: virConnectDomainQemuMonitorEvent(Deregister), with which event and
 * how; virAdmConnect(Unregister|Register)CloseCallback.
 */
int pv_source_register_monitor(pv_source *source, virConnectPtr conn, virDomainPtr domain, const char *event,
    unsigned int flags, void *function, void *undo);
int pv_source_register_close(pv_source *source, void *conn, void *function, void *undo);

/* Undo that, at most once.  Events under way may still arrive, but nowhere. */
void pv_source_deregister(pv_source *source, void *conn);

/* Give up the caller's reference. */
void pv_source_free(pv_source *source);

/* The callback that takes in events of a kind, NULL if there is none: its opaque is the pv_source. */
void *pv_event_callback(int category, int id);

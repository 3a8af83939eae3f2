/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats_fork.h"

/*
 * fork copies each lock in its current state.  In the child, a lock that another thread of the parent held would never
 * be released, because that thread does not exist there.  So fork waits until it holds all of them.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* taken before the lock of a schema */
static pv_schema *first;

static void hold_all(void)
{
    pthread_mutex_lock(&lock);
    for (pv_schema *schema = first; schema != NULL; schema = schema->next)
        pthread_mutex_lock(&schema->lock);
}

static void release_all(void)
{
    for (pv_schema *schema = first; schema != NULL; schema = schema->next)
        pthread_mutex_unlock(&schema->lock);
    pthread_mutex_unlock(&lock);
}

/*
 * This runs when the library is loaded.  Done at first use, it would be done twice in a child that was forked in the
 * middle of it.
 */
__attribute__((constructor)) static void watch_forks(void)
{
    pthread_atfork(hold_all, release_all, release_all);
}

void pv_schema_enlist(pv_schema *schema)
{
    pthread_mutex_lock(&lock);
    schema->next = first;
    schema->link = &first;
    if (first != NULL)
        first->link = &schema->next;
    first = schema;
    pthread_mutex_unlock(&lock);
}

void pv_schema_delist(pv_schema *schema)
{
    pthread_mutex_lock(&lock);
    *schema->link = schema->next;
    if (schema->next != NULL)
        schema->next->link = schema->link;
    pthread_mutex_unlock(&lock);
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "stats_schema.h"

/*
 * A fork copies a lock in whatever state it is, and in the child nobody is there to release one that another thread of
 * the parent held.  So fork waits until it holds all of them.
 */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER; /* taken before a schema's own */
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

/* When this is loaded: done at first use it would be done again in a child that was forked in the middle of that. */
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

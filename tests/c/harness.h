/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HARNESS_H
#define HARNESS_H

/*
 * Failing allocations.  ci/sanitize links the allocations of the programs here, and those of our C, to the functions
 * below.
 */

#include <stdbool.h>
#include <stddef.h>

#include "check.h"

/* The number of allocations of this thread that still succeed; negative: all. */
static _Thread_local long allocations_left = -1;

/* Called once, by the next allocation of this thread, in place of another thread that acts at that moment. */
static _Thread_local void (*at_allocation)(void);

static inline bool refuse_allocation(void)
{
    void (*hook)(void) = at_allocation;
    at_allocation = NULL;
    if (hook != NULL)
        hook();
    if (allocations_left == 0)
        return true;
    if (allocations_left > 0)
        allocations_left--;
    return false;
}

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
char *__wrap_strdup(const char *text);

void *__wrap_malloc(size_t size)
{
    return refuse_allocation() ? NULL : __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    return refuse_allocation() ? NULL : __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    return refuse_allocation() ? NULL : __real_realloc(ptr, size);
}

char *__wrap_strdup(const char *text)
{
    return refuse_allocation() ? NULL : __real_strdup(text);
}

#endif

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef HARNESS_H
#define HARNESS_H

/* What the programs here share.  ci/sanitize links their allocations, and those of our C, to the ones below. */

#include <stdbool.h>
#include <stddef.h>

#include "check.h"

/* How many allocations of this thread still succeed; negative: all. */
static _Thread_local long allocations_left = -1;

/* Called once, by the next allocation of this thread: for what another thread might do just then. */
static _Thread_local void (*at_allocation)(void);

static inline bool refuse_allocation(void)
{
    void (*meanwhile)(void) = at_allocation;
    at_allocation = NULL;
    if (meanwhile != NULL)
        meanwhile();
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

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef PV_CLOCK_H
#define PV_CLOCK_H

/* Times, for all files here.  No source: the functions are inline. */

#include <stdint.h>
#include <time.h>

static inline int64_t pv_now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

/* Return the time in so many milliseconds, as pthread_cond_timedwait and pthread_timedjoin_np take it. */
static inline struct timespec pv_deadline(int milliseconds)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    int64_t nanoseconds = end.tv_nsec + (int64_t)milliseconds * 1000000;
    end.tv_sec += (time_t)(nanoseconds / 1000000000);
    end.tv_nsec = (long)(nanoseconds % 1000000000);
    return end;
}

#endif

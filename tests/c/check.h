/* SPDX-License-Identifier: LGPL-2.1-or-later */
#ifndef CHECK_H
#define CHECK_H

#include <stdio.h>
#include <stdlib.h>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "%s:%d: %s: not %s\n", __FILE__, __LINE__, __func__, #condition);                          \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

#endif

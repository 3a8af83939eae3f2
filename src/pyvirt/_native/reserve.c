/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <stdlib.h>
#include <string.h>

#include "reserve.h"

int pv_reserve(void **array, int64_t *room, int64_t need, size_t size)
{
    if (need <= *room)
        return 0;
    int64_t wanted = *room < 8 ? 8 : *room * 2;
    if (wanted < need)
        wanted = need;
    void *grown = realloc(*array, (size_t)wanted * size);
    if (grown == NULL)
        return PV_NO_MEMORY;
    memset((char *)grown + (size_t)*room * size, 0, (size_t)(wanted - *room) * size);
    *array = grown;
    *room = wanted;
    return 0;
}

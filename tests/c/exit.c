/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Connections that are open when the program ends are closed: the address sanitizer would report others as leaks. */

#include <stdint.h>

#include <libvirt/libvirt.h>

#include "events_source.h"
#include "harness.h"
#include "native_events_loop.h"
#include "native_events_source_register.h"
#include "native_exit.h"

enum { CONNECTIONS = 3, MILLISECONDS = 60000 };

int main(void)
{
    virConnectPtr connections[CONNECTIONS];
    CHECK(pv_loop_start() == 1);
    for (int i = 0; i < CONNECTIONS; i++) {
        connections[i] = virConnectOpen("test:///default");
        CHECK(connections[i] != NULL);
    }
    pv_close_within(connections, 0, NULL, NULL, 0, MILLISECONDS);
    allocations_left = 0;
    pv_close_within(connections, CONNECTIONS, NULL, NULL, 0, MILLISECONDS);
    allocations_left = -1;
    for (int i = 0; i < CONNECTIONS; i++)
        CHECK(virConnectIsAlive(connections[i]) == 1); /* without memory nothing is closed */
    pv_source *sources[] = {pv_source_new(PV_DOMAIN, 0), pv_source_new(PV_CLOSE, 0)};
    const int owners[] = {1, 2};
    CHECK(pv_source_register(sources[0], connections[1], NULL) == 0);
    CHECK(pv_source_register(sources[1], connections[2], NULL) == 0);
    pv_close_within(connections, CONNECTIONS, sources, owners, 2, MILLISECONDS);
    CHECK(pv_loop_pause(MILLISECONDS) == 1);
    return 0;
}

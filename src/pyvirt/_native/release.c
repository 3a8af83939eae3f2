/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <libvirt/libvirt.h>

#include "native_errors.h"
#include "native_release.h"

#define DEFINE_RELEASE(name, type, release)                                                                            \
    void name(void *ptr)                                                                                               \
    {                                                                                                                  \
        pv_errors_mute(1);                                                                                             \
        release((type)ptr);                                                                                            \
        pv_errors_mute(-1);                                                                                            \
    }

DEFINE_RELEASE(pv_release_connect, virConnectPtr, virConnectClose)
DEFINE_RELEASE(pv_release_domain, virDomainPtr, virDomainFree)
DEFINE_RELEASE(pv_release_domain_snapshot, virDomainSnapshotPtr, virDomainSnapshotFree)
DEFINE_RELEASE(pv_release_domain_checkpoint, virDomainCheckpointPtr, virDomainCheckpointFree)
DEFINE_RELEASE(pv_release_network, virNetworkPtr, virNetworkFree)
DEFINE_RELEASE(pv_release_network_port, virNetworkPortPtr, virNetworkPortFree)
DEFINE_RELEASE(pv_release_storage_pool, virStoragePoolPtr, virStoragePoolFree)
DEFINE_RELEASE(pv_release_storage_volume, virStorageVolPtr, virStorageVolFree)
DEFINE_RELEASE(pv_release_node_device, virNodeDevicePtr, virNodeDeviceFree)
DEFINE_RELEASE(pv_release_interface, virInterfacePtr, virInterfaceFree)
DEFINE_RELEASE(pv_release_secret, virSecretPtr, virSecretFree)
DEFINE_RELEASE(pv_release_nwfilter, virNWFilterPtr, virNWFilterFree)
DEFINE_RELEASE(pv_release_nwfilter_binding, virNWFilterBindingPtr, virNWFilterBindingFree)
DEFINE_RELEASE(pv_release_stream, virStreamPtr, virStreamFree)

/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "native_errors.h"

/* A key, as its destructor frees what a thread leaves behind; the counter owns nothing and is plain TLS. */
static pthread_key_t current;
static pthread_once_t current_once = PTHREAD_ONCE_INIT;
static _Thread_local unsigned muted;

static char *copy_string(const char *text)
{
    return text != NULL ? strdup(text) : NULL;
}

void pv_error_free(pv_error *error)
{
    if (error == NULL)
        return;
    free(error->message);
    free(error->str1);
    free(error->str2);
    free(error->str3);
    free(error);
}

static void free_at_thread_end(void *error)
{
    pv_error_free(error);
}

static void create_key(void)
{
    if (pthread_key_create(&current, free_at_thread_end) != 0)
        abort();
}

static void remember(pv_error *error)
{
    pv_error_free(pthread_getspecific(current));
    pthread_setspecific(current, error);
}

static void capture(void *opaque, virErrorPtr from)
{
    (void)opaque;
    if (muted || from == NULL || from->level == VIR_ERR_NONE || from->level == VIR_ERR_WARNING)
        return;
    pv_error *error = calloc(1, sizeof(*error));
    if (error == NULL)
        return;
    error->code = from->code;
    error->domain = from->domain;
    error->level = (int)from->level;
    error->int1 = from->int1;
    error->int2 = from->int2;
    error->message = copy_string(from->message);
    error->str1 = copy_string(from->str1);
    error->str2 = copy_string(from->str2);
    error->str3 = copy_string(from->str3);
    remember(error);
}

void pv_errors_install(void)
{
    pthread_once(&current_once, create_key);
    virSetErrorFunc(NULL, capture);
}

pv_error *pv_error_take(void)
{
    pv_error *error = pthread_getspecific(current);
    if (error != NULL)
        pthread_setspecific(current, NULL);
    return error;
}

void pv_error_unsupported(const char *function, const char *needed, const char *present)
{
    static const char form[] = "%s needs libvirt >= %s, this build has %s";
    pv_error *error = calloc(1, sizeof(*error));
    if (error == NULL)
        return;
    error->code = VIR_ERR_NO_SUPPORT;
    error->domain = -1;
    error->level = VIR_ERR_ERROR;
    size_t size = sizeof(form) + strlen(function) + strlen(needed) + strlen(present);
    error->message = malloc(size);
    if (error->message != NULL)
        snprintf(error->message, size, form, function, needed, present);
    error->str1 = copy_string(function);
    remember(error);
}

#define DEFINE_RELEASE(name, type, release)                                                                  \
    void name(void *ptr)                                                                                     \
    {                                                                                                        \
        muted++;                                                                                             \
        release((type)ptr);                                                                                  \
        muted--;                                                                                             \
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

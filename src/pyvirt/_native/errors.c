/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
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
static _Thread_local int muted;

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

static void free_all(void *errors)
{
    for (pv_error *error = errors, *below; error != NULL; error = below) {
        below = error->below;
        pv_error_free(error);
    }
}

static void create_key(void)
{
    if (pthread_key_create(&current, free_all) != 0)
        abort();
}

/*
 * On top of those that wait.  Between a call that fails and the question why, Python may run a finaliser or a signal
 * handler, which fails, asks and gets its own error.  What nobody asks for sinks, and is dropped at the bottom.
 */
static void remember(pv_error *error)
{
    int depth = 8;
    error->below = pthread_getspecific(current);
    pthread_setspecific(current, error);
    while (--depth > 0 && error->below != NULL)
        error = error->below;
    free_all(error->below);
    error->below = NULL;
}

static pv_error *copy_error(const virError *from)
{
    if (from == NULL || from->level == VIR_ERR_NONE || from->level == VIR_ERR_WARNING)
        return NULL;
    pv_error *error = calloc(1, sizeof(*error));
    if (error == NULL)
        return NULL;
    error->code = from->code;
    error->domain = from->domain;
    error->level = (int)from->level;
    error->int1 = from->int1;
    error->int2 = from->int2;
    error->message = copy_string(from->message);
    error->str1 = copy_string(from->str1);
    error->str2 = copy_string(from->str2);
    error->str3 = copy_string(from->str3);
    return error;
}

static void capture(void *opaque, virErrorPtr from)
{
    (void)opaque;
    pv_error *error = muted ? NULL : copy_error(from);
    if (error != NULL)
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
        pthread_setspecific(current, error->below);
    /* Until libvirt is set up it takes thread-local memory of somebody else for its error. */
    if (virInitialize() < 0)
        return error;
    if (error == NULL) /* or somebody else in this process, libvirt-python say, has installed a handler over ours */
        error = copy_error(virGetLastError());
    virResetLastError();
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

static void print_nothing(void *opaque, const char *format, ...)
{
    (void)opaque;
    (void)format;
}

virConnectPtr pv_connect_open(const char *name, virConnectAuthPtr auth, unsigned int flags)
{
    typedef void (*print_func)(void *opaque, const char *format, ...);
    /* libxml2 comes with libvirt, its headers need not be there.  This one returns a variable of the thread. */
    print_func *(*where)(void) = (print_func * (*)(void)) dlsym(RTLD_DEFAULT, "__xmlGenericError");
    print_func *print = where != NULL ? where() : NULL;
    print_func before = print != NULL ? *print : NULL;
    if (print != NULL)
        *print = print_nothing;
    virConnectPtr conn = virConnectOpenAuth(name, auth, flags);
    if (print != NULL)
        *print = before;
    return conn;
}

void pv_errors_mute(int by)
{
    muted += by;
}

#define DEFINE_RELEASE(name, type, release)                                                                            \
    void name(void *ptr)                                                                                               \
    {                                                                                                                  \
        muted++;                                                                                                       \
        release((type)ptr);                                                                                            \
        muted--;                                                                                                       \
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

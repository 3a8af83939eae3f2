/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* RTLD_DEFAULT */
#include <dlfcn.h>
#include <stddef.h>

#include <libvirt/libvirt.h>

#include "native_connect.h"

static void print_nothing(void *opaque, const char *format, ...)
{
    (void)opaque;
    (void)format;
}

virConnectPtr pv_connect_open(const char *name, virConnectAuthPtr auth, unsigned int flags)
{
    typedef void (*print_func)(void *opaque, const char *format, ...);
    /*
     * libxml2 is loaded with libvirt, but its headers may be missing.  This function returns a thread-local variable.
     */
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

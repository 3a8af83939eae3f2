/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include <pthread.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "errors.h"

/* The errors have a key, because its destructor frees those of a thread that ends.  The counter needs no destructor. */
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
 * Put the error on top of this thread's stack.  Between a call that fails and the check of its result, Python may run a
 * finaliser or a signal handler, which fails and takes its own error: so errors form a stack.  Errors that are never
 * taken are dropped at depth 8.
 */
static void push(pv_error *error)
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
        push(error);
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
    /* Before virInitialize libvirt has no key for its error, and would read the thread-local memory of other code. */
    if (virInitialize() < 0)
        return error;
    if (error == NULL) /* other code in this process, such as libvirt-python, may have replaced our handler */
        error = copy_error(virGetLastError());
    virResetLastError();
    return error;
}

void pv_error_record_unsupported(const char *function, const char *message)
{
    pv_error *error = calloc(1, sizeof(*error));
    if (error == NULL)
        return;
    error->code = VIR_ERR_NO_SUPPORT;
    error->domain = -1;
    error->level = VIR_ERR_ERROR;
    error->message = copy_string(message);
    error->str1 = copy_string(function);
    push(error);
}

void pv_error_unsupported(const char *function, const char *needed, const char *present)
{
    char message[256];
    snprintf(message, sizeof(message), "%s needs libvirt >= %s, this build has %s", function, needed, present);
    pv_error_record_unsupported(function, message);
}

void pv_errors_mute(int by)
{
    muted += by;
}

/* SPDX-License-Identifier: LGPL-2.1-or-later */

/* Threads fail with different errors: each thread gets its own, and every copy is freed once. */

#include <pthread.h>
#include <stdint.h>
#include <string.h>

#include <libvirt/libvirt.h>
#include <libvirt/virterror.h>

#include "harness.h"
#include "native_errors.h"
#include "native_release.h"

enum { THREADS = 8, ROUNDS = 500, DEPTH = 8 };

static virConnectPtr conn;

/* Look up a pool that does not exist: the name is in libvirt's message. */
static void fail_with(const char *name)
{
    CHECK(virStoragePoolLookupByName(conn, name) == NULL);
}

static void check_newest(const char *name)
{
    pv_error *error = pv_error_take();
    CHECK(error != NULL);
    CHECK(error->code == VIR_ERR_NO_STORAGE_POOL);
    CHECK(error->domain == VIR_FROM_TEST);
    CHECK(error->level == VIR_ERR_ERROR);
    CHECK(strstr(error->message, name) != NULL);
    pv_error_free(error);
}

static void check_taken(const char *name)
{
    check_newest(name);
    CHECK(pv_error_take() == NULL);
}

static void test_taking_removes_the_error(void)
{
    CHECK(pv_error_take() == NULL);
    pv_error_free(NULL);
    fail_with("first");
    check_taken("first");
}

static void test_untaken_errors_are_dropped(void)
{
    char name[32];
    for (int i = 0; i < 3 * DEPTH; i++) {
        snprintf(name, sizeof(name), "number-%d", i);
        fail_with(name);
    }
    for (int i = 3 * DEPTH - 1; i >= 2 * DEPTH; i--) {
        snprintf(name, sizeof(name), "number-%d", i);
        check_newest(name);
    }
    CHECK(pv_error_take() == NULL);
}

static void ignore(void *opaque, virErrorPtr error)
{
    (void)opaque;
    (void)error;
}

static void test_another_handler_replaces_ours(void)
{
    virSetErrorFunc(NULL, ignore);
    fail_with("foreign");
    check_taken("foreign");
    pv_errors_install();
}

static void test_a_release_keeps_the_error(void)
{
    virDomainPtr domain = virDomainLookupByName(conn, "test");
    CHECK(domain != NULL);
    fail_with("kept");
    pv_release_domain(domain);
    CHECK(virGetLastError() == NULL); /* libvirt's own error is lost: the reason for our copy */
    pv_release_domain(NULL);          /* this fails, and leaves no error */
    check_taken("kept");
}

static void test_an_error_outlives_its_connection(void)
{
    virConnectPtr other = virConnectOpen("test:///default");
    CHECK(other != NULL);
    fail_with("late");
    pv_release_connect(other);
    check_taken("late");
}

static void test_an_unsupported_function(void)
{
    pv_error_unsupported("virDomainFly", "99.1.0", "9.0.0");
    pv_error *error = pv_error_take();
    CHECK(error != NULL);
    CHECK(error->code == VIR_ERR_NO_SUPPORT);
    CHECK(error->domain == -1);
    CHECK(strcmp(error->message, "virDomainFly needs libvirt >= 99.1.0, this build has 9.0.0") == 0);
    CHECK(strcmp(error->str1, "virDomainFly") == 0);
    pv_error_free(error);
}

static void test_out_of_memory(void)
{
    for (long n = 0; n < 8; n++) {
        allocations_left = n;
        fail_with("scarce");
        pv_error_unsupported("virDomainFly", "99.1.0", "9.0.0");
        allocations_left = -1;
        for (pv_error *error; (error = pv_error_take()) != NULL;)
            pv_error_free(error);
    }
}

static void *free_elsewhere(void *error)
{
    pv_error_free(error);
    return NULL;
}

static void test_an_error_is_freed_by_another_thread(void)
{
    pthread_t thread;
    fail_with("moved");
    CHECK(pthread_create(&thread, NULL, free_elsewhere, pv_error_take()) == 0);
    CHECK(pthread_join(thread, NULL) == 0);
    CHECK(pv_error_take() == NULL);
}

static void *fail_often(void *number)
{
    char name[32];
    for (int round = 0; round < ROUNDS; round++) {
        snprintf(name, sizeof(name), "thread-%d-%d", (int)(intptr_t)number, round);
        fail_with(name);
        if (round % 5 == 0)
            test_an_unsupported_function(); /* pushed on top, and taken again */
        check_taken(name);
        if (round % 3 == 0)
            test_a_release_keeps_the_error();
        if (round % 7 == 0)
            test_untaken_errors_are_dropped();
    }
    fail_with("left behind"); /* freed when the thread ends */
    return NULL;
}

static void test_threads(void)
{
    pthread_t threads[THREADS];
    for (intptr_t i = 0; i < THREADS; i++)
        CHECK(pthread_create(&threads[i], NULL, fail_often, (void *)i) == 0);
    for (int i = 0; i < THREADS; i++)
        CHECK(pthread_join(threads[i], NULL) == 0);
    CHECK(pv_error_take() == NULL);
}

int main(void)
{
    pv_errors_install();
    pv_errors_install();
    /* libvirt has not been called yet, so it has not set up its own thread-local error. */
    test_an_unsupported_function();
    CHECK(pv_error_take() == NULL);
    conn = virConnectOpen("test:///default");
    CHECK(conn != NULL);

    test_taking_removes_the_error();
    test_untaken_errors_are_dropped();
    test_another_handler_replaces_ours();
    test_a_release_keeps_the_error();
    test_an_error_outlives_its_connection();
    test_an_unsupported_function();
    test_out_of_memory();
    test_an_error_is_freed_by_another_thread();
    test_threads();

    pv_release_connect(conn);
    return 0;
}

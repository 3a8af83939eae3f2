/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* Transfers between a stream and a file.  This program replaces libvirt's transfer functions, so it knows the data. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <libvirt/libvirt.h>

#include "harness.h"
#include "native_pump.h"

enum { CHUNK = 64 * 1024, HOLE = 1 << 20, CHUNKS = 8 };

static char chunk[CHUNK];
static char received[4 * HOLE];
static size_t n_received;
static long long holes;

/* The length of each hole that is sent. */
static long long hole = HOLE;

/* Send chunks forever, not CHUNKS of them. */
static bool endless;

int virStreamRecvAll(virStreamPtr stream, virStreamSinkFunc handler, void *opaque)
{
    for (int i = 0; endless || i < CHUNKS; i++)
        if (handler(stream, chunk, sizeof(chunk), opaque) != (int)sizeof(chunk))
            return -1;
    return 0;
}

/* Send a chunk, a hole, a chunk, a hole. */
int virStreamSparseRecvAll(virStreamPtr stream, virStreamSinkFunc handler, virStreamSinkHoleFunc hole_handler,
                           void *opaque)
{
    for (int i = 0; i < 2; i++)
        if (handler(stream, chunk, sizeof(chunk), opaque) != (int)sizeof(chunk) ||
            hole_handler(stream, hole, opaque) < 0)
            return -1;
    return 0;
}

int virStreamSendAll(virStreamPtr stream, virStreamSourceFunc handler, void *opaque)
{
    for (int n; (n = handler(stream, received + n_received, 1000, opaque)) != 0; n_received += (size_t)n)
        if (n < 0)
            return -1;
    return 0;
}

int virStreamSparseSendAll(virStreamPtr stream, virStreamSourceFunc handler, virStreamSourceHoleFunc hole_handler,
                           virStreamSourceSkipFunc skip_handler, void *opaque)
{
    for (;;) {
        int in_data = 0;
        long long length = 0;
        if (hole_handler(stream, &in_data, &length, opaque) < 0)
            return -1;
        if (!in_data) {
            if (length == 0)
                return 0;
            if (skip_handler(stream, length, opaque) < 0)
                return -1;
            holes += length;
            continue;
        }
        int n = handler(stream, received + n_received, length < 1000 ? (size_t)length : 1000, opaque);
        if (n <= 0)
            return -1;
        n_received += (size_t)n;
    }
}

static int temporary_file(void)
{
    char path[] = "/tmp/pyvirt-pump-XXXXXX";
    int fd = mkstemp(path);
    CHECK(fd >= 0);
    CHECK(unlink(path) == 0);
    return fd;
}

static void check_bytes(int fd, off_t at, const char *wanted, size_t size)
{
    char *found = malloc(size);
    CHECK(found != NULL && pread(fd, found, size, at) == (ssize_t)size);
    CHECK(memcmp(found, wanted, size) == 0);
    free(found);
}

static void receives_data(void)
{
    int fd = temporary_file();
    pv_pump *pump = pv_pump_new(fd);
    CHECK(pump != NULL && pv_pump_moved(pump) == 0);
    CHECK(pv_pump_receive(pump, NULL, 0) == 0);
    CHECK(pv_pump_moved(pump) == CHUNKS * CHUNK && pv_pump_errno(pump) == 0);
    for (int i = 0; i < CHUNKS; i++)
        check_bytes(fd, (off_t)i * CHUNK, chunk, CHUNK);
    pv_pump_free(pump);
    close(fd);
}

static void receives_holes(void)
{
    static const char zeros[HOLE];
    char *old = malloc(4 * HOLE);
    CHECK(old != NULL);
    memset(old, 'o', 4 * HOLE);
    for (int had_contents = 0; had_contents < 2; had_contents++) {
        int fd = temporary_file();
        if (had_contents)
            CHECK(pwrite(fd, old, 4 * HOLE, 0) == 4 * HOLE);
        pv_pump *pump = pv_pump_new(fd);
        CHECK(pv_pump_receive(pump, NULL, 1) == 0);
        CHECK(pv_pump_moved(pump) == 2 * (CHUNK + HOLE));
        for (off_t at = 0; at < 2 * (CHUNK + HOLE); at += CHUNK + HOLE) {
            check_bytes(fd, at, chunk, CHUNK);
            check_bytes(fd, at + CHUNK, zeros, HOLE); /* old contents must not remain there */
        }
        struct stat status;
        CHECK(fstat(fd, &status) == 0);
        CHECK(status.st_size == (had_contents ? 4 * HOLE : 2 * (CHUNK + HOLE)));
        pv_pump_free(pump);
        close(fd);
    }
    free(old);
}

/* A file cannot be that large, and a hole cannot have a negative length.  Data that has arrived is kept. */
static void refuses_impossible_holes(void)
{
    static const long long impossible[] = {INT64_MAX, INT64_MAX - CHUNK + 1, -1, -CHUNK, INT64_MIN};
    for (size_t i = 0; i < sizeof(impossible) / sizeof(*impossible); i++) {
        int fd = temporary_file();
        pv_pump *pump = pv_pump_new(fd);
        hole = impossible[i];
        CHECK(pv_pump_receive(pump, NULL, 1) == -1 && pv_pump_errno(pump) == EFBIG);
        CHECK(pv_pump_moved(pump) == CHUNK && lseek(fd, 0, SEEK_CUR) == CHUNK);
        check_bytes(fd, 0, chunk, CHUNK);
        pv_pump_free(pump);
        close(fd);
    }
    hole = HOLE;
}

static void *drain(void *opaque)
{
    int fd = *(int *)opaque;
    char data[CHUNK];
    int64_t *total = calloc(1, sizeof(*total));
    CHECK(total != NULL);
    for (ssize_t n; (n = read(fd, data, sizeof(data))) > 0;)
        *total += n;
    return total;
}

static void writes_zeros_into_a_pipe(void)
{
    int ends[2];
    void *total;
    pthread_t reader;
    CHECK(pipe(ends) == 0);
    CHECK(pthread_create(&reader, NULL, drain, &ends[0]) == 0);
    pv_pump *pump = pv_pump_new(ends[1]);
    CHECK(pv_pump_receive(pump, NULL, 1) == 0);
    close(ends[1]);
    CHECK(pthread_join(reader, &total) == 0);
    CHECK(*(int64_t *)total == 2 * (CHUNK + HOLE));
    free(total);
    close(ends[0]);
    pv_pump_free(pump);
}

static void sends(void)
{
    int fd = temporary_file();
    CHECK(pwrite(fd, chunk, CHUNK, HOLE) == CHUNK);
    CHECK(ftruncate(fd, 3 * HOLE) == 0);
    for (int sparse = 0; sparse < 2; sparse++) {
        n_received = 0;
        holes = 0;
        CHECK(lseek(fd, 0, SEEK_SET) == 0);
        pv_pump *pump = pv_pump_new(fd);
        CHECK(pv_pump_send(pump, NULL, sparse) == 0);
        CHECK(pv_pump_moved(pump) == 3 * HOLE);
        CHECK((int64_t)n_received + holes == 3 * HOLE);
        CHECK(sparse ? holes > 0 : holes == 0);
        CHECK(memcmp(sparse ? received : received + HOLE, chunk, CHUNK) == 0);
        pv_pump_free(pump);
    }
    close(fd);
}

static void reports_the_errno_of_the_file(void)
{
    int full = open("/dev/full", O_WRONLY), closed = temporary_file();
    pv_pump *pump = pv_pump_new(full);
    CHECK(pv_pump_receive(pump, NULL, 0) == -1 && pv_pump_errno(pump) == ENOSPC);
    pv_pump_free(pump);
    pump = pv_pump_new(full);
    CHECK(pv_pump_receive(pump, NULL, 1) == -1 && pv_pump_errno(pump) == ENOSPC);
    pv_pump_free(pump);
    close(closed);
    pump = pv_pump_new(closed);
    CHECK(pv_pump_send(pump, NULL, 0) == -1 && pv_pump_errno(pump) == EBADF);
    pv_pump_free(pump);
    pump = pv_pump_new(closed);
    CHECK(pv_pump_send(pump, NULL, 1) == -1 && pv_pump_errno(pump) == EBADF);
    pv_pump_free(pump);
    close(full);
}

static void *cancel_soon(void *opaque)
{
    pv_pump *pump = opaque;
    while (pv_pump_moved(pump) < CHUNK)
        sched_yield();
    pv_pump_cancel(pump);
    return NULL;
}

static void is_cancelled_by_another_thread(void)
{
    int null = open("/dev/null", O_WRONLY);
    pthread_t other;
    pv_pump *pump = pv_pump_new(null);
    endless = true;
    CHECK(pthread_create(&other, NULL, cancel_soon, pump) == 0);
    CHECK(pv_pump_receive(pump, NULL, 0) == -1 && pv_pump_errno(pump) == ECANCELED);
    CHECK(pthread_join(other, NULL) == 0);
    endless = false;
    CHECK(pv_pump_receive(pump, NULL, 1) == -1 && pv_pump_send(pump, NULL, 0) == -1 &&
          pv_pump_send(pump, NULL, 1) == -1);
    pv_pump_free(pump);
    close(null);
}

static void *fill_a_pipe(void *pump)
{
    CHECK(pv_pump_receive(pump, NULL, 0) == -1 && pv_pump_errno(pump) == ECANCELED);
    return NULL;
}

static void interrupt(int number)
{
    (void)number;
}

/* A signal interrupts a blocked write; the reported error must still be ECANCELED. */
static void is_cancelled_while_it_blocks(void)
{
    int ends[2];
    pthread_t writer;
    struct sigaction action = {.sa_handler = interrupt};
    CHECK(sigaction(SIGUSR1, &action, NULL) == 0 && pipe(ends) == 0);
    pv_pump *pump = pv_pump_new(ends[1]);
    endless = true;
    CHECK(pthread_create(&writer, NULL, fill_a_pipe, pump) == 0);
    while (pv_pump_moved(pump) == 0) /* the pipe takes the first chunk, then it is full */
        sched_yield();
    pv_pump_cancel(pump);
    while (pthread_tryjoin_np(writer, NULL) != 0) {
        CHECK(pthread_kill(writer, SIGUSR1) == 0);
        sched_yield();
    }
    endless = false;
    pv_pump_free(pump);
    close(ends[0]);
    close(ends[1]);
}

static void runs_out_of_memory(void)
{
    allocations_left = 0;
    CHECK(pv_pump_new(0) == NULL);
    allocations_left = -1;
}

int main(void)
{
    for (size_t i = 0; i < sizeof(chunk); i++)
        chunk[i] = (char)(i * 7 + 1);
    receives_data();
    receives_holes();
    refuses_impossible_holes();
    writes_zeros_into_a_pipe();
    sends();
    reports_the_errno_of_the_file();
    is_cancelled_by_another_thread();
    is_cancelled_while_it_blocks();
    runs_out_of_memory();
    return 0;
}
